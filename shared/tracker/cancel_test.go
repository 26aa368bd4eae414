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

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// begun is an export that has come to a state.
func begun(t *testing.T, tr *tracker.Tracker, r export.Request, want export.State) *tracker.Followed {
	t.Helper()
	f, err := tr.Begin(t.Context(), "Test", r)
	if err != nil {
		t.Fatal(err)
	}
	return goOn(t, tr, f.ID, func(f *tracker.Followed) bool { return f.State == want })
}

// patient returns a tracker whose calls of ExportImage are answered however busy
// the machine is, so that the task is known.
func patient(t *testing.T, c trackertest.Cloud) *tracker.Tracker {
	t.Helper()
	config := c.Config()
	config.SubmitTimeout = 30 * time.Second
	return c.Tracker(t, config)
}

// goOn takes steps until done says enough, loading the export each time.
func goOn(t *testing.T, tr *tracker.Tracker, id string, done func(*tracker.Followed) bool) *tracker.Followed {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		f, _, err := tr.Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if done(f) {
			return f
		}
		if f.Ended() {
			t.Fatalf("export %s is %s: %+v", id, f.State, f.Failure)
		}
		err = tr.Step(t.Context(), f, tracker.Known{})
		if time.Now().After(deadline) {
			t.Fatalf("export %s is still %s: %v", id, f.State, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("test ended")
		}
	}
}

func ended(f *tracker.Followed) bool { return f.Ended() }

// gone wants an export to end as canceled with its task ended and nothing of it in
// the bucket.
func gone(t *testing.T, tr *tracker.Tracker, id string) *tracker.Followed {
	t.Helper()
	f := goOn(t, tr, id, ended)
	if f.State != export.Canceled {
		t.Fatalf("ended as %s: %+v", f.State, f.Failure)
	}
	if strings.Contains(f.Lines[f.Seq()-1].Reason, "given up") {
		t.Errorf("it was given up: %s", f.Lines[f.Seq()-1].Reason)
	}
	empty(t, tr, f.Request)
	tasks, err := tr.ECS.TasksByImage(t.Context(), f.Request.ImageID)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if task.ID == f.Task.ID && !export.TaskStatus(task.Status).Ended() {
			t.Errorf("its task is %s", task.Status)
		}
	}
	return f
}

func empty(t *testing.T, tr *tracker.Tracker, r export.Request) {
	t.Helper()
	bucket := tr.OSS.Bucket(r.Bucket)
	page, err := bucket.List(t.Context(), oss.ListOptions{Prefix: r.OSSPrefix})
	if err != nil {
		t.Fatal(err)
	}
	uploads, err := bucket.Uploads(t.Context(), r.OSSPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Objects)+len(uploads) > 0 {
		t.Errorf("left in the bucket: %+v, %+v", page.Objects, uploads)
	}
}

func canceled(t *testing.T, tr *tracker.Tracker, f *tracker.Followed) {
	t.Helper()
	if err := tr.Cancel(t.Context(), f, "canceled by a test"); err != nil || f.State != export.Canceling {
		t.Fatalf("state %s, %v", f.State, err)
	}
}

