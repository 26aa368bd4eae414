package fc

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"ecs-image-export/events"

	"github.com/google/go-cmp/cmp"
)

const webTrigger = "\ntriggers: [{triggerName: http, triggerType: http, triggerConfig: {authType: anonymous, methods: [GET, POST, HEAD]}}]"

func (c *cloud) request(method, path, body string, headers ...string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.http.URL+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func (c *cloud) get(path string) (*http.Response, string) { return c.do(c.request("GET", path, "")) }

func TestHTTPEvent(t *testing.T) {
	t.Parallel()
	c := open(t, "web"+webTrigger, nil)
	r := c.request("POST", "/a%20b/%2F//..?k=v1&k=v2&e=%26&bad=%zz", `{"ü":1}`,
		"Content-Type", "application/json; charset=utf-8", "x-multi", "a", "X-Multi", "b", "X-Fc-Secret", "1", "Keep-Alive", "1",
		"Authorization", "Bearer t", "User-Agent", "test/1")
	r.Host = "api.example.com"
	resp, body := c.do(r)
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	got := decode[events.HTTPRequest](t, []byte(body))
	if age := time.Since(got.RequestContext.Time); age < -time.Second || age > time.Minute {
		t.Errorf("time %s", got.RequestContext.Time)
	}
	if got.RequestContext.RequestID != resp.Header.Get("X-Fc-Request-Id") || len(got.RequestContext.TimeEpoch) != 13 {
		t.Errorf("request id %s, epoch %s", got.RequestContext.RequestID, got.RequestContext.TimeEpoch)
	}
	got.RequestContext.RequestID, got.RequestContext.TimeEpoch, got.RequestContext.Time = "", "", time.Time{}
	want := events.HTTPRequest{Version: "v1", RawPath: "/a%20b/%2F//..", Body: `{"ü":1}`,
		Headers: map[string]string{"Content-Type": "application/json; charset=utf-8", "X-Multi": "a,b", "Host": "api.example.com",
			"Authorization": "Bearer t", "User-Agent": "test/1", "Accept-Encoding": "gzip", "Content-Length": "8"},
		QueryParameters: map[string]string{"k": "v1,v2", "e": "&"}}
	rc := &want.RequestContext
	rc.AccountID, rc.DomainName, rc.DomainPrefix = testAccount, "api.example.com", "api"
	rc.HTTP.Method, rc.HTTP.Path, rc.HTTP.Protocol = "POST", "/a b////..", "HTTP/1.1"
	rc.HTTP.SourceIP, rc.HTTP.UserAgent = "127.0.0.1", "test/1"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestHTTPBodies(t *testing.T) {
	t.Parallel()
	c := open(t, "web"+webTrigger, nil)
	tests := []struct {
		contentType, body string
		base64            bool
	}{
		{"text/plain", "a", false},
		{"application/xml; charset=utf-8", "<a/>", false},
		{"application/octet-stream", "a", true},
		{"application/x-www-form-urlencoded", "a=b", true},
		{"multipart/form-data; boundary=x", "--x--", true},
		{"", "a", true},
		{"text/plain", "\xff", true}, // JSON can't carry it
	}
	for _, tt := range tests {
		_, body := c.do(c.request("POST", "/", tt.body, "Content-Type", tt.contentType))
		got := decode[events.HTTPRequest](t, []byte(body))
		want := tt.body
		if tt.base64 {
			want = base64.StdEncoding.EncodeToString([]byte(tt.body))
		}
		if got.Body != want || got.IsBase64Encoded != tt.base64 {
			t.Errorf("%s: got %q %v, want %q %v", tt.contentType, got.Body, got.IsBase64Encoded, want, tt.base64)
		}
	}
}

// How a function's return value becomes a response.
func TestHTTPResponses(t *testing.T) {
	t.Parallel()
	c := open(t, "web"+webTrigger, nil)
	tests := []struct {
		name, returned string
		status         int
		headers        map[string]string // "" is absent
		body           string
	}{
		{"whole", `{"statusCode":201,"headers":{"content-type":"text/plain","Location":"/x"},"body":"hello"}`,
			201, map[string]string{"Content-Type": "text/plain", "Location": "/x", "Content-Length": "5"}, "hello"},
		{"base64", `{"statusCode":200,"isBase64Encoded":true,"body":"AP8="}`, 200, nil, "\x00\xff"},
		{"no body", `{"statusCode":204}`, 204, map[string]string{"Content-Length": ""}, ""},
		{"null body", `{"statusCode":200,"body":null}`, 200, nil, ""},
		{"no status code", `{"a":1}`, 200, map[string]string{"Content-Type": "application/json"}, `{"a":1}`},
		{"a string", `"hello"`, 200, map[string]string{"Content-Type": "application/json"}, `"hello"`},
		{"nothing", `null`, 200, map[string]string{"Content-Type": "application/json"}, `null`},
		{"headers that can't be set", `{"statusCode":200,"headers":{"X-Fc-Mine":"1","Server":"me","Date":"never","Content-Length":"99","Content-Disposition":"attachment; filename=x","X-Mine":"1"},"body":"ok"}`,
			200, map[string]string{"X-Fc-Mine": "", "Server": "", "Content-Length": "2", "Content-Disposition": "", "X-Mine": "1"}, "ok"},
		{"shown in place", `{"statusCode":200,"headers":{"Content-Disposition":"inline"}}`, 200, map[string]string{"Content-Disposition": "inline"}, ""},
		{"status code in text", `{"statusCode":"200"}`, 502, map[string]string{"X-Fc-Error-Type": "BadResponse"}, `statusCode \"200\" must be a number from 200 to 599`},
		{"impossible status code", `{"statusCode":99}`, 502, map[string]string{"X-Fc-Error-Type": "BadResponse"}, `statusCode 99 must be a number`},
		{"header of a list", `{"statusCode":200,"headers":{"A":["b"]}}`, 502, nil, `header A must be a string`},
		{"body of a map", `{"statusCode":200,"body":{}}`, 502, nil, `body must be a string`},
		{"not base64", `{"statusCode":200,"isBase64Encoded":true,"body":"?"}`, 502, nil, `body is not base64`},
		{"large headers", `{"statusCode":200,"headers":{"A":"` + strings.Repeat("b", 8192) + `"}}`, 502,
			map[string]string{"X-Fc-Error-Type": "BadResponse", "A": ""}, `the response headers take`},
	}
	for _, tt := range tests {
		resp, body := c.do(c.request("POST", "/response", tt.returned))
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) || tt.status < 300 && body != tt.body {
			t.Errorf("%s: got %d %q, want %d %q", tt.name, resp.StatusCode, body, tt.status, tt.body)
		}
		for name, want := range tt.headers {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", tt.name, name, got, want)
			}
		}
		if resp.Header.Get("X-Fc-Request-Id") == "" {
			t.Errorf("%s: no request id", tt.name)
		}
	}
}

