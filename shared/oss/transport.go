package oss

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// maxErrorBody bounds what is read of an answer that is not a success. OSS error
// documents have a few hundred bytes.
const maxErrorBody = 1 << 20

// newTransport replaces the SDK's own, which dials without a context.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns:        128,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		// With the implicit gzip of net/http, sizes and checksums would be those
		// of another body.
		DisableCompression: true,
	}
}

// wire binds a request to its context, and puts right what the SDK sends and how it
// treats the answers.
type wire struct {
	next http.RoundTripper
	ctx  context.Context
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.WithContext(w.ctx)
	if req.Body != nil && req.ContentLength == 0 {
		// The SDK leaves a body without a length on an empty object, which
		// net/http sends in chunks.
		_ = req.Body.Close()
		req.Body = http.NoBody
	}
	resp, err := w.next.RoundTrip(req)
	if err != nil || resp.StatusCode/100 == 2 {
		return resp, err
	}
	if resp.StatusCode/100 == 3 {
		// The SDK forgets to close these.
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
		_ = resp.Body.Close()
		resp.Body = http.NoBody
		return resp, nil
	}
	resp.Body = limited{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
	return resp, nil
}

type limited struct {
	io.Reader
	io.Closer
}
