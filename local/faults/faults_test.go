package faults_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

// TestCodes lets each service refuse a call in its own format, with the status
// and the message of its documents, and then answer as ever.
func TestCodes(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()
	s.must(s.bucket.Put(ctx, "k", []byte("x"), oss.PutOptions{}))

	refusedAs := func(status int, code, message string) func(error) bool {
		return func(err error) bool {
			e, ok := rpc.Refused(err)
			return ok && e.Status == status && e.Code == code && strings.HasPrefix(e.Message, message)
		}
	}
	var ossError *oss.Error
	var mnsError *mns.Error
	for _, test := range []struct {
		fault string
		call  func() error
		want  func(error) bool
	}{
		{`{"service":"ecs","action":"ExportImage","what":{"code":"WeeklyQuotaExceed.ExportImage"}}`,
			func() error { _, err := s.export(ctx); return err },
			refusedAs(403, "WeeklyQuotaExceed.ExportImage", "The weekly quota for exported images")},
		{`{"service":"ecs","action":"CancelTask","what":{"code":"CancelTaskFailed"}}`,
			func() error { return s.ecs.CancelTask(ctx, "t-1") },
			refusedAs(403, "CancelTaskFailed", "The task is failed to cancel")},
		{`{"service":"ecs","what":{"code":"InvalidParameter","status":400,"message":"as I say"}}`,
			func() error { return s.ecs.CancelTask(ctx, "t-1") },
			refusedAs(400, "InvalidParameter", "as I say")},
		{`{"service":"ram","action":"GetRole","what":{"code":"EntityNotExist.Role"}}`,
			func() error { _, err := s.ram.Role(ctx, role); return err },
			func(err error) bool {
				return errors.Is(err, ram.ErrNotFound) && refusedAs(404, "EntityNotExist.Role", "The role does not exist.")(err)
			}},
		{`{"service":"sts","action":"AssumeRole","what":{"code":"NoPermission"}}`,
			func() error { _, err := s.ram.AssumeRole(ctx, "acs:ram::1:role/x", "xx", time.Hour); return err },
			func(err error) bool { return errors.Is(err, ram.ErrForbidden) }},
		{`{"service":"oss","action":"GetObject","what":{"code":"NoSuchKey"}}`,
			func() error { _, _, err := s.bucket.Get(ctx, "k"); return err },
			func(err error) bool { return errors.Is(err, oss.ErrNotFound) }},
		{`{"service":"oss","action":"HeadObject","what":{"code":"AccessDenied"}}`, // the body is in a header
			func() error { _, err := s.bucket.Head(ctx, "k"); return err },
			func(err error) bool {
				return errors.Is(err, oss.ErrDenied) && errors.As(err, &ossError) && ossError.Code == "AccessDenied"
			}},
		{`{"service":"oss","action":"AppendObject","what":{"code":"PositionNotEqualToLength"}}`,
			func() error { _, err := s.bucket.Append(ctx, "log", 0, []byte("x")); return err },
			func(err error) bool { return errors.Is(err, oss.ErrPosition) }},
		{`{"service":"mns","action":"SendMessage","what":{"code":"QueueNotExist"}}`,
			func() error { _, err := s.queue.Send(ctx, "x", 0); return err },
			func(err error) bool { return errors.Is(err, mns.ErrNoQueue) }},
		{`{"service":"mns","action":"PublishMessage","what":{"code":"TopicNotExist"}}`,
			func() error { _, err := s.topic.Publish(ctx, "x", ""); return err },
			func(err error) bool { return errors.Is(err, mns.ErrNoTopic) }},
		{`{"service":"mns","action":"ReceiveMessage","what":{"code":"QpsLimitExceeded"}}`,
			func() error { _, err := s.queue.Receive(ctx, 16, 0); return err },
			func(err error) bool { return errors.As(err, &mnsError) && mnsError.Code == "QpsLimitExceeded" }},
	} {
		s.add(test.fault)
		if err := test.call(); err == nil || !test.want(err) {
			t.Errorf("%s: got %v", test.fault, err)
		}
		s.call(http.MethodDelete, "")
		if err := test.call(); err != nil && test.want(err) {
			t.Errorf("%s: still so after DELETE: %v", test.fault, err)
		}
	}
}

