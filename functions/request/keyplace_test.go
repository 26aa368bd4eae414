package main

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
)

// places lists the ids that have one of the places of the caller of most tests.
func (b *bench) places(t *testing.T, limit int) (ids []string) {
	t.Helper()
	for n := range limit {
		c, err := b.tracker.Records.Claim(t.Context(), record.CallerPlace(record.Digest(testIssuer, "ci@example.com"), n+1))
		if err != nil {
			t.Fatal(err)
		}
		if c.ID != "" {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// TestKeyOfRefusedOrder wants a key to stand for an order that was taken, and for
// none that its caller had no place for.
func TestKeyOfRefusedOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: 4})
	b.config.CallerOpenExports = 1
	api := b.instance(t)
	open := api.create(t, order("imageId", b.images[0]))
	send := func(prefix string) answer {
		t.Helper()
		return api.do(t, "POST", "/exports", order("imageId", b.images[1], "prefix", prefix), "Idempotency-Key", "k")
	}
	for _, prefix := range []string{"One", "Two", "One"} {
		if p := send(prefix).problem(t); p.Code != codeTooManyOpen {
			t.Errorf("%s while the caller has no place: %+v", prefix, p)
		}
	}
	b.end(t, open.ID)
	if a := send("Two"); a.status != http.StatusAccepted {
		t.Errorf("another order with the key: %d %s", a.status, a.body)
	}
	if p := send("One").problem(t); p.Code != codeKeyReused {
		t.Errorf("an order with the key of one that was taken: %+v", p)
	}
}

// end appends an end to the log of an export.
func (b *bench) end(t *testing.T, id string) {
	t.Helper()
	log, err := b.tracker.Records.Load(t.Context(), id)
	if err == nil {
		_, err = b.tracker.Records.Append(t.Context(), log, "test", export.Line{State: export.Failed, Failure: &export.Failure{Code: "Test", Message: "ended by a test"}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// before calls what once, when the first call comes that begins so.
func (b *bench) before(call string, what func()) {
	var came atomic.Bool
	b.meddle(func(c string, _ http.ResponseWriter) bool {
		if strings.HasPrefix(c, call) && came.CompareAndSwap(false, true) {
			what()
		}
		return false
	})
}

// TestLoserGivesItsPlaceBack lets somebody else claim a key in between: their export
// is the answer, and takes one place.
func TestLoserGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: 4})
	b.config.CallerOpenExports = 1
	api := b.instance(t)
	for n, key := range []string{"begun", "claimed"} {
		body := order("imageId", b.images[n])
		digest := record.Digest(testIssuer, "ci@example.com", key)
		theirs := record.Claim{ID: export.NewID(time.Now()), Body: claimBody(t, body), At: time.Now()}
		b.before("oss POST "+b.environment["RECORDS_BUCKET"]+"/idempotency/", func() {
			if _, err := b.tracker.Records.SetClaim(t.Context(), record.IdempotencyKey(digest), record.Claimed{}, theirs); err != nil {
				t.Error(err)
			}
			if key == "claimed" {
				return
			}
			if _, err := b.tracker.BeginAs(t.Context(), theirs.ID, "", export.Request{ImageID: b.images[n], RegionID: "cn-hangzhou", Claim: digest, Disks: []export.Disk{}}); err != nil {
				t.Error(err)
			}
		})
		a := api.do(t, "POST", "/exports", body, "Idempotency-Key", key)
		b.meddle(nil)
		if a.status != http.StatusAccepted || a.header["Location"] != "/exports/"+theirs.ID {
			t.Errorf("%s: %d %v %s, want export %s", key, a.status, a.header, a.body, theirs.ID)
		}
		// Only who begins an export needs a place; theirs began without.
		places := b.places(t, 1)
		if key == "begun" && len(places) > 0 || key == "claimed" && (len(places) != 1 || places[0] != theirs.ID) {
			t.Errorf("%s: the caller's place is of %v", key, places)
		}
	}
}

// TestLastPlaceIsOfTheSameOrder wants who finds no place, because the same order
// came at the same time and took the last, to get the export of that.
func TestLastPlaceIsOfTheSameOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: 4})
	b.config.CallerOpenExports = 1
	api, other := b.instance(t), b.instance(t)
	var first answer
	send := func(i *instance) answer {
		return i.do(t, "POST", "/exports", order("imageId", b.images[0]), "Idempotency-Key", "k")
	}
	b.before("oss GET "+b.environment["RECORDS_BUCKET"]+"/by-caller/", func() { first = send(other) })
	second := send(api)
	if first.status != http.StatusAccepted || second.status != http.StatusAccepted || first.header["Location"] != second.header["Location"] {
		t.Errorf("%d %s\n%d %s", first.status, first.body, second.status, second.body)
	}
}

// TestPlaceOfAnOrderThatFailed wants an order that surely was not recorded to leave
// no place taken: its caller is told to send it again.
func TestPlaceOfAnOrderThatFailed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	b.config.CallerOpenExports = 1
	api := b.instance(t)
	for _, headers := range [][]string{nil, {"Idempotency-Key", "k"}} {
		b.meddle(func(call string, w http.ResponseWriter) bool {
			if strings.HasPrefix(call, "oss POST "+b.environment["RECORDS_BUCKET"]+"/exports/") {
				http.Error(w, "no", http.StatusForbidden)
				return true
			}
			return false
		})
		if p := api.do(t, "POST", "/exports", order("imageId", b.images[0]), headers...).problem(t); p.Status != http.StatusInternalServerError || p.Code != codeRefused {
			t.Errorf("%v: %+v", headers, p)
		}
		b.meddle(nil)
		a := api.do(t, "POST", "/exports", order("imageId", b.images[0]), headers...)
		if a.status != http.StatusAccepted {
			t.Fatalf("%v: sent again: %d %s", headers, a.status, a.body)
		}
		b.end(t, strings.TrimPrefix(a.header["Location"], "/exports/"))
	}
}

// TestUnreadableExport wants a log that makes no sense to be called that to whoever
// sends its order again, and to keep its place but no other from its caller.
func TestUnreadableExport(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: 4})
	b.config.CallerOpenExports = 2
	api := b.instance(t)
	send := func(image, key string) answer {
		t.Helper()
		return api.do(t, "POST", "/exports", order("imageId", image), "Idempotency-Key", key)
	}
	id := strings.TrimPrefix(send(b.images[0], "k").header["Location"], "/exports/")
	records := b.tracker.OSS.Bucket(b.environment["RECORDS_BUCKET"])
	if err := records.Delete(t.Context(), "exports/"+id); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Append(t.Context(), "exports/"+id, 0, []byte("{]\n")); err != nil {
		t.Fatal(err)
	}
	if p := send(b.images[0], "k").problem(t); p.Status != http.StatusInternalServerError || p.Code != codeUnreadable {
		t.Errorf("its order again: %+v", p)
	}
	if a := send(b.images[1], "l"); a.status != http.StatusAccepted {
		t.Errorf("another order: %d %s", a.status, a.body)
	}
	if p := send(b.images[1], "m").problem(t); p.Code != codeTooManyOpen {
		t.Errorf("a third: %+v", p)
	}
}
