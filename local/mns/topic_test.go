package mns

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const toQueue = "<Endpoint>acs:mns:cn-hangzhou:1234567890123456:queues/q</Endpoint>"

func TestTopicLifeCycle(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{}))
	c.must(201, "PUT", "/topics/t", "<Topic><MaximumMessageSize>2048</MaximumMessageSize></Topic>")
	c.must(204, "PUT", "/topics/t", "<Topic><MaximumMessageSize>2048</MaximumMessageSize></Topic>")
	c.must(204, "PUT", "/topics/t?metaoverride=true", "<Topic><LoggingEnabled>True</LoggingEnabled></Topic>")
	r := c.must(200, "GET", "/topics/t", "")
	if r.MaximumSize != 2048 || r.Retention != 86400 || r.Logging != "True" {
		t.Errorf("attributes: %s", r.body)
	}
	r = c.must(201, "PUT", "/topics/t/subscriptions/s", "<Subscription>"+toQueue+"<FilterTag>a</FilterTag></Subscription>")
	if got, want := r.header.Get("Location"), c.url+"/topics/t/subscriptions/s"; got != want {
		t.Errorf("Location: got %s, want %s", got, want)
	}
	c.must(204, "PUT", "/topics/t/subscriptions/s", "<Subscription>"+toQueue+"<FilterTag>a</FilterTag></Subscription>")
	c.must(204, "PUT", "/topics/t/subscriptions/s?metaoverride=true", "<Subscription><NotifyStrategy>EXPONENTIAL_DECAY_RETRY</NotifyStrategy></Subscription>")
	r = c.must(200, "GET", "/topics/t/subscriptions/s", "")
	if r.Endpoint != "acs:mns:cn-hangzhou:1234567890123456:queues/q" || r.Strategy != ExponentialDecayRetry || r.Format != "XML" || r.Tag != "a" {
		t.Errorf("attributes: %s", r.body)
	}
	c.must(204, "DELETE", "/topics/t", "")
	c.must(204, "DELETE", "/topics/t", "")
	c.must(201, "PUT", "/topics/t", "")
	c.must(404, "GET", "/topics/t/subscriptions/s", "")
	c.must(204, "DELETE", "/topics/t/subscriptions/s", "")
}

func TestWhatLandsInAQueue(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{}))
	c.must(201, "PUT", "/topics/t", "")
	publish := func(tag string) *reply {
		return c.must(201, "POST", "/topics/t/messages", `<Message xmlns="http://mns.aliyuncs.com/doc/v1/"><MessageBody>{"a":"&lt;b&gt;"}</MessageBody>`+tag+`</Message>`)
	}
	for queue, more := range map[string]string{
		"xml":    "",
		"json":   "<NotifyContentFormat>JSON</NotifyContentFormat>",
		"plain":  "<NotifyContentFormat>SIMPLIFIED</NotifyContentFormat>",
		"tagged": "<NotifyContentFormat>SIMPLIFIED</NotifyContentFormat><FilterTag>done</FilterTag>",
	} {
		c.must(201, "PUT", "/queues/"+queue, "")
		c.must(201, "PUT", "/topics/t/subscriptions/to-"+queue, "<Subscription><Endpoint>acs:mns:cn-hangzhou:1234567890123456:queues/"+queue+"</Endpoint>"+more+"</Subscription>")
	}
	const body = `{"a":"<b>"}`
	published := publish("<MessageTag>done</MessageTag>")
	want := notification{
		TopicOwner: account, TopicName: "t", Subscriber: account,
		MessageID: published.ID, Message: body, MessageMD5: published.MD5, MessageTag: "done",
	}
	var got notification
	inQueue := c.must(200, "GET", "/queues/xml/messages", "")
	if err := xml.Unmarshal([]byte(inQueue.Body), &got); err != nil {
		t.Fatal(err)
	}
	if got.PublishTime == "" || got.XMLName.Space != namespace {
		t.Errorf("got %s", inQueue.Body)
	}
	got.XMLName, got.PublishTime, want.SubscriptionName = xml.Name{}, "", "to-xml"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("xml: %s", diff)
	}
	got = notification{}
	inQueue = c.must(200, "GET", "/queues/json/messages", "")
	if err := json.Unmarshal([]byte(inQueue.Body), &got); err != nil {
		t.Fatal(err)
	}
	got.PublishTime, want.SubscriptionName = "", "to-json"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("json: %s", diff)
	}
	for _, queue := range []string{"plain", "tagged"} {
		if r := c.must(200, "GET", "/queues/"+queue+"/messages", ""); r.Body != body || r.Priority != 8 {
			t.Errorf("%s: %s", queue, r.body)
		}
	}
	publish("<MessageTag>other</MessageTag>")
	publish("")
	c.must(404, "GET", "/queues/tagged/messages", "")
	if r := c.must(200, "GET", "/queues/plain", ""); r.Active != 2 {
		t.Errorf("without a filter: %s", r.body)
	}
}

