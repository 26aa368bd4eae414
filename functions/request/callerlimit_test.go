package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
)

// TestOpenExports wants a caller never to have more open exports than it may,
// however many instances take its orders at once, and a place to be free again when
// its export has ended.
func TestOpenExports(t *testing.T) {
	t.Parallel()
	const images, limit = 8, 3
	b := newBench(t, images, cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: images})
	b.config.CallerOpenExports = limit
	var mu sync.Mutex
	var ids []string
	refused := 0
	var group sync.WaitGroup
	for n := range images {
		api := b.instance(t)
		group.Go(func() {
			a := api.do(t, "POST", "/exports", order("imageId", b.images[n]))
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case http.StatusAccepted:
				ids = append(ids, strings.TrimPrefix(a.header["Location"], "/exports/"))
			case http.StatusTooManyRequests:
				refused++
				if p := a.problem(t); p.Code != codeTooManyOpen || !strings.Contains(p.Detail, strconv.Itoa(limit)) || a.header["Retry-After"] == "" {
					t.Errorf("%v %+v", a.header, p)
				}
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	group.Wait()
	if len(ids) != limit || refused != images-limit {
		t.Fatalf("%d exports and %d refused", len(ids), refused)
	}
	if open := b.openExports(t); open != limit {
		t.Errorf("%d exports are open", open)
	}
	// Another caller has places of its own.
	api := b.instance(t)
	other := "Bearer " + issuer.token(with(map[string]any{"sub": "somebody else"}))
	var free []string // images without an export
	for _, image := range b.images {
		entries, _, err := b.tracker.Records.List(t.Context(), record.OfImage(image), "", 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			free = append(free, image)
		}
	}
	if a := api.do(t, "POST", "/exports", order("imageId", free[0]), "Authorization", other); a.status != http.StatusAccepted {
		t.Errorf("another caller: %d %s", a.status, a.body)
	}
	// One that ended, whichever, makes room for one.
	log, err := b.tracker.Records.Load(t.Context(), ids[1])
	if err == nil {
		_, err = b.tracker.Records.Append(t.Context(), log, "test", export.Line{State: export.Failed, Failure: &export.Failure{Code: "Test", Message: "ended by a test"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if a := api.do(t, "POST", "/exports", order("imageId", free[1])); a.status != http.StatusAccepted {
		t.Errorf("after one ended: %d %s", a.status, a.body)
	}
	if a := api.do(t, "POST", "/exports", order("imageId", free[2])); a.status != http.StatusTooManyRequests {
		t.Errorf("one ended and two were accepted: %d", a.status)
	}
}

// openExports counts the exports whose caller is the one of most tests.
func (b *bench) openExports(t *testing.T) (open int) {
	t.Helper()
	entries, _, err := b.tracker.Records.List(t.Context(), record.All, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		log, err := b.tracker.Records.Load(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if log.Request.RequestedBy == "ci@example.com" && !log.State.Terminal() {
			open++
		}
	}
	return open
}

// TestPlaceOfTheDead wants a place that somebody took and never used to come back,
// but not while its export may still begin.
func TestPlaceOfTheDead(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	b.config.CallerOpenExports = 1
	h, clock := b.withClock(t)
	api := &instance{b, h}
	what := record.CallerPlace(record.Digest(testIssuer, "ci@example.com"), 1)
	if _, err := b.tracker.Records.SetClaim(t.Context(), what, record.Claimed{}, record.Claim{ID: export.NewID(time.Now()), At: clock.now()}); err != nil {
		t.Fatal(err)
	}
	if a := api.do(t, "POST", "/exports", order("imageId", b.images[0])); a.status != http.StatusTooManyRequests {
		t.Errorf("while it may begin: %d %s", a.status, a.body)
	}
	if ids := b.recorded(t); len(ids) != 0 {
		t.Errorf("a refused order left %v", ids)
	}
	clock.add(placeGrace + time.Second)
	if a := api.do(t, "POST", "/exports", order("imageId", b.images[0])); a.status != http.StatusAccepted {
		t.Errorf("later: %d %s", a.status, a.body)
	}
}

// TestPlaceInDoubt wants a place kept for an export that may be on record for all its
// caller was told.
func TestPlaceInDoubt(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	b.config.CallerOpenExports = 1
	api := b.instance(t)
	b.meddle(func(call string, w http.ResponseWriter) bool {
		if strings.HasPrefix(call, "oss POST "+b.environment["RECORDS_BUCKET"]+"/exports/") {
			http.Error(w, "no", http.StatusBadGateway)
			return true
		}
		return false
	})
	if p := api.do(t, "POST", "/exports", order("imageId", b.images[0])).problem(t); p.Status != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "not known") {
		t.Errorf("%+v", p)
	}
	b.meddle(nil)
	if places := b.places(t, 1); len(places) != 1 {
		t.Errorf("the caller's places are of %v", places)
	}
}

// TestRate wants the calls of each caller counted by itself, and a wait that is long
// enough.
func TestRate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 40, 500, time.UTC)
	r := &rate{limit: 2, now: func() time.Time { return now }}
	a, b := caller{issuer: "i", subject: "a"}, caller{issuer: "i", subject: "b"}
	take := func(who caller, want bool) {
		t.Helper()
		wait, ok := r.take(who)
		if ok != want || !ok && (wait <= 0 || wait > time.Minute) {
			t.Errorf("at %v: %v, wait %v; want %v", now, ok, wait, want)
		}
		if !ok {
			seconds, err := strconv.Atoi(r.tooMany(wait).headers.Get("Retry-After"))
			if err != nil || now.Add(time.Duration(seconds)*time.Second).Truncate(time.Minute).Equal(now.Truncate(time.Minute)) {
				t.Errorf("at %v: Retry-After is %d, which is too early", now, seconds)
			}
		}
	}
	take(a, true)
	take(a, true)
	take(a, false)
	take(b, true)
	now = now.Add(19 * time.Second)
	take(a, false)
	now = now.Add(time.Second)
	take(a, true)
	none := &rate{now: time.Now}
	for range 1000 {
		if _, ok := none.take(a); !ok {
			t.Fatal("without a limit somebody has to wait")
		}
	}
}

// TestRateAnswer wants a call too many to be answered before anything is asked of
// the cloud, and pages that need no token to be open all the same.
func TestRateAnswer(t *testing.T) {
	t.Parallel()
	c := validConfig()
	c.CallerRequests = 3
	h, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	api := &instance{handler: h}
	limited := 0
	for range 8 { // a minute may end among them
		a := api.do(t, "GET", "/nope", "")
		switch a.status {
		case http.StatusNotFound:
		case http.StatusTooManyRequests:
			limited++
			seconds, err := strconv.Atoi(a.header["Retry-After"])
			if p := a.problem(t); p.Code != codeTooMany || err != nil || seconds < 1 || seconds > 60 || !strings.Contains(p.Detail, fmt.Sprint(seconds)) {
				t.Errorf("%v %+v", a.header, p)
			}
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if limited < 2 {
		t.Errorf("%d of 8 calls were too many, with 3 in a minute", limited)
	}
	if a := api.do(t, "GET", "/healthz", ""); a.status != http.StatusOK {
		t.Errorf("/healthz: %d", a.status)
	}
}
