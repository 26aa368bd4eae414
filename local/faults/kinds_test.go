package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

const trustsECS = `{"Version":"1","Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":["ecs.aliyuncs.com"]}}]}`

// write is an operation of a service that leaves something behind.
type write struct {
	service, action string
	call            func(context.Context) error // makes one more
	made            func() int                  // how many there are
	unknown         func(error) bool            // the client does not know what became of it
}

// writes has one for each service. STS makes sessions, which nobody can count.
func (s standIn) writes() []write {
	n := 0
	next := func(prefix string) string { n++; return fmt.Sprint(prefix, n) }
	return []write{
		{"ecs", "ExportImage",
			func(ctx context.Context) error { _, err := s.export(ctx); return err },
			func() int {
				tasks, err := s.ecs.TasksByImage(s.t.Context(), s.image)
				s.must(err)
				for _, t := range tasks {
					if t.Status == ecs.TaskProcessing { // in the way of the next
						s.must(s.ecs.CancelTask(s.t.Context(), t.ID))
					}
				}
				return len(tasks)
			}, rpc.Ambiguous},
		{"ram", "CreateRole",
			func(ctx context.Context) error {
				_, err := s.ram.CreateRole(ctx, ram.Role{Name: next("kind"), Trust: trustsECS})
				return err
			},
			func() int {
				there := 0
				for i := range n {
					_, err := s.ram.Role(s.t.Context(), fmt.Sprint("kind", i+1))
					if err == nil {
						there++
					} else if !errors.Is(err, ram.ErrNotFound) {
						s.t.Fatal(err)
					}
				}
				return there
			}, rpc.Ambiguous},
		{"oss", "PutObject",
			func(ctx context.Context) error {
				return s.bucket.Put(ctx, next("kinds/"), []byte("x"), oss.PutOptions{})
			},
			func() int {
				page, err := s.bucket.List(s.t.Context(), oss.ListOptions{Prefix: "kinds/"})
				s.must(err)
				return len(page.Objects)
			}, func(err error) bool { return errors.Is(err, oss.ErrUnsettled) }},
		{"mns", "SendMessage",
			func(ctx context.Context) error { _, err := s.queue.Send(ctx, "x", 0); return err },
			func() func() int {
				received := 0
				return func() int { received += len(s.messages()); return received }
			}(), func(err error) bool { return errors.Is(err, mns.ErrUnsettled) }},
	}
}

// TestKinds does everything to a call of every service that can be done to it, and
// looks from outside at what became of the call.
func TestKinds(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, w := range s.writes() {
		t.Run(w.service, func(t *testing.T) {
			s := s
			s.t = t
			fault := func(what string) {
				t.Helper()
				s.add(fmt.Sprintf(`{"service":%q,"action":%q,"when":{"nth":1},"what":%s}`, w.service, w.action, what))
			}
			for _, test := range []struct {
				name, what string
				work       int
			}{
				{"a page of a gateway", `{"status":503}`, 0},
				{"cut", `{"cut":true}`, 0},
				{"drop", `{"drop":true}`, 1},
				{"late and cut", `{"delay":"1ms","cut":true}`, 0},
				{"late and dropped", `{"delay":"1ms","drop":true}`, 1},
			} {
				before := w.made()
				fault(test.what)
				if err := w.call(t.Context()); !w.unknown(err) {
					t.Errorf("%s: %v, want an error that leaves open whether it was done", test.name, err)
				}
				s.clear(1)
				if got := w.made() - before; got != test.work {
					t.Errorf("%s: it was done %d times, want %d", test.name, got, test.work)
				}
			}

			before := w.made()
			fault(`{"delay":"1s"}`)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.call(ctx) }()
			s.strikes()
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("it was not late: %v", err)
			}
			s.clear(1)
			eventually(t, "the work of a late call whose caller went away", func() bool { return w.made() == before+1 })
			if err := w.call(t.Context()); err != nil {
				t.Errorf("after the faults: %v", err)
			}
		})
	}
}