func TestQueueThatComesLater(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{Speed: 1000}))
	c.must(201, "PUT", "/topics/t", "")
	c.must(201, "PUT", "/topics/t/subscriptions/s", "<Subscription>"+toQueue+"<NotifyStrategy>EXPONENTIAL_DECAY_RETRY</NotifyStrategy><NotifyContentFormat>SIMPLIFIED</NotifyContentFormat></Subscription>")
	c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>m</MessageBody></Message>")
	if r := c.must(200, "GET", "/topics/t", ""); r.MessageCount != 1 {
		t.Errorf("pending: %s", r.body)
	}
	// What was received stays out of sight until the test is over.
	c.must(201, "PUT", "/queues/q", "<Queue><VisibilityTimeout>43200</VisibilityTimeout></Queue>")
	c.must(200, "GET", "/queues/q/messages?waitseconds=10", "")
	eventually(t, "nothing to be pending", func() bool { return c.must(200, "GET", "/topics/t", "").MessageCount == 0 })
	c.must(404, "GET", "/queues/q/messages", "")
}

// deliveries collects what a function got.
type deliveries struct {
	mu   sync.Mutex
	got  []string
	fail int // so many times
}

func (d *deliveries) deliver(_ context.Context, payload []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, string(payload))
	if d.fail > 0 {
		d.fail--
		return errors.New("not now")
	}
	return nil
}

func (d *deliveries) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.got...)
}

func TestFunctionSubscriptions(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Speed: 1000})
	c := serve(t, s)
	var stream, object, tagged deliveries
	for _, f := range []FunctionSubscription{
		{Name: "stream", Deliver: stream.deliver},
		{Name: "object", Format: FormatJSON, Deliver: object.deliver},
		{Name: "tag_ged", Tag: "done", Deliver: tagged.deliver},
	} {
		if err := s.SubscribeFunction("t", f); err != nil {
			t.Fatal(err)
		}
	}
	c.must(201, "PUT", "/topics/t", "") // after the functions subscribed
	plain := c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>&lt;one&gt;</MessageBody></Message>")
	eventually(t, "the first message", func() bool { return len(stream.all()) == 1 && len(object.all()) == 1 })
	c.must(201, "POST", "/topics/t/messages", `<Message><MessageBody>two</MessageBody><MessageTag>done</MessageTag><MessageAttributes><Extend>{"k":1}</Extend></MessageAttributes></Message>`)
	eventually(t, "the second message", func() bool {
		return len(stream.all()) == 2 && len(object.all()) == 2 && len(tagged.all()) == 1
	})
	if diff := cmp.Diff([]string{"<one>", `{"attrs":{"Extend":"{\"k\":1}"},"body":"two"}`}, stream.all()); diff != "" {
		t.Error(diff)
	}
	var event map[string]any
	if err := json.Unmarshal([]byte(object.all()[0]), &event); err != nil {
		t.Fatal(err)
	}
	if at, ok := event["PublishTime"].(float64); !ok || time.Since(time.UnixMilli(int64(at))) > time.Minute {
		t.Errorf("PublishTime: %v", event["PublishTime"])
	}
	delete(event, "PublishTime")
	want := map[string]any{"TopicOwner": account, "Message": "<one>", "Subscriber": account, "SubscriptionName": "object",
		"MessageMD5": plain.MD5, "TopicName": "t", "MessageId": plain.ID}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Error(diff)
	}
	if err := json.Unmarshal([]byte(object.all()[1]), &event); err != nil || event["Extend"] != `{"k":1}` {
		t.Errorf("attributes: %v %v", event, err)
	}
	if r := c.must(200, "GET", "/topics/t/subscriptions", ""); len(r.Subs) != 3 {
		t.Errorf("listed: %s", r.body)
	}
	if err := s.UnsubscribeFunction("t", "stream"); err != nil {
		t.Fatal(err)
	}
	c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>three</MessageBody></Message>")
	eventually(t, "the third message", func() bool { return len(object.all()) == 3 })
	if n := len(stream.all()); n != 2 {
		t.Errorf("%d deliveries after unsubscribing", n)
	}
}

