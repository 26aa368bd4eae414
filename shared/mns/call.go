package mns

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"time"
	"unicode/utf8"

	sdk "github.com/aliyun/aliyun-mns-go-sdk"
	"github.com/valyala/fasthttp"
)

// request is one request to MNS.
type request struct {
	op       string
	method   sdk.Method
	resource string // what it is about, such as queues/q
	path     string // behind the resource, with the query
	body     any    // marshalled to XML; nil for none
	wait     time.Duration
	// query: nothing is changed, so a lost answer leaves nothing open.
	query bool
	// idempotent: may be repeated.
	idempotent bool
}

// answer is what came back, with a status of success or one the caller takes for
// an answer.
type answer struct {
	status    int
	requestID string
	body      []byte
}

func (r request) invalid(format string, args ...any) *Error {
	return &Error{Op: r.op, Resource: r.resource, Message: fmt.Sprintf(format, args...), is: []error{ErrInvalid}}
}

// failed makes the error of a request that was sent, or should have been.
func (r request) failed(a answer, err error) *Error {
	e := &Error{Op: r.op, Resource: r.resource, Status: a.status, RequestID: a.requestID, cause: err}
	if a.status == 0 {
		e.unsent = dialFailed(err)
	}
	return r.judged(e)
}

// judged marks an error after which nobody knows whether the request was carried out.
func (r request) judged(e *Error) *Error {
	if !r.query && !e.unsent && !settled(e.Status, e.Code) {
		e.is = append(e.is, ErrUnsettled)
	}
	return e
}

// refused makes the error of an answer that is no success.
func (r request) refused(a answer) *Error {
	e := &Error{Op: r.op, Resource: r.resource, Status: a.status, RequestID: a.requestID}
	var document sdk.ErrorResponse
	if err := xml.Unmarshal(a.body, &document); err != nil {
		e.Message = fmt.Sprintf("status %d without an error document: %.200q", a.status, a.body)
	} else {
		e.Code, e.Message = document.Code, document.Message
		if e.RequestID == "" {
			e.RequestID = document.RequestId
		}
	}
	if s := sentinel(e.Code, e.Status); s != nil {
		e.is = append(e.is, s)
	}
	return r.judged(e)
}

// do sends the request and returns the answer when accept says so: nil accepts 2xx.
func (c *Client) do(ctx context.Context, r request, accept func(answer) bool) (answer, error) {
	for n := 1; ; n++ {
		a, e := c.once(ctx, r, accept)
		if e == nil {
			return a, nil
		}
		if n >= c.cfg.Attempts || !e.again(r.idempotent) || !wait(ctx, n) {
			return a, e
		}
	}
}

func (c *Client) once(ctx context.Context, r request, accept func(answer) bool) (answer, *Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout+r.wait, errTimeout)
	defer cancel()
	unsent := func(err error) *Error { return &Error{Op: r.op, Resource: r.resource, cause: err} }
	if ctx.Err() != nil {
		return answer{}, unsent(context.Cause(ctx))
	}
	cred, err := c.cfg.Credentials(ctx)
	if err != nil {
		return answer{}, unsent(fmt.Errorf("credentials: %w", err))
	}
	l := c.lane(ctx, cred)
	defer l.release()
	resp, err := l.sdk.Send(r.method, nil, r.body, r.resource+r.path)
	if err != nil {
		if l.err == nil { // of the SDK itself, before anything was sent
			return answer{}, unsent(err)
		}
		if cause := context.Cause(ctx); cause != nil && !errors.Is(l.err, cause) {
			return answer{}, r.failed(answer{}, fmt.Errorf("%w: %w", cause, l.err))
		}
		return answer{}, r.failed(answer{}, l.err)
	}
	a := answer{status: resp.StatusCode(), requestID: string(resp.Header.Peek(requestID)), body: resp.Body()}
	fasthttp.ReleaseResponse(resp) // the body is not fasthttp's
	if a.status/100 == 2 || accept != nil && accept(a) {
		return a, nil
	}
	return a, r.refused(a)
}

// decode reads the document of a success.
func (r request) decode(a answer, v any) *Error {
	if err := xml.Unmarshal(a.body, v); err != nil {
		return r.failed(a, fmt.Errorf("read the answer: %w", err))
	}
	return nil
}

// errTimeout tells our own bound from the caller's.
var errTimeout = fmt.Errorf("no complete answer in time: %w", context.DeadlineExceeded)

// wait sleeps before attempt n+1, or returns false where ctx ends first. The time
// is random between nothing and a bound that doubles, so that clients that failed
// together do not come back together.
func wait(ctx context.Context, n int) bool {
	bound := min(100*time.Millisecond<<(n-1), 2*time.Second)
	timer := time.NewTimer(rand.N(bound))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// resourceName is a name of a queue, topic or subscription. The SDK puts it into
// the path as it is, so one with a slash or dots would be another resource.
var resourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,119}$`)

func (r request) named(names ...string) *Error {
	for _, name := range names {
		if !resourceName.MatchString(name) {
			return r.invalid("name %q: want 1 to 120 letters, digits and hyphens, beginning with no hyphen", name)
		}
	}
	return nil
}

// maxBody is the largest body of a message, and of all messages of a batch, in
// bytes. https://www.alibabacloud.com/help/doc-detail/128343.htm
const maxBody = 64 << 10

// text refuses bodies that MNS cannot hold. encoding/xml would put U+FFFD in place
// of what XML 1.0 has no way to write, and nobody would know.
func (r request) text(body string) *Error {
	switch {
	case body == "":
		return r.invalid("the body is empty")
	case len(body) > maxBody:
		return r.invalid("the body has %d bytes, more than %d", len(body), maxBody)
	case !utf8.ValidString(body):
		return r.invalid("the body is not UTF-8")
	}
	for i, char := range body {
		switch {
		case char == '\t', char == '\n', char == '\r', char >= 0x20 && char <= 0xD7FF, char >= 0xE000 && char <= 0xFFFD, char >= 0x10000:
		default:
			return r.invalid("the body has %U at byte %d, which XML cannot hold", char, i)
		}
	}
	return nil
}