// counted counts the calls of an action.
func counted(action string, n *atomic.Int32) func(string, http.Handler) http.Handler {
	return func(_ string, h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("Action") == action {
				n.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	}
}

// TestCancelBeforeSubmission cancels exports that ECS has not heard of: there is
// nothing to wait for.
func TestCancelBeforeSubmission(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Hour, Wrap: counted("CancelTask", &calls)})
	tr := patient(t, c)
	begun(t, tr, c.Request(t, c.Images[1]), export.Exporting)
	for state, image := range map[export.State]string{export.Requested: c.Images[0], export.Queued: c.Images[1]} {
		f := begun(t, tr, c.Request(t, image), state)
		canceled(t, tr, f)
		if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil || f.State != export.Canceled {
			t.Errorf("%s, then %s after one step, %v", state, f.State, err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("CancelTask was called %d times", n)
	}
}

// TestCancelWhileSubmitting cancels an export whose call of ExportImage has not
// been answered: it never left, or it arrived and nobody knows the task.
func TestCancelWhileSubmitting(t *testing.T) {
	t.Parallel()
	for _, arrives := range []bool{false, true} {
		t.Run(fmt.Sprint("arrives ", arrives), func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			c := trackertest.Start(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Second, Wrap: counted("ExportImage", &calls)})
			config := c.Config()
			ctx, die := context.WithCancel(t.Context())
			defer die()
			if arrives {
				config.ECSEndpoint = afterwards(t, config.ECSEndpoint, "ExportImage", die)
			}
			dying := c.Tracker(t, config)
			f, err := dying.Begin(ctx, "Test", c.Request(t, c.Images[1]))
			if err != nil {
				t.Fatal(err)
			}
			if arrives {
				_ = dying.Step(ctx, f, tracker.Known{})
			} else {
				claim := export.Line{State: export.Submitting, Attempt: &export.Attempt{Number: 1, Until: time.Now().Add(config.SubmitTimeout)}}
				if _, err := dying.Records.Append(ctx, f.Log, "who died", claim); err != nil {
					t.Fatal(err)
				}
			}
			tr := c.Tracker(t, c.Config())
			again, _, err := tr.Load(t.Context(), f.ID)
			if err != nil || again.State != export.Submitting {
				t.Fatalf("state %s, %v", again.State, err)
			}
			canceled(t, tr, again)
			if end := gone(t, tr, f.ID); end.UpdatedAt.Before(again.Attempt.Until) {
				t.Errorf("canceled %v before the call could not come any more", again.Attempt.Until.Sub(end.UpdatedAt))
			}
			if n := calls.Load(); (n == 1) != arrives {
				t.Errorf("ExportImage was called %d times", n)
			}
		})
	}
}

// TestCancelHiddenTask cancels an export whose call of ExportImage was carried out
// and never answered, and whose task ECS does not tell of for some time.
func TestCancelHiddenTask(t *testing.T) {
	t.Parallel()
	hidden := hiding()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, Tasks: 1, TaskPerGiB: time.Millisecond, TaskLeast: 3 * time.Second, Wrap: hidden.wrap})
	tr := patient(t, c)
	// The only place is taken: the task of the other one waits and writes nothing.
	begun(t, tr, c.Request(t, c.Images[0]), export.Exporting)
	hidden.on.Store(true)
	f := lost(t, c, c.Request(t, c.Images[1]))
	canceled(t, tr, f)
	looked := f.Attempt.Until.Add(tr.Policy.ClockSkew + 3*tr.Policy.CancelGrace)
	goOn(t, tr, f.ID, func(*tracker.Followed) bool { return time.Now().After(looked) })
	hidden.on.Store(false)
	if end := gone(t, tr, f.ID); end.Task.ID == "" {
		t.Error("its task was never found")
	}
}

// TestCancelWhileExporting cancels an export whose task runs, with one disk in the
// bucket and another on its way there.
func TestCancelWhileExporting(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Second})
	tr := patient(t, c)
	f := begun(t, tr, c.Request(t, c.Images[1]), export.Exporting)
	bucket := tr.OSS.Bucket(f.Request.Bucket)
	f = goOn(t, tr, f.ID, func(f *tracker.Followed) bool {
		uploads, err := bucket.Uploads(t.Context(), f.Request.OSSPrefix)
		return err == nil && len(uploads) > 0
	})
	// Two things that CancelTask does not see to.
	if err := bucket.Put(t.Context(), f.Request.ObjectKey(f.Request.Disks[0]), []byte("a disk"), oss.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	canceled(t, tr, f)
	end := gone(t, tr, f.ID)
	if end.Task.ID == "" || len(end.Landed) > 0 {
		t.Errorf("%+v", end.Export)
	}
	removed := export.Cleared{}
	for _, l := range end.Lines {
		if l.Cleared != nil {
			removed.Objects += l.Cleared.Objects
			removed.Uploads += l.Cleared.Uploads
		}
	}
	if removed.Objects == 0 {
		t.Errorf("the log does not tell what was removed: %+v", removed)
	}
	if spaced := end.UpdatedAt.Sub(end.EmptySince); spaced < c.Config().CancelGrace {
		t.Errorf("the two looks that found nothing lie %v apart", spaced)
	}
}

