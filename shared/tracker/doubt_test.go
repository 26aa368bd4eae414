package tracker_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// TestDoubtKeepsItsPlace wants an export whose first call to ECS had no answer to
// stay ahead of later orders of its image, although it had no place in the queue.
func TestDoubtKeepsItsPlace(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	a := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Get("Action") == "ExportImage" && calls.Add(1) == 1 && refuse(w, 500, "InternalError")
	}}
	a.on.Store(true)
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, Tasks: 4, TaskPerGiB: time.Millisecond, TaskLeast: time.Second, Wrap: a.wrap})
	tr := c.Tracker(t, doubtful(c))
	first := take(t, tr, c.Request(t, c.Images[0]))
	if first.State != export.Submitting || first.Doubt != 1 {
		t.Fatalf("the first is %s, doubt %d", first.State, first.Doubt)
	}
	at := func(d time.Duration) {
		t.Helper()
		tr.Now = func() time.Time { return time.Now().Add(d) }
		if err := tr.Step(t.Context(), first, tracker.Known{}); err != nil {
			t.Fatal(err)
		}
	}
	at(20 * time.Second) // its claim has run out, and ECS need not show its task yet
	for range 3 {
		later := take(t, tr, c.Request(t, c.Images[0]))
		if later.State != export.Queued {
			t.Fatalf("a later order of its image is %s", later.State)
		}
	}
	at(90 * time.Second)
	if first.State != export.Exporting {
		t.Errorf("it is %s when its turn has come", first.State)
	}
}

// TestSlotOfDoubt wants an export to keep its slot while an attempt of it may have
// made a task, whatever a later one was answered.
func TestSlotOfDoubt(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	var image atomic.Value
	a := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		switch {
		case q.Get("Action") != "ExportImage" || q.Get("ImageId") != image.Load():
			return false
		case calls.Add(1) == 1:
			return refuse(w, 500, "InternalError") // it may have begun all the same
		}
		return refuse(w, 403, "ImageIsExporting") // by a task that ECS does not show: maybe ours
	}}
	a.on.Store(true)
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, Tasks: 4, TaskLeast: time.Hour, Wrap: a.wrap})
	image.Store(c.Images[0])
	config := doubtful(c)
	config.TasksAtOnce = 1
	tr := c.Tracker(t, config)
	first := take(t, tr, c.Request(t, c.Images[0]))
	for _, d := range []time.Duration{20 * time.Second, 90 * time.Second} { // into the queue, and to ECS
		tr.Now = func() time.Time { return time.Now().Add(d) }
		if err := tr.Step(t.Context(), first, tracker.Known{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := calls.Load(); n != 2 || first.Doubt == 0 {
		t.Fatalf("%d calls, doubt %d, %s", n, first.Doubt, first.State)
	}
	if other := take(t, tr, c.Request(t, c.Images[1])); other.State == export.Exporting {
		t.Errorf("one task at once is allowed, one of %s may run, and %s is %s", first.ID, other.ID, other.State)
	}
}

// doubtful is a configuration by which an attempt is in doubt for 70 seconds.
func doubtful(c trackertest.Cloud) tracker.Config {
	config := c.Config()
	config.SubmitTimeout, config.ClockSkew, config.VanishedAfter = 10*time.Second, time.Second, time.Minute
	config.MaxAge, config.MaxQueued, config.LookMax, config.QueueWait = time.Hour, time.Hour, 10*time.Minute, 10*time.Minute
	return config
}
