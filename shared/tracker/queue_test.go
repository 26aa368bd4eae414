package tracker_test

import (
	"crypto/rand"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// ownRecords gives a test a records bucket of its own, and with it a queue.
func ownRecords(t *testing.T, c trackertest.Cloud) trackertest.Cloud {
	t.Helper()
	c.Environment = maps.Clone(c.Environment)
	c.Environment["RECORDS_BUCKET"] = "records-" + strings.ToLower(rand.Text())
	if err := c.Tracker(t, c.Config()).OSS.Bucket(c.Environment["RECORDS_BUCKET"]).CreateBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestQueueFaults breaks each request of the life of an export that ECS refuses
// twice before it takes it, for a quota and for a busy image. Every promise holds,
// and nothing stays in the queue.
func TestQueueFaults(t *testing.T) {
	t.Parallel()
	const requests = 90 // as in TestFaults
	var mu sync.Mutex
	calls := map[string]int{} // of ExportImage, by image
	quota := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		if q := r.URL.Query(); q.Get("Action") == "ExportImage" {
			mu.Lock()
			defer mu.Unlock()
			calls[q.Get("ImageId")]++
			switch calls[q.Get("ImageId")] {
			case 1:
				return refuse(w, http.StatusForbidden, "ConcurrentQuotaExceed.ExportImage")
			case 2:
				return refuse(w, http.StatusForbidden, "ImageIsExporting")
			}
		}
		return false
	}}
	quota.on.Store(true)
	c := trackertest.Start(t, 2*requests+1, cloud.Options{Tasks: 64, Wrap: quota.wrap})
	image := 0
	next := func() string { image++; return c.Images[image-1] }
	const buckets = 12 // an account may have 100
	free := make(chan trackertest.Cloud, buckets)
	for range buckets {
		free <- ownRecords(t, c)
	}
	run := func(t *testing.T, w *trackertest.Wire, id string) {
		c := <-free
		defer func() { free <- c }()
		live(t, c, w, id)
		// Who died between an end and leaving the queue left a place behind.
		tr := c.Tracker(t, c.Config())
		for deadline := time.Now().Add(10 * time.Second); ; {
			q, err := tr.Records.Queue(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(q.Waiting) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("left in the queue: %+v", q)
			}
			if head, err := tr.Head(t.Context(), q); err != nil || head != nil {
				t.Fatalf("the head of the queue is %+v, %v", head, err)
			}
		}
	}
	clean := &trackertest.Wire{}
	run(t, clean, next())
	if clean.Requests() > requests {
		t.Errorf("an undisturbed export takes %d requests: raise the constant", clean.Requests())
	}
	t.Logf("an undisturbed export takes %d requests with the looks of this test", clean.Requests())
	t.Run("at", func(t *testing.T) {
		for at := 1; at <= min(clean.Requests(), requests); at++ {
			// To die once a request is carried out is to die before the next.
			modes := []trackertest.Fault{{At: at, Done: true, Dies: true}}
			if at%3 == 0 {
				modes = append(modes, trackertest.Fault{At: at, Done: true})
			}
			for _, mode := range modes {
				id := next()
				t.Run(mode.String(), func(t *testing.T) {
					t.Parallel()
					run(t, &trackertest.Wire{Fault: mode}, id)
				})
			}
		}
	})
}

