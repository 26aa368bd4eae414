package ecs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// upload is a multipart upload, the diskimage.Sink of one image file. It keeps
// no content.
type upload struct {
	ctx    context.Context
	stop   context.CancelCauseFunc // ends ctx
	bucket *oss.Bucket
	key    string
	id     string
	parts  []oss.UploadPart
}

func (u *upload) target() oss.InitiateMultipartUploadResult {
	return oss.InitiateMultipartUploadResult{Bucket: u.bucket.BucketName, Key: u.key, UploadID: u.id}
}

func (u *upload) begin() error {
	return again(u.ctx, "begin upload of "+u.key, func() error {
		result, err := u.bucket.InitiateMultipartUpload(u.key, oss.WithContext(u.ctx))
		u.id = result.UploadID
		return err
	})
}

// Part uploads a part. They come one at a time, and OSS takes them in any order.
func (u *upload) Part(number int, content []byte) error {
	if u.ctx.Err() != nil {
		return context.Cause(u.ctx)
	}
	return again(u.ctx, fmt.Sprintf("upload part %d of %s", number, u.key), func() error {
		body := &body{r: bytes.NewReader(content)}
		defer body.shut()
		part, err := u.bucket.UploadPart(u.target(), body, int64(len(content)), number, oss.WithContext(u.ctx))
		if err == nil {
			u.parts = append(u.parts, part)
		}
		return err
	})
}

// body is the content of one try. The transport may read it for a while after it
// has answered, when the content is no longer the caller's: shut ends that.
type body struct {
	mu sync.Mutex
	r  io.Reader // nil: shut
}

var errShut = errors.New("the try is over")

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errShut
	}
	return b.r.Read(p)
}

// shut waits for the Read that is under way.
func (b *body) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
}

func (u *upload) complete() error {
	tries := 0
	return again(u.ctx, "complete upload of "+u.key, func() error {
		tries++
		_, err := u.bucket.CompleteMultipartUpload(u.target(), u.parts, oss.WithContext(u.ctx))
		if tries > 1 && serviceCode(err) == "NoSuchUpload" {
			return nil // an answer was lost: an earlier try completed it
		}
		return err
	})
}

// abort makes sure that an upload is gone.
func abort(ctx context.Context, bucket *oss.Bucket, key, id string) error {
	return again(ctx, "abort upload of "+key, func() error {
		err := bucket.AbortMultipartUpload(oss.InitiateMultipartUploadResult{Bucket: bucket.BucketName, Key: key, UploadID: id}, oss.WithContext(ctx))
		if code := serviceCode(err); code == "NoSuchUpload" || code == "NoSuchBucket" {
			return nil
		}
		return err
	})
}

func serviceCode(err error) string {
	var e oss.ServiceError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

const (
	tries      = 12
	firstPause = 20 * time.Millisecond
	longest    = 5 * time.Second
)

// again calls do until it returns nil or an error that another try does not
// mend, for about half a minute: OSS may start later than ECS does.
func again(ctx context.Context, what string, do func() error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n == tries || !passing(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, longest)
	}
}

// passing tells whether an error may go away by itself.
func passing(err error) bool {
	if roleMissing(err) {
		return false
	}
	var service oss.ServiceError
	if errors.As(err, &service) {
		// The credentials are renewed in time, unless the machine was asleep.
		return service.Code == "SecurityTokenExpired" || service.StatusCode >= http.StatusInternalServerError || service.StatusCode == http.StatusTooManyRequests
	}
	var unexpected oss.UnexpectedStatusCodeError
	if errors.As(err, &unexpected) {
		return unexpected.Got() >= http.StatusInternalServerError
	}
	return true
}
