package mns

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Concurrent senders and receivers: every message is received, and none twice
// while its visibility lasts.
func TestNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	const senders, receivers, each = 4, 6, 100
	c := serve(t, open(t, Config{}))
	c.must(201, "PUT", "/queues/q", "<Queue><VisibilityTimeout>43200</VisibilityTimeout></Queue>")
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for j := range each {
				if r := c.call("POST", "/queues/q/messages", fmt.Sprintf("<Message><MessageBody>%d-%d</MessageBody></Message>", i, j)); r.status != 201 {
					t.Errorf("send: %s", r.body)
				}
			}
		})
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var count atomic.Int32
	for i := range receivers {
		all.Go(func() {
			for count.Load() < senders*each {
				r := c.call("GET", fmt.Sprintf("/queues/q/messages?waitseconds=1&numOfMessages=%d", 1+i), "")
				if r.status == http.StatusNotFound {
					continue
				}
				for _, m := range r.Messages {
					mu.Lock()
					seen[m.Body]++
					mu.Unlock()
					count.Add(1)
					if r := c.call("DELETE", "/queues/q/messages?ReceiptHandle="+m.Handle, ""); r.status != 204 {
						t.Errorf("delete: %s", r.body)
					}
				}
			}
		})
	}
	all.Wait()
	if len(seen) != senders*each || count.Load() != senders*each {
		t.Errorf("%d different messages in %d receives, want %d", len(seen), count.Load(), senders*each)
	}
	if r := c.must(200, "GET", "/queues/q", ""); r.Active+r.Inactive+r.Delayed != 0 {
		t.Errorf("left over: %s", r.body)
	}
}

func TestPublishersAndSubscribersAtOnce(t *testing.T) {
	t.Parallel()
	const publishers, each = 4, 50
	s := open(t, Config{Speed: 1000})
	c := serve(t, s)
	c.must(201, "PUT", "/topics/t", "")
	c.must(201, "PUT", "/queues/q", "")
	c.must(201, "PUT", "/topics/t/subscriptions/q", "<Subscription>"+toQueue+"<NotifyContentFormat>SIMPLIFIED</NotifyContentFormat></Subscription>")
	f := deliveries{fail: 20}
	if err := s.SubscribeFunction("t", FunctionSubscription{Name: "f", Strategy: ExponentialDecayRetry, Deliver: f.deliver}); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range publishers {
		all.Go(func() {
			for j := range each {
				c.call("POST", "/topics/t/messages", fmt.Sprintf("<Message><MessageBody>%d-%d</MessageBody></Message>", i, j))
			}
		})
	}
	all.Wait()
	eventually(t, "all deliveries", func() bool {
		seen := map[string]bool{}
		for _, m := range f.all() {
			seen[m] = true
		}
		return len(seen) == publishers*each && len(f.all()) == publishers*each+20
	})
	if r := c.must(200, "GET", "/queues/q", ""); r.Active != publishers*each {
		t.Errorf("in the queue: %s", r.body)
	}
}

// BenchmarkSendReceiveDelete makes the three calls of one message's life, over
// HTTP and signed.
func BenchmarkSendReceiveDelete(b *testing.B) {
	c := serve(b, open(b, Config{}))
	c.http.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	c.must(201, "PUT", "/queues/q", "")
	b.SetParallelism(8)
	start := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.send("q", "a message of the length that nudges have, more or less")
			r := c.must(200, "GET", "/queues/q/messages?waitseconds=5", "")
			c.must(204, "DELETE", "/queues/q/messages?ReceiptHandle="+r.Handle, "")
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "messages/s")
}

// BenchmarkBatches makes the same calls with 16 messages in each.
func BenchmarkBatches(b *testing.B) {
	c := serve(b, open(b, Config{}))
	c.must(201, "PUT", "/queues/q", "")
	batch := "<Messages>" + strings.Repeat("<Message><MessageBody>a message of the length that nudges have, more or less</MessageBody></Message>", maxBatch) + "</Messages>"
	start := time.Now()
	for b.Loop() {
		c.must(201, "POST", "/queues/q/messages", batch)
		var handles strings.Builder
		for _, m := range c.must(200, "GET", "/queues/q/messages?numOfMessages=16", "").Messages {
			handles.WriteString("<ReceiptHandle>" + m.Handle + "</ReceiptHandle>")
		}
		c.must(204, "DELETE", "/queues/q/messages", "<ReceiptHandles>"+handles.String()+"</ReceiptHandles>")
	}
	b.ReportMetric(float64(b.N*maxBatch)/time.Since(start).Seconds(), "messages/s")
}
