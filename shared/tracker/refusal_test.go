package tracker_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/ecs"
	ecsclient "ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// submit begins an export, submits it and follows it to its end.
func submit(t *testing.T, tr *tracker.Tracker, r export.Request) *tracker.Followed {
	t.Helper()
	f, err := tr.Begin(t.Context(), "", r)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil {
			t.Fatal(err)
		}
		if f.Ended() {
			return f
		}
		if time.Now().After(deadline) {
			t.Fatalf("export %s is still %s", f.ID, f.State)
		}
	}
}

// TestRefusals wants an export that ECS refuses to end as failed with what ECS
// said, and with no task.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{FormatRegions: ecs.DocumentedFormatRegions})
	tr := c.Tracker(t, c.Config())
	for code, change := range map[string]func(*export.Request){
		"NoSetRoletoECSServiceAcount":           func(r *export.Request) { r.RoleName = "nobody" },
		"InvalidImageFormat.RegionNotSupported": func(r *export.Request) { r.Format = export.QCOW2 },
		"InvalidOSSBucket.NotFound":             func(r *export.Request) { r.Bucket = "no-such-bucket-here" },
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := c.Request(t, c.Images[0])
			change(&r)
			f := submit(t, tr, r)
			if f.State != export.Failed || f.Failure.Code != code || f.Failure.Message == "" || f.Failure.RequestID == "" {
				t.Errorf("ended as %s: %+v", f.State, f.Failure)
			}
			if f.Task.ID != "" {
				t.Errorf("there is a task: %s", f.Task.ID)
			}
		})
	}
}

// TestFailedTask wants the reason of ECS for a task that failed, and the disks
// that landed all the same.
func TestFailedTask(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{})
	r := c.Request(t, c.Images[1])
	if err := os.Remove(filepath.Join(c.Folder, "small", c.Images[1]+"_xvdb.raw")); err != nil {
		t.Fatal(err)
	}
	tr := c.Tracker(t, c.Config())
	f := submit(t, tr, r)
	said, err := tr.ECS.TaskAttribute(t.Context(), f.Task.ID)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(said.Operations, func(o ecsclient.Operation) bool { return o.ErrorCode != "" })
	if i < 0 {
		t.Fatalf("ECS says nothing of the failure: %+v", said)
	}
	if o := said.Operations[i]; f.State != export.Failed || o.ErrorMessage == "" || f.Failure.Code != o.ErrorCode || f.Failure.Message != o.ErrorMessage {
		t.Errorf("ended as %s: %+v, ECS says %+v", f.State, f.Failure, o)
	}
	if len(f.Landed) != 1 || f.Landed["/dev/xvda"].Key == "" {
		t.Errorf("landed: %+v", f.Landed)
	}
	if said := f.Lines[f.Seq()-1].Reason; !strings.HasPrefix(said, "disk /dev/xvda landed and is kept") {
		t.Errorf("it does not say what it left: %q", said)
	}
}

// answering puts a function in front of a stand-in that may answer in its place,
// once on is set.
type answering struct {
	on     atomic.Bool
	answer func(service string, w http.ResponseWriter, r *http.Request) bool
}