func TestHTTPRefusals(t *testing.T) {
	t.Parallel()
	c := open(t, "web\ntimeout: 1"+webTrigger, nil)
	tests := []struct {
		name      string
		request   *http.Request
		status    int
		errorType string
		body      string
	}{
		{"method", c.request("DELETE", "/", ""), 403, "AccessDenied", `"Message":"the method DELETE is not allowed by the trigger"`},
		{"headers", c.request("GET", "/", "", "A", strings.Repeat("a", 8192)), 400, "InvalidArgument", "the request headers take"},
		{"path", c.request("GET", "/?"+strings.Repeat("a", 4096), ""), 400, "InvalidArgument", "the path and query take 4098 bytes"},
		{"body", c.request("POST", "/", strings.Repeat("a", maxPayload+1)), 400, "InvalidArgument", "the body is larger than"},
		{"error", c.request("GET", "/error", ""), 502, unhandledError, `{"errorMessage":"no","errorType":"errorString"}`},
		{"exit", c.request("GET", "/exit", ""), 502, unhandledError, `Process exited unexpectedly before completing request`},
		{"async too large", c.request("POST", "/", strings.Repeat("a", maxAsyncPayload), "X-Fc-Invocation-Type", "Async"), 400, "EntityTooLarge", "131072"},
	}
	for _, tt := range tests {
		resp, body := c.do(tt.request)
		if resp.StatusCode != tt.status || resp.Header.Get("X-Fc-Error-Type") != tt.errorType || !strings.Contains(body, tt.body) {
			t.Errorf("%s: got %d %s %s, want %d %s %s", tt.name, resp.StatusCode, resp.Header.Get("X-Fc-Error-Type"), body, tt.status, tt.errorType, tt.body)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	c := open(t, "web"+webTrigger, nil)
	resp, _ := c.do(c.request("GET", "/", "", "Origin", "https://a.example"))
	if resp.Header.Get("Access-Control-Allow-Origin") != "https://a.example" || resp.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("headers %v", resp.Header)
	}
	resp, _ = c.do(c.request("OPTIONS", "/", "", "Origin", "https://a.example", "Access-Control-Request-Method", "POST"))
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Methods") != "GET,POST,HEAD" {
		t.Errorf("preflight %d %v", resp.StatusCode, resp.Header)
	}
}

// One function with an HTTP trigger has the port; several are told apart by the
// host's first label.
func TestHTTPHosts(t *testing.T) {
	t.Parallel()
	c := open(t, "one"+webTrigger+"\n---\ntwo"+webTrigger+"\n---\nthree", nil)
	for host, want := range map[string]int{"one.localhost": 200, "two.localhost:9080": 200, "three.localhost": 404, "localhost": 404, "127.0.0.1": 404} {
		r := c.request("GET", "/", "")
		r.Host = host
		if resp, body := c.do(r); resp.StatusCode != want {
			t.Errorf("%s: got %d %s, want %d", host, resp.StatusCode, body, want)
		}
	}
}

func TestHTTPTriggerWithSignature(t *testing.T) {
	t.Parallel()
	c := open(t, "web"+strings.Replace(webTrigger, "anonymous", "function", 1), nil)
	request := func() *http.Request { return c.request("POST", "/x?b=2&a=1", "{}", "Content-Type", "text/plain") }
	if resp, body := c.do(request()); resp.StatusCode != 400 || !strings.Contains(body, "required HTTP header Authorization was not specified") {
		t.Errorf("unsigned: %d %s", resp.StatusCode, body)
	}
	r := request()
	if err := Sign(r, rootKey, time.Now()); err != nil {
		t.Fatal(err)
	}
	if resp, body := c.do(r); resp.StatusCode != 200 {
		t.Errorf("signed: %d %s", resp.StatusCode, body)
	}
}

func TestHTTPAsync(t *testing.T) {
	t.Parallel()
	c := open(t, "web"+webTrigger, nil)
	resp, body := c.do(c.request("POST", "/", "", "X-Fc-Invocation-Type", "Async"))
	if resp.StatusCode != 202 || body != "" || resp.Header.Get("X-Fc-Request-Id") == "" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	eventually(t, "the queue is empty", func() bool { return c.queue.size() == 0 })
}
