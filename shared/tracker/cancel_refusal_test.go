package tracker_test

import (
	"errors"
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

// TestRefusalsOfCancelTask wants every documented refusal of CancelTask, and every
// passing failure, to be no more than a delay: the task ends by itself at last.
func TestRefusalsOfCancelTask(t *testing.T) {
	t.Parallel()
	refusals := map[string]int{"Forbidden.RAM": http.StatusForbidden, "Throttling.User": http.StatusBadRequest, "ServiceUnavailable": http.StatusServiceUnavailable}
	for _, c := range export.Codes {
		if c.Where == export.OpCancel {
			refusals[c.Code] = c.Status
		}
	}
	for code, status := range refusals {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			no := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("Action") != "CancelTask" {
					return false
				}
				calls.Add(1)
				return refuse(w, status, code)
			}}
			no.on.Store(true)
			c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Second, Wrap: no.wrap})
			tr := patient(t, c)
			f := begun(t, tr, c.Request(t, c.Images[0]), export.Exporting)
			canceled(t, tr, f)
			end := gone(t, tr, f.ID)
			if end.Task.ID == "" || calls.Load() == 0 {
				t.Errorf("task %q, %d calls of CancelTask", end.Task.ID, calls.Load())
			}
		})
	}
}

// TestCancelWhileRefused cancels an export whose call of ExportImage ECS refuses at
// that moment: nothing was started, so there is nothing to wait for.
func TestCancelWhileRefused(t *testing.T) {
	t.Parallel()
	var tr *tracker.Tracker
	var id string
	full := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("Action") != "ExportImage" {
			return false
		}
		if f, _, err := tr.Load(t.Context(), id); err != nil {
			t.Error(err)
		} else if err := tr.Cancel(t.Context(), f, "canceled by a test"); err != nil {
			t.Error(err)
		}
		return refuse(w, http.StatusForbidden, "ConcurrentQuotaExceed.ExportImage")
	}}
	full.on.Store(true)
	c := trackertest.Start(t, 1, cloud.Options{Wrap: full.wrap})
	tr = patient(t, c)
	f, err := tr.Begin(t.Context(), "Test", c.Request(t, c.Images[0]))
	if err != nil {
		t.Fatal(err)
	}
	id = f.ID
	if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil || f.State != export.Canceled {
		t.Fatalf("state %s, %v", f.State, err)
	}
	if !slices.ContainsFunc(f.Lines, func(l export.Line) bool {
		return l.State == export.Canceling && strings.Contains(l.Reason, "ConcurrentQuotaExceed.ExportImage")
	}) {
		t.Error("the log does not tell that ECS refused the call")
	}
}

// TestClearGoesOn wants an object that can't be removed to keep no other from going.
func TestClearGoesOn(t *testing.T) {
	t.Parallel()
	const stays = "_data_xvdb.raw.tar.gz" // the first of them in the bucket's order
	denied := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, stays) && deny(w)
	}}
	denied.on.Store(true)
	c := trackertest.Start(t, 2, cloud.Options{Wrap: denied.wrap})
	tr := patient(t, c)
	r := c.Request(t, c.Images[1])
	r.RoleName = "nobody"
	f := submit(t, tr, r)
	bucket := tr.OSS.Bucket(f.Request.Bucket)
	for _, key := range []string{f.Request.ObjectKey(f.Request.Disks[0]), f.Request.ObjectKey(f.Request.Disks[1]), f.Request.ManifestKey()} {
		if err := bucket.Put(t.Context(), key, []byte("content"), oss.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Delete(t.Context(), f, "a test"); !errors.Is(err, oss.ErrDenied) || f.State != export.Failed {
		t.Errorf("state %s, %v", f.State, err)
	}
	page, err := bucket.List(t.Context(), oss.ListOptions{Prefix: f.Request.OSSPrefix})
	if err != nil || len(page.Objects) != 1 || !strings.HasSuffix(page.Objects[0].Key, stays) {
		t.Errorf("left: %+v, %v", page.Objects, err)
	}
}
