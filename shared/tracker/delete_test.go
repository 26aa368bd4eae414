package tracker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// TestDelete removes what an export left, whatever its end.
func TestDelete(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{})
	tr := patient(t, c)
	events := c.Subscribe(t)
	done := submit(t, tr, c.Request(t, c.Images[1]))
	if failed := tr.Plan(t.Context(), done); done.State != export.Completed || len(failed) > 0 {
		t.Fatalf("state %s, %v", done.State, failed)
	}
	open := begun(t, tr, c.Request(t, c.Images[0]), export.Requested)
	if err := tr.Delete(t.Context(), open, "a test"); !errors.Is(err, tracker.ErrNotEnded) {
		t.Errorf("of an export that goes on: %v", err)
	}
	for range 2 {
		f, _, err := tr.Load(t.Context(), done.ID)
		if err == nil {
			err = tr.Delete(t.Context(), f, "a test")
		}
		if err != nil || f.State != export.Deleted || f.Seq() != done.Seq()+1 {
			t.Fatalf("state %s after line %d, %v", f.State, f.Seq(), err)
		}
		empty(t, tr, f.Request)
		if _, open, err := tr.Load(t.Context(), f.ID); err != nil || open {
			t.Errorf("it is open again: %v, %v", open, err)
		}
	}
	want := 0
	for _, l := range done.Lines {
		if done.Kind(l) != "" {
			want++
		}
	}
	all := events(want + 1)
	if !slices.ContainsFunc(all, func(e cloudevents.Event) bool {
		return e.Type() == "image-export.deleted" && e.ID() == fmt.Sprintf("%s/%d", done.ID, done.Seq()+1)
	}) {
		t.Error("that it was deleted is not announced")
	}
}

// TestDeleteWhileAnObjectLands wants an object gone that landed between the look at
// the bucket and the record, while it was one of an export that keeps its objects.
func TestDeleteWhileAnObjectLands(t *testing.T) {
	t.Parallel()
	var tr *tracker.Tracker
	var f *tracker.Followed
	lands := &answering{answer: func(_ string, _ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("append") {
			if err := tr.OSS.Bucket(f.Request.Bucket).Put(t.Context(), f.Request.ObjectKey(f.Request.Disks[0]), []byte("a disk"), oss.PutOptions{}); err != nil {
				t.Error(err)
			}
		}
		return false
	}}
	c := trackertest.Start(t, 1, cloud.Options{Wrap: lands.wrap})
	tr = patient(t, c)
	f = submit(t, tr, c.Request(t, c.Images[0]))
	lands.on.Store(true)
	if err := tr.Delete(t.Context(), f, "a test"); err != nil || f.State != export.Deleted {
		t.Fatalf("state %s, %v", f.State, err)
	}
	empty(t, tr, f.Request)
}

// TestDeleteHalfWay wants the deletion announced by whoever comes next if the
// function dies between the record and the announcement.
func TestDeleteHalfWay(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	c := trackertest.Start(t, 1, cloud.Options{Wrap: func(service string, h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if service == "mns" && down.Load() {
				panic(http.ErrAbortHandler)
			}
			h.ServeHTTP(w, r)
		})
	}})
	tr := patient(t, c)
	f := submit(t, tr, c.Request(t, c.Images[0]))
	if failed := tr.Plan(t.Context(), f); len(failed) > 0 {
		t.Fatal(failed)
	}
	down.Store(true)
	if err := tr.Delete(t.Context(), f, "a test"); err == nil {
		t.Fatal("no error")
	}
	down.Store(false)
	events := c.Subscribe(t)
	again, open, err := tr.Load(t.Context(), f.ID)
	if err != nil || !open || again.State != export.Deleted {
		t.Fatalf("open %v, state %s, %v", open, again.State, err)
	}
	if err := tr.Step(t.Context(), again, tracker.Known{}); err != nil {
		t.Fatal(err)
	}
	if failed := tr.Plan(t.Context(), again); len(failed) > 0 {
		t.Fatal(failed)
	}
	if e := events(1); e[0].Type() != "image-export.deleted" {
		t.Errorf("announced %s", e[0].Type())
	}
}

// lost begins an export whose call of ExportImage is carried out and never answered.
func lost(t *testing.T, c trackertest.Cloud, r export.Request) *tracker.Followed {
	t.Helper()
	ctx, die := context.WithCancel(t.Context())
	defer die()
	config := c.Config()
	config.ECSEndpoint = afterwards(t, config.ECSEndpoint, "ExportImage", die)
	dying := c.Tracker(t, config)
	f, err := dying.Begin(ctx, "Test", r)
	if err != nil {
		t.Fatal(err)
	}
	_ = dying.Step(ctx, f, tracker.Known{})
	f, _, err = c.Tracker(t, c.Config()).Load(t.Context(), f.ID)
	if err != nil || f.State != export.Submitting || f.Task.ID != "" {
		t.Fatalf("state %s, task %q, %v", f.State, f.Task.ID, err)
	}
	return f
}

