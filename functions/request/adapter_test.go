package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/events"
	"ecs-image-export/shared/rpc"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	var event events.HTTPRequest
	// The documented form of the event, with the spellings that vary.
	err := json.Unmarshal([]byte(`{"version":"v1","rawPath":"/a%20b/c%2Fd","body":"eyJrIjoxfQ==","isBase64Encoded":true,
		"headers":{"content-type":"application/json","X-MULTI":"a,b","HOST":"api.example.com:8080"},"queryParameters":{"k":"v1,v2","e":"","a b":"&="},
		"requestContext":{"accountId":"123","domainName":"id.cn-hangzhou.fcapp.run","domainPrefix":"id","requestId":"1-64f6cd87","time":"2023-09-05T06:41:11Z","timeEpoch":"1693896071895",
		"http":{"method":"PUT","path":"/a b/c/d","protocol":"HTTP/1.1","sourceIp":"192.0.2.1","userAgent":"curl"}}}`), &event)
	if err != nil {
		t.Fatal(err)
	}
	r, err := request(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	got := []any{r.Method, r.URL.Path, r.URL.EscapedPath(), r.URL.Query().Get("k"), r.URL.Query()["e"], r.URL.Query().Get("a b"),
		r.Header.Get("Content-Type"), r.Header.Get("x-multi"), r.Host, r.Header.Get("Host"), string(body), r.ContentLength, r.ProtoMajor, r.RemoteAddr}
	want := []any{"PUT", "/a b/c/d", "/a%20b/c%2Fd", "v1,v2", []string{""}, "&=",
		"application/json", "a,b", "api.example.com:8080", "", `{"k":1}`, int64(7), 1, "192.0.2.1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestRequestWithLittle(t *testing.T) {
	t.Parallel()
	r, err := request(t.Context(), events.HTTPRequest{})
	if err != nil || r.Method != "GET" || r.URL.Path != "/" || r.Header == nil {
		t.Errorf("an empty event: %+v, %v", r, err)
	}
	var event events.HTTPRequest
	event.RequestContext.HTTP.Path = "/a b"
	if r, err = request(t.Context(), event); err != nil || r.URL.Path != "/a b" || r.URL.EscapedPath() != "/a%20b" {
		t.Errorf("without a raw path: %+v, %v", r, err)
	}
	for _, bad := range []events.HTTPRequest{{RawPath: "/%zz"}, {Body: "!", IsBase64Encoded: true}} {
		if r, err := request(t.Context(), bad); err == nil {
			t.Errorf("%+v: got %+v", bad, r)
		}
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, contentType, body string
		encoded                         bool
	}{
		{"JSON", "GET", "application/json", `{"a":"ü"}`, false},
		{"problem", "GET", "application/problem+json; charset=utf-8", `{}`, false},
		{"text", "GET", "text/plain", "a", false},
		{"bytes", "GET", "application/octet-stream", "a", true},
		{"no type", "GET", "", "a", true},
		{"text that is none", "GET", "text/plain", "\xff", true},
		{"nothing", "GET", "application/octet-stream", "", false},
	}
	for _, test := range tests {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", test.contentType)
			w.Header().Add("X-Many", "a")
			w.Header().Add("X-Many", "b")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
			io.WriteString(w, test.body)
		})
		event := eventOf(t, test.method, "/", "")
		out, err := adapt(h)(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		body := out.Body
		if out.IsBase64Encoded {
			b, err := base64.StdEncoding.DecodeString(body)
			if err != nil {
				t.Fatal(err)
			}
			body = string(b)
		}
		if body != test.body || out.IsBase64Encoded != test.encoded || out.StatusCode != http.StatusTeapot || out.Headers["X-Many"] != "a, b" {
			t.Errorf("%s: %+v", test.name, out)
		}
	}
}