// take begins an export and takes its first step.
func take(t *testing.T, tr *tracker.Tracker, r export.Request) *tracker.Followed {
	t.Helper()
	f, err := tr.Begin(t.Context(), "", r)
	if err == nil {
		err = tr.Step(t.Context(), f, tracker.Known{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestBusyImage wants an export whose image is being exported to wait for that
// alone: others pass it, more of the same image line up without asking ECS, and
// the end of the task lets the first of them go.
func TestBusyImage(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	calls := map[string]int{}
	counting := &answering{answer: func(_ string, _ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		calls[r.URL.Query().Get("Action")]++
		return false
	}}
	counting.on.Store(true)
	c := trackertest.Start(t, 2, cloud.Options{Speed: 10, TaskLeast: 100 * time.Second, Wrap: counting.wrap})
	config := c.Config()
	config.LookMax, config.QueueWait, config.MaxAge, config.MaxQueued = time.Hour, time.Hour, time.Hour, time.Hour
	tr := c.Tracker(t, config)
	count := func(action string) int { mu.Lock(); defer mu.Unlock(); return calls[action] }

	runs := take(t, tr, c.Request(t, c.Images[0]))
	waits := take(t, tr, c.Request(t, c.Images[0]))
	behind := take(t, tr, c.Request(t, c.Images[0]))
	other := take(t, tr, c.Request(t, c.Images[1]))
	if runs.State != export.Exporting || other.State != export.Exporting || waits.State != export.Queued || behind.State != export.Queued {
		t.Fatalf("states %s, %s, %s and of another image %s", runs.State, waits.State, behind.State, other.State)
	}
	if waits.Delay.Code != export.CodeImageBusy || waits.Delay.RequestID == "" || behind.Delay.Code != export.CodeImageBusy {
		t.Errorf("they wait for %+v and %+v", waits.Delay, behind.Delay)
	}
	if n := count("ExportImage"); n != 3 {
		t.Errorf("%d calls of ExportImage, want one for each but the last of the busy image", n)
	}
	if n := count("DescribeTasks"); n != 2 {
		t.Errorf("%d calls of DescribeTasks, want one for each task that runs and none for those that wait", n)
	}
	for deadline := time.Now().Add(30 * time.Second); runs.State != export.Completed; {
		if err := tr.Step(t.Context(), runs, tracker.Known{}); err != nil || time.Now().After(deadline) {
			t.Fatalf("state %s, %v", runs.State, err)
		}
	}
	q, err := tr.Records.Queue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if head, ok := q.Head(""); !ok || head.ID != waits.ID {
		t.Errorf("the head of the queue is %+v, want the first that waits for the image", head)
	}
	before := count("ExportImage")
	for _, f := range []*tracker.Followed{behind, waits} {
		if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil {
			t.Fatal(err)
		}
	}
	if waits.State != export.Exporting || behind.State != export.Queued || count("ExportImage") != before+1 {
		t.Errorf("states %s and %s after %d more calls", waits.State, behind.State, count("ExportImage")-before)
	}
}

// TestBlindHead wants the head of the queue to let others pass where an attempt of it
// is in doubt and its bucket can't be looked at.
func TestBlindHead(t *testing.T) {
	t.Parallel()
	denied := &answering{answer: func(service string, w http.ResponseWriter, r *http.Request) bool {
		return service == "oss" && strings.HasPrefix(r.URL.Query().Get("prefix"), "Test") && deny(w)
	}}
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour, Wrap: denied.wrap})
	tr := patient(t, c)
	f := lost(t, c, c.Request(t, c.Images[0]))
	behind := export.Waiting{ID: export.NewID(time.Now()), Arrived: f.CreatedAt.Add(time.Second)}
	for _, w := range []export.Waiting{f.Place(), behind} {
		if err := tr.Records.Join(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	denied.on.Store(true)
	if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil || f.State != export.Submitting {
		t.Fatalf("state %s, %v", f.State, err)
	}
	q, err := tr.Records.Queue(t.Context())
	if err != nil || len(q.Waiting) != 2 || q.Waiting[0].ImageID != f.Request.ImageID {
		t.Errorf("the queue is %+v, %v", q.Waiting, err)
	}
	nudged(t, tr, behind.ID)
	// What it can't see keeps it from nothing once it can.
	denied.on.Store(false)
	if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil || f.State != export.Exporting {
		t.Errorf("state %s, %v", f.State, err)
	}
}

// TestSlotJustTaken wants a slot kept for an export that has just taken it and is
// about to submit, or to be recorded, and not for longer than that takes.
func TestSlotJustTaken(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, Tasks: 4, TaskLeast: time.Hour})
	for n, recorded := range []bool{false, true} {
		c := ownRecords(t, c)
		config := c.Config()
		config.TasksAtOnce, config.SubmitTimeout, config.ClockSkew = 1, 30*time.Second, time.Minute
		config.MaxAge, config.MaxQueued = time.Hour, time.Hour
		tr, holder := c.Tracker(t, config), export.NewID(time.Now())
		if recorded {
			f, err := tr.Begin(t.Context(), "", c.Request(t, c.Images[n]))
			if err != nil {
				t.Fatal(err)
			}
			holder = f.ID
		}
		if number, err := tr.Records.TakeSlot(t.Context(), holder, 1, nil); err != nil || number != 1 {
			t.Fatalf("slot %d, %v", number, err)
		}
		f := take(t, tr, c.Request(t, c.Images[n]))
		if f.State != export.Queued || f.Delay.Code != export.CodeTaskLimit {
			t.Errorf("recorded %v: state %s, %+v", recorded, f.State, f.Delay)
		}
		tr.Now = func() time.Time { return time.Now().Add(2 * time.Minute) }
		if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil || f.State != export.Exporting {
			t.Errorf("recorded %v, later: state %s, %v", recorded, f.State, err)
		}
	}
}

// TestHoldAtTheEnd wants the end of a task to end what everybody waits for, but for
// a weekly quota: that does not end with a task.
func TestHoldAtTheEnd(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, TaskPerGiB: time.Millisecond, TaskLeast: time.Second})
	for i, hold := range []export.Delay{{Code: "ConcurrentQuotaExceed.ExportImage"}, {Code: "WeeklyQuotaExceed.ExportImage"}} {
		tr := patient(t, ownRecords(t, c))
		f := begun(t, tr, c.Request(t, c.Images[i]), export.Exporting)
		hold.Next = time.Now().Add(time.Hour)
		if err := tr.Records.SetHold(t.Context(), hold); err != nil {
			t.Fatal(err)
		}
		goOn(t, tr, f.ID, ended)
		if q, err := tr.Records.Queue(t.Context()); err != nil || q.Holds(time.Now()) != hold.Weekly() {
			t.Errorf("%s: the hold is %+v, %v", hold.Code, q.Hold, err)
		}
	}
}

