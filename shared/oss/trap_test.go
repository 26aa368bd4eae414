package oss_test

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

	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/rpc"
)

type operation struct {
	name   string
	writes bool
	do     func(context.Context, *oss.Bucket) error
}

var operations = []operation{
	{"get", false, func(ctx context.Context, b *oss.Bucket) error { _, _, err := b.Get(ctx, "k"); return err }},
	{"open", false, func(ctx context.Context, b *oss.Bucket) error {
		r, _, err := b.Open(ctx, "k")
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(io.Discard, r)
		return err
	}},
	{"head", false, func(ctx context.Context, b *oss.Bucket) error { _, err := b.Head(ctx, "k"); return err }},
	{"list", false, func(ctx context.Context, b *oss.Bucket) error { _, err := b.List(ctx, oss.ListOptions{}); return err }},
	{"uploads", false, func(ctx context.Context, b *oss.Bucket) error { _, err := b.Uploads(ctx, ""); return err }},
	{"info", false, func(ctx context.Context, b *oss.Bucket) error { _, err := b.Info(ctx); return err }},
	{"delete", false, func(ctx context.Context, b *oss.Bucket) error { return b.Delete(ctx, "k") }},
	{"delete many", false, func(ctx context.Context, b *oss.Bucket) error { return b.DeleteMany(ctx, []string{"k"}) }},
	{"put", true, func(ctx context.Context, b *oss.Bucket) error {
		return b.Put(ctx, "k", []byte("content"), oss.PutOptions{})
	}},
	{"create", true, func(ctx context.Context, b *oss.Bucket) error { return b.Create(ctx, "k", []byte("content")) }},
	{"append", true, func(ctx context.Context, b *oss.Bucket) error {
		_, err := b.Append(ctx, "k", 0, []byte("content"))
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
			b, hits := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				arrived <- struct{}{}
				select {
				case <-over:
				case <-r.Context().Done():
				}
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
				err := op.do(ctx, b)
				cancel()
				if !errors.Is(err, end) {
					t.Errorf("error %v, want %v", err, end)
				}
				if got := errors.Is(err, oss.ErrUnsettled); got != op.writes {
					t.Errorf("unsettled is %v: %v", got, err)
				}
				if n := hits.Load(); n > 1 {
					t.Errorf("%d requests", n)
				}
			}
		})
	}
}

func TestHangingServerEndsWithTheTimeout(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			b, hits := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-over
			}, func(c *oss.Config) { c.Timeout = 200 * time.Millisecond; c.Attempts = 2 })
			t.Cleanup(func() { close(over) }) // before the server closes
			err := op.do(t.Context(), b)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v, want a deadline", err)
			}
			want := int64(2)
			if op.writes {
				want = 1
			}
			// On a busy machine a request may not arrive before it is given up.
			if n := hits.Load(); n > want {
				t.Errorf("%d requests, want %d", n, want)
			}
		})
	}
}

func TestRepetition(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]http.HandlerFunc{
		"broken connection": breakOff,
		"500":               refuse(500, "InternalError"),
		"503":               refuse(503, "ServiceUnavailable"),
		"502 of a proxy": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(502)
			_, _ = w.Write([]byte("<html><body>Bad Gateway"))
		},
		"no OSS at all": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("x-oss-hash-crc64ecma", "1")
			_, _ = w.Write([]byte("<garbage"))
		},
	} {
		for _, op := range operations {
			if name == "no OSS at all" && op.name == "head" {
				continue // any 200 is an answer to HEAD
			}
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				b, hits := serve(t, fault)
				err := op.do(t.Context(), b)
				if err == nil {
					t.Fatal("no error")
				}
				var e *oss.Error
				if !errors.As(err, &e) {
					t.Fatalf("%T: %v", err, err)
				}
				want := int64(3)
				if op.writes {
					want = 1
				}
				if op.name == "open" && name == "no OSS at all" {
					want = 1 // noticed at the end of the content
				}
				if n := hits.Load(); n != want {
					t.Errorf("%d requests, want %d: %v", n, want, err)
				}
				if got := errors.Is(err, oss.ErrUnsettled); got != op.writes {
					t.Errorf("unsettled is %v: %v", got, err)
				}
			})
		}
	}
}

