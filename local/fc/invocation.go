package fc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"ecs-image-export/local/identity"
)

// The types of a lifecycle step, as x-fc-function-type tells the runtime.
const (
	stepInvoke     = "0"
	stepInitialize = "1"
)

// The error types of X-Fc-Error-Type that a Go function can cause.
const (
	unhandledError      = "UnhandledInvocationError"
	initializationError = "InitializationError"
)

// invocation is one request on its way to an instance.
type invocation struct {
	id          string
	step        string
	payload     []byte
	retries     int // how often it was tried before
	timeout     time.Duration
	credentials identity.Credentials
	tail        *tail        // nil: not wanted
	result      chan outcome // takes one
}

// outcome is how an invocation ended.
type outcome struct {
	// payload is what the function returned, or the error as JSON.
	payload []byte
	// errorType is unhandledError or initializationError where the function
	// failed.
	errorType string
	// refused is set where the function was not reached; the rest is empty then.
	refused *apiError
	log     []byte // the tail, where it was asked for
}

func failed(errorType, format string, args ...any) outcome {
	return failedAs(errorType, "", format, args...)
}

func failedAs(errorType, detail, format string, args ...any) outcome {
	payload, _ := json.Marshal(struct {
		Message string `json:"errorMessage"`
		Type    string `json:"errorType,omitempty"`
	}{fmt.Sprintf(format, args...), detail})
	return outcome{payload: payload, errorType: errorType}
}

func refuse(status int, code, format string, args ...any) outcome {
	return outcome{refused: &apiError{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}}
}

// request is what a caller wants of a function.
type request struct {
	id      string
	payload []byte
	retries int
	tail    bool
	// expired is asked once an instance is free; nil: never.
	expired func() bool
}

// errExpired tells that a request waited too long for an instance.
var errExpired = &apiError{Status: http.StatusTooManyRequests, Code: "EventExpired", Message: "the event is too old"}

// errClosing tells that the service ended before the function did.
var errClosing = &apiError{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: "the service is being stopped"}

// invoke runs one request on a free instance, or a new one, or waits for one.
// ctx ends the wait only: a function that has its request finishes it.
func (s *Service) invoke(ctx context.Context, f *function, r request) outcome {
	if !s.enter() {
		return outcome{refused: errClosing}
	}
	defer s.running.Done()
	i, err := f.pool.acquire(ctx)
	switch {
	case s.ctx.Err() != nil:
		return outcome{refused: errClosing}
	case err != nil:
		return refuse(http.StatusTooManyRequests, "ResourceThrottled", "no instance of %s became free: %v", f.Name, err)
	}
	if r.expired != nil && r.expired() {
		f.pool.giveBack(i)
		return outcome{refused: errExpired}
	}
	credentials, err := f.credentials.current(ctx)
	if err != nil {
		f.pool.giveBack(i)
		if errors.Is(err, identity.ErrNoRole) || errors.Is(err, identity.ErrNotTrusted) {
			return refuse(http.StatusForbidden, "AccessDenied", "%v", err)
		}
		return refuse(http.StatusInternalServerError, "InternalServerError", "%v", err)
	}
	if i == nil {
		var out outcome
		if i, out = s.startInstance(f, credentials); i == nil {
			f.pool.drop(nil)
			return out
		}
	}
	inv := &invocation{id: r.id, step: stepInvoke, payload: r.payload, retries: r.retries, timeout: f.Timeout,
		credentials: credentials, result: make(chan outcome, 1)}
	if r.tail {
		inv.tail = newTail(r.id)
	}
	out, alive := i.run(inv)
	if s.ctx.Err() != nil && !alive {
		out = outcome{refused: errClosing}
	}
	if r.tail && out.refused == nil {
		out.log = inv.tail.wait()
	}
	if alive {
		f.pool.giveBack(i)
	} else {
		f.pool.drop(i)
	}
	return out
}

// enter counts a piece of work that Close waits for. It returns false once the
// service is closing.
func (s *Service) enter() bool {
	s.closeMu.Lock()
	defer s.closeMu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}
