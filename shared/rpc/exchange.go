package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// maxAnswer is the largest answer that is read, in bytes. A page of 100 images
// is below 1 MiB.
const maxAnswer = 16 << 20

// exchange is the http.RoundTripper that is put under the SDK for one request.
// It carries the context that the SDK lacks, and keeps what happened.
type exchange struct {
	ctx       context.Context
	transport http.RoundTripper

	begun     bool
	connected atomic.Bool // the request may have left
	answered  bool
	status    int
	body      []byte
	err       error
}

var errSecondRequest = errors.New("the service sent a redirection")

// RoundTrip sends the request once. That there is only one try is the promise
// of a call, so a redirection is not followed.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	if x.begun {
		return nil, errSecondRequest
	}
	x.begun = true
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { x.connected.Store(true) }}
	resp, err := x.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(x.ctx, trace)))
	if err != nil {
		return nil, x.fail(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	}
	if err != nil {
		return nil, x.fail(fmt.Errorf("read the answer: %w", err))
	}
	x.answered, x.status, x.body = true, resp.StatusCode, body
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// fail keeps err, with the context's own error where that is the cause: the
// transport may report it as a broken connection.
func (x *exchange) fail(err error) error {
	if cause := x.ctx.Err(); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	x.err = err
	return err
}

// failed tells a connection that was never made from a request that may have
// arrived.
func (x *exchange) failed() kind {
	if x.connected.Load() {
		return unclear
	}
	return notSent
}
