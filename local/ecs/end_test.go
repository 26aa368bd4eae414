package ecs_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"ecs-image-export/local/ecs"
)

// A cancel that cannot be stored, as on a full disk, has not happened: the task
// still runs, and can be canceled once there is space.
func TestCancelThatIsNotStored(t *testing.T) {
	t.Parallel()
	c := newCloud(t, twoDisks(t), nil)
	reached, release := c.hold(partUpload)
	id := c.export(params{"ImageId": "m-2"})
	<-reached
	mend := ecs.BreakStore(c.ecs)
	if _, err := c.call("CancelTask", params{"TaskId": id}); refused(err) != "500 InternalError" {
		t.Errorf("cancel: got %q", refused(err))
	}
	if got := c.task(id); got["TaskStatus"] != "Processing" || got["FinishedTime"] != "" {
		t.Errorf("after a cancel that failed: %v", got)
	}
	mend()
	c.must("CancelTask", params{"TaskId": id})
	close(release)
	eventually(t, func() bool { return len(c.uploads()) == 0 }, func() string { return "the upload stays" })
	if got := c.keys(); len(got) > 0 {
		t.Errorf("a canceled task left %v", got)
	}
}

// failures is a log that tells when a message comes.
type failures struct {
	slog.Handler
	message string
	once    *sync.Once
	came    chan struct{}
}

func (f failures) Enabled(context.Context, slog.Level) bool { return true }

func (f failures) Handle(_ context.Context, r slog.Record) error {
	if r.Message == f.message {
		f.once.Do(func() { close(f.came) })
	}
	return nil
}

// The end of a task is told once it is stored: one that a client saw as failed
// would run again after a restart.
func TestEndThatIsNotStored(t *testing.T) {
	t.Parallel()
	log := failures{slog.DiscardHandler, "end export", new(sync.Once), make(chan struct{})}
	c := newCloud(t, twoDisks(t), func(c *ecs.Config) { c.Log = slog.New(log) })
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.through(func(w http.ResponseWriter, r *http.Request) bool {
		if !partUpload(r) {
			return false
		}
		// The SDK looks at what was sent of a body as soon as it has the answer.
		_, _ = io.Copy(io.Discard, r.Body)
		once.Do(func() { close(reached) })
		<-release
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<Error><Code>AccessDenied</Code></Error>"))
		return true
	})
	id := c.export(params{"ImageId": "m-2"})
	<-reached
	mend := ecs.BreakStore(c.ecs)
	close(release)
	<-log.came
	if got := c.task(id); got["TaskStatus"] != "Processing" || got["FailedCount"] != 0.0 {
		t.Errorf("while its end cannot be stored: %v", got)
	}
	mend()
	if got := c.await(id, "Failed"); got["FailedCount"] != 1.0 || !strings.Contains(got["FinishedTime"].(string), "T") {
		t.Errorf("once there is space: %v", got)
	}
}
