package tracker_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// coded answers some actions of ECS with a code, while it has one.
type coded struct {
	actions []string
	mu      sync.Mutex
	code    export.Code
	struck  int
}

func (c *coded) set(code export.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.code, c.struck = code, 0
}

// times is how often it answered since the code was set.
func (c *coded) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.struck
}

func (c *coded) answer(_ string, w http.ResponseWriter, r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	action := r.URL.Query().Get("Action")
	for _, a := range c.actions {
		if a == action && c.code.Code != "" {
			c.struck++
			return refuse(w, c.code.Status, c.code.Code)
		}
	}
	return false
}

// rows are the rows of the table about an operation, and some more answers to it.
func rows(where string, more ...export.Code) (found []export.Code) {
	for _, c := range export.Codes {
		if c.Where == where {
			found = append(found, c)
		}
	}
	return append(found, more...)
}

// TestCodesOfCancelTask walks the table: CancelTask is answered with each code, and
// the log of the export must say what that code means for it. Whatever it was, the
// call is made again while the task runs, and the export ends when that has.
func TestCodesOfCancelTask(t *testing.T) {
	t.Parallel()
	const passes, silent = "has ended", ""
	says := map[string]string{ // how the line about the refusal ends
		"MissingParameter":                   "show the code and the request id to whoever runs it.",
		"InvalidRegionId.NotFound":           "Correct REGION of the deployment.",
		"InvalidTaskId.NotFound":             silent,
		"InvalidTaskId.TaskActionNotSupport": passes,
		"InvalidTaskId.IncorrectTaskStatus":  passes,
		"CancelTaskFailed":                   passes,
		"OperationConflict":                  passes,
		"Forbidden.RAM":                      "or run the set-up again.",
		"Haunted":                            "troubleshoot?q=Haunted",
		"InternalError":                      silent,
	}
	all := rows(export.OpCancel, export.CodeOf(export.OpCancel, "OperationConflict", 409),
		export.CodeOf(export.OpCancel, "Forbidden.RAM", 403), export.CodeOf(export.OpCancel, "Haunted", 400),
		export.CodeOf(export.OpCancel, "InternalError", 500))
	ecs := &coded{actions: []string{"CancelTask"}}
	wrapped := &answering{answer: ecs.answer}
	wrapped.on.Store(true)
	cl := trackertest.Start(t, len(all), cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: len(all), Wrap: wrapped.wrap})
	tr := patient(t, cl)
	for i, c := range all {
		want, known := says[c.Code]
		if !known {
			t.Errorf("%s: nobody says what is to come of it", c.Code)
		}
		f := begun(t, tr, cl.Request(t, cl.Images[i]), export.Exporting)
		ecs.set(c)
		canceled(t, tr, f)
		for range 2 {
			before := ecs.times()
			if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil || f.State != export.Canceling {
				t.Fatalf("%s: %s, %v", c.Code, f.State, err)
			}
			if ecs.times() == before {
				t.Errorf("%s: CancelTask is not called again", c.Code)
			}
		}
		var lines []string
		for _, l := range f.Lines {
			if strings.HasPrefix(l.Reason, "CancelTask was refused with "+c.Code) {
				lines = append(lines, l.Reason)
			}
		}
		if want == silent && len(lines) != 0 || want != silent && (len(lines) != 1 || !strings.HasSuffix(lines[0], want)) {
			t.Errorf("%s: the log says %q, want one line that ends with %q", c.Code, lines, want)
		}
		ecs.set(export.Code{})
		gone(t, tr, f.ID)
	}
}

// TestCodesOfTasks walks the table: DescribeTasks and DescribeTaskAttribute are
// answered with each code while an export runs. What only a person can mend ends it
// when MaxAge is over and not before; that there is no such task, when it has been so
// for long enough; what passes, not at all.
func TestCodesOfTasks(t *testing.T) {
	t.Parallel()
	ends := map[string]string{ // the code of the failure in the end; blank: it goes on
		"MissingParameter":         export.CodeMaxAge,
		"InvalidRegionId.NotFound": export.CodeMaxAge,
		"InvalidTaskId.NotFound":   export.CodeTaskVanished,
		"SignatureDoesNotMatch":    export.CodeMaxAge,
		"Haunted":                  export.CodeMaxAge,
		"OperationConflict":        "",
		"InternalError":            "",
	}
	all := rows(export.OpTasks, export.CodeOf(export.OpTasks, "SignatureDoesNotMatch", 400), export.CodeOf(export.OpTasks, "Haunted", 400),
		export.CodeOf(export.OpTasks, "OperationConflict", 409), export.CodeOf(export.OpTasks, "InternalError", 500))
	ecs := &coded{actions: []string{"DescribeTasks", "DescribeTaskAttribute"}}
	wrapped := &answering{answer: ecs.answer}
	wrapped.on.Store(true)
	cl := trackertest.Start(t, len(all), cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: len(all), Wrap: wrapped.wrap})
	young, old := patient(t, cl), patient(t, cl)
	old.Policy.MaxAge, old.Policy.VanishedAfter = time.Millisecond, time.Millisecond
	for i, c := range all {
		want, known := ends[c.Code]
		if !known {
			t.Errorf("%s: nobody says what is to come of it", c.Code)
		}
		f := begun(t, young, cl.Request(t, cl.Images[i]), export.Exporting)
		ecs.set(c)
		err := young.Step(t.Context(), f, tracker.Known{})
		if (err == nil) != (want == export.CodeTaskVanished) || f.State != export.Exporting {
			t.Errorf("%s: before its time %s, %v", c.Code, f.State, err)
		}
		err = old.Step(t.Context(), f, tracker.Known{})
		switch {
		case want == "" && (err == nil || f.State != export.Exporting):
			t.Errorf("%s: %s, %v", c.Code, f.State, err)
		case want != "" && (err != nil || f.State != export.Failed || f.Failure.Code != want):
			t.Errorf("%s: %s %+v, %v; want %s", c.Code, f.State, f.Failure, err, want)
		case want == export.CodeMaxAge && !strings.Contains(f.Failure.Message, c.Code):
			t.Errorf("%s: it does not say why: %s", c.Code, f.Failure.Message)
		}
		ecs.set(export.Code{})
	}
}
