package mns

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQueueLifeCycle(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{}))
	r := c.must(http.StatusCreated, "PUT", "/queues/tasks", "<Queue><DelaySeconds>5</DelaySeconds></Queue>")
	if got, want := r.header.Get("Location"), c.url+"/queues/tasks"; got != want {
		t.Errorf("Location: got %q, want %q", got, want)
	}
	if r.header.Get("x-mns-request-id") == "" || r.header.Get("x-mns-version") != "2015-06-06" {
		t.Errorf("headers: %v", r.header)
	}
	c.must(http.StatusNoContent, "PUT", "/queues/tasks", `<Queue xmlns="http://mns.aliyuncs.com/doc/v1/"><DelaySeconds>5</DelaySeconds></Queue>`)
	if r := c.must(http.StatusConflict, "PUT", "/queues/tasks", ""); r.Code != "QueueAlreadyExist" {
		t.Errorf("got %s", r.Code)
	}
	c.must(http.StatusNoContent, "PUT", "/queues/tasks?MetaOverride=true", "<Queue><VisibilityTimeout>60</VisibilityTimeout><LoggingEnabled>True</LoggingEnabled></Queue>")
	r = c.must(http.StatusOK, "GET", "/queues/tasks", "")
	if r.XMLName.Space != namespace || r.Delay != 5 || r.Visibility != 60 || r.Retention != 345600 || r.MaximumSize != 65536 || r.Logging != "True" ||
		time.Since(time.Unix(r.CreateTime, 0)) > time.Minute {
		t.Errorf("attributes: %s", r.body)
	}
	c.must(http.StatusNoContent, "DELETE", "/queues/tasks", "")
	c.must(http.StatusNoContent, "DELETE", "/queues/tasks", "")
	if r := c.must(http.StatusNotFound, "GET", "/queues/tasks", ""); r.Code != "QueueNotExist" {
		t.Errorf("got %s", r.Code)
	}
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{}))
	for i := range 5 {
		c.must(http.StatusCreated, "PUT", fmt.Sprintf("/queues/a-%d", i), "")
		c.must(http.StatusCreated, "PUT", fmt.Sprintf("/topics/a-%d", i), "")
		c.must(http.StatusCreated, "PUT", fmt.Sprintf("/topics/a-0/subscriptions/a-%d", i),
			"<Subscription><Endpoint>acs:mns:cn-hangzhou:1234567890123456:queues/x</Endpoint></Subscription>")
	}
	c.must(http.StatusCreated, "PUT", "/queues/b", "")
	c.must(http.StatusCreated, "PUT", "/topics/b", "")
	list := func(path, meta string) (names []string, pages int) {
		for marker := ""; ; {
			r := c.do(c.request("GET", path, "", func(h http.Header) {
				h.Set("x-mns-prefix", "a-")
				h.Set("x-mns-ret-number", "2")
				h.Set("x-mns-with-meta", meta)
				if marker != "" {
					h.Set("x-mns-marker", marker)
				}
			}))
			if r.status != http.StatusOK {
				t.Fatal(r.body)
			}
			for _, q := range append(append(r.Queues, r.Topics...), r.Subs...) {
				if meta == "true" {
					names = append(names, q.QueueName+q.TopicName+q.SubscriptionName)
				} else {
					url := q.QueueURL + q.TopicURL + q.SubscriptionURL
					names = append(names, url[strings.LastIndexByte(url, '/')+1:])
				}
			}
			pages++
			if marker = r.NextMarker; marker == "" {
				return names, pages
			}
		}
	}
	want := []string{"a-0", "a-1", "a-2", "a-3", "a-4"}
	for _, path := range []string{"/queues", "/topics"} {
		for _, meta := range []string{"true", "false"} {
			got, pages := list(path, meta)
			if diff := cmp.Diff(want, got); diff != "" || pages != 3 {
				t.Errorf("%s with meta %s: %d pages, %s", path, meta, pages, diff)
			}
		}
	}
	got, pages := list("/topics/a-0/subscriptions", "false")
	if diff := cmp.Diff(want, got); diff != "" || pages != 3 {
		t.Errorf("subscriptions: %d pages, %s", pages, diff)
	}
	if r := c.do(c.request("GET", "/queues", "", func(h http.Header) { h.Set("x-mns-ret-number", "1001") })); r.Code != "InvalidArgument" {
		t.Errorf("ret-number 1001: got %s", r.Code)
	}
}