// hiding is a stand-in that does not tell of tasks while it is on.
func hiding() *answering {
	return &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("Action") != "DescribeTasks" {
			return false
		}
		fmt.Fprint(w, `{"RequestId": "1", "TotalCount": 0, "TaskSet": {"Task": []}}`)
		return true
	}}
}

// TestDeleteInDoubt wants no export deleted of which a task may run that nobody
// knows: its call of ExportImage was never answered, and it was given up.
func TestDeleteInDoubt(t *testing.T) {
	t.Parallel()
	hidden := hiding()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, Tasks: 1, TaskLeast: time.Hour, Wrap: hidden.wrap})
	tr := patient(t, c)
	// The only place is taken: the task of the other one waits and writes nothing.
	begun(t, tr, c.Request(t, c.Images[0]), export.Exporting)
	f := lost(t, c, c.Request(t, c.Images[1]))
	later := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	end, _, err := tr.Load(t.Context(), f.ID)
	if err != nil {
		t.Fatal(err)
	}
	tr.Policy.MaxAge = time.Millisecond
	if err := tr.Step(t.Context(), end, tracker.Known{}); err != nil || end.State != export.Failed || end.Doubt != 1 {
		t.Fatalf("state %s, %d attempts in doubt, %v", end.State, end.Doubt, err)
	}
	refused := func(why string) {
		t.Helper()
		if err := tr.Delete(t.Context(), end, "a test"); !errors.Is(err, tracker.ErrTaskRuns) || !strings.Contains(err.Error(), why) || end.State != export.Failed {
			t.Errorf("state %s, %v, want it refused because of %q", end.State, err, why)
		}
	}
	hidden.on.Store(true)
	refused("may not tell of it yet")
	hidden.on.Store(false)
	tasks, err := tr.ECS.TasksByImage(t.Context(), c.Images[1])
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%d tasks, %v", len(tasks), err)
	}
	tr.Now = later(tr.Policy.VanishedAfter + time.Minute)
	refused("task " + tasks[0].ID)
	// The other's end lets it run, and then it can be canceled in the console.
	other, err := tr.ECS.TasksByImage(t.Context(), c.Images[0])
	if err != nil || len(other) != 1 {
		t.Fatalf("%d tasks, %v", len(other), err)
	}
	for _, task := range []string{other[0].ID, tasks[0].ID} {
		for deadline := time.Now().Add(10 * time.Second); tr.ECS.CancelTask(t.Context(), task) != nil; {
			if time.Now().After(deadline) {
				t.Fatal("the task can't be canceled")
			}
		}
	}
	if err := tr.Delete(t.Context(), end, "a test"); err != nil || end.State != export.Deleted {
		t.Errorf("state %s, %v", end.State, err)
	}
	empty(t, tr, end.Request)
}

// TestDeleteGivenUp wants a cancel that was given up to keep its objects from being
// deleted as long as the task writes them.
func TestDeleteGivenUp(t *testing.T) {
	t.Parallel()
	no := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Get("Action") == "CancelTask" && refuse(w, http.StatusForbidden, "CancelTaskFailed")
	}}
	no.on.Store(true)
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour, Wrap: no.wrap})
	tr := patient(t, c)
	f := begun(t, tr, c.Request(t, c.Images[0]), export.Exporting)
	canceled(t, tr, f)
	tr.Policy.MaxAge = time.Millisecond
	f = goOn(t, tr, f.ID, ended)
	if err := tr.Delete(t.Context(), f, "a test"); f.State != export.Canceled || !errors.Is(err, tracker.ErrTaskRuns) {
		t.Fatalf("state %s, %v", f.State, err)
	}
}

// TestDeleteRefused wants an export that ECS refused to be deleted without a
// question: nothing was started.
func TestDeleteRefused(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := trackertest.Start(t, 1, cloud.Options{Wrap: counted("DescribeTasks", &calls)})
	tr := patient(t, c)
	r := c.Request(t, c.Images[0])
	r.RoleName = "nobody"
	f := submit(t, tr, r)
	if err := tr.Delete(t.Context(), f, "a test"); err != nil || f.State != export.Deleted {
		t.Errorf("state %s, %v", f.State, err)
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls of DescribeTasks", n)
	}
}

// TestDeleteWhileTheTaskRuns wants no export deleted whose task would write again
// what was removed.
func TestDeleteWhileTheTaskRuns(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	tr := patient(t, c)
	f := begun(t, tr, c.Request(t, c.Images[0]), export.Exporting)
	tr.Policy.MaxAge = time.Millisecond
	f = goOn(t, tr, f.ID, ended)
	if err := tr.Delete(t.Context(), f, "a test"); f.State != export.Failed || !errors.Is(err, tracker.ErrTaskRuns) {
		t.Fatalf("state %s, %v", f.State, err)
	}
	for deadline := time.Now().Add(10 * time.Second); tr.ECS.CancelTask(t.Context(), f.Task.ID) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the task can't be canceled")
		}
	}
	if err := tr.Delete(t.Context(), f, "a test"); err != nil || f.State != export.Deleted {
		t.Errorf("state %s, %v", f.State, err)
	}
}