func TestReadsSucceedAfterFaults(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	b, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		i := n
		mu.Unlock()
		switch i {
		case 1:
			breakOff(w, r)
		case 2: // cut off in the middle
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		default:
			_, _ = w.Write([]byte("whole"))
		}
	})
	content, meta, err := b.Get(t.Context(), "k")
	if err != nil || string(content) != "whole" || meta.Size != 5 {
		t.Errorf("%q, %+v, %v", content, meta, err)
	}
}

func TestNothingIsSentWhereNothingListens(t *testing.T) {
	t.Parallel()
	client, err := oss.New(oss.Config{Region: "cn-hangzhou", Endpoint: "http://127.0.0.1:1", Credentials: static, Attempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range operations {
		if err := op.do(t.Context(), client.Bucket(bucket)); err == nil || errors.Is(err, oss.ErrUnsettled) {
			t.Errorf("%s: %v", op.name, err)
		}
	}
}

func TestCreateInVersionedBucketIsFatal(t *testing.T) {
	t.Parallel()
	b, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-oss-forbid-overwrite") != "true" {
			t.Error("the request does not forbid overwriting")
		}
		w.Header().Set("x-oss-version-id", "CAEQNhiBgMDJgZCA0BYiIDc4MGZjZGI2OTBjOTRmNTE5NmU5NmFhZjhjYmY0****")
	})
	if err := b.Create(t.Context(), "k", nil); !errors.Is(err, oss.ErrVersioned) {
		t.Errorf("error %v", err)
	}
}

func TestAppendThatLostTellsTheLength(t *testing.T) {
	t.Parallel()
	b, hits := serve(t, refuse(409, "PositionNotEqualToLength", "x-oss-next-append-position", "42"))
	next, err := b.Append(t.Context(), "k", 7, []byte("x"))
	var e *oss.Error
	if !errors.As(err, &e) || !errors.Is(err, oss.ErrPosition) || errors.Is(err, oss.ErrUnsettled) || e.Next != 42 || next != 42 || hits.Load() != 1 {
		t.Errorf("next %d, error %v, %d requests", next, err, hits.Load())
	}
	b, _ = serve(t, refuse(409, "PositionNotEqualToLength"))
	if next, err := b.Append(t.Context(), "k", 7, []byte("x")); !errors.Is(err, oss.ErrPosition) || next != -1 {
		t.Errorf("without the header: next %d, error %v", next, err)
	}
}

func TestAppendChecksTheNewLength(t *testing.T) {
	t.Parallel()
	b, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("x-oss-next-append-position", "9") })
	if next, err := b.Append(t.Context(), "k", 7, []byte("12")); next != 9 || err != nil {
		t.Errorf("next %d, error %v", next, err)
	}
	if _, err := b.Append(t.Context(), "k", 7, []byte("1")); !errors.Is(err, oss.ErrUnsettled) {
		t.Errorf("error %v", err)
	}
}

func TestChecksumIsCompared(t *testing.T) {
	t.Parallel()
	// CRC-64/XZ of "123456789".
	sum := strconv.FormatUint(0x995DC9BBDF1939FA, 10)
	b, hits := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-oss-hash-crc64ecma", sum)
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(strings.TrimPrefix(r.URL.Path, "/"+bucket+"/")))
		}
	})
	if content, meta, err := b.Get(t.Context(), "123456789"); err != nil || string(content) != "123456789" || meta.CRC64 != 0x995DC9BBDF1939FA {
		t.Errorf("%q %+v %v", content, meta, err)
	}
	hits.Store(0)
	if _, _, err := b.Get(t.Context(), "123456780"); !errors.Is(err, oss.ErrCorrupt) || hits.Load() != 3 {
		t.Errorf("get: %v after %d requests", err, hits.Load())
	}
	if err := b.Put(t.Context(), "k", []byte("other"), oss.PutOptions{}); !errors.Is(err, oss.ErrCorrupt) || !errors.Is(err, oss.ErrUnsettled) {
		t.Errorf("put: %v", err)
	}
	r, _, err := b.Open(t.Context(), "123456780")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, oss.ErrCorrupt) {
		t.Errorf("open: %v", err)
	}
}