// TestKindsOfSTS does the same to a call that leaves nothing behind, and which the
// client repeats.
func TestKindsOfSTS(t *testing.T) {
	t.Parallel()
	s := start(t)
	arn := "acs:ram::" + s.environment["ACCOUNT_ID"] + ":role/taken"
	_, err := s.ram.CreateRole(t.Context(), ram.Role{Name: "taken", Trust: strings.Replace(trustsECS, `"Service":["ecs.aliyuncs.com"]`,
		`"RAM":["acs:ram::`+s.environment["ACCOUNT_ID"]+`:root"]`, 1)})
	s.must(err)
	for _, what := range []string{`{"status":502}`, `{"cut":true}`, `{"drop":true}`, `{"code":"ServiceUnavailable"}`} {
		s.add(`{"service":"sts","action":"AssumeRole","what":` + what + `}`)
		_, err := s.ram.AssumeRole(t.Context(), arn, "kinds", time.Hour)
		if !rpc.Ambiguous(err) {
			t.Errorf("%s each time: %v", what, err)
		}
		s.clear(4)
		s.add(`{"service":"sts","action":"AssumeRole","when":{"nth":1,"times":2},"what":` + what + `}`)
		if _, err := s.ram.AssumeRole(t.Context(), arn, "kinds", time.Hour); err != nil {
			t.Errorf("%s twice: %v", what, err)
		}
		s.clear(2)
	}
}

// A probability strikes some calls and spares others, and times bounds how many.
func TestProbability(t *testing.T) {
	t.Parallel()
	s := start(t)
	const calls = 64 // that all fall on one side is less likely than 1 in 2^62
	send := func(when string) (refused int) {
		t.Helper()
		s.add(`{"service":"mns","action":"SendMessage","when":` + when + `,"what":{"code":"AccessDenied"}}`)
		for range calls {
			_, err := s.queue.Send(t.Context(), "x", 0)
			var e *mns.Error
			switch {
			case err == nil:
			case errors.As(err, &e) && e.Code == "AccessDenied":
				refused++
			default:
				t.Fatal(err)
			}
		}
		s.clear(refused)
		if got := len(s.messages()); got != calls-refused {
			t.Errorf("%s: of %d calls %d were refused, and %d messages are there", when, calls, refused, got)
		}
		return refused
	}
	if got := send(`{"probability":0.5}`); got == 0 || got == calls {
		t.Errorf("a probability of a half refused %d of %d calls", got, calls)
	}
	if got := send(`{"probability":0.9,"times":3}`); got != 3 {
		t.Errorf("of those that it may strike three times it struck %d", got)
	}
	if got := send(`{"probability":1}`); got != calls {
		t.Errorf("a probability of 1 refused %d of %d calls", got, calls)
	}
}

// TestActionAlone wants an action that is named to be the only one that
// fails, and none to fail once the faults are cleared.
func TestActionAlone(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.add(`{"service":"oss","action":"PutObject","what":{"code":"AccessDenied"}}`)
	if _, err := s.bucket.Append(t.Context(), "log", 0, []byte("x")); err != nil {
		t.Errorf("another action of the service: %v", err)
	}
	if _, err := s.queue.Send(t.Context(), "x", 0); err != nil {
		t.Errorf("another service: %v", err)
	}
	if err := s.bucket.Put(t.Context(), "k", nil, oss.PutOptions{}); !errors.Is(err, oss.ErrDenied) {
		t.Errorf("the action: %v", err)
	}
	if status, _ := s.call(http.MethodDelete, ""); status != http.StatusNoContent {
		t.Errorf("DELETE: %d", status)
	}
	if err := s.bucket.Put(t.Context(), "k", nil, oss.PutOptions{}); err != nil {
		t.Errorf("after DELETE: %v", err)
	}
}

// A code that the documents list twice is told apart by its status, and has the
// message that goes with that.
func TestCodeWithTwoMeanings(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, test := range []struct {
		what    string
		status  int
		message string
	}{
		{`{"code":"ImageNotSupported"}`, 403, "The specified image from the image market"},
		{`{"code":"ImageNotSupported","status":403}`, 403, "The specified image from the image market"},
		{`{"code":"ImageNotSupported","status":400}`, 400, "The specified Image contains encrypted snapshots"},
		{`{"code":"ImageNotSupported","status":503}`, 503, "The specified image from the image market"},
	} {
		s.add(`{"service":"ecs","action":"ExportImage","what":` + test.what + `}`)
		_, err := s.export(t.Context())
		var e *rpc.Error
		if !errors.As(err, &e) || e.Status != test.status || e.Code != "ImageNotSupported" || !strings.HasPrefix(e.Message, test.message) {
			t.Errorf("%s: got %v, want %q", test.what, err, test.message)
		}
		s.call(http.MethodDelete, "")
	}
}
