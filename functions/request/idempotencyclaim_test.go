package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
)

// claimed makes a key of the caller of most tests stand for an export.
func (b *bench) claimed(t *testing.T, key, body, id string) (digest string) {
	t.Helper()
	digest = record.Digest(testIssuer, "ci@example.com", key)
	claim := record.Claim{ID: id, Body: claimBody(t, body), At: time.Now()}
	if _, err := b.tracker.Records.SetClaim(t.Context(), record.IdempotencyKey(digest), record.Claimed{}, claim); err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestClaimOfAnotherExport wants no caller to get an export that was not begun for
// its key, whatever the records say.
func TestClaimOfAnotherExport(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	api := b.instance(t)
	body := order("imageId", b.images[0])
	b.claimed(t, "k", body, api.create(t, body).ID)
	if p := api.do(t, "POST", "/exports", body, "Idempotency-Key", "k").problem(t); p.Status != http.StatusInternalServerError || p.Code != codeUnreadable {
		t.Errorf("%+v", p)
	}
}

// TestOrderAgainGoesOn wants an order that is sent again to take the first step of
// its export, if who made that died before it.
func TestOrderAgainGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	api := b.instance(t)
	body := order("imageId", b.images[0])
	id := export.NewID(time.Now())
	request := export.Request{
		ImageID: b.images[0], RegionID: "cn-hangzhou", Bucket: b.environment["EXPORT_BUCKET"], Format: export.RAW,
		RoleName: "AliyunECSImageExportDefaultRole", Disks: []export.Disk{}, Claim: b.claimed(t, "k", body, id),
	}
	if f, err := b.tracker.BeginAs(t.Context(), id, "", request); err != nil || f.State != export.Requested {
		t.Fatalf("%+v, %v", f, err)
	}
	var sum ExportSummary
	a := api.do(t, "POST", "/exports", body, "Idempotency-Key", "k")
	if a.into(t, &sum); a.status != http.StatusAccepted || sum.ID != id || sum.State != "exporting" {
		t.Errorf("%d %s, want export %s on its way", a.status, a.body, id)
	}
}

// TestAbandonedMeanwhile lets the sweep close the entry of an order between its
// claim and its first line: the order makes a new export.
func TestAbandonedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	api := b.instance(t)
	body := order("imageId", b.images[0])
	dead := export.NewID(time.Now())
	b.claimed(t, "k", body, dead)
	b.before("oss POST "+b.environment["RECORDS_BUCKET"]+"/exports/"+dead, func() {
		if err := b.tracker.Abandon(t.Context(), dead); err != nil {
			t.Error(err)
		}
	})
	var sum ExportSummary
	a := api.do(t, "POST", "/exports", body, "Idempotency-Key", "k")
	b.meddle(nil)
	if a.into(t, &sum); a.status != http.StatusAccepted || sum.ID == dead || sum.State != "exporting" {
		t.Errorf("%d %s, want a new export, not %s", a.status, a.body, dead)
	}
	if log, err := b.tracker.Records.Load(t.Context(), dead); err != nil || !log.Abandoned() {
		t.Errorf("the first is %s, %v", log.State, err)
	}
}

// TestExpiredKeyOfAnOpenExport wants an expired key to make a new export, with a
// place of its own, though the one that it made before is open still.
func TestExpiredKeyOfAnOpenExport(t *testing.T) {
	t.Parallel()
	const limit = 6
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	b.config.CallerOpenExports, b.config.IdempotencyExpiry = limit, time.Minute
	h, clock := b.withClock(t)
	api := &instance{b, h}
	var ids []string
	for range limit {
		a := api.do(t, "POST", "/exports", order("imageId", b.images[0]), "Idempotency-Key", "k")
		id := strings.TrimPrefix(a.header["Location"], "/exports/")
		if a.status != http.StatusAccepted || slices.Contains(ids, id) {
			t.Fatalf("%d %s after %v", a.status, a.body, ids)
		}
		ids = append(ids, id)
		clock.add(b.config.IdempotencyExpiry)
	}
	places := b.places(t, limit)
	slices.Sort(places)
	slices.Sort(ids)
	if !slices.Equal(places, ids) {
		t.Errorf("the caller's places are of %v, want %v", places, ids)
	}
	if p := api.do(t, "POST", "/exports", order("imageId", b.images[0]), "Idempotency-Key", "k").problem(t); p.Code != codeTooManyOpen {
		t.Errorf("one more than the limit: %+v", p)
	}
}
