package mns_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/rpc"
)

type operation struct {
	name      string
	repeats   bool // after a fault
	unsettled bool // when the answer is lost
	do        func(context.Context, *mns.Client) error
}

var operations = []operation{
	{"send", false, true, func(ctx context.Context, c *mns.Client) error {
		_, err := c.Queue("q").Send(ctx, "body", 0)
		return err
	}},
	{"send batch", false, true, func(ctx context.Context, c *mns.Client) error {
		return c.Queue("q").SendBatch(ctx, []mns.Message{{Body: "a"}, {Body: "b"}})
	}},
	{"receive", false, true, func(ctx context.Context, c *mns.Client) error {
		_, err := c.Queue("q").Receive(ctx, 16, 20*time.Second)
		return err
	}},
	{"delete", true, true, func(ctx context.Context, c *mns.Client) error {
		_, err := c.Queue("q").Delete(ctx, "h")
		return err
	}},
	{"change visibility", false, true, func(ctx context.Context, c *mns.Client) error {
		_, err := c.Queue("q").ChangeVisibility(ctx, "h", time.Second)
		return err
	}},
	{"publish", false, true, func(ctx context.Context, c *mns.Client) error {
		_, err := c.Topic("t").Publish(ctx, "body", "tag")
		return err
	}},
	{"ensure queue", true, false, func(ctx context.Context, c *mns.Client) error {
		_, err := c.EnsureQueue(ctx, "q", mns.QueueAttributes{Retention: time.Hour, Visibility: time.Minute})
		return err
	}},
	{"ensure topic", true, false, func(ctx context.Context, c *mns.Client) error {
		_, err := c.EnsureTopic(ctx, "t")
		return err
	}},
	{"ensure subscription", true, false, func(ctx context.Context, c *mns.Client) error {
		_, err := c.EnsureSubscription(ctx, "t", "s", mns.Subscription{Endpoint: "http://a"})
		return err
	}},
}

func TestHangingServerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			arrived := make(chan struct{}, 8)
			client, hits := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				arrived <- struct{}{}
				<-over
			})
			t.Cleanup(func() { close(over) }) // before the server closes
			for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
				hits.Store(0)
				ctx, cancel := context.WithCancel(t.Context())
				if end == context.DeadlineExceeded {
					ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
				} else {
					go func() { <-arrived; cancel() }()
				}
				err := op.do(ctx, client)
				cancel()
				if !errors.Is(err, end) {
					t.Errorf("error %v, want %v", err, end)
				}
				if got := errors.Is(err, mns.ErrUnsettled); got != op.unsettled {
					t.Errorf("unsettled is %v: %v", got, err)
				}
				if n := hits.Load(); n > 1 {
					t.Errorf("%d requests", n)
				}
			}
		})
	}
}

// The bare SDK makes five requests of each in the first case.
func TestRepetition(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]http.HandlerFunc{
		"broken connection": breakOff,
		"500":               refuse(500, "InternalError"),
		"502 of a proxy": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(502)
			_, _ = w.Write([]byte("<html><body>Bad Gateway"))
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("<Mess"))
		},
	} {
		for _, op := range operations {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				client, hits := serve(t, fault)
				err := op.do(t.Context(), client)
				var e *mns.Error
				if !errors.As(err, &e) {
					t.Fatalf("%T: %v", err, err)
				}
				want := int64(1)
				if op.repeats {
					want = 3
				}
				if n := hits.Load(); n != want {
					t.Errorf("%d requests, want %d: %v", n, want, err)
				}
				if got := errors.Is(err, mns.ErrUnsettled); got != op.unsettled {
					t.Errorf("unsettled is %v: %v", got, err)
				}
			})
		}
	}
}