func TestRedirectIsAnErrorAndReleasesItsConnection(t *testing.T) {
	t.Parallel()
	b, hits := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	})
	for range 200 {
		if _, err := b.Head(t.Context(), "k"); err == nil || errors.Is(err, oss.ErrNotFound) {
			t.Fatalf("error %v", err)
		}
	}
	if n := hits.Load(); n != 200 {
		t.Errorf("%d requests", n)
	}
}

func TestEveryCallSignsWithFreshCredentials(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	seen := map[string]bool{}
	b, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		auth := r.Header.Get("Authorization")
		if !strings.HasPrefix(auth, "OSS4-HMAC-SHA256 Credential=id") || !strings.Contains(auth, "/cn-hangzhou/oss/aliyun_v4_request") {
			t.Errorf("authorization %q", auth)
		}
		seen[r.Header.Get("x-oss-security-token")] = true
		w.WriteHeader(http.StatusInternalServerError)
	}, func(c *oss.Config) {
		c.Credentials = func(context.Context) (rpc.Credentials, error) {
			mu.Lock()
			defer mu.Unlock()
			n++
			return rpc.Credentials{ID: "id" + strconv.Itoa(n), Secret: "s", Token: "token" + strconv.Itoa(n)}, nil
		}
	})
	_, _ = b.Head(t.Context(), "k")
	if len(seen) != 3 || !seen["token1"] || !seen["token3"] {
		t.Errorf("tokens %v", seen)
	}
}

func TestCredentialsThatFailLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	gone := errors.New("metadata service is away")
	b, hits := serve(t, refuse(500, ""), func(c *oss.Config) {
		c.Credentials = func(context.Context) (rpc.Credentials, error) { return rpc.Credentials{}, gone }
	})
	err := b.Create(t.Context(), "k", nil)
	if !errors.Is(err, gone) || errors.Is(err, oss.ErrUnsettled) || hits.Load() != 0 {
		t.Errorf("error %v, %d requests", err, hits.Load())
	}
}

func TestEmptyObjectIsNotChunked(t *testing.T) {
	t.Parallel()
	b, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || r.Header.Get("Content-Length") != "0" {
			t.Errorf("transfer encoding %v, length %q", r.TransferEncoding, r.Header.Get("Content-Length"))
		}
	})
	if err := b.Create(t.Context(), "k", nil); err != nil {
		t.Error(err)
	}
}

func TestGetRefusesLargeObjects(t *testing.T) {
	t.Parallel()
	for _, chunked := range []bool{false, true} {
		b, hits := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if chunked {
				_ = http.NewResponseController(w).Flush()
			}
			_, _ = w.Write(make([]byte, 11))
		}, func(c *oss.Config) { c.MaxObject = 10 })
		if _, _, err := b.Get(t.Context(), "k"); !errors.Is(err, oss.ErrTooLarge) || hits.Load() != 1 {
			t.Errorf("chunked %v: %v after %d requests", chunked, err, hits.Load())
		}
	}
}

func TestManyCallsAtOnceLeaveNothingBehind(t *testing.T) {
	// Not parallel: it counts goroutines.
	b, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			_, _ = w.Write([]byte("content"))
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		}
	}, func(c *oss.Config) { c.Transport = &http.Transport{DisableKeepAlives: true} })
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			for range 20 {
				if _, _, err := b.Get(t.Context(), "k"); err != nil {
					t.Error(err)
				}
				if err := b.Put(t.Context(), "k", []byte("x"), oss.PutOptions{}); err != nil {
					t.Error(err)
				}
				if err := b.Delete(t.Context(), "k"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before+5; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