// nudged wants an export to be told, soon and without a poll, that it has its turn.
func nudged(t *testing.T, tr *tracker.Tracker, id string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		messages, err := tr.Tasks.Receive(t.Context(), 16, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if n, err := events.ParseNudge(m.Body); err == nil && n.ID == id && n.Next.IsZero() {
				return
			}
		}
	}
	t.Errorf("export %s was not nudged", id)
}

// TestNextIsNudged wants the end of a task, and who leaves the queue, to let the
// next one go.
func TestNextIsNudged(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 3, cloud.Options{Speed: 1, ConcurrentQuota: 1, TaskPerGiB: time.Millisecond, TaskLeast: time.Second})
	config := c.Config()
	config.LookMax, config.SubmitTimeout = time.Hour, 30*time.Second
	tr := c.Tracker(t, config)
	runs := take(t, tr, c.Request(t, c.Images[0]))
	head, next := take(t, tr, c.Request(t, c.Images[1])), take(t, tr, c.Request(t, c.Images[2]))
	if runs.State != export.Exporting || head.State != export.Queued || next.State != export.Queued {
		t.Fatalf("states %s, %s and %s", runs.State, head.State, next.State)
	}
	goOn(t, tr, runs.ID, ended)
	nudged(t, tr, head.ID)
	if err := tr.Cancel(t.Context(), head, "not wanted"); err != nil {
		t.Fatal(err)
	}
	nudged(t, tr, next.ID)
}

// TestThrottled wants a call that ECS refuses for its number to be made again
// within the claim, and an export that was never let through to wait, not to fail.
func TestThrottled(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	calls := map[string]int{}
	var c trackertest.Cloud
	throttled := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		if q.Get("Action") != "ExportImage" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		id := q.Get("ImageId")
		calls[id]++
		return (id == c.Images[1] || calls[id] < 3) && refuse(w, http.StatusBadRequest, "Throttling.User")
	}}
	c = trackertest.Start(t, 2, cloud.Options{Wrap: throttled.wrap})
	throttled.on.Store(true)
	often, config := c.Images[1], c.Config()
	f := take(t, patient(t, c), c.Request(t, c.Images[0]))
	if f.State == export.Queued || calls[c.Images[0]] != 3 || f.Attempt.Number != 1 {
		t.Errorf("state %s after %d calls in %d attempts", f.State, calls[c.Images[0]], f.Attempt.Number)
	}
	config.SubmitTimeout = 6 * time.Second
	f = take(t, c.Tracker(t, config), c.Request(t, often))
	if f.State != export.Queued || f.Delay.Code != "Throttling.User" || f.Doubt != 0 {
		t.Errorf("state %s: %+v", f.State, f.Delay)
	}
	if n := calls[often]; n < 2 || n > 8 {
		t.Errorf("%d calls in %v", n, config.SubmitTimeout)
	}
}

// TestCancelQueued wants an export that is canceled while it waits to leave the
// queue at once, and to have had no task.
func TestCancelQueued(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 3, cloud.Options{Speed: 1, TaskLeast: time.Hour, ConcurrentQuota: 1})
	config := c.Config()
	config.LookMax = time.Hour
	tr := c.Tracker(t, config)
	take(t, tr, c.Request(t, c.Images[0]))
	head, next := take(t, tr, c.Request(t, c.Images[1])), take(t, tr, c.Request(t, c.Images[2]))
	if err := tr.Cancel(t.Context(), head, "not wanted"); err != nil {
		t.Fatal(err)
	}
	q, err := tr.Records.Queue(t.Context())
	if err != nil || len(q.Waiting) != 1 || q.Waiting[0].ID != next.ID {
		t.Errorf("the queue is %+v, %v, want %s alone", q.Waiting, err, next.ID)
	}
	if err := tr.Step(t.Context(), head, tracker.Known{}); err != nil || head.State != export.Canceled || head.Task.ID != "" {
		t.Errorf("state %s, task %q, %v", head.State, head.Task.ID, err)
	}
	// It had no task, so ECS has no more room than before.
	if q, err = tr.Records.Queue(t.Context()); err != nil || q.Hold == nil {
		t.Errorf("hold %+v, %v, want the one of the quota", q.Hold, err)
	}
}