func TestMessageLifeCycle(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	c := serve(t, open(t, Config{Now: clock.now}))
	c.must(http.StatusCreated, "PUT", "/queues/q", "<Queue><VisibilityTimeout>30</VisibilityTimeout></Queue>")
	sent := c.send("q", "a &lt; b")
	if sent.MD5 != strings.ToUpper(md5Hex([]byte("a < b"))) || len(sent.ID) != 32 || sent.Handle != "" {
		t.Errorf("sent: %s", sent.body)
	}
	peeked := c.must(http.StatusOK, "GET", "/queues/q/messages?peekonly=true", "")
	if peeked.Handle != "" || peeked.NextVisibleTime != 0 || peeked.DequeueCount != 0 || peeked.Body != "a < b" {
		t.Errorf("peeked: %s", peeked.body)
	}
	first := c.must(http.StatusOK, "GET", "/queues/q/messages", "")
	if first.ID != sent.ID || first.DequeueCount != 1 || first.Priority != 8 || first.FirstDequeueTime < first.EnqueueTime ||
		first.NextVisibleTime != first.FirstDequeueTime+30_000 {
		t.Errorf("received: %s", first.body)
	}
	for _, path := range []string{"/queues/q/messages", "/queues/q/messages?peekonly=true", "/queues/q/messages?numOfMessages=16"} {
		if r := c.must(http.StatusNotFound, "GET", path, ""); r.Code != "MessageNotExist" {
			t.Errorf("%s: got %s", path, r.Code)
		}
	}
	clock.advance(31 * time.Second)
	again := c.must(http.StatusOK, "GET", "/queues/q/messages", "")
	if again.DequeueCount != 2 || again.FirstDequeueTime != first.FirstDequeueTime || again.Handle == first.Handle {
		t.Errorf("received again: %s", again.body)
	}
	if r := c.must(http.StatusNotFound, "DELETE", "/queues/q/messages?ReceiptHandle="+first.Handle, ""); r.Code != "MessageNotExist" {
		t.Errorf("old handle: got %s", r.Code)
	}
	// 10 s + 100 s from now is 110 s after the receive.
	clock.advance(10 * time.Second)
	changed := c.must(http.StatusOK, "PUT", "/queues/q/messages?receiptHandle="+again.Handle+"&visibilityTimeout=100", "")
	if d := changed.NextVisibleTime - clock.now().UnixMilli(); d < 95_000 || d > 100_000 || changed.Handle == again.Handle {
		t.Errorf("changed: %s", changed.body)
	}
	c.must(http.StatusNotFound, "DELETE", "/queues/q/messages?ReceiptHandle="+again.Handle, "")
	clock.advance(90 * time.Second)
	if r := c.must(http.StatusOK, "GET", "/queues/q", ""); r.Active != 0 || r.Inactive != 1 || r.Delayed != 0 {
		t.Errorf("counts: %s", r.body)
	}
	c.must(http.StatusNoContent, "DELETE", "/queues/q/messages?ReceiptHandle="+changed.Handle, "")
	c.must(http.StatusNotFound, "DELETE", "/queues/q/messages?ReceiptHandle="+changed.Handle, "")
}

func TestDelayedMessages(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	c := serve(t, open(t, Config{Now: clock.now}))
	c.must(http.StatusCreated, "PUT", "/queues/q", "<Queue><DelaySeconds>20</DelaySeconds></Queue>")
	send := func(xml string) *reply {
		return c.must(http.StatusCreated, "POST", "/queues/q/messages", "<Message>"+xml+"<MessageBody>m</MessageBody></Message>")
	}
	send("")
	now := send("<DelaySeconds>0</DelaySeconds>")
	gone := send("<DelaySeconds>10</DelaySeconds>")
	if now.Handle != "" || gone.Handle == "" {
		t.Errorf("only delayed messages have a handle: %s %s", now.body, gone.body)
	}
	if r := c.must(http.StatusOK, "GET", "/queues/q", ""); r.Active != 1 || r.Inactive != 0 || r.Delayed != 2 {
		t.Errorf("counts: %s", r.body)
	}
	c.must(http.StatusNoContent, "DELETE", "/queues/q/messages?ReceiptHandle="+gone.Handle, "")
	if r := c.must(http.StatusOK, "GET", "/queues/q/messages", ""); r.ID != now.ID {
		t.Errorf("received %s", r.body)
	}
	clock.advance(21 * time.Second)
	if r := c.must(http.StatusOK, "GET", "/queues/q", ""); r.Active != 1 || r.Inactive != 1 || r.Delayed != 0 {
		t.Errorf("counts: %s", r.body)
	}
}

