package ecs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// lateReader is an http.RoundTripper that goes on reading a request's body after
// it has answered, as the contract allows and http.Transport does when a server
// answers early.
type lateReader struct {
	body   io.Reader
	answer *strings.Reader
	more   chan struct{} // closed when the caller has the content again
	read   chan []byte
}

func (l *lateReader) RoundTrip(r *http.Request) (*http.Response, error) {
	l.body = r.Body
	return &http.Response{
		StatusCode: http.StatusForbidden, Header: http.Header{}, Body: io.NopCloser(l), Request: r,
	}, nil
}

// Read is of the answer's body. From then on the request's is read too: before,
// the SDK itself is not ready for that.
func (l *lateReader) Read(p []byte) (int, error) {
	if l.body != nil {
		go func(body io.Reader) {
			var first, rest bytes.Buffer
			_, _ = io.CopyN(&first, body, 1<<20)
			<-l.more
			_, _ = io.Copy(&rest, body)
			l.read <- append(first.Bytes(), rest.Bytes()...)
		}(l.body)
		l.body = nil
	}
	return l.answer.Read(p)
}

// TestPartIsNotReadAfterwards wants Part to be done with its content when it
// returns, whatever the HTTP transport still does.
func TestPartIsNotReadAfterwards(t *testing.T) {
	t.Parallel()
	const before, after = 0xaa, 0x55
	late := &lateReader{
		answer: strings.NewReader("<Error><Code>AccessDenied</Code></Error>"), more: make(chan struct{}), read: make(chan []byte, 1),
	}
	client, err := oss.New("http://localhost", "id", "secret", oss.AuthVersion(oss.AuthV4), oss.Region("cn-hangzhou"),
		oss.ForcePathStyle(true), oss.HTTPClient(&http.Client{Transport: late}))
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := client.Bucket("image-exports")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	u := &upload{ctx: ctx, stop: stop, bucket: bucket, key: "disk", id: "upload"}
	content := bytes.Repeat([]byte{before}, 4<<20)
	err = u.Part(1, content)
	for i := range content {
		content[i] = after
	}
	close(late.more)
	var refused oss.ServiceError
	if !errors.As(err, &refused) || refused.Code != "AccessDenied" {
		t.Fatalf("Part: %v", err)
	}
	if n := bytes.Count(<-late.read, []byte{after}); n > 0 {
		t.Errorf("%d bytes were read that came into the buffer after Part had returned", n)
	}
}
