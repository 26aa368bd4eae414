package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"ecs-image-export/events"
	"ecs-image-export/shared/function"
)

// adapt turns an http.Handler into a handler of HTTP trigger events.
func adapt(h http.Handler) function.Handler[events.HTTPRequest, events.HTTPResponse] {
	return func(ctx context.Context, event events.HTTPRequest) (events.HTTPResponse, error) {
		w := &response{header: http.Header{}}
		r, err := request(ctx, event)
		if err != nil {
			refuse(w, newProblem(http.StatusBadRequest, codeMalformed, err.Error()))
		} else {
			h.ServeHTTP(w, r)
		}
		function.Note(ctx, slog.String("method", event.RequestContext.HTTP.Method), slog.String("path", event.RawPath), slog.Int("status", w.code()))
		return w.event(event.RequestContext.HTTP.Method), nil
	}
}

// request makes the request that an event describes. Several values of a header
// or a query parameter come joined with commas and stay so: nothing tells them
// from one value with a comma in it.
func request(ctx context.Context, event events.HTTPRequest) (*http.Request, error) {
	about := event.RequestContext.HTTP
	body := []byte(event.Body)
	if event.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(event.Body); err != nil {
			return nil, fmt.Errorf("the body is not base64: %w", err)
		}
	}
	u, err := target(event)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	for name, value := range event.QueryParameters {
		query.Set(name, value)
	}
	u.RawQuery = query.Encode()

	header := http.Header{}
	for name, value := range event.Headers {
		header.Set(name, value) // any spelling of the name
	}
	host := header.Get("Host")
	if host == "" {
		host = event.RequestContext.DomainName
	}
	header.Del("Host")

	r := &http.Request{
		Method: about.Method, URL: u, Host: host, RequestURI: u.RequestURI(),
		Proto: about.Protocol, Header: header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		RemoteAddr: about.SourceIP,
	}
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(about.Protocol)
	if r.Method == "" {
		r.Method = http.MethodGet // as in net/http
	}
	return r.WithContext(ctx), nil
}

// target keeps how the caller escaped the path, because an escaped slash separates
// nothing. Where that is missing, there is only the unescaped form.
func target(event events.HTTPRequest) (*url.URL, error) {
	u := &url.URL{RawPath: event.RawPath}
	var err error
	if u.Path, err = url.PathUnescape(event.RawPath); err != nil {
		return nil, fmt.Errorf("the path: %w", err)
	}
	if u.Path == "" {
		u.Path = event.RequestContext.HTTP.Path
	}
	if !strings.HasPrefix(u.Path, "/") {
		u.Path, u.RawPath = "/"+u.Path, "/"+u.RawPath
	}
	return u, nil
}

// response collects what a handler writes.
type response struct {
	header http.Header
	status int // 0 until the handler says
	body   bytes.Buffer
}

// Header is part of http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader is part of http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

// Write is part of http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *response) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// event makes the value that the function returns. A header has one value there.
func (w *response) event(method string) events.HTTPResponse {
	out := events.HTTPResponse{StatusCode: w.code(), Headers: map[string]string{}}
	for name, values := range w.header {
		if len(values) > 0 {
			out.Headers[http.CanonicalHeaderKey(name)] = strings.Join(values, ", ")
		}
	}
	body := w.body.Bytes()
	switch {
	case method == http.MethodHead:
		// The headers are those of GET; the body is not for sending.
	case isText(w.header.Get("Content-Type")) && utf8.Valid(body):
		out.Body = string(body)
	case len(body) > 0:
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return out
}

func isText(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	return strings.HasPrefix(media, "text/") || media == "application/json" || strings.HasSuffix(media, "+json")
}