func TestPrioritiesAndBatches(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{}))
	c.must(http.StatusCreated, "PUT", "/queues/q", "<Queue><MaximumMessageSize>1024</MaximumMessageSize></Queue>")
	long := strings.Repeat("x", 1025)
	r := c.must(http.StatusInternalServerError, "POST", "/queues/q/messages", `<Messages xmlns="http://mns.aliyuncs.com/doc/v1/">
		<Message><MessageBody>low</MessageBody><Priority>16</Priority></Message>
		<Message><MessageBody>`+long+`</MessageBody></Message>
		<Message><MessageBody>normal</MessageBody></Message>
		<Message><MessageBody>high</MessageBody><Priority>1</Priority></Message></Messages>`)
	if len(r.Messages) != 4 || r.Messages[1].ErrorCode != "InvalidArgument" || r.Messages[1].ID != "" || r.Messages[3].ID == "" {
		t.Errorf("partial batch: %s", r.body)
	}
	got := c.must(http.StatusOK, "GET", "/queues/q/messages?numOfMessages=16", "")
	var bodies []string
	var handles string
	for _, m := range got.Messages {
		bodies = append(bodies, m.Body)
		handles += "<ReceiptHandle>" + m.Handle + "</ReceiptHandle>"
	}
	if diff := cmp.Diff([]string{"high", "normal", "low"}, bodies); diff != "" {
		t.Error(diff)
	}
	c.must(http.StatusNoContent, "DELETE", "/queues/q/messages", "<ReceiptHandles>"+handles+"</ReceiptHandles>")
	c.send("q", "one")
	one := c.must(http.StatusOK, "GET", "/queues/q/messages", "")
	r = c.must(http.StatusNotFound, "DELETE", "/queues/q/messages", "<ReceiptHandles><ReceiptHandle>"+one.Handle+
		"</ReceiptHandle><ReceiptHandle>garbage</ReceiptHandle>"+handles+"</ReceiptHandles>")
	var codes []string
	for _, e := range r.Errors {
		codes = append(codes, e.ErrorCode)
	}
	if diff := cmp.Diff([]string{"ReceiptHandleError", "MessageNotExist", "MessageNotExist", "MessageNotExist"}, codes); diff != "" || r.XMLName.Local != "Errors" {
		t.Errorf("%s: %s", diff, r.body)
	}
	if r := c.must(http.StatusOK, "GET", "/queues/q", ""); r.Active+r.Inactive != 0 {
		t.Errorf("the good one of a bad batch stayed: %s", r.body)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	c := serve(t, open(t, Config{Now: clock.now}))
	c.must(http.StatusCreated, "PUT", "/queues/q", "<Queue><MessageRetentionPeriod>60</MessageRetentionPeriod></Queue>")
	c.send("q", "old")
	held := c.must(http.StatusOK, "GET", "/queues/q/messages", "")
	clock.advance(40 * time.Second)
	c.send("q", "young")
	clock.advance(21 * time.Second)
	if r := c.must(http.StatusOK, "GET", "/queues/q", ""); r.Active != 1 || r.Inactive != 0 {
		t.Errorf("counts: %s", r.body)
	}
	c.must(http.StatusNotFound, "DELETE", "/queues/q/messages?ReceiptHandle="+held.Handle, "")
	if r := c.must(http.StatusOK, "GET", "/queues/q/messages", ""); r.Body != "young" {
		t.Errorf("received %s", r.body)
	}
}

func TestSpeedShowsRealMoments(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{Speed: 60}))
	c.must(http.StatusCreated, "PUT", "/queues/q", "<Queue><VisibilityTimeout>600</VisibilityTimeout></Queue>")
	c.send("q", "m")
	r := c.must(http.StatusOK, "GET", "/queues/q/messages", "")
	if d := r.NextVisibleTime - r.FirstDequeueTime; d != 10_000 {
		t.Errorf("600 s at speed 60 last %d ms", d)
	}
	if r := c.must(http.StatusOK, "GET", "/queues/q", ""); r.Visibility != 600 {
		t.Errorf("attributes are not scaled: %s", r.body)
	}
}
