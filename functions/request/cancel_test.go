package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
)

// left lists the keys of an export's objects.
func (b *bench) left(t *testing.T, sum ExportSummary) []string {
	t.Helper()
	page, err := b.tracker.OSS.Bucket(sum.Bucket).List(t.Context(), oss.ListOptions{Prefix: sum.OSSPrefix})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range page.Objects {
		keys = append(keys, o.Key)
	}
	return keys
}

// TestCancel cancels over HTTP, with the rights that the function is deployed with.
func TestCancel(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: 4})
	api := b.instance(t)
	sum := api.create(t, order("imageId", b.images[1]))
	b.follow(t, sum.ID, func(x export.Export) bool { return x.State == export.Exporting })
	path := "/exports/" + sum.ID + "/cancel"
	for range 2 {
		a := api.do(t, "POST", path, "")
		var now ExportSummary
		if a.into(t, &now); a.status != http.StatusAccepted || now.State != "canceling" && now.State != "canceled" || now.ID != sum.ID {
			t.Fatalf("%d %s", a.status, a.body)
		}
		api.conforms(t, "ExportSummary", a)
	}
	x := b.follow(t, sum.ID, func(x export.Export) bool { return x.State.Terminal() })
	if x.State != export.Canceled || len(b.left(t, sum)) > 0 {
		t.Errorf("ended as %s with %v in the bucket", x.State, b.left(t, sum))
	}
	begins := 0
	for _, l := range x.Lines {
		if l.Reason == "canceled by ci@example.com" {
			begins++
		}
	}
	if begins != 1 {
		t.Errorf("the log says %d times who canceled, want once", begins)
	}
	var now ExportSummary
	a := api.do(t, "POST", path, "{}")
	if a.into(t, &now); a.status != http.StatusAccepted || now.State != "canceled" || now.UpdatedAt != x.UpdatedAt {
		t.Errorf("a third time: %d %s", a.status, a.body)
	}
	if a := api.do(t, "GET", "/exports/"+sum.ID+"/disks/xvda/download", ""); a.status != http.StatusConflict || !strings.Contains(a.body, "removed") {
		t.Errorf("download: %d %s", a.status, a.body)
	}
}

// TestCancelTooLate wants an export that completed first to stay so, and the answer
// to say what can be done instead; then that is done.
func TestCancelTooLate(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	api := b.instance(t)
	sum := api.create(t, order("imageId", b.images[0]))
	path := "/exports/" + sum.ID
	if x := b.follow(t, sum.ID, func(x export.Export) bool { return x.State.Terminal() }); x.State != export.Completed {
		t.Fatalf("ended as %s: %+v", x.State, x.Failure)
	}
	a := api.do(t, "POST", path+"/cancel", "")
	if p := a.problem(t); p.Status != http.StatusConflict || p.Code != codeEnded || !strings.Contains(p.Detail, "completed") || !strings.Contains(p.Detail, "DELETE "+path) {
		t.Errorf("cancel: %s", a.body)
	}
	if len(b.left(t, sum)) != 2 {
		t.Fatalf("the disk and the manifest should be there: %v", b.left(t, sum))
	}
	for _, who := range []string{"eve@example.com", "ci@example.com"} {
		a := api.do(t, "DELETE", path, "", "Authorization", "Bearer "+issuer.token(with(map[string]any{"sub": who})))
		var now ExportSummary
		if a.into(t, &now); a.status != http.StatusOK || now.State != "deleted" || len(b.left(t, sum)) > 0 {
			t.Fatalf("%d %s; left %v", a.status, a.body, b.left(t, sum))
		}
		api.conforms(t, "ExportSummary", a)
	}
	var detail exportDetail
	api.do(t, "GET", path, "").into(t, &detail)
	if last := detail.History[len(detail.History)-1]; last.State != "deleted" || last.Reason != "deleted by eve@example.com" {
		t.Errorf("who deleted it: %+v", last)
	}
	if p := api.do(t, "GET", path+"/manifest", "").problem(t); p.Status != http.StatusConflict {
		t.Errorf("manifest: %+v", p)
	}
	if p := api.do(t, "POST", path+"/cancel", "").problem(t); p.Code != codeEnded || !strings.Contains(p.Detail, "nothing left") || !strings.Contains(p.Detail, "DELETE "+path) {
		t.Errorf("cancel after delete: %+v", p)
	}
}

// TestCancelWaiting wants an export that was never submitted to be canceled by the
// answer: there is nothing to wait for.
func TestCancelWaiting(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	api := b.instance(t)
	body := order("imageId", b.images[0])
	api.create(t, body)
	if sum := api.create(t, body); sum.State != "queued" {
		t.Fatalf("state %s", sum.State)
	} else if a := api.do(t, "POST", "/exports/"+sum.ID+"/cancel", ""); a.status != http.StatusAccepted || !strings.Contains(a.body, `"canceled"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestCancelRefused wants what can't be canceled or deleted to be told with the way
// out.
func TestCancelRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	api := b.instance(t)
	for _, call := range [][2]string{{"POST", "/cancel"}, {"DELETE", ""}} {
		for _, id := range []string{"9ezp731pmncmq", "nobody"} {
			if p := api.do(t, call[0], "/exports/"+id+call[1], "").problem(t); p.Status != http.StatusNotFound || p.Code != codeNoExport {
				t.Errorf("%s %s%s: %+v", call[0], id, call[1], p)
			}
		}
	}
	sum := api.create(t, order("imageId", b.images[0]))
	if p := api.do(t, "DELETE", "/exports/"+sum.ID, "").problem(t); p.Status != http.StatusConflict || p.Code != codeNotEnded || !strings.Contains(p.Detail, "POST /exports/"+sum.ID+"/cancel") {
		t.Errorf("delete: %+v", p)
	}
	// The cancel can't be recorded.
	b.meddle(func(call string, w http.ResponseWriter) bool {
		if strings.HasPrefix(call, "oss POST "+b.environment["RECORDS_BUCKET"]+"/exports/") {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	if p := api.do(t, "POST", "/exports/"+sum.ID+"/cancel", "").problem(t); p.Status != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "twice") {
		t.Errorf("cancel: %+v", p)
	}
	b.meddle(nil)
	// It can be recorded, and ECS does not answer: the cancel is accepted.
	b.meddle(func(call string, w http.ResponseWriter) bool {
		if strings.HasPrefix(call, "ecs ") {
			http.Error(w, `{"Code":"Forbidden.RAM","Message":"no"}`, http.StatusForbidden)
			return true
		}
		return false
	})
	if a := api.do(t, "POST", "/exports/"+sum.ID+"/cancel", ""); a.status != http.StatusAccepted || !strings.Contains(a.body, `"canceling"`) {
		t.Errorf("cancel: %d %s", a.status, a.body)
	}
}
