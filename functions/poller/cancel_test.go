package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// TestCanceled wants polls to carry a cancel through whose caller left after the
// record, and an export that is canceled while it waits to leave the queue.
func TestCanceled(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, ConcurrentQuota: 1, TaskLeast: time.Hour})
	p := newPoller(t, c)
	running := begin(t, p, c.Request(t, c.Images[1]))
	waiting := begin(t, p, c.Request(t, c.Images[0]))
	if running.State != export.Exporting || waiting.State != export.Queued {
		t.Fatalf("%s and %s", running.State, waiting.State)
	}
	for _, f := range []*tracker.Followed{waiting, running} {
		if err := p.tracker.Cancel(t.Context(), f, "canceled by a test"); err != nil {
			t.Fatal(err)
		}
	}
	p.poll(t)
	for _, f := range []*tracker.Followed{waiting, running} {
		if s := p.state(t, f.ID); s != export.Canceled {
			t.Errorf("export %s is %s", f.ID, s)
		}
	}
	queue, err := p.tracker.Records.Queue(t.Context())
	if err != nil || len(queue.Waiting) > 0 {
		t.Errorf("in the queue: %+v, %v", queue.Waiting, err)
	}
	// The place of what was canceled is free.
	if next := begin(t, p, c.Request(t, c.Images[0])); next.State != export.Exporting {
		t.Errorf("the next export is %s", next.State)
	}
}

// TestCancelingTogether wants ECS asked about the tasks of exports that are being
// canceled together, and once more about each that was told to stop.
func TestCancelingTogether(t *testing.T) {
	t.Parallel()
	const n = 4
	var counted calls
	refused := func(service string, h http.Handler) http.Handler {
		return counted.wrap(service, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("Action") == "CancelTask" {
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, `{"Code": "CancelTaskFailed", "Message": "no", "RequestId": "1"}`)
				return
			}
			h.ServeHTTP(w, r)
		}))
	}
	c := trackertest.Start(t, n, cloud.Options{Speed: 1, Tasks: n, TaskLeast: time.Hour, Wrap: refused})
	p := newPoller(t, c)
	var due []*tracker.Followed
	for _, image := range c.Images {
		f := begin(t, p, c.Request(t, image))
		if err := p.tracker.Cancel(t.Context(), f, "canceled by a test"); err != nil || f.Task.ID == "" {
			t.Fatalf("task %q, %v", f.Task.ID, err)
		}
		due = append(due, f)
	}
	before := counted.of("ecs DescribeTasks")
	p.step(t.Context(), due, func(id string, err error) { t.Errorf("export %s: %v", id, err) })
	if got := counted.of("ecs DescribeTasks") - before; got != 1+n {
		t.Errorf("%d calls of DescribeTasks, want %d", got, 1+n)
	}
}