func TestFunctionIsRetried(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Speed: 1000})
	c := serve(t, s)
	c.must(201, "PUT", "/topics/t", "")
	never := deliveries{fail: 100}
	late := deliveries{fail: 5}
	if err := s.SubscribeFunction("t", FunctionSubscription{Name: "never", Deliver: never.deliver}); err != nil {
		t.Fatal(err)
	}
	if err := s.SubscribeFunction("t", FunctionSubscription{Name: "late", Strategy: ExponentialDecayRetry, Deliver: late.deliver}); err != nil {
		t.Fatal(err)
	}
	c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>m</MessageBody></Message>")
	eventually(t, "all attempts", func() bool {
		return len(never.all()) == 4 && len(late.all()) == 6 && c.must(200, "GET", "/topics/t", "").MessageCount == 0
	})
}

func TestRetryWaits(t *testing.T) {
	t.Parallel()
	var total time.Duration
	n := 0
	for attempts := 1; ; attempts++ {
		wait, more := retryWait(ExponentialDecayRetry, attempts, 0)
		if !more {
			break
		}
		n++
		total += wait
	}
	if want := 511*time.Second + 167*512*time.Second; n != 176 || total != want {
		t.Errorf("exponential: %d retries in %s, want 176 in %s", n, total, want)
	}
	for attempts := 1; attempts <= 3; attempts++ {
		low, _ := retryWait(BackoffRetry, attempts, 0)
		high, more := retryWait(BackoffRetry, attempts, 0.999)
		if low != 10*time.Second || high < 19*time.Second || high >= 20*time.Second || !more {
			t.Errorf("backoff %d: %s to %s", attempts, low, high)
		}
	}
	if _, more := retryWait(BackoffRetry, 4, 0); more {
		t.Error("a fourth retry")
	}
}

func TestSubscribeFunctionRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, Config{})
	ok := func(context.Context, []byte) error { return nil }
	for name, f := range map[string]FunctionSubscription{
		"no name":  {Deliver: ok},
		"bad name": {Name: "a/b", Deliver: ok},
		"nothing":  {Name: "f"},
		"format":   {Name: "f", Format: "XML", Deliver: ok},
		"strategy": {Name: "f", Strategy: "NEVER", Deliver: ok},
		"tag":      {Name: "f", Tag: "12345678901234567", Deliver: ok},
	} {
		if err := s.SubscribeFunction("t", f); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := s.SubscribeFunction("a_b", FunctionSubscription{Name: "f", Deliver: ok}); err == nil {
		t.Error("bad topic: accepted")
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	dir := t.TempDir()
	first := open(t, Config{Dir: dir, Now: clock.now, Speed: 1000})
	c := serve(t, first)
	c.must(201, "PUT", "/queues/q", "<Queue><VisibilityTimeout>43200</VisibilityTimeout><MessageRetentionPeriod>604800</MessageRetentionPeriod></Queue>")
	c.must(201, "PUT", "/topics/t", "")
	c.send("q", "received")
	c.send("q", "active")
	c.must(201, "POST", "/queues/q/messages", "<Message><MessageBody>delayed</MessageBody><DelaySeconds>500000</DelaySeconds></Message>")
	held := c.must(200, "GET", "/queues/q/messages", "")
	cert := certificate(t, c)
	before := c.must(200, "GET", "/queues/q", "").body

	// One delivery is under way when the service is closed, one has no
	// function yet after it.
	started := make(chan struct{})
	if err := first.SubscribeFunction("t", FunctionSubscription{Name: "f", Deliver: func(ctx context.Context, _ []byte) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}}); err != nil {
		t.Fatal(err)
	}
	c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>one</MessageBody></Message>")
	<-started
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := open(t, Config{Dir: dir, Now: clock.now, Speed: 1000})
	c = serve(t, second)
	if certificate(t, c) != cert {
		t.Error("another certificate after a restart")
	}
	if after := c.must(200, "GET", "/queues/q", "").body; after != before {
		t.Errorf("queue before: %s\nafter: %s", before, after)
	}
	c.must(204, "DELETE", "/queues/q/messages?ReceiptHandle="+held.Handle, "")
	r := c.must(200, "GET", "/queues/q/messages", "")
	if r.Body != "active" {
		t.Errorf("received %s", r.body)
	}
	c.must(204, "DELETE", "/queues/q/messages?ReceiptHandle="+r.Handle, "")
	c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>two</MessageBody></Message>")
	var f deliveries
	if err := second.SubscribeFunction("t", FunctionSubscription{Name: "f", Deliver: f.deliver}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both messages", func() bool { return len(f.all()) == 2 })

	// Last, because a delivery that is tried at that time is put off to a later one.
	clock.advance(501 * time.Second)
	if r := c.must(200, "GET", "/queues/q/messages", ""); r.Body != "delayed" {
		t.Errorf("received %s", r.body)
	}
}

func TestDeliveriesEndWithTheTopicsRetention(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	s := open(t, Config{Now: clock.now})
	c := serve(t, s)
	c.now = clock.now
	c.must(201, "PUT", "/topics/t", "")
	c.must(201, "PUT", "/topics/t/subscriptions/s", "<Subscription>"+toQueue+"</Subscription>")
	c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>m</MessageBody></Message>")
	eventually(t, "the first attempt", func() bool {
		d, next := s.due(subscriptionKey{"t", "s"}, nil)
		return len(d) == 0 && next > s.millis()
	})
	clock.advance(25 * time.Hour)
	c.must(201, "PUT", "/queues/q", "")
	s.dispatch(subscriptionKey{"t", "s"})
	eventually(t, "the end", func() bool { return c.must(200, "GET", "/topics/t", "").MessageCount == 0 })
	c.must(http.StatusNotFound, "GET", "/queues/q/messages", "")
}

func TestAnAbsentFunctionsMessagesEndWithTheTopicsRetention(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, Now: clock.now})
	c := serve(t, s)
	c.must(201, "PUT", "/topics/t", "")
	var f deliveries
	if err := s.SubscribeFunction("t", FunctionSubscription{Name: "f", Deliver: f.deliver}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: dir, Now: clock.now})
	c = serve(t, s)
	c.now = clock.now
	for _, body := range []string{"old", "young"} {
		c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>"+body+"</MessageBody></Message>")
		if body == "old" {
			clock.advance(25 * time.Hour)
		}
	}
	eventually(t, "the old message to go", func() bool { return c.must(200, "GET", "/topics/t", "").MessageCount == 1 })
	if err := s.SubscribeFunction("t", FunctionSubscription{Name: "f", Deliver: f.deliver}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the young message", func() bool { return len(f.all()) == 1 })
	if got := f.all()[0]; got != "young" {
		t.Errorf("got %q", got)
	}
}

func TestATopicHasAtMost100Subscriptions(t *testing.T) {
	t.Parallel()
	c := serve(t, open(t, Config{}))
	c.must(201, "PUT", "/topics/t", "")
	for i := range maxSubscriptions {
		c.must(201, "PUT", fmt.Sprintf("/topics/t/subscriptions/s-%d", i), "<Subscription>"+toQueue+"</Subscription>")
	}
	if r := c.must(400, "PUT", "/topics/t/subscriptions/more", "<Subscription>"+toQueue+"</Subscription>"); r.Code != "InvalidArgument" {
		t.Errorf("got %s", r.Code)
	}
	c.must(204, "PUT", "/topics/t/subscriptions/s-0", "<Subscription>"+toQueue+"</Subscription>")
}

// TestPublishAsTheCourierRetires wants a message to be delivered that comes at the
// moment in which what delivers has nothing left to do.
func TestPublishAsTheCourierRetires(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Speed: 1000})
	c := serve(t, s)
	c.must(201, "PUT", "/topics/t", "")
	delivered := make(chan struct{}, 1)
	if err := s.SubscribeFunction("t", FunctionSubscription{Name: "f", Deliver: func(context.Context, []byte) error {
		delivered <- struct{}{}
		return nil
	}}); err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		c.must(201, "POST", "/topics/t/messages", "<Message><MessageBody>one</MessageBody></Message>")
		select {
		case <-delivered:
		case <-time.After(30 * time.Second):
			t.Fatalf("message %d was not delivered", n+1)
		}
	}
}
