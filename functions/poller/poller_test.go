package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// newPoller returns a poller whose sweep finds nothing unless told otherwise.
func newPoller(t *testing.T, c trackertest.Cloud) poller {
	t.Helper()
	config := Config{Config: c.Config(), Batches: 8, SweepPage: 500, SweepAfter: time.Hour}
	config.SubmitTimeout = 30 * time.Second // however busy the machine is, calls are answered
	return poller{c.Tracker(t, config.Config), config}
}

// begin asks for an export and submits it, as the request function does.
func begin(t *testing.T, p poller, r export.Request) *tracker.Followed {
	t.Helper()
	f, err := p.tracker.Begin(t.Context(), "", r)
	if err == nil {
		err = p.tracker.Step(t.Context(), f, tracker.Known{})
	}
	if err == nil {
		err = p.tracker.PlanSooner(t.Context(), f)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// poll polls until no export is open.
func (p poller) poll(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
			t.Error(err)
		}
		open, _, err := p.tracker.Records.List(t.Context(), record.Active, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(open) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, e := range open {
				f, _, err := p.tracker.Load(t.Context(), e.ID)
				if err != nil {
					t.Fatal(err)
				}
				t.Errorf("export %s is %s at %v, its next look planned for %v", e.ID, f.State, time.Now().UTC(), f.Hint.Next)
			}
			t.Fatalf("%d exports are open after many polls", len(open))
		}
	}
}

func (p poller) state(t *testing.T, id string) export.State {
	t.Helper()
	log, err := p.tracker.Records.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return log.State
}

