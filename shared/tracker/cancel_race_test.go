package tracker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// TestCancelRaces cancels an export many times at once at every moment of a life
// that others lead on.
func TestCancelRaces(t *testing.T) {
	t.Parallel()
	const lives = 12
	c := trackertest.Start(t, lives, cloud.Options{Speed: 1, Tasks: lives, TaskLeast: 200 * time.Millisecond})
	tr := patient(t, c)
	for n := range lives {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			f, err := tr.Begin(t.Context(), "Test", c.Request(t, c.Images[n]))
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			var accepted, refused atomic.Int32
			for range 2 {
				group.Go(func() { goOn(t, tr, f.ID, ended) })
			}
			for range 3 {
				group.Go(func() {
					// The races of the last lives begin when the task ends.
					time.Sleep(time.Duration(n) * 50 * time.Millisecond)
					mine, _, err := tr.Load(t.Context(), f.ID)
					if err == nil {
						err = tr.Cancel(t.Context(), mine, "canceled by a test")
					}
					switch {
					case err == nil:
						accepted.Add(1)
					case errors.Is(err, tracker.ErrEnded):
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			group.Wait()
			end := goOn(t, tr, f.ID, ended)
			switch {
			case accepted.Load() == 3 && end.State == export.Canceled:
				gone(t, tr, f.ID)
			case refused.Load() == 3 && end.State == export.Completed:
			default:
				t.Errorf("%d accepted, %d refused, ended as %s", accepted.Load(), refused.Load(), end.State)
			}
			begins := 0
			for i, l := range end.Lines {
				if l.State == export.Canceling && end.Lines[i-1].State != export.Canceling {
					begins++
				}
			}
			if begins > 1 {
				t.Errorf("canceled %d times", begins)
			}
		})
	}
}

// TestCancelFaults continues TestFaults: it breaks each request from the cancel on.
func TestCancelFaults(t *testing.T) {
	t.Parallel()
	const requests = 40 // a whole cancel has fewer; the test says so if not
	// A function that dies before a request is one that died behind the request
	// before it.
	modes := []trackertest.Fault{{Done: true}, {Dies: true, Done: true}}
	c := trackertest.Start(t, requests*len(modes)+1, cloud.Options{Speed: 1, Tasks: 64, TaskLeast: time.Hour})
	image := 0
	next := func() string { image++; return c.Images[image-1] }
	clean := &trackertest.Wire{}
	cancelLife(t, c, clean, next())
	if clean.Requests() > requests {
		t.Errorf("an undisturbed cancel takes %d requests: raise the constant", clean.Requests())
	}
	t.Logf("an undisturbed cancel takes %d requests with the looks of this test", clean.Requests())
	t.Run("at", func(t *testing.T) {
		for at := 1; at <= min(requests, clean.Requests()+2); at++ {
			for _, mode := range modes {
				mode.At = at
				id := next()
				t.Run(mode.String(), func(t *testing.T) {
					t.Parallel()
					cancelLife(t, c, &trackertest.Wire{Fault: mode}, id)
				})
			}
		}
	})
}

// cancelLife submits an export undisturbed, then cancels it through w.
func cancelLife(t *testing.T, c trackertest.Cloud, w *trackertest.Wire, imageID string) {
	fault := w.Fault
	w.Fault = trackertest.Fault{}
	tr := throughWire(t, c, w)
	tr.Policy.SubmitTimeout = 30 * time.Second // as a patient one
	f := goOn(t, tr, begun(t, tr, c.Request(t, imageID), export.Requested).ID, func(f *tracker.Followed) bool { return f.State == export.Exporting })
	if failed := tr.Plan(t.Context(), f); len(failed) > 0 {
		t.Fatal(failed)
	}
	w.Break(fault)
	deadline := time.Now().Add(time.Minute)
	id, accepted := f.ID, false
	for {
		ctx, kill := context.WithCancel(t.Context())
		w.Revive(kill)
		var err error
		if !accepted {
			// The caller sends the call again until it is answered.
			var f *tracker.Followed
			if f, _, err = tr.Load(ctx, id); err == nil {
				err = tr.Cancel(ctx, f, "canceled by a test")
			}
			accepted = err == nil
			if err == nil && tr.Step(ctx, f, tracker.Known{}) == nil {
				_ = tr.PlanSooner(ctx, f)
			}
		}
		open, followErr := follow(ctx, tr, imageID)
		kill()
		if accepted && followErr == nil && !open {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the export has not ended: %v", errors.Join(err, followErr))
		}
		select {
		case <-time.After(c.Config().CancelGrace): // as the step asks for
		case <-t.Context().Done():
			t.Fatal("test ended")
		}
	}
	undisturbed := c.Tracker(t, c.Config())
	end := gone(t, undisturbed, f.ID)
	if tasks, err := undisturbed.ECS.TasksByImage(t.Context(), imageID); err != nil || len(tasks) != 1 {
		t.Errorf("%d tasks, %v", len(tasks), err)
	}
	announced(t, w, record.Log{Export: end.Export})
}
