package tracker_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
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
	if err := tr.Delete(t.Context(), open); !errors.Is(err, tracker.ErrNotEnded) {
		t.Errorf("of an export that goes on: %v", err)
	}
	for range 2 {
		f, _, err := tr.Load(t.Context(), done.ID)
		if err == nil {
			err = tr.Delete(t.Context(), f)
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
	if err := tr.Delete(t.Context(), f); err == nil {
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

// TestDeleteWhileTheTaskRuns wants no export deleted whose task would write again
// what was removed.
func TestDeleteWhileTheTaskRuns(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	tr := patient(t, c)
	f := begun(t, tr, c.Request(t, c.Images[0]), export.Exporting)
	tr.Policy.MaxAge = time.Millisecond
	f = goOn(t, tr, f.ID, ended)
	if err := tr.Delete(t.Context(), f); f.State != export.Failed || !errors.Is(err, tracker.ErrTaskRuns) {
		t.Fatalf("state %s, %v", f.State, err)
	}
	for deadline := time.Now().Add(10 * time.Second); tr.ECS.CancelTask(t.Context(), f.Task.ID) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the task can't be canceled")
		}
	}
	if err := tr.Delete(t.Context(), f); err != nil || f.State != export.Deleted {
		t.Errorf("state %s, %v", f.State, err)
	}
}
