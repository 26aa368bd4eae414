package oss_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
)

// always answers every request with the same, a few times.
type always struct {
	status int
	header http.Header
	body   []byte
	left   int
}

// RoundTrip is part of http.RoundTripper.
func (a *always) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.left--; a.left < 0 {
		return nil, errors.New("asked too often")
	}
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	body := a.body
	if r.Method == http.MethodHead {
		body = nil
	}
	return &http.Response{Status: fmt.Sprintf("%d x", a.status), StatusCode: a.status, Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

// FuzzAnswer lets a server answer every call with anything: there is a result or an
// *oss.Error that a person can read and the table can explain, and a write that may
// have taken place is never called a refusal.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "", []byte(`<?xml version="1.0"?><ListBucketResult><KeyCount>1</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents><Key>a%2Fb</Key><Size>7</Size><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"E"</ETag></Contents></ListBucketResult>`))
	f.Add(200, "", []byte(`<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><Upload><Key>k</Key><UploadId>u</UploadId><Initiated>2026-01-02T03:04:05.000Z</Initiated></Upload></ListMultipartUploadsResult>`))
	f.Add(200, "", []byte(`<BucketInfo><Bucket><Name>b</Name><Location>oss-cn-hangzhou</Location><Owner><ID>1</ID></Owner></Bucket></BucketInfo>`))
	f.Add(200, "", []byte(`<LifecycleConfiguration><Rule><ID>r</ID><Prefix>p/</Prefix><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>`))
	f.Add(200, "x-oss-next-append-position: 9\nx-oss-hash-crc64ecma: 18446744073709551615\nx-oss-version-id: v", []byte("content"))
	f.Add(409, "x-oss-next-append-position: -1", []byte(`<Error><Code>PositionNotEqualToLength</Code><Message>m</Message><RequestId>r</RequestId></Error>`))
	f.Add(403, "", []byte(`<Error><Code>AccessDenied</Code><Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint></Error>`))
	f.Add(404, "x-oss-err: PEVycm9yPjxDb2RlPk5vU3VjaEtleTwvQ29kZT48L0Vycm9yPg==", []byte(nil))
	f.Add(502, "Content-Type: text/html", []byte("<html>\xff\x00"))
	f.Add(302, "Location: http://elsewhere.example/", []byte(nil))
	f.Fuzz(func(t *testing.T, status int, headers string, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		a := &always{status: status, header: http.Header{}, body: body}
		for line := range strings.Lines(headers) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			a.header.Set(name, value)
		}
		client, err := oss.New(oss.Config{Region: "cn-hangzhou", Endpoint: "http://127.0.0.1:1", Credentials: static, Transport: a, Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		b := client.Bucket(bucket)
		more := []operation{
			{"versioning", false, func(ctx context.Context, b *oss.Bucket) error { _, err := b.Versioning(ctx); return err }},
			{"lifecycle", false, func(ctx context.Context, b *oss.Bucket) error { _, err := b.Lifecycle(ctx); return err }},
			{"abort", false, func(ctx context.Context, b *oss.Bucket) error { return b.Abort(ctx, oss.Upload{Key: "k", ID: "u"}) }},
		}
		for _, op := range append(more, operations...) {
			a.left = 3
			err := op.do(t.Context(), b)
			if err == nil {
				continue
			}
			var e *oss.Error
			if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "oss: ") {
				t.Fatalf("%s: %T %v", op.name, err, err)
			}
			if c, ok := export.Explain(err); !ok || c.Remedy == "" || c.Do == export.DoRefuse {
				t.Errorf("%s: explained as %+v", op.name, c)
			}
			// 3xx and 4xx change nothing, 408 apart, nor does 501.
			refused := status >= 300 && status < 500 && status != 408 || status == 501
			if op.writes && !refused && !errors.Is(err, oss.ErrUnsettled) && !errors.Is(err, oss.ErrVersioned) {
				t.Errorf("%s, %d: %v", op.name, status, err)
			}
			if errors.Is(err, oss.ErrUnsettled) && (refused || !op.writes) {
				t.Errorf("%s, %d: %v", op.name, status, err)
			}
		}
	})
}