// FuzzAdapter wants that whatever an event holds, the handler sees what net/http
// would show it, and the answer comes back as it was written.
func FuzzAdapter(f *testing.F) {
	f.Add("GET", "/a%20b", "/a b", "k", "v1,v2", "X-A", "b", []byte("hello"), true, "text/plain")
	f.Add("POST", "/exports", "/exports", "", "", "content-type", "application/json", []byte(`{"imageId":"m-1"}`), false, "application/json")
	f.Add("HEAD", "//a/../b%2Fc", "", "=&", "%", "", "", []byte{0xff, 0}, true, "")
	f.Add("", "a", "%", "ü", "\x00", "Host", "h", []byte(nil), false, "; ;")
	f.Fuzz(func(t *testing.T, method, rawPath, path, name, value, header, headerValue string, body []byte, encoded bool, contentType string) {
		event := events.HTTPRequest{
			RawPath: rawPath, Headers: map[string]string{header: headerValue}, QueryParameters: map[string]string{name: value},
			Body: string(body), IsBase64Encoded: encoded,
		}
		event.RequestContext.HTTP.Method, event.RequestContext.HTTP.Path = method, path
		if encoded {
			event.Body = base64.StdEncoding.EncodeToString(body)
		}
		called := false
		out, err := adapt(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called = true
			got, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("body: got %q, want %q, %v", got, body, err)
			}
			if r.URL.Query().Get(name) != value {
				t.Errorf("query: got %q, want %q", r.URL.Query().Get(name), value)
			}
			if !strings.HasPrefix(r.URL.Path, "/") || !strings.HasPrefix(r.URL.EscapedPath(), "/") {
				t.Errorf("path %q, %q", r.URL.Path, r.URL.EscapedPath())
			}
			w.Header().Set("Content-Type", contentType)
			w.Write(got)
		}))(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		if !called {
			if out.StatusCode != http.StatusBadRequest {
				t.Errorf("refused with %d", out.StatusCode)
			}
			return
		}
		back := []byte(out.Body)
		if out.IsBase64Encoded {
			if back, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
				t.Fatal(err)
			}
		}
		if method != http.MethodHead && !bytes.Equal(back, body) {
			t.Errorf("answer: got %q, want %q", back, body)
		}
	})
}

// FuzzCalls sends any call to the whole API, whose cloud is out of reach. Nothing
// but a problem or one of the open pages may come back.
func FuzzCalls(f *testing.F) {
	f.Add("POST", "/exports", "pageSize", "1", `{"imageId":5}`, "application/json")
	f.Add("GET", "/exports/7kq3m9x2q4r8/manifest", "", "", "", "")
	f.Add("GET", "/exports", "pageToken", "AQ", "", "")
	f.Add("GET", "/exports/x/disks/%2Fdev%2Fxvdb/download", "state", "failed", "", "")
	f.Add("POST", "/exports", "", "", `{"imageId":"m-\ud800","prefix":[[[]]]}`, "application/json; charset=latin1")
	c := validConfig()
	dead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	f.Cleanup(dead.Close)
	c.OSSEndpoint, c.ECSEndpoint, c.MNSEndpoint, c.STSEndpoint, c.RAMEndpoint = dead.URL, dead.URL, dead.URL, dead.URL, dead.URL
	h, err := build(c, func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: "id", Secret: "secret"}, nil
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, rawPath, name, value, body, contentType string) {
		event := events.HTTPRequest{
			RawPath: rawPath, Body: body, QueryParameters: map[string]string{name: value},
			Headers: map[string]string{"Authorization": "Bearer " + token, "Content-Type": contentType},
		}
		event.RequestContext.HTTP.Method = method
		out, err := h(t.Context(), event)
		if err != nil {
			t.Fatal(err)
		}
		open := rawPath == "/healthz" || rawPath == "/openapi.json" || rawPath == "healthz" || rawPath == "openapi.json"
		if out.StatusCode < 400 && !open && strings.Trim(rawPath, "/") != "" && method != http.MethodHead {
			t.Errorf("%s %q: %d %s", method, rawPath, out.StatusCode, out.Body)
		}
		if out.StatusCode == http.StatusInternalServerError {
			t.Errorf("%s %q %s: %s", method, rawPath, body, out.Body)
		}
	})
}
