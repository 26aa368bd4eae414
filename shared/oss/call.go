package oss

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"ecs-image-export/shared/rpc"
)

// connect returns an SDK client for one request, which is bound to ctx and signed
// with these credentials. It costs some microseconds. A shared one could be given
// neither: the SDK asks for credentials without a context, and forgets the option
// WithContext in everything that concerns a bucket.
func (c *Client) connect(ctx context.Context, endpoint string, pathStyle bool, cred rpc.Credentials) (*sdk.Client, error) {
	return sdk.New(endpoint, cred.ID, cred.Secret,
		sdk.SecurityToken(cred.Token),
		sdk.AuthVersion(sdk.AuthV4), // the SDK's default is V1, which OSS is switching off
		sdk.Region(c.cfg.Region),
		sdk.ForcePathStyle(pathStyle),
		sdk.VerifyObjectStrict(false), // a key may begin with a question mark
		sdk.EnableCRC(false),          // the SDK's sum races where the answer comes before the body is out
		sdk.HTTPClient(&http.Client{
			Transport: &wire{next: c.cfg.Transport, ctx: ctx},
			// A redirect is an answer like any other: following it would send a
			// signature made for one host to another one.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
	)
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

// check refuses what must not be sent: the SDK takes an operation on an empty key
// for one on the bucket.
func (c call) check(object bool) *Error {
	switch {
	case !bucketName.MatchString(c.bucket):
		return c.invalid("bucket name %q: want 3 to 63 lower-case letters, digits and hyphens", c.bucket)
	case !object:
		return nil
	case c.key == "":
		return c.invalid("the key is empty")
	case len(c.key) > 1023:
		return c.invalid("the key has %d bytes, more than 1023", len(c.key))
	case strings.HasPrefix(c.key, "/") || strings.HasPrefix(c.key, `\`):
		return c.invalid("the key begins with %q", c.key[:1])
	case !utf8.ValidString(c.key):
		return c.invalid("the key is not UTF-8")
	}
	return nil
}

// attempt does one request. The option catches the headers of the answer.
type attempt func(client *sdk.Client, header sdk.Option) error

// do runs one operation: it asks for credentials, bounds each attempt, and repeats
// those that may be repeated.
func (b *Bucket) do(ctx context.Context, c call, object bool, try attempt) (http.Header, error) {
	header, end, err := b.begin(ctx, c, object, try)
	end(nil)
	return header, err
}

// begin is do for an answer whose body is read later: until end is called the
// request is not over. The time-out no longer holds.
func (b *Bucket) begin(ctx context.Context, c call, object bool, try attempt) (header http.Header, end context.CancelCauseFunc, err error) {
	if e := c.check(object); e != nil {
		return nil, func(error) {}, e
	}
	for n := 1; ; n++ {
		header, end, e := b.once(ctx, c, try)
		if e == nil {
			return header, end, nil
		}
		end(nil)
		if n >= b.client.cfg.Attempts || !e.again(c.writes) || !wait(ctx, n) {
			return header, end, e
		}
	}
}

// once makes one attempt.
func (b *Bucket) once(ctx context.Context, c call, try attempt) (header http.Header, end context.CancelCauseFunc, e *Error) {
	ctx, end = context.WithCancelCause(ctx)
	timer := time.AfterFunc(b.client.cfg.Timeout, func() { end(errTimeout) })
	defer timer.Stop()
	unsent := func(err error) *Error {
		return &Error{Op: c.op, Bucket: c.bucket, Key: c.key, Next: -1, cause: err}
	}
	if ctx.Err() != nil {
		return nil, end, unsent(context.Cause(ctx))
	}
	cred, err := b.client.cfg.Credentials(ctx)
	if err != nil {
		return nil, end, unsent(fmt.Errorf("credentials: %w", err))
	}
	client, err := b.client.connect(ctx, b.client.cfg.Endpoint, b.client.path, cred)
	if err != nil {
		return nil, end, unsent(err)
	}
	if err = try(client, sdk.GetResponseHeader(&header)); err == nil {
		return header, end, nil
	}
	e = c.error(err, header)
	if cause := context.Cause(ctx); cause != nil && e.Code == "" {
		e.cause = cause
	}
	return header, end, e
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