// drop takes every message out of the queue, as if it had been lost.
func (p poller) drop(t *testing.T) (bodies []string) {
	t.Helper()
	for {
		messages, err := p.tracker.Tasks.Receive(t.Context(), batch, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(messages) == 0 {
			return bodies
		}
		for _, m := range messages {
			bodies = append(bodies, m.Body)
			if _, err := p.tracker.Tasks.Delete(t.Context(), m.Handle); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// calls counts calls by operation.
type calls struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *calls) wrap(service string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		if c.count == nil {
			c.count = map[string]int{}
		}
		c.count[service+" "+r.URL.Query().Get("Action")]++
		c.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

func (c *calls) of(operation string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[operation]
}

// TestMany follows many exports to their end, with their tasks described
// together.
func TestMany(t *testing.T) {
	t.Parallel()
	const n = 30
	var counted calls
	// Received messages are hidden for 2 minutes / Speed.
	c := trackertest.Start(t, n, cloud.Options{Speed: 5, Tasks: n, TaskPerGiB: 100 * time.Millisecond, TaskLeast: 100 * time.Millisecond, Wrap: counted.wrap})
	p := newPoller(t, c)
	var ids []string
	for _, image := range c.Images {
		ids = append(ids, begin(t, p, c.Request(t, image)).ID)
	}
	polls := 0
	for open := true; open; polls++ {
		if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
			t.Fatal(err)
		}
		entries, _, err := p.tracker.Records.List(t.Context(), record.Active, "", 1000)
		if err != nil || polls > 500 {
			t.Fatalf("%d exports are open after %d polls (%v)", len(entries), polls, err)
		}
		open = len(entries) > 0
	}
	for _, id := range ids {
		if s := p.state(t, id); s != export.Completed {
			t.Errorf("export %s is %s", id, s)
		}
	}
	if asked := counted.of("ecs DescribeTaskAttribute"); asked != 0 {
		t.Errorf("%d calls of DescribeTaskAttribute, though nobody asked for a percentage", asked)
	}
	if left := p.drop(t); len(left) != 0 {
		t.Errorf("messages are left: %v", left)
	}
}

// TestJunk wants messages that are no nudges, or are for nobody, to go.
func TestJunk(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{})
	p := newPoller(t, c)
	for _, body := range []string{
		"hello", "{}", `{"id": 7}`, `{"id": "../../etc"}`, "[" + strings.Repeat("[", 1000),
		fmt.Sprintf(`{"id": %q, "next": "2026-01-02T03:04:05Z"}`, export.NewID(time.Now())), // unknown
	} {
		if _, err := p.tracker.Tasks.Send(t.Context(), body, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
		t.Error(err)
	}
	if left := p.drop(t); len(left) != 0 {
		t.Errorf("messages are left: %v", left)
	}
	page, err := p.tracker.OSS.Bucket(c.Environment["RECORDS_BUCKET"]).List(t.Context(), oss.ListOptions{})
	if err != nil || len(page.Objects) != 0 {
		t.Errorf("%d objects are left behind (%v)", len(page.Objects), err)
	}
}

// TestDuplicateNudges wants many nudges for one export to become one.
func TestDuplicateNudges(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	p := newPoller(t, c)
	f := begin(t, p, c.Request(t, c.Images[0]))
	for range 10 {
		past := f.Hint.Next.Add(-time.Second).Format(time.RFC3339Nano)
		if _, err := p.tracker.Tasks.Send(t.Context(), fmt.Sprintf(`{"id": %q, "next": %q}`, f.ID, past), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
		t.Error(err)
	}
	// The export's own nudge is delayed; wait for it and look what is left.
	var left []string
	for deadline := time.Now().Add(10 * time.Second); len(left) == 0 && time.Now().Before(deadline); {
		left = p.drop(t)
	}
	if len(left) != 1 {
		t.Errorf("messages are left: %v", left)
	}
}

// TestDescribedTogether wants the tasks of many exports that are due to be
// described by as few calls as ECS allows.
func TestDescribedTogether(t *testing.T) {
	t.Parallel()
	const n = 20
	var counted calls
	c := trackertest.Start(t, n, cloud.Options{Speed: 1, Tasks: n, TaskLeast: time.Hour, Wrap: counted.wrap})
	p := newPoller(t, c)
	p.config.LookMin, p.config.LookMax, p.config.SubmitTimeout = time.Minute, time.Hour, time.Minute
	p.tracker = c.Tracker(t, p.config.Config)
	for _, image := range c.Images {
		begin(t, p, c.Request(t, image))
	}
	// Their nudges are due in a minute; these are due now.
	for _, image := range c.Images {
		entries, _, err := p.tracker.Records.List(t.Context(), record.OfImage(image), "", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.tracker.Tasks.Send(t.Context(), fmt.Sprintf(`{"id": %q, "next": "2100-01-02T03:04:05Z"}`, entries[0].ID), 0); err != nil {
			t.Fatal(err)
		}
	}
	before := counted.of("ecs DescribeTasks")
	if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
		t.Fatal(err)
	}
	if asked := counted.of("ecs DescribeTasks") - before; asked != 1 {
		t.Errorf("%d calls of DescribeTasks for %d tasks, want 1", asked, n)
	}
	if left := p.drop(t); len(left) != 0 {
		t.Errorf("%d messages that were due are left", len(left))
	}
}

// TestSlowExports wants exports that take all the time of a poll to keep neither
// the sweep nor other exports from getting on.
func TestSlowExports(t *testing.T) {
	t.Parallel()
	const n = 3
	var hang atomic.Bool
	c := trackertest.Start(t, n, cloud.Options{Speed: 1, Tasks: n, TaskLeast: time.Hour, Wrap: func(service string, h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if service == "ecs" && hang.Load() {
				<-r.Context().Done()
				return
			}
			h.ServeHTTP(w, r)
		})
	}})
	p := newPoller(t, c)
	p.config.SweepPage, p.config.SweepAfter = 1, 0
	var ids []string
	for _, image := range c.Images {
		ids = append(ids, begin(t, p, c.Request(t, image)).ID)
	}
	slices.Sort(ids)
	if _, err := p.tracker.Tasks.Send(t.Context(), fmt.Sprintf(`{"id": %q, "next": "2100-01-02T03:04:05Z"}`, ids[0]), 0); err != nil {
		t.Fatal(err)
	}
	hang.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := p.handle(ctx, events.TimerEvent{}); err == nil {
		t.Error("ECS does not answer, but the poll has no error")
	}
	if cursor, err := p.tracker.Records.Cursor(t.Context()); err != nil || cursor != ids[0] {
		t.Errorf("the next sweep goes on behind %q, want %q (%v)", cursor, ids[0], err)
	}
}

// TestLostNudges loses every nudge of some exports; the sweep finds them, page by
// page.
func TestLostNudges(t *testing.T) {
	t.Parallel()
	const n = 7
	c := trackertest.Start(t, n, cloud.Options{Tasks: n})
	p := newPoller(t, c)
	p.config.SweepPage, p.config.SweepAfter = 3, 200*time.Millisecond
	var ids []string
	for _, image := range c.Images {
		ids = append(ids, begin(t, p, c.Request(t, image)).ID)
	}
	for deadline := time.Now().Add(10 * time.Second); len(p.drop(t)) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no nudge was sent")
		}
	}
	p.poll(t)
	for _, id := range ids {
		if s := p.state(t, id); s != export.Completed {
			t.Errorf("export %s is %s", id, s)
		}
	}
}

