package trackertest

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Fault breaks one request to the services, counted over all of them.
type Fault struct {
	At   int  // the request that it hits, from 1; 0: none
	Done bool // the request is carried out and only its answer lost
	Dies bool // whoever makes the request ends there
}

// String says what happens, for the name of a test.
func (f Fault) String() string {
	what := "lost"
	if f.Done {
		what = "answer lost"
	}
	if f.Dies {
		what += ", function dies"
	}
	return fmt.Sprintf("request %d %s", f.At, what)
}

// Faults are all ways in which each of n requests can break.
func Faults(n int) (faults []Fault) {
	for at := 1; at <= n; at++ {
		faults = append(faults, Fault{at, false, false}, Fault{at, true, false}, Fault{at, false, true}, Fault{at, true, true})
	}
	return faults
}

// Wire stands between somebody's clients and a stand-in, and breaks what its Fault
// says. Requests is how many it has seen.
type Wire struct {
	Fault Fault
	// Kill ends whoever makes the requests, before Dies lets the fault happen.
	Kill context.CancelFunc

	mu        sync.Mutex
	requests  int
	dead      bool
	published []string
}

// Requests is how many requests have been made.
func (w *Wire) Requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

// Published are the bodies that the topic accepted, in order.
func (w *Wire) Published() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.published)
}

// Break counts requests from here on, for another fault.
func (w *Wire) Break(f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests, w.Fault = 0, f
}

// Revive lets the next one in, who replaces the dead.
func (w *Wire) Revive(kill context.CancelFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.Kill = false, kill
}

// Serve returns the URL of a proxy for one service.
func (w *Wire) Serve(t testing.TB, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = u.Scheme, u.Host, u.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.mu.Lock()
		w.requests++
		hit, dead := w.requests == w.Fault.At, w.dead
		if hit && w.Fault.Dies {
			w.dead = true
		}
		w.mu.Unlock()
		if dead {
			panic(http.ErrAbortHandler)
		}
		if hit && !w.Fault.Done {
			w.end()
		}
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		if strings.Contains(r.URL.Path, "/topics/") && answer.Code == http.StatusCreated {
			var m struct{ MessageBody string }
			if err := xml.Unmarshal(body, &m); err != nil {
				t.Error(err)
			}
			w.mu.Lock()
			w.published = append(w.published, m.MessageBody)
			w.mu.Unlock()
		}
		if hit {
			w.end()
		}
		for k, v := range answer.Header() {
			rw.Header()[k] = v
		}
		rw.WriteHeader(answer.Code)
		rw.Write(answer.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// end breaks the connection, and whoever made it if it is to die here.
func (w *Wire) end() {
	if w.Fault.Dies {
		w.mu.Lock()
		kill := w.Kill
		w.mu.Unlock()
		if kill != nil {
			kill()
		}
	}
	panic(http.ErrAbortHandler)
}
