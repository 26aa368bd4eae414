package mns_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ecs-image-export/local/identity"
	local "ecs-image-export/local/mns"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/rpc"
)

type keys struct{}

func (keys) Identify(id, token string) (*identity.Identity, error) {
	if id != "id" && id != "nothing" {
		return nil, identity.ErrUnknownKey
	}
	return &identity.Identity{AccountID: account, Root: id == "id",
		Credentials: identity.Credentials{AccessKeyID: id, AccessKeySecret: "secret", SecurityToken: token}}, nil
}

func stand(t *testing.T, speed float64, change ...func(*mns.Config)) *mns.Client {
	t.Helper()
	service, err := local.Open(local.Config{Dir: t.TempDir(), AccountID: account, Region: "cn-hangzhou", Identities: keys{}, Speed: speed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	cfg := mns.Config{Region: "cn-hangzhou", AccountID: account, Endpoint: server.URL, Credentials: static}
	for _, f := range change {
		f(&cfg)
	}
	client, err := mns.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

var attributes = mns.QueueAttributes{Retention: 7 * 24 * time.Hour, Visibility: 2 * time.Minute}

func queue(t *testing.T, client *mns.Client) *mns.Queue {
	t.Helper()
	if outcome, err := client.EnsureQueue(t.Context(), "q", attributes); outcome != mns.Made || err != nil {
		t.Fatal(outcome, err)
	}
	return client.Queue("q")
}

func TestMessages(t *testing.T) {
	t.Parallel()
	q := queue(t, stand(t, 1))
	ctx := t.Context()
	if got, err := q.Receive(ctx, 16, 0); got != nil || err != nil {
		t.Errorf("empty: %v %v", got, err)
	}
	const body = "{\"id\":\"y7k3m9x2q4r8w\"} <&>\"' \n\r\n\t ünï 日本 😀"
	id, err := q.Send(ctx, body, 0)
	if err != nil || id == "" {
		t.Fatal(id, err)
	}
	got, err := q.Receive(ctx, 16, time.Second)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	m := got[0]
	if m.ID != id || m.Body != body || m.Dequeues != 1 || m.Handle == "" || m.NextVisible.Sub(m.FirstReceived).Round(time.Second) != attributes.Visibility || time.Since(m.Sent).Abs() > time.Minute {
		t.Errorf("%+v", m)
	}
	next, err := q.ChangeVisibility(ctx, m.Handle, time.Hour)
	if err != nil || next == "" || next == m.Handle {
		t.Fatal(next, err)
	}
	if _, err := q.ChangeVisibility(ctx, m.Handle, time.Hour); !errors.Is(err, mns.ErrGone) {
		t.Errorf("the old handle: %v", err)
	}
	if gone, err := q.Delete(ctx, m.Handle, next); err != nil || cmp.Diff([]string{m.Handle}, gone) != "" {
		t.Errorf("%v %v", gone, err)
	}
	if gone, err := q.Delete(ctx, next); err != nil || len(gone) != 1 {
		t.Errorf("again: %v %v", gone, err)
	}
	if _, err := q.Delete(ctx, "garbled"); !errors.Is(err, mns.ErrInvalid) {
		t.Errorf("garbled: %v", err)
	}
}

func TestDelayAndVisibility(t *testing.T) {
	t.Parallel()
	q := queue(t, stand(t, 600)) // two minutes are 0.2 s
	ctx := t.Context()
	if _, err := q.Send(ctx, "later", 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, err := q.Receive(ctx, 1, 0); got != nil || err != nil {
		t.Errorf("before its time: %v %v", got, err)
	}
	for n := 1; n <= 2; n++ { // the second time because nobody deleted it
		got, err := q.Receive(ctx, 1, 20*time.Second)
		if err != nil || len(got) != 1 || got[0].Body != "later" || got[0].Dequeues != n {
			t.Fatal(got, err)
		}
	}
}

func TestReceiveCanBeCanceled(t *testing.T) {
	t.Parallel()
	q := queue(t, stand(t, 1))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := q.Receive(ctx, 1, 30*time.Second); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestBatchesThroughTheStandIn(t *testing.T) {
	t.Parallel()
	q := queue(t, stand(t, 1))
	ctx := t.Context()
	var sent []mns.Message
	var want []string
	for i := range 50 {
		body := fmt.Sprintf("%02d", i)
		if i%10 == 0 {
			body += strings.Repeat("<", 10_000) // six times as long in XML
		}
		sent, want = append(sent, mns.Message{Body: body}), append(want, body)
	}
	sent = append(sent, mns.Message{Body: "ff" + strings.Repeat("f", 64<<10-2)})
	want = append(want, sent[50].Body)
	if err := q.SendBatch(ctx, sent); err != nil {
		t.Fatal(err)
	}
	var bodies, handles []string
	for len(bodies) < len(want) {
		got, err := q.Receive(ctx, 16, 5*time.Second)
		if err != nil || len(got) == 0 {
			t.Fatal(len(bodies), err)
		}
		for _, m := range got {
			bodies, handles = append(bodies, m.Body), append(handles, m.Handle)
		}
	}
	slices.Sort(bodies)
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Error(diff)
	}
	if gone, err := q.Delete(ctx, handles...); err != nil || gone != nil {
		t.Errorf("%v %v", gone, err)
	}
}

func TestAnyTextSurvives(t *testing.T) {
	t.Parallel()
	q := queue(t, stand(t, 1))
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.StringN(1, 200, 2000).Draw(t, "body")
		_, err := q.Send(context.Background(), body, 0)
		if strings.ContainsFunc(body, func(r rune) bool {
			return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
		}) {
			if !errors.Is(err, mns.ErrInvalid) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := q.Receive(context.Background(), 1, 10*time.Second)
		if err != nil || len(got) != 1 || got[0].Body != body {
			t.Fatalf("%q: %+v %v", body, got, err)
		}
		if _, err := q.Delete(context.Background(), got[0].Handle); err != nil {
			t.Fatal(err)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	client := stand(t, 1)
	q := queue(t, client)
	if _, err := client.EnsureTopic(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for i := range 50 {
		group.Go(func() {
			for j := range 4 {
				if _, err := q.Send(t.Context(), fmt.Sprintf("%d-%d", i, j), 0); err != nil {
					t.Error(err)
				}
				if _, err := client.Topic("t").Publish(t.Context(), "event", "completed"); err != nil {
					t.Error(err)
				}
				got, err := q.Receive(t.Context(), 16, 0)
				if err != nil {
					t.Error(err)
				}
				for _, m := range got {
					mu.Lock()
					seen[m.Body]++
					mu.Unlock()
					if gone, err := q.Delete(t.Context(), m.Handle); err != nil || gone != nil {
						t.Error(gone, err)
					}
				}
			}
		})
	}
	group.Wait()
	for {
		got, err := q.Receive(t.Context(), 16, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		for _, m := range got {
			seen[m.Body]++
		}
	}
	if len(seen) != 200 {
		t.Errorf("%d messages", len(seen))
	}
	for body, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", body, n)
		}
	}
}

func TestTopicToQueue(t *testing.T) {
	t.Parallel()
	client := stand(t, 1)
	q := queue(t, client)
	ctx := t.Context()
	if _, err := client.Topic("t").Publish(ctx, "x", ""); !errors.Is(err, mns.ErrNoTopic) {
		t.Errorf("no topic: %v", err)
	}
	for _, want := range []mns.Outcome{mns.Made, mns.Unchanged} {
		if outcome, err := client.EnsureTopic(ctx, "t"); outcome != want || err != nil {
			t.Errorf("%v %v, want %v", outcome, err, want)
		}
	}
	subscription := mns.Subscription{Endpoint: client.QueueEndpoint("q"), FilterTag: "completed", Strategy: "BACKOFF_RETRY", Format: "SIMPLIFIED"}
	ensure := func(want mns.Outcome) {
		t.Helper()
		if outcome, err := client.EnsureSubscription(ctx, "t", "s", subscription); outcome != want || err != nil {
			t.Errorf("%v %v, want %v", outcome, err, want)
		}
	}
	ensure(mns.Made)
	ensure(mns.Unchanged)
	subscription.Strategy = "EXPONENTIAL_DECAY_RETRY"
	ensure(mns.Changed)
	ensure(mns.Unchanged)
	subscription.FilterTag = "failed"
	if _, err := client.EnsureSubscription(ctx, "t", "s", subscription); !errors.Is(err, mns.ErrExists) {
		t.Errorf("another filter: %v", err)
	}
	for _, tag := range []string{"failed", "", "completed"} {
		if id, err := client.Topic("t").Publish(ctx, `{"tag":"`+tag+`"}`, tag); err != nil || id == "" {
			t.Errorf("%q %v", id, err)
		}
	}
	got, err := q.Receive(ctx, 1, 10*time.Second)
	if err != nil || len(got) != 1 || got[0].Body != `{"tag":"completed"}` {
		t.Errorf("%+v %v", got, err)
	}
}

func TestEnsureQueue(t *testing.T) {
	t.Parallel()
	client := stand(t, 1)
	ctx := t.Context()
	if _, err := client.Queue("q").Send(ctx, "x", 0); !errors.Is(err, mns.ErrNoQueue) {
		t.Errorf("no queue: %v", err)
	}
	other := attributes
	other.Visibility, other.PollingWait = time.Minute, 10*time.Second
	for _, step := range []struct {
		attributes mns.QueueAttributes
		want       mns.Outcome
	}{{attributes, mns.Made}, {attributes, mns.Unchanged}, {other, mns.Changed}, {other, mns.Unchanged}, {attributes, mns.Changed}} {
		if outcome, err := client.EnsureQueue(ctx, "q", step.attributes); outcome != step.want || err != nil {
			t.Errorf("%+v: %v %v, want %v", step.attributes, outcome, err, step.want)
		}
	}
}

func TestRefusedCallers(t *testing.T) {
	t.Parallel()
	for _, cred := range []rpc.Credentials{{ID: "nobody", Secret: "secret"}, {ID: "nothing", Secret: "secret"}, {ID: "id", Secret: "wrong"}} {
		client := stand(t, 1, func(c *mns.Config) {
			c.Credentials = func(context.Context) (rpc.Credentials, error) { return cred, nil }
		})
		if _, err := client.Queue("q").Send(t.Context(), "x", 0); !errors.Is(err, mns.ErrDenied) || errors.Is(err, mns.ErrUnsettled) {
			t.Errorf("%s: %v", cred.ID, err)
		}
	}
}