// TestAbandoned wants an entry whose log was never begun to be closed and
// announced, and a writer who comes late to lose.
func TestAbandoned(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{})
	p := newPoller(t, c)
	p.config.SweepAfter = 100 * time.Millisecond
	receive := c.Subscribe(t)
	id := export.NewID(time.Now())
	if err := p.tracker.Records.Open(t.Context(), id, record.Hint{ImageID: c.Images[0]}); err != nil {
		t.Fatal(err)
	}
	p.poll(t)
	if s := p.state(t, id); s != export.Abandoned {
		t.Errorf("the export is %s", s)
	}
	e := receive(1)[0]
	if e.Type() != "image-export.abandoned" || e.ID() != id+"/1" || !strings.HasSuffix(e.Source(), ":image/"+c.Images[0]) {
		t.Errorf("announced:\n%s", e)
	}
	r := c.Request(t, c.Images[0])
	if _, err := p.tracker.Records.Append(t.Context(), record.Empty(id), "late", export.Line{State: export.Requested, Request: &r}); err == nil {
		t.Error("the late writer won")
	}
}

// TestParked gives up on a message that can't be handled, after some tries, and
// keeps it.
func TestParked(t *testing.T) {
	t.Parallel()
	id := export.NewID(time.Now())
	var tries atomic.Int32
	denied := func(_ string, h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "exports/"+id) {
				tries.Add(1)
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	c := trackertest.Start(t, 1, cloud.Options{Speed: 120, Wrap: denied}) // visibility of 2 minutes in a second
	p := newPoller(t, c)
	records := p.tracker.OSS.Bucket(c.Environment["RECORDS_BUCKET"])
	if _, err := p.tracker.Tasks.Send(t.Context(), fmt.Sprintf(`{"id": %q, "next": "2026-01-02T03:04:05Z"}`, id), 0); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, _ = p.handle(t.Context(), events.TimerEvent{})
		page, err := records.List(t.Context(), oss.ListOptions{Prefix: "parked/"})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Objects) == 1 {
			body, _, err := records.Get(t.Context(), page.Objects[0].Key)
			if err != nil || !strings.Contains(string(body), id) || !strings.Contains(string(body), "AccessDenied") {
				t.Errorf("parked: %s (%v)", body, err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the message was never parked")
		}
	}
	if left := p.drop(t); len(left) != 0 {
		t.Errorf("messages are left: %v", left)
	}
	if n := tries.Load(); n != maxReceives {
		t.Errorf("parked after %d tries, want %d", n, maxReceives)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c := Config{Batches: 0, SweepPage: 1001, SweepAfter: time.Second}
	c.LookMax = time.Minute
	err := c.Validate()
	for _, name := range []string{"POLL_BATCHES", "SWEEP_PAGE", "SWEEP_AFTER", "LOOK_MIN", "MAX_AGE"} {
		if err == nil || !slices.Contains(strings.Fields(err.Error()), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
}