// TestCancelWaitingTask cancels an export whose task waits for others in ECS, which
// refuses to cancel it before it runs.
func TestCancelWaitingTask(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, Tasks: 1, TaskLeast: time.Second})
	tr := patient(t, c)
	begun(t, tr, c.Request(t, c.Images[0]), export.Exporting)
	f := begun(t, tr, c.Request(t, c.Images[1]), export.Exporting)
	canceled(t, tr, f)
	end := gone(t, tr, f.ID)
	refusals := 0
	for _, l := range end.Lines {
		if strings.Contains(l.Reason, "InvalidTaskId.IncorrectTaskStatus") {
			refusals++
		}
	}
	if refusals != 1 {
		t.Errorf("the log tells %d times that the task could not be canceled yet, want once", refusals)
	}
}

// TestCancelWhileExported cancels an export whose task has finished while somebody
// is about to complete it.
func TestCancelWhileExported(t *testing.T) {
	t.Parallel()
	denied := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "_manifest.json") && refuse(w, http.StatusForbidden, "AccessDenied")
	}}
	denied.on.Store(true)
	c := trackertest.Start(t, 2, cloud.Options{Wrap: denied.wrap})
	tr := patient(t, c)
	f := begun(t, tr, c.Request(t, c.Images[1]), export.Exporting)
	f = goOn(t, tr, f.ID, func(f *tracker.Followed) bool { return f.State == export.Exported && len(f.Landed) == 2 })
	late, _, err := tr.Load(t.Context(), f.ID)
	if err != nil {
		t.Fatal(err)
	}
	canceled(t, tr, f)
	denied.on.Store(false)
	// Whoever had read the log before writes the manifest, and loses.
	if err := tr.Step(t.Context(), late, tracker.Known{}); err != nil || late.State != export.Canceling {
		t.Fatalf("state %s, %v", late.State, err)
	}
	gone(t, tr, f.ID)
}

// TestCancelAfterTheEnd wants an export that has ended to stay as it ended.
func TestCancelAfterTheEnd(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{})
	tr := patient(t, c)
	refused := c.Request(t, c.Images[1])
	refused.RoleName = "nobody"
	for want, r := range map[export.State]export.Request{export.Completed: c.Request(t, c.Images[0]), export.Failed: refused} {
		f := submit(t, tr, r)
		before := f.Seq()
		if err := tr.Cancel(t.Context(), f, "too late"); !errors.Is(err, tracker.ErrEnded) {
			t.Errorf("%s: %v", want, err)
		}
		if again, _, err := tr.Load(t.Context(), f.ID); err != nil || again.State != want || again.Seq() != before {
			t.Errorf("%s: state %s after line %d, %v", want, again.State, again.Seq(), err)
		}
	}
}

// TestCanceledUnknownTask wants the same where the call of ExportImage was never
// answered: an upload proves that there is a task, and no other can be it.
func TestCanceledUnknownTask(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	tr := patient(t, c)
	f := goOn(t, tr, lost(t, c, c.Request(t, c.Images[0])).ID, func(f *tracker.Followed) bool { return f.State == export.Exporting })
	tasks, err := tr.ECS.TasksByImage(t.Context(), f.Request.ImageID)
	if err != nil || len(tasks) != 1 || f.Task.ID != "" {
		t.Fatalf("%d tasks, the log names %q, %v", len(tasks), f.Task.ID, err)
	}
	for deadline := time.Now().Add(10 * time.Second); tr.ECS.CancelTask(t.Context(), tasks[0].ID) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the task can't be canceled")
		}
	}
	tr.Policy.VanishedAfter = 2 * time.Second
	if end := gone(t, tr, f.ID); end.Task.ID != tasks[0].ID {
		t.Errorf("its task is %q", end.Task.ID)
	}
}

// TestCanceledTask wants a task that is canceled in the console to end its export
// as canceled, with nothing left.
func TestCanceledTask(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	tr := patient(t, c)
	f := begun(t, tr, c.Request(t, c.Images[1]), export.Exporting)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if err := tr.ECS.CancelTask(t.Context(), f.Task.ID); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := tr.OSS.Bucket(f.Request.Bucket).Put(t.Context(), f.Request.ObjectKey(f.Request.Disks[0]), []byte("a disk"), oss.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	end := gone(t, tr, f.ID)
	if !slices.ContainsFunc(end.Lines, func(l export.Line) bool {
		return l.State == export.Canceling && strings.Contains(l.Reason, "outside this system")
	}) {
		t.Error("the log does not tell that somebody else canceled the task")
	}
}
