package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker/trackertest"
)

// asks counts calls of ExportImage, and refuses them with a code while there is one.
type asks struct {
	calls atomic.Int64
	code  atomic.Pointer[string]
}

func (a *asks) wrap(_ string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("Action") == "ExportImage" {
			a.calls.Add(1)
			if code := a.code.Load(); code != nil {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, `{"Code": %q, "Message": "no", "RequestId": "1"}`, *code)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// patient is the configuration of a poller that no fall-back helps on: what moves,
// moves because something ended.
func patient(c trackertest.Cloud) Config {
	config := Config{Config: c.Config(), Batches: 8, SweepPage: 500, SweepAfter: 10 * time.Hour}
	config.LookMax, config.QueueWait, config.MaxAge, config.MaxQueued = 5*time.Hour, 5*time.Hour, time.Hour, 20*time.Hour
	return config
}

// times are when an export had its task and when its task had ended.
func (p poller) times(t *testing.T, id string) (began, ended time.Time) {
	t.Helper()
	log, err := p.tracker.Records.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if log.State != export.Completed {
		t.Errorf("export %s is %s: %+v", id, log.State, log.Failure)
	}
	for _, l := range log.Lines {
		switch {
		case l.State == export.Exporting && began.IsZero():
			began = l.Time
		case l.State == export.Exported && ended.IsZero():
			ended = l.Time
		}
	}
	return began, ended
}

// TestConcurrentQuota lets many exports meet a quota of two: they run in the order
// of arrival, and ECS is asked little more often than there are tasks.
func TestConcurrentQuota(t *testing.T) {
	t.Parallel()
	const n = 9
	var asked asks
	c := trackertest.Start(t, n, cloud.Options{
		Speed: 20, Tasks: 2, ConcurrentQuota: 2, TaskPerGiB: time.Millisecond, TaskLeast: 5 * time.Second, Wrap: asked.wrap,
	})
	p := poller{config: patient(c)}
	p.tracker = c.Tracker(t, p.config.Config)
	var ids []string
	full := "ConcurrentQuotaExceed.ExportImage"
	for i, image := range c.Images {
		if i == 2 {
			asked.code.Store(&full) // however fast the first two are
		}
		f := begin(t, p, c.Request(t, image))
		ids = append(ids, f.ID)
		if want := i >= 2; want != (f.State == export.Queued) {
			t.Fatalf("export %d of %d is %s: %+v", i+1, n, f.State, f.Failure)
		}
	}
	if got := asked.calls.Load(); got != 3 {
		t.Errorf("%d calls of ExportImage for %d exports that came, want two and one refused", got, n)
	}
	asked.code.Store(nil)
	p.poll(t)
	var before time.Time
	for i, id := range ids {
		began, _ := p.times(t, id)
		if began.Before(before) {
			t.Errorf("export %d of %d had its task before the one that came before it", i+1, n)
		}
		before = began
	}
	// Each has its task by one call, and after each task that ended and each
	// that began one may be refused.
	if got := asked.calls.Load(); got > 2*n+1 {
		t.Errorf("%d calls of ExportImage for %d exports", got, n)
	}
	if q, err := p.tracker.Records.Queue(t.Context()); err != nil || len(q.Waiting) != 0 {
		t.Errorf("left in the queue: %+v, %v", q, err)
	}
}

// TestTasksAtOnce wants a deployment's own limit to hold where ECS has none.
func TestTasksAtOnce(t *testing.T) {
	t.Parallel()
	const n = 5
	var asked asks
	c := trackertest.Start(t, n, cloud.Options{Speed: 20, Tasks: n, TaskPerGiB: time.Millisecond, TaskLeast: 5 * time.Second, Wrap: asked.wrap})
	p := poller{config: patient(c)}
	p.config.TasksAtOnce = 2
	p.tracker = c.Tracker(t, p.config.Config)
	var ids []string
	for _, image := range c.Images {
		ids = append(ids, begin(t, p, c.Request(t, image)).ID)
	}
	if got := asked.calls.Load(); got != 2 {
		t.Errorf("%d calls of ExportImage, the limit is 2", got)
	}
	log, err := p.tracker.Records.Load(t.Context(), ids[2])
	if err != nil || log.State != export.Queued || log.Delay.Code != export.CodeTaskLimit {
		t.Fatalf("the third is %s, %+v, %v", log.State, log.Delay, err)
	}
	p.poll(t)
	type change struct {
		at  time.Time
		how int
	}
	var changes []change
	for _, id := range ids {
		began, ended := p.times(t, id)
		changes = append(changes, change{began, 1}, change{ended, -1})
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), a.how-b.how) })
	running := 0
	for _, c := range changes {
		if running += c.how; running > 2 {
			t.Errorf("%d tasks at once, the limit is 2", running)
		}
	}
	if got := asked.calls.Load(); got != n {
		t.Errorf("%d calls of ExportImage for %d exports", got, n)
	}
}