func (a *answering) wrap(service string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.on.Load() && a.answer(service, w, r) {
			return
		}
		h.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, status int, code string) bool {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"Code": %q, "Message": "no", "RequestId": "1"}`, code)
	return true
}

// deny refuses a call of OSS.
func deny(w http.ResponseWriter) bool {
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>no</Message><RequestId>1</RequestId></Error>")
	return true
}

// TestBlind wants MaxAge to end an export that can't be looked at any more, and
// nothing to end it before.
func TestBlind(t *testing.T) {
	t.Parallel()
	denied := &answering{answer: func(service string, w http.ResponseWriter, _ *http.Request) bool {
		return service == "ecs" && refuse(w, http.StatusForbidden, "Forbidden.RAM")
	}}
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour, Wrap: denied.wrap})
	tr := c.Tracker(t, c.Config())
	f, err := tr.Begin(t.Context(), "", c.Request(t, c.Images[0]))
	if err == nil {
		err = tr.Step(t.Context(), f, tracker.Known{})
	}
	if err != nil || f.State != export.Exporting {
		t.Fatalf("state %s, %v", f.State, err)
	}
	denied.on.Store(true)
	if err := tr.Step(t.Context(), f, tracker.Known{}); err == nil || f.State != export.Exporting {
		t.Errorf("before its time: state %s, %v", f.State, err)
	}
	tr.Policy.MaxAge = time.Millisecond
	if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil || f.State != export.Failed {
		t.Fatalf("state %s, %v", f.State, err)
	}
	if f.Failure.Code != export.CodeMaxAge || !strings.Contains(f.Failure.Message, "Forbidden.RAM") {
		t.Errorf("failed by %+v", f.Failure)
	}
}

// TestTaskOfOneOperation wants a task that DescribeTasks shows and
// DescribeTaskAttribute does not know to keep us from submitting another.
func TestTaskOfOneOperation(t *testing.T) {
	t.Parallel()
	var submissions atomic.Int32
	ecs := &answering{answer: func(service string, w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Query().Get("Action") {
		case "ExportImage":
			submissions.Add(1)
		case "DescribeTaskAttribute":
			return refuse(w, http.StatusBadRequest, "InvalidTaskId.NotFound")
		}
		return false
	}}
	c := trackertest.Start(t, 2, cloud.Options{Speed: 1, Tasks: 1, TaskLeast: time.Hour, Wrap: ecs.wrap})
	tr := c.Tracker(t, c.Config())
	// The only place is taken, so that the next task waits and writes nothing.
	first, err := tr.Begin(t.Context(), "", c.Request(t, c.Images[0]))
	if err == nil {
		err = tr.Step(t.Context(), first, tracker.Known{})
	}
	if err != nil {
		t.Fatal(err)
	}
	ecs.on.Store(true)
	ctx, die := context.WithCancel(t.Context())
	defer die()
	config := c.Config()
	config.ECSEndpoint = afterwards(t, config.ECSEndpoint, "ExportImage", die)
	dying := c.Tracker(t, config)
	f, err := dying.Begin(ctx, "", c.Request(t, c.Images[1]))
	if err != nil {
		t.Fatal(err)
	}
	if err := dying.Step(ctx, f, tracker.Known{}); err == nil || submissions.Load() != 1 {
		t.Fatalf("%d submissions, %v", submissions.Load(), err)
	}
	again, _, err := tr.Load(t.Context(), f.ID)
	if err != nil || again.State != export.Submitting {
		t.Fatalf("state %s, %v", again.State, err)
	}
	tr.Now = func() time.Time { return time.Now().Add(config.SubmitTimeout + 2*config.ClockSkew) }
	if err := tr.Step(t.Context(), again, tracker.Known{}); err != nil || again.State != export.Submitting || submissions.Load() != 1 {
		t.Errorf("state %s after %d submissions, %v", again.State, submissions.Load(), err)
	}
}

// afterwards returns the URL of a proxy that calls do after it passed on an
// action, and loses the answer.
func afterwards(t *testing.T, target, action string, do func()) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passed, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, target+r.URL.RequestURI(), r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		passed.Header = r.Header
		resp, err := http.DefaultClient.Do(passed)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		if r.URL.Query().Get("Action") == action {
			do()
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestUnsentNudge wants the end of the first step to make good a nudge that could
// not be sent at its beginning.
func TestUnsentNudge(t *testing.T) {
	t.Parallel()
	var lost atomic.Bool
	queue := &answering{answer: func(_ string, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.Contains(r.URL.Path, "/queues/") || lost.Swap(true) {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}}
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour, Wrap: queue.wrap})
	tr := c.Tracker(t, c.Config())
	queue.on.Store(true)
	f, err := tr.Begin(t.Context(), "", c.Request(t, c.Images[0]))
	if err == nil {
		err = tr.Step(t.Context(), f, tracker.Known{})
	}
	if err == nil {
		err = tr.PlanSooner(t.Context(), f)
	}
	if err != nil || !lost.Load() {
		t.Fatalf("nudge lost: %v, %v", lost.Load(), err)
	}
	messages, err := tr.Tasks.Receive(t.Context(), 16, 5*time.Second)
	if err != nil || len(messages) != 1 {
		t.Errorf("%d nudges, want 1 (%v)", len(messages), err)
	}
}

// TestOverdueLook wants a step out of turn to leave a nudge where the look that was
// planned should have been long ago: its nudge is lost, and what this step writes
// puts off the sweep.
func TestOverdueLook(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	tr := c.Tracker(t, c.Config())
	f, err := tr.Begin(t.Context(), "", c.Request(t, c.Images[0]))
	if err == nil {
		err = tr.Step(t.Context(), f, tracker.Known{})
	}
	if err != nil {
		t.Fatal(err)
	}
	lost, err := tr.Tasks.Receive(t.Context(), 16, 5*time.Second)
	if err != nil || len(lost) != 1 {
		t.Fatalf("%d nudges, %v", len(lost), err)
	}
	tr.Now = func() time.Time { return time.Now().Add(2*tr.Policy.LookMax + time.Second) }
	if err := tr.PlanSooner(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if messages, err := tr.Tasks.Receive(t.Context(), 16, 5*time.Second); err != nil || len(messages) != 1 {
		t.Errorf("%d nudges, want 1 (%v)", len(messages), err)
	}
}
