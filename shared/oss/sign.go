package oss

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// maxLink is how long a link of signature V4 may live (x-oss-expires is at most
// 604800).
const maxLink = 7 * 24 * time.Hour

// SignOptions says how a link behaves; the zero value is fine.
type SignOptions struct {
	// Filename is the name under which a browser saves the content; blank leaves
	// that to the browser.
	Filename string
}

// SignGet returns a link to an object on the public endpoint, signed with V4, and
// when it ends. It ends after ttl, after 7 days, or with the credentials that sign
// it, whichever comes first, and whole seconds are rounded down. Whether there is
// such an object is not asked. Credentials that have ended are ErrDenied.
func (b *Bucket) SignGet(ctx context.Context, key string, ttl time.Duration, o SignOptions) (link string, expires time.Time, err error) {
	c := call{op: "sign", bucket: b.name, key: key}
	if e := c.check(true); e != nil {
		return "", time.Time{}, e
	}
	if ttl < time.Second {
		return "", time.Time{}, c.invalid("a link of %v", ttl)
	}
	fail := func(err error, is ...error) (string, time.Time, error) {
		return "", time.Time{}, &Error{Op: c.op, Bucket: b.name, Key: key, Next: -1, cause: err, is: is}
	}
	cred, err := b.client.cfg.Credentials(ctx)
	if err != nil {
		return fail(fmt.Errorf("credentials: %w", err))
	}
	now := b.client.cfg.Now()
	ttl = min(ttl, maxLink)
	if !cred.Expires.IsZero() {
		ttl = min(ttl, cred.Expires.Sub(now))
	}
	ttl = ttl.Truncate(time.Second)
	if ttl <= 0 {
		return fail(errors.New("the credentials have expired"), ErrDenied)
	}
	client, err := b.client.connect(ctx, b.client.cfg.PublicEndpoint, b.client.public, cred)
	if err != nil {
		return fail(err)
	}
	bucket, err := client.Bucket(b.name)
	if err != nil {
		return fail(err)
	}
	var options []sdk.Option
	if o.Filename != "" {
		disposition := mime.FormatMediaType("attachment", map[string]string{"filename": o.Filename})
		if disposition == "" {
			return "", time.Time{}, c.invalid("file name %q", o.Filename)
		}
		options = append(options, sdk.ResponseContentDisposition(disposition))
	}
	link, err = bucket.SignURL(key, sdk.HTTPGet, int64(ttl/time.Second), options...)
	if err != nil {
		return fail(err)
	}
	return link, now.Add(ttl), nil
}