// TestSlotOfBusyImage wants an export whose image is being exported to keep no slot
// from others while it stands aside.
func TestSlotOfBusyImage(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	p := poller{config: patient(c)}
	p.config.TasksAtOnce, p.config.ClockSkew = 2, time.Hour // for which a slot just taken is kept
	p.tracker = c.Tracker(t, p.config.Config)
	for i, want := range []struct {
		image string
		state export.State
	}{{c.Images[0], export.Exporting}, {c.Images[0], export.Queued}, {c.Images[1], export.Exporting}} {
		if f := begin(t, p, c.Request(t, want.image)); f.State != want.state {
			t.Errorf("export %d is %s, want %s: %+v", i+1, f.State, want.state, f.Delay)
		}
	}
	if f := begin(t, p, c.Request(t, c.Images[0])); f.State != export.Queued || f.Delay.Code != export.CodeImageBusy {
		t.Errorf("state %s, %+v", f.State, f.Delay)
	}
}

// TestWeeklyQuota waits eight days for a week to end, longer than MNS keeps a
// message, and loses all messages twice. ECS is asked three times an hour for all
// exports together, none is lost, and none is announced again for it.
func TestWeeklyQuota(t *testing.T) {
	t.Parallel()
	const n = 4
	var asked asks
	used := "WeeklyQuotaExceed.ExportImage"
	asked.code.Store(&used)
	c := trackertest.Start(t, n, cloud.Options{Tasks: n, Wrap: asked.wrap})
	config := Config{Config: c.Config(), Batches: 8, SweepPage: 500, SweepAfter: 10 * time.Minute}
	config.LookMin, config.LookMax, config.QueueWait = 15*time.Second, 5*time.Minute, 20*time.Minute
	config.MaxAge, config.MaxQueued = 72*time.Hour, 14*24*time.Hour
	config.SubmitTimeout = 30 * time.Second // a call that the machine is too busy to answer is made again
	p := poller{c.Tracker(t, config.Config), config}
	var later atomic.Int64
	p.tracker.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	p.tracker.Records = record.New(p.tracker.OSS.Bucket(c.Environment["RECORDS_BUCKET"]), p.tracker.Now)

	var ids []string
	for _, image := range c.Images {
		f := begin(t, p, c.Request(t, image))
		if f.State != export.Queued || f.Delay.Code != used {
			t.Fatalf("state %s, %+v", f.State, f.Delay)
		}
		ids = append(ids, f.ID)
	}
	if got := asked.calls.Load(); got != 1 {
		t.Errorf("%d calls of ExportImage for %d exports that came", got, n)
	}
	poll := func() {
		t.Helper()
		if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
			t.Fatal(err)
		}
	}
	const hours = 2
	for range hours * 60 {
		later.Add(int64(time.Minute))
		poll()
	}
	if got := asked.calls.Load(); got < 1+3*hours-1 || got > 1+3*hours+1 {
		t.Errorf("%d calls of ExportImage in %d hours", got, hours)
	}
	for range 2 {
		later.Add(int64(4 * 24 * time.Hour))
		p.drop(t)
		poll()
	}
	for _, id := range ids {
		if s := p.state(t, id); s != export.Queued {
			t.Errorf("export %s is %s", id, s)
		}
	}
	asked.code.Store(nil)
	later.Add(int64(time.Hour))
	for deadline := time.Now().Add(30 * time.Second); ; {
		poll()
		later.Add(int64(time.Second))
		if open, _, err := p.tracker.Records.List(t.Context(), record.Active, "", 1000); err != nil || len(open) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no end")
		}
	}
	for _, id := range ids {
		p.times(t, id)
		log, err := p.tracker.Records.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		queued := 0
		for _, l := range log.Lines {
			if log.Kind(l) == string(export.Queued) {
				queued++
			}
		}
		if queued != 1 {
			t.Errorf("export %s is announced as queued %d times", id, queued)
		}
	}
}

