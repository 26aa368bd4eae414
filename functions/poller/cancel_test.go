package main

import (
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