// A status without a code is what stands in front of the service: no client can
// read its answer, and none knows what became of the call.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.add(`{"service":"ecs","action":"ExportImage","when":{"nth":1},"what":{"status":502}}`)
	_, err := s.export(t.Context())
	var e *rpc.Error
	if !errors.As(err, &e) || e.Status != 502 || e.Code != "" || !rpc.Ambiguous(err) {
		t.Errorf("ExportImage: %v", err)
	}
	s.clear(1)
	if got := s.tasks(); got != 0 {
		t.Errorf("%d tasks: the work was done", got)
	}
}

// Drop does the work and cuts the answer off; cut leaves the work undone.
func TestCutAndDrop(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx := t.Context()

	s.add(`{"service":"ecs","action":"ExportImage","when":{"nth":1},"what":{"cut":true}}`)
	if _, err := s.export(ctx); !rpc.Ambiguous(err) {
		t.Errorf("ExportImage that was cut: %v", err)
	}
	s.clear(1)
	if got := s.tasks(); got != 0 {
		t.Errorf("ExportImage that was cut began %d tasks", got)
	}
	s.add(`{"service":"ecs","action":"ExportImage","when":{"nth":1},"what":{"drop":true}}`)
	if _, err := s.export(ctx); !rpc.Ambiguous(err) {
		t.Errorf("ExportImage without an answer: %v", err)
	}
	s.clear(1)
	if got := s.tasks(); got != 1 {
		t.Errorf("ExportImage without an answer began %d tasks, want 1", got)
	}

	s.add(`{"service":"oss","action":"AppendObject","what":{"cut":true}}`)
	if _, err := s.bucket.Append(ctx, "log", 0, []byte("one")); !errors.Is(err, oss.ErrUnsettled) {
		t.Errorf("append that was cut: %v", err)
	}
	s.call(http.MethodDelete, "")
	if _, err := s.bucket.Head(ctx, "log"); !errors.Is(err, oss.ErrNotFound) {
		t.Errorf("append that was cut: %v, want nothing there", err)
	}
	s.add(`{"service":"oss","action":"AppendObject","what":{"drop":true}}`)
	if _, err := s.bucket.Append(ctx, "log", 0, []byte("one")); !errors.Is(err, oss.ErrUnsettled) {
		t.Errorf("append without an answer: %v", err)
	}
	s.call(http.MethodDelete, "")
	if got, _, err := s.bucket.Get(ctx, "log"); string(got) != "one" || err != nil {
		t.Errorf("append without an answer left %q, %v", got, err)
	}

	s.add(`{"service":"mns","action":"PublishMessage","what":{"cut":true}}`)
	if _, err := s.topic.Publish(ctx, "x", ""); !errors.Is(err, mns.ErrUnsettled) {
		t.Errorf("publish that was cut: %v", err)
	}
}

// What ECS writes to OSS fails like every other call: so does its task, with the
// reason that ECS gives.
func TestTaskThatFails(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.add(`{"service":"oss","action":"UploadPart","what":{"code":"AccessDenied"}}`)
	task, err := s.export(t.Context())
	s.must(err)
	var got ecs.TaskDetail
	eventually(t, "the end of the task", func() bool {
		got, err = s.ecs.TaskAttribute(t.Context(), task)
		return err == nil && got.Status == ecs.TaskFailed
	})
	s.clear(1)
	if len(got.Operations) == 0 || got.Operations[0].ErrorCode != "InvalidOSS.NotAuthorized" || got.Operations[0].ErrorMessage == "" {
		t.Errorf("the task: %+v", got)
	}
}

