package mns

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// modelMessage is a message as the documents describe it, without any index.
type modelMessage struct {
	body         string
	priority     int
	enqueued     int64
	visible      int64 // when it can be received (again)
	waiting      bool  // delayed or received, until visible
	delayed      bool
	dequeues     int
	firstDequeue int64
	handle       string
	old          []string // handles that are no longer valid
}

// model is a queue that a person can check by reading.
type model struct {
	visibility, retention int64 // milliseconds
	messages              []*modelMessage
}

func (m *model) settle(now int64) {
	m.messages = slices.DeleteFunc(m.messages, func(msg *modelMessage) bool { return msg.enqueued+m.retention <= now })
	for _, msg := range m.messages {
		if msg.waiting && msg.visible <= now {
			msg.waiting, msg.delayed = false, false
			if msg.handle != "" {
				msg.old = append(msg.old, msg.handle)
				msg.handle = ""
			}
		}
	}
}

// active is what can be received: by priority, then by the time since which it
// can, then by the time of sending.
func (m *model) active() []*modelMessage {
	var active []*modelMessage
	for _, msg := range m.messages {
		if !msg.waiting {
			active = append(active, msg)
		}
	}
	slices.SortStableFunc(active, func(a, b *modelMessage) int {
		if a.priority != b.priority {
			return a.priority - b.priority
		}
		return int(a.visible - b.visible)
	})
	return active
}

