package ecs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// partSize is the length of the n-th part, counted from 1, in bytes. Parts grow,
// so that a small object needs little memory and the 10,000 parts that OSS
// allows hold 1.8 TiB.
func partSize(n int) int {
	switch {
	case n <= 1000:
		return 4 << 20
	case n <= 3000:
		return 16 << 20
	case n <= 7000:
		return 64 << 20
	}
	return 512 << 20
}

// upload is a multipart upload that is written to as a stream. Its memory is
// one part.
type upload struct {
	ctx    context.Context
	bucket *oss.Bucket
	key    string
	id     string
	buf    []byte
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

func (u *upload) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		room := partSize(len(u.parts)+1) - len(u.buf)
		k := min(room, len(p))
		u.buf, p = append(u.buf, p[:k]...), p[k:]
		if k == room {
			if err := u.flush(); err != nil {
				return n - len(p), err
			}
		}
	}
	return n, nil
}

// flush sends what is left as a part.
func (u *upload) flush() error {
	if len(u.buf) == 0 {
		return nil
	}
	n := len(u.parts) + 1
	err := again(u.ctx, fmt.Sprintf("upload part %d of %s", n, u.key), func() error {
		part, err := u.bucket.UploadPart(u.target(), bytes.NewReader(u.buf), int64(len(u.buf)), n, oss.WithContext(u.ctx))
		if err == nil {
			u.parts = append(u.parts, part)
		}
		return err
	})
	u.buf = u.buf[:0]
	return err
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
