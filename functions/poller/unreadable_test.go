package main

import (
	"fmt"
	"net/http"
	"strings"
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

// damage makes a log unreadable.
func damage(t *testing.T, c trackertest.Cloud, p poller, id string) {
	t.Helper()
	records := p.tracker.OSS.Bucket(c.Environment["RECORDS_BUCKET"])
	if err := records.Delete(t.Context(), "exports/"+id); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Append(t.Context(), "exports/"+id, 0, []byte("not a log\n")); err != nil {
		t.Fatal(err)
	}
}

// parked wants an export to be parked, with the reason, and nothing else to be.
func parked(t *testing.T, c trackertest.Cloud, p poller, id string) {
	t.Helper()
	records := p.tracker.OSS.Bucket(c.Environment["RECORDS_BUCKET"])
	page, err := records.List(t.Context(), oss.ListOptions{Prefix: "parked/"})
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Objects) != 1 || page.Objects[0].Key != "parked/export-"+id {
		t.Fatalf("parked: %+v", page.Objects)
	}
	body, _, err := records.Get(t.Context(), "parked/export-"+id)
	if err != nil || !strings.Contains(string(body), "line 1") || !strings.Contains(string(body), "exports/"+id) {
		t.Errorf("parked: %s (%v)", body, err)
	}
}

// TestUnreadableInQueue wants an export whose log can't be read to hold up nobody
// behind it, to be parked with the reason, and to be looked at again by no poll
// until somebody nudges it.
func TestUnreadableInQueue(t *testing.T) {
	t.Parallel()
	var damaged atomic.Pointer[string]
	var reads atomic.Int64
	c := trackertest.Start(t, 3, cloud.Options{Tasks: 3, Wrap: func(_ string, h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id := damaged.Load(); id != nil && r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "exports/"+*id) {
				reads.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	}})
	p := newPoller(t, c)
	p.config.LookMin, p.config.LookMax, p.config.QueueWait, p.config.MaxQueued = time.Hour, time.Hour, time.Hour, time.Hour
	p.tracker = c.Tracker(t, p.config.Config)
	first := begin(t, p, c.Request(t, c.Images[0]))
	// Its place is before those of the others, as if ECS had refused it.
	if err := p.tracker.Records.Join(t.Context(), first.Place()); err != nil {
		t.Fatal(err)
	}
	damage(t, c, p, first.ID)
	damaged.Store(&first.ID)
	behind := begin(t, p, c.Request(t, c.Images[1]))
	if behind.State != export.Queued || behind.Delay.Code != export.CodeOthersWait {
		t.Fatalf("state %s, %+v", behind.State, behind.Delay)
	}
	if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
		t.Error(err)
	}
	if s := p.state(t, behind.ID); s == export.Queued {
		t.Error("the export behind still waits")
	}
	parked(t, c, p, first.ID)
	before := reads.Load()
	for range 3 {
		if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
			t.Error(err)
		}
	}
	if n := reads.Load() - before; n != 0 {
		t.Errorf("three more polls read the log %d times", n)
	}
	if next := begin(t, p, c.Request(t, c.Images[2])); next.State == export.Queued {
		t.Errorf("the next export waits for %+v", next.Delay)
	}
}

// TestUnreadableOpen wants polls to go on without an error where the log of an open
// export can't be read, however it is come upon, and to go on with it once it can.
func TestUnreadableOpen(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{})
	p := newPoller(t, c)
	p.config.SweepAfter = 0
	f, err := p.tracker.Begin(t.Context(), "", c.Request(t, c.Images[0]))
	if err != nil {
		t.Fatal(err)
	}
	records := p.tracker.OSS.Bucket(c.Environment["RECORDS_BUCKET"])
	log, _, err := records.Get(t.Context(), "exports/"+f.ID)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, c, p, f.ID)
	for range 2 { // by a nudge and by the sweep, side by side
		if _, err := p.tracker.Tasks.Send(t.Context(), fmt.Sprintf(`{"id": %q}`, f.ID), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := p.handle(t.Context(), events.TimerEvent{}); err != nil {
			t.Error(err)
		}
	}
	parked(t, c, p, f.ID)
	if err := records.Delete(t.Context(), "exports/"+f.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Append(t.Context(), "exports/"+f.ID, 0, log); err != nil {
		t.Fatal(err)
	}
	p.poll(t)
	if s := p.state(t, f.ID); s != export.Completed {
		t.Errorf("once it was mended it ended as %s", s)
	}
}

// TestUnreadableSlot wants the slot of an export whose log can't be read to be
// taken: its task may run.
func TestUnreadableSlot(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, Tasks: 2, TaskLeast: time.Hour})
	p := newPoller(t, c)
	p.config.TasksAtOnce = 1
	p.tracker = c.Tracker(t, p.config.Config)
	holder := begin(t, p, c.Request(t, c.Images[0]))
	if holder.State != export.Exporting {
		t.Fatalf("state %s", holder.State)
	}
	damage(t, c, p, holder.ID)
	p.tracker.Now = func() time.Time { return time.Now().Add(time.Hour) } // long after the slot was taken
	p.tracker.Records = record.New(p.tracker.OSS.Bucket(c.Environment["RECORDS_BUCKET"]), p.tracker.Now)
	next, err := p.tracker.Begin(t.Context(), "", c.Request(t, c.Images[1]))
	if err == nil {
		err = p.tracker.Step(t.Context(), next, tracker.Known{})
	}
	if err != nil || next.State != export.Queued || next.Delay.Code != export.CodeTaskLimit {
		t.Errorf("state %s, %+v, %v", next.State, next.Delay, err)
	}
}