// TestQueueBehavesAsItsModel drives a queue and its model with the same calls
// under a clock that only the test moves.
func TestQueueBehavesAsItsModel(t *testing.T) {
	t.Parallel()
	var moment int64 = time.Now().UnixMilli()
	c := serve(t, open(t, Config{Now: func() time.Time { return time.UnixMilli(moment) }}))
	c.now = func() time.Time { return time.UnixMilli(moment) }
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		name := fmt.Sprintf("q-%d", round)
		queue := "/queues/" + name + "/messages"
		visibility := rapid.IntRange(1, 60).Draw(t, "visibility")
		retention := rapid.IntRange(60, 200).Draw(t, "retention")
		c.must(201, "PUT", "/queues/"+name, fmt.Sprintf("<Queue><VisibilityTimeout>%d</VisibilityTimeout><MessageRetentionPeriod>%d</MessageRetentionPeriod></Queue>", visibility, retention))
		m := &model{visibility: int64(visibility) * 1000, retention: int64(retention) * 1000}
		sent := 0
		check := func(r *reply, status int) {
			t.Helper()
			if r.status != status {
				t.Fatalf("got %d, want %d: %s", r.status, status, r.body)
			}
		}
		same := func(got receivedMessage, want *modelMessage) {
			t.Helper()
			if got.Body != want.body || got.Priority != want.priority || got.EnqueueTime != want.enqueued || got.DequeueCount != want.dequeues || got.FirstDequeueTime != want.firstDequeue {
				t.Fatalf("got %+v, want %+v", got, want)
			}
		}
		pick := func() *modelMessage {
			if len(m.messages) == 0 {
				t.Skip("no messages")
			}
			return rapid.SampledFrom(m.messages).Draw(t, "message")
		}
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				n := rapid.IntRange(1, 4).Draw(t, "n")
				var b strings.Builder
				for range n {
					sent++
					msg := &modelMessage{
						body:     fmt.Sprintf("m%d", sent),
						priority: rapid.SampledFrom([]int{1, 8, 8, 16}).Draw(t, "priority"),
						enqueued: moment,
					}
					delay := rapid.SampledFrom([]int{0, 0, 5, 70}).Draw(t, "delay")
					msg.visible = moment + int64(delay)*1000
					msg.waiting, msg.delayed = delay > 0, delay > 0
					m.messages = append(m.messages, msg)
					fmt.Fprintf(&b, "<Message><MessageBody>%s</MessageBody><DelaySeconds>%d</DelaySeconds><Priority>%d</Priority></Message>", msg.body, delay, msg.priority)
				}
				r := c.call("POST", queue, "<Messages>"+b.String()+"</Messages>")
				check(r, 201)
				for i, got := range r.Messages {
					msg := m.messages[len(m.messages)-n+i]
					if (got.Handle != "") != msg.delayed {
						t.Fatalf("handle %q for %+v", got.Handle, msg)
					}
					msg.handle = got.Handle
				}
			},
			"receive": func(t *rapid.T) {
				n := rapid.IntRange(1, 16).Draw(t, "n")
				active := m.active()
				r := c.call("GET", fmt.Sprintf("%s?numOfMessages=%d", queue, n), "")
				if len(active) == 0 {
					check(r, 404)
					return
				}
				check(r, 200)
				if want := min(n, len(active)); len(r.Messages) != want {
					t.Fatalf("received %d, want %d", len(r.Messages), want)
				}
				for i, got := range r.Messages {
					msg := active[i]
					if msg.dequeues == 0 {
						msg.firstDequeue = moment
					}
					msg.dequeues++
					msg.waiting, msg.visible, msg.handle = true, moment+m.visibility, got.Handle
					same(got, msg)
					if got.NextVisibleTime != msg.visible {
						t.Fatalf("visible at %d, want %d", got.NextVisibleTime, msg.visible)
					}
				}
			},
			"peek": func(t *rapid.T) {
				active := m.active()
				r := c.call("GET", queue+"?peekonly=true&numOfMessages=16", "")
				if len(active) == 0 {
					check(r, 404)
					return
				}
				check(r, 200)
				for i, got := range r.Messages {
					same(got, active[i])
				}
			},
			"delete": func(t *rapid.T) {
				msg := pick()
				if msg.handle == "" {
					t.Skip("not held")
				}
				check(c.call("DELETE", queue+"?ReceiptHandle="+msg.handle, ""), 204)
				m.messages = slices.DeleteFunc(m.messages, func(x *modelMessage) bool { return x == msg })
			},
			"use an old handle": func(t *rapid.T) {
				msg := pick()
				if len(msg.old) == 0 {
					t.Skip("no old handle")
				}
				old := rapid.SampledFrom(msg.old).Draw(t, "old")
				check(c.call("DELETE", queue+"?ReceiptHandle="+old, ""), 404)
				check(c.call("PUT", queue+"?VisibilityTimeout=5&ReceiptHandle="+old, ""), 404)
			},
			"change visibility": func(t *rapid.T) {
				msg := pick()
				if msg.handle == "" {
					t.Skip("not held")
				}
				seconds := rapid.IntRange(1, 100).Draw(t, "seconds")
				r := c.call("PUT", fmt.Sprintf("%s?ReceiptHandle=%s&VisibilityTimeout=%d", queue, msg.handle, seconds), "")
				check(r, 200)
				msg.old = append(msg.old, msg.handle)
				msg.handle, msg.visible = r.Handle, moment+int64(seconds)*1000
				if r.NextVisibleTime != msg.visible {
					t.Fatalf("visible at %d, want %d", r.NextVisibleTime, msg.visible)
				}
			},
			"time passes": func(t *rapid.T) {
				moment += int64(rapid.SampledFrom([]int{1, 999, 1000, 5000, 30_000, 61_000}).Draw(t, "milliseconds"))
				m.settle(moment)
			},
			"": func(t *rapid.T) {
				var active, inactive, delayed int
				for _, msg := range m.messages {
					switch {
					case !msg.waiting:
						active++
					case msg.delayed:
						delayed++
					default:
						inactive++
					}
				}
				r := c.call("GET", "/queues/"+name, "")
				if r.Active != active || r.Inactive != inactive || r.Delayed != delayed {
					t.Fatalf("got %d active, %d inactive, %d delayed; want %d, %d, %d", r.Active, r.Inactive, r.Delayed, active, inactive, delayed)
				}
			},
		})
	})
}