// A connection that the server closed while it was idle breaks at its next use, and
// net/http would send a GET again on another one.
func TestStaleConnectionIsNoReasonToSendTwice(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	client, hits := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		first := n == 1
		mu.Unlock()
		if first {
			refuse(404, "MessageNotExist")(w, r)
			return
		}
		breakOff(w, r)
	})
	q := client.Queue("q")
	if got, err := q.Receive(t.Context(), 1, 0); got != nil || err != nil {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := q.Receive(t.Context(), 1, 0); !errors.Is(err, mns.ErrUnsettled) {
		t.Errorf("error %v", err)
	}
	if hits.Load() != 2 {
		t.Errorf("%d requests", hits.Load())
	}
}

func TestGarbageIsAnError(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 400, 404} {
		for _, document := range []string{"<Messages><Message>", "\x00\x01", "<Other/>", ""} {
			client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(document))
			})
			for _, op := range operations {
				if strings.HasPrefix(op.name, "ensure") || (op.name == "delete" && status < 300) {
					continue // these do not read what comes with a success
				}
				var e *mns.Error
				if err := op.do(t.Context(), client); !errors.As(err, &e) || e.Status != status {
					t.Errorf("%s, %d with %q: %v", op.name, status, document, err)
				}
			}
		}
	}
}

func TestReceiveLeavesTimeBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	waits := make(chan string, 8)
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		waits <- r.URL.Query().Get("waitseconds")
		refuse(404, "MessageNotExist")(w, r)
	})
	for _, test := range []struct {
		left, wait time.Duration
		want       string
	}{
		{0, 30 * time.Second, "30"},
		{0, 2500 * time.Millisecond, "2"},
		{0, 0, "0"},
		{time.Minute, 20 * time.Second, "20"},
		{10500 * time.Millisecond, 20 * time.Second, "8"},
		{time.Second, 20 * time.Second, "0"},
	} {
		ctx, cancel := t.Context(), func() {}
		if test.left > 0 {
			ctx, cancel = context.WithTimeout(t.Context(), test.left)
		}
		got, err := client.Queue("q").Receive(ctx, 16, test.wait)
		cancel()
		if wait := <-waits; wait != test.want || got != nil || err != nil {
			t.Errorf("%v left, wait %v: asked for %s s, want %s (%v, %v)", test.left, test.wait, wait, test.want, got, err)
		}
	}
}

func TestEveryCallSignsWithItsOwnCredentials(t *testing.T) {
	t.Parallel()
	type key struct{}
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		// The body of the message names who sent it.
		body, _ := io.ReadAll(r.Body)
		id := strings.TrimPrefix(r.Header.Get("security-token"), "token")
		if !strings.Contains(string(body), "<MessageBody>"+id+"<") || !strings.HasPrefix(r.Header.Get("Authorization"), "MNS id"+id+":") {
			t.Errorf("%s with %q, %q", body, r.Header.Get("Authorization"), id)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("<Message><MessageId>" + id + "</MessageId></Message>"))
	}, func(c *mns.Config) {
		c.Credentials = func(ctx context.Context) (rpc.Credentials, error) {
			id := ctx.Value(key{}).(string)
			return rpc.Credentials{ID: "id" + id, Secret: "s", Token: "token" + id}, nil
		}
		c.Transport = &http.Transport{DisableKeepAlives: true}
	})
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			id := strconv.Itoa(i)
			ctx := context.WithValue(t.Context(), key{}, id)
			for range 20 {
				if got, err := client.Queue("q").Send(ctx, id, 0); err != nil || got != id {
					t.Errorf("%s: %s, %v", id, got, err)
				}
			}
		})
	}
	group.Wait()
	// fasthttp looks every ten seconds whether a client is still needed; there are
	// as many as there were calls at once, not as many as there were calls.
	if n := runtime.NumGoroutine(); n > before+300 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

func TestCredentialsThatFailLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	gone := errors.New("metadata service is away")
	client, hits := serve(t, refuse(500, ""), func(c *mns.Config) {
		c.Credentials = func(context.Context) (rpc.Credentials, error) { return rpc.Credentials{}, gone }
	})
	if _, err := client.Queue("q").Send(t.Context(), "b", 0); !errors.Is(err, gone) || errors.Is(err, mns.ErrUnsettled) || hits.Load() != 0 {
		t.Errorf("error %v, %d requests", err, hits.Load())
	}
}