// TestPatience wants the nudge of an export that waits in the queue not taken for
// lost while its next look is not due, and that of any other.
func TestPatience(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	p := poller{config: patient(c)}
	p.config.SweepAfter = time.Minute
	p.tracker = c.Tracker(t, p.config.Config)
	runs, waits := begin(t, p, c.Request(t, c.Images[0])), begin(t, p, c.Request(t, c.Images[0]))
	if runs.State != export.Exporting || waits.State != export.Queued {
		t.Fatalf("states %s and %s", runs.State, waits.State)
	}
	for _, later := range []struct {
		after time.Duration
		swept int
	}{{0, 0}, {2 * p.config.SweepAfter, 1}, {p.config.QueueWait + 2*p.config.SweepAfter, 2}} {
		p.tracker.Now = func() time.Time { return time.Now().Add(later.after) }
		q, err := p.tracker.Records.Queue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		patience, swept := p.patience(q), 0
		entries, _, err := p.tracker.Records.List(t.Context(), record.Active, "", 10)
		if err != nil || len(entries) != 2 {
			t.Fatalf("%d exports are open, %v", len(entries), err)
		}
		for _, e := range entries {
			if p.tracker.Now().Sub(e.Touched) > patience(e.ID) {
				swept++
			}
		}
		if swept != later.swept {
			t.Errorf("%d nudges are lost after %v, want %d", swept, later.after, later.swept)
		}
	}
}

// TestLeftBehindAside wants a place that others of its image wait behind to go with
// the next poll, however many wait there.
func TestLeftBehindAside(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{})
	p := newPoller(t, c)
	p.config.SweepAfter = sweepSoon
	left := begin(t, p, c.Request(t, c.Images[0]))
	p.poll(t)
	if err := p.tracker.Records.StandAside(t.Context(), left.Place(), c.Images[0]); err != nil {
		t.Fatal(err)
	}
	const n = 8
	for range n {
		if f := begin(t, p, c.Request(t, c.Images[0])); f.State != export.Queued || f.Delay.Code != export.CodeImageBusy {
			t.Fatalf("state %s, %+v", f.State, f.Delay)
		}
	}
	q, err := p.tracker.Records.Queue(t.Context())
	if err != nil || len(q.Waiting) != n+1 || q.Waiting[0].ID != left.ID {
		t.Fatalf("the queue is %+v, %v", q.Waiting, err)
	}
	if _, err := p.tracker.Head(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if q, err = p.tracker.Records.Queue(t.Context()); err != nil || len(q.Waiting) != n || q.Waiting[0].ID == left.ID {
		t.Errorf("the queue is %+v, %v", q.Waiting, err)
	}
}

// sweepSoon is for exports that several steps look at in the same moment. A
// stand-in that is a thousand times as fast gives nudges out before their time; then
// each of two can pass for the older one, and the sweep is what makes up for it.
const sweepSoon = 5 * time.Second

// TestLeftBehind wants a place in the queue whose export ended to go, so that the
// next one has its turn.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 3, cloud.Options{Tasks: 3})
	p := newPoller(t, c)
	p.config.SweepAfter = sweepSoon
	ended := begin(t, p, c.Request(t, c.Images[0]))
	p.poll(t)
	if err := p.tracker.Records.Join(t.Context(), ended.Place()); err != nil {
		t.Fatal(err)
	}
	aside := begin(t, p, c.Request(t, c.Images[1])).Place()
	next := begin(t, p, c.Request(t, c.Images[1]))
	if next.State != export.Queued || next.Delay.Code != export.CodeOthersWait {
		t.Fatalf("state %s, %+v", next.State, next.Delay)
	}
	p.poll(t)
	if s := p.state(t, next.ID); s != export.Completed {
		t.Errorf("the export behind is %s", s)
	}
	// The same of one that stood aside.
	if err := p.tracker.Records.Join(t.Context(), aside); err != nil {
		t.Fatal(err)
	}
	if err := p.tracker.Records.StandAside(t.Context(), aside, c.Images[1]); err != nil {
		t.Fatal(err)
	}
	last := begin(t, p, c.Request(t, c.Images[1]))
	if last.State != export.Queued || last.Delay.Code != export.CodeImageBusy {
		t.Fatalf("state %s, %+v", last.State, last.Delay)
	}
	p.poll(t)
	if s := p.state(t, last.ID); s != export.Completed {
		t.Errorf("the export behind is %s", s)
	}
}
