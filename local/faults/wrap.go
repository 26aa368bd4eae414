package faults

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"
)

// Service is what a service has to tell for its calls to fail.
type Service interface {
	http.Handler
	// Operations names all operations that it has.
	Operations() []string
	// Operation returns the names of the operation that a call asks for, none
	// where it cannot be told. The call can still be served.
	Operation(*http.Request) []string
	// Documented returns the status and the message that the service's documents
	// give a code, or 0 for one that is not in them. Where a code has several
	// meanings, the wanted status (or 0) chooses.
	Documented(code string, wanted int) (status int, message string)
	// Refuse answers a call with an error in the service's format.
	Refuse(w http.ResponseWriter, r *http.Request, status int, code, message string)
}

// Wrap puts the table in front of a service.
func (t *Table) Wrap(name string, s Service) http.Handler {
	t.mu.Lock()
	t.services[name] = s
	t.mu.Unlock()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t.idle(name) {
			s.ServeHTTP(w, r)
			return
		}
		what, struck := t.Strike(name, s.Operation(r)...)
		if !struck {
			s.ServeHTTP(w, r)
			return
		}
		t.happen(what, s, w, r)
	})
}

// happen carries out what happens to a call. The server cuts the connection when
// it panics with ErrAbortHandler.
func (t *Table) happen(what What, s Service, w http.ResponseWriter, r *http.Request) {
	var body []byte
	if what.Delay > 0 || what.Duplicate {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		// From here on the work does not need the caller.
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if !t.wait(time.Duration(what.Delay)) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case what.Code != "":
		s.Refuse(w, r, what.Status, what.Code, what.Message)
	case what.Status != 0:
		http.Error(w, http.StatusText(what.Status), what.Status)
	case what.Cut:
		panic(http.ErrAbortHandler)
	case what.Drop:
		s.ServeHTTP(nowhere{}, r)
		panic(http.ErrAbortHandler)
	case what.Duplicate:
		s.ServeHTTP(nowhere{}, r)
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.ServeHTTP(w, r)
	default:
		s.ServeHTTP(w, r)
	}
}

// wait lets time go by; false means that the table was closed first.
func (t *Table) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.closed:
		return false
	}
}

// nowhere takes an answer that nobody gets.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}