// Two faults together make ECS write after its task was canceled, which it may.
func TestWriteAfterCancel(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *cloud.Options) { o.TaskPerGiB, o.TaskLeast = 1, 1 })
	s.add(`{"service":"oss","action":"CompleteMultipartUpload","what":{"delay":"3s"}}`)
	s.add(`{"service":"oss","action":"AbortMultipartUpload","what":{"code":"AccessDenied"}}`)
	task, err := s.export(t.Context())
	s.must(err)
	s.strikes()
	s.must(s.ecs.CancelTask(t.Context(), task))
	if got, err := s.ecs.TaskAttribute(t.Context(), task); err != nil || got.Status != ecs.TaskDeleted {
		t.Errorf("after cancel: %+v, %v", got, err)
	}
	eventually(t, "the object of the canceled task", func() bool {
		page, err := s.target.List(t.Context(), oss.ListOptions{Prefix: s.image})
		return err == nil && len(page.Objects) == 1
	})
}

// What docs/local.md tells people to type works.
func TestDocs(t *testing.T) {
	t.Parallel()
	s := start(t)
	text, err := os.ReadFile("../../docs/local.md")
	s.must(err)
	examples := regexp.MustCompile(`(?m)^curl \$API_URL/_local/faults -d '(.*)'$`).FindAllStringSubmatch(string(text), -1)
	for _, example := range examples {
		s.add(example[1])
	}
	if len(examples) < 3 {
		t.Errorf("%d examples were found", len(examples))
	}
	s.clear(0)
}

// A client that may repeat a call repeats it.
func TestClientsRepeatReads(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.add(`{"service":"ram","action":"GetRole","when":{"times":2},"what":{"code":"ServiceUnavailable"}}`)
	if _, err := s.ram.Role(t.Context(), role); err != nil {
		t.Errorf("after two failures: %v", err)
	}
	s.clear(2)
}

// What is late is done, even if the caller does not wait for it.
func TestDelay(t *testing.T) {
	t.Parallel()
	s := start(t)
	// The caller goes away as soon as the call has arrived.
	impatient := func(fault string, call func(context.Context) error) {
		t.Helper()
		s.add(fault)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		s.strikes()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("it was not late: %v", err)
		}
		s.clear(1)
	}
	impatient(`{"service":"ecs","action":"ExportImage","when":{"nth":1},"what":{"delay":"2s"}}`,
		func(ctx context.Context) error { _, err := s.export(ctx); return err })
	impatient(`{"service":"oss","action":"PutObject","when":{"nth":1},"what":{"delay":"2s"}}`,
		func(ctx context.Context) error { return s.bucket.Put(ctx, "late", []byte("x"), oss.PutOptions{}) })
	eventually(t, "the task of the late call", func() bool { return s.tasks() == 1 })
	eventually(t, "the late object", func() bool {
		got, _, err := s.bucket.Get(t.Context(), "late")
		return err == nil && string(got) == "x"
	})

	// What else happens to a late call happens at the end of its delay.
	s.add(`{"service":"ecs","action":"CancelTask","when":{"nth":1},"what":{"delay":"1ms","code":"CancelTaskFailed"}}`)
	if e, ok := rpc.Refused(s.ecs.CancelTask(t.Context(), "t-1")); !ok || e.Code != "CancelTaskFailed" {
		t.Errorf("late and refused: %v", e)
	}
	s.clear(1)
}

// A message comes twice.
func TestDuplicate(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.add(`{"service":"mns","action":"SendMessage","when":{"nth":2},"what":{"duplicate":true}}`)
	for _, body := range []string{"a", "b", "c"} {
		_, err := s.queue.Send(t.Context(), body, 0)
		s.must(err)
	}
	s.clear(1)
	count := map[string]int{}
	for _, body := range s.messages() {
		count[body]++
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 2, "c": 1}, count); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}

	_, err := s.mns.EnsureSubscription(t.Context(), s.topic.Name(), "twice", mns.Subscription{Endpoint: s.mns.QueueEndpoint(s.queue.Name()), Strategy: "BACKOFF_RETRY", Format: "SIMPLIFIED"})
	s.must(err)
	s.add(`{"service":"mns","action":"PublishMessage","when":{"nth":1},"what":{"duplicate":true}}`)
	_, err = s.topic.Publish(t.Context(), "event", "")
	s.must(err)
	s.clear(1)
	var got []string
	eventually(t, "both messages", func() bool { got = append(got, s.messages()...); return len(got) >= 2 })
	if diff := cmp.Diff([]string{"event", "event"}, got); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
}
