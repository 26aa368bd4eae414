package mns

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// poll starts a long poll and gives its answer.
func (c *client) poll(queue, query string) <-chan *reply {
	answer := make(chan *reply, 1)
	req := c.request("GET", "/queues/"+queue+"/messages"+query, "", nil)
	go func() { answer <- c.do(req) }()
	return answer
}

// within wants an answer with status before a poll of 30 seconds can end.
func within(t *testing.T, answer <-chan *reply, status int) *reply {
	t.Helper()
	select {
	case r := <-answer:
		if r.status != status {
			t.Fatalf("got %d, want %d: %s", r.status, status, r.body)
		}
		return r
	case <-time.After(10 * time.Second):
		t.Fatal("the poll was not woken")
		return nil
	}
}

// What wakes a poll: the list of what other queue emulators got wrong.
func TestPollWakesFor(t *testing.T) {
	t.Parallel()
	nothing := func(*client) string { return "" }
	for _, test := range []struct {
		name    string
		prepare func(c *client) (held string) // before the poll
		wake    func(c *client, held string)  // once it waits
	}{
		{"a send", nothing, func(c *client, _ string) { c.send("q", "m") }},
		{"a batch send", nothing, func(c *client, _ string) {
			c.must(201, "POST", "/queues/q/messages", "<Messages><Message><MessageBody>m</MessageBody></Message></Messages>")
		}},
		{"the end of a delay", func(c *client) string {
			c.must(201, "POST", "/queues/q/messages", "<Message><MessageBody>m</MessageBody><DelaySeconds>100</DelaySeconds></Message>")
			return ""
		}, func(*client, string) {}},
		{"the end of a delay that begins during the poll", nothing, func(c *client, _ string) {
			c.must(201, "POST", "/queues/q/messages", "<Message><MessageBody>m</MessageBody><DelaySeconds>100</DelaySeconds></Message>")
		}},
		{"the end of a visibility timeout", func(c *client) string {
			c.send("q", "m")
			c.must(200, "GET", "/queues/q/messages", "")
			return ""
		}, func(*client, string) {}},
		{"a shorter visibility timeout", func(c *client) string {
			c.must(204, "PUT", "/queues/q?metaoverride=true", "<Queue><VisibilityTimeout>43200</VisibilityTimeout></Queue>")
			c.send("q", "m")
			return c.must(200, "GET", "/queues/q/messages", "").Handle
		}, func(c *client, held string) {
			c.must(200, "PUT", "/queues/q/messages?VisibilityTimeout=1&ReceiptHandle="+held, "")
		}},
		{"a message of a topic", func(c *client) string {
			c.must(201, "PUT", "/topics/t", "")
			c.must(201, "PUT", "/topics/t/subscriptions/s", "<Subscription><Endpoint>acs:mns:cn-hangzhou:1234567890123456:queues/q</Endpoint></Subscription>")
			return ""
		}, func(c *client, _ string) {
			c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>m</MessageBody></Message>")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, Config{Speed: 200})
			c := serve(t, s)
			c.must(201, "PUT", "/queues/q", "<Queue><VisibilityTimeout>100</VisibilityTimeout></Queue>")
			held := test.prepare(c)
			answer := c.poll("q", "?waitseconds=30")
			eventually(t, "the poll to wait or end", func() bool { return s.gates.waiters("q") == 1 || len(answer) == 1 })
			test.wake(c, held)
			within(t, answer, http.StatusOK)
		})
	}
}

func TestPollWaitsAsLongAsItShould(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{Speed: 1000}))
	c.must(201, "PUT", "/queues/short", "<Queue><PollingWaitSeconds>1</PollingWaitSeconds></Queue>")
	c.must(201, "PUT", "/queues/long", "<Queue><PollingWaitSeconds>30</PollingWaitSeconds></Queue>")
	for _, test := range []struct {
		path         string
		longer, less time.Duration
	}{
		{"/queues/long/messages?waitseconds=0", 0, 30 * time.Second},         // beats the queue's
		{"/queues/short/messages", time.Second, time.Hour},                   // the queue's; not scaled
		{"/queues/short/messages?WaitSeconds=2", 2 * time.Second, time.Hour}, // beats the queue's
	} {
		start := time.Now()
		if r := c.must(404, "GET", test.path, ""); r.Code != "MessageNotExist" {
			t.Errorf("%s: got %s", test.path, r.Code)
		}
		if d := time.Since(start); d < test.longer || d > test.less {
			t.Errorf("%s waited %s", test.path, d)
		}
	}
}

func TestPollOfABatchTakesWhatThereIs(t *testing.T) {
	t.Parallel()
	s := open(t, Config{})
	c := serve(t, s)
	c.must(201, "PUT", "/queues/q", "")
	answer := c.poll("q", "?numOfMessages=16&waitseconds=30")
	eventually(t, "the poll to wait", func() bool { return s.gates.waiters("q") == 1 })
	c.send("q", "only")
	if r := within(t, answer, 200); len(r.Messages) != 1 {
		t.Errorf("got %s", r.body)
	}
}

func TestEveryWaiterGetsItsMessage(t *testing.T) {
	t.Parallel()
	const n = 20
	s := open(t, Config{})
	c := serve(t, s)
	c.must(201, "PUT", "/queues/q", "")
	var answers []<-chan *reply
	for range n {
		answers = append(answers, c.poll("q", "?waitseconds=30"))
	}
	eventually(t, "all to wait", func() bool { return s.gates.waiters("q") == n })
	for i := range n {
		c.send("q", fmt.Sprint(i))
	}
	seen := map[string]bool{}
	for _, answer := range answers {
		seen[within(t, answer, 200).Body] = true
	}
	if len(seen) != n {
		t.Errorf("%d different messages for %d waiters", len(seen), n)
	}
}

func TestAWaiterThatIsGoneTakesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, Config{})
	c := serve(t, s)
	c.must(201, "PUT", "/queues/q", "")
	var gone sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 5 {
		req := c.request("GET", "/queues/q/messages?waitseconds=30", "", nil).WithContext(ctx)
		gone.Go(func() {
			if res, err := c.http.Do(req); err == nil {
				res.Body.Close()
				t.Error("a canceled poll was answered")
			}
		})
	}
	eventually(t, "all to wait", func() bool { return s.gates.waiters("q") == 5 })
	cancel()
	gone.Wait()
	eventually(t, "all to have gone", func() bool { return s.gates.waiters("q") == 0 })
	c.send("q", "m")
	if r := c.must(200, "GET", "/queues/q/messages", ""); r.DequeueCount != 1 {
		t.Errorf("received %d times", r.DequeueCount)
	}
}

func TestPollEndsWithItsQueue(t *testing.T) {
	t.Parallel()
	s := open(t, Config{})
	c := serve(t, s)
	c.must(201, "PUT", "/queues/q", "")
	answer := c.poll("q", "?waitseconds=30")
	eventually(t, "the poll to wait", func() bool { return s.gates.waiters("q") == 1 })
	c.must(204, "DELETE", "/queues/q", "")
	if r := within(t, answer, 404); r.Code != "QueueNotExist" {
		t.Errorf("got %s", r.Code)
	}
}

func TestCloseEndsPolls(t *testing.T) {
	t.Parallel()
	s := open(t, Config{})
	c := serve(t, s)
	c.must(201, "PUT", "/queues/q", "")
	answer := c.poll("q", "?waitseconds=30")
	eventually(t, "the poll to wait", func() bool { return s.gates.waiters("q") == 1 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, answer, 404)
	if r := c.call("GET", "/queues/q", ""); r.status != 500 || r.Code != "InternalServerError" {
		t.Errorf("after Close: %s", r.body)
	}
}
