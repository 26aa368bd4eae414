package fc

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"ecs-image-export/local/identity"

	"github.com/google/go-cmp/cmp"
)

// The example of the page "Request syntax and signature method V3".
func TestSignPublishedExample(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest("POST", "https://ecs.cn-shanghai.aliyuncs.com/?RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-acs-action", "RunInstances")
	r.Header.Set("x-acs-version", "2014-05-26")
	key := identity.Credentials{AccessKeyID: "YourAccessKeyId", AccessKeySecret: "YourAccessKeySecret"}
	if err := sign(r, key, time.Date(2023, 10, 26, 10, 22, 32, 0, time.UTC), "3156853299f313e23d1673dc12e1703d"); err != nil {
		t.Fatal(err)
	}
	want := "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if d := cmp.Diff(want, r.Header.Get("Authorization")); d != "" {
		t.Error(d)
	}
}

func TestCanonicalQuery(t *testing.T) {
	t.Parallel()
	got := canonicalQuery(map[string][]string{"b": {""}, "a": {"x y*~/+ü"}})
	if want := "a=x%20y%2A~%2F%2B%C3%BC&b="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSignatureIsChecked(t *testing.T) {
	t.Parallel()
	c := open(t, "fn", nil)
	invoker, err := c.ids.AssumeAs(t.Context(), ossService, "invoker", "s", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	powerless, err := c.ids.AssumeAs(t.Context(), ossService, "powerless", "s", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	invoke := func() *http.Request { return c.request("POST", "/2023-03-30/functions/fn/invocations", "{}") }
	signed := func(k identity.Credentials, at time.Time, change func(*http.Request)) *http.Request {
		r := invoke()
		if err := Sign(r, k, at); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(r)
		}
		return r
	}
	now := time.Now()
	other := rootKey
	other.AccessKeySecret = "other"
	unknown := rootKey
	unknown.AccessKeyID = "unknown"
	stolen := invoker
	stolen.SecurityToken = "guess"
	tests := []struct {
		name    string
		request *http.Request
		status  int
		code    string
	}{
		{"root", signed(rootKey, now, nil), 200, ""},
		{"role that may", signed(invoker, now, nil), 200, ""},
		{"role that may not", signed(powerless, now, nil), 403, "AccessDenied"},
		{"not signed", invoke(), 400, "MissingRequiredHeader"},
		{"other scheme", signed(rootKey, now, func(r *http.Request) { r.Header.Set("Authorization", "acs a:b") }), 400, "InvalidArgument"},
		{"wrong secret", signed(other, now, nil), 403, "SignatureNotMatch"},
		{"unknown key", signed(unknown, now, nil), 403, "InvalidAccessKeyID"},
		{"wrong token", signed(stolen, now, nil), 403, "InvalidSecurityToken"},
		{"old", signed(rootKey, now.Add(-16*time.Minute), nil), 403, "SignatureNotMatch"},
		{"from the future", signed(rootKey, now.Add(16*time.Minute), nil), 403, "SignatureNotMatch"},
		{"other path", signed(rootKey, now, func(r *http.Request) { r.URL.Path = "/2023-03-30/functions/fm/invocations" }), 403, "SignatureNotMatch"},
		{"other query", signed(rootKey, now, func(r *http.Request) { r.URL.RawQuery = "qualifier=LATEST" }), 403, "SignatureNotMatch"},
		{"other header", signed(rootKey, now, func(r *http.Request) { r.Header.Set("x-acs-version", "2") }), 403, "SignatureNotMatch"},
		{"other body", signed(rootKey, now, func(r *http.Request) {
			r.Body, r.ContentLength = http.NoBody, 0
		}), 403, "SignatureNotMatch"},
	}
	for _, tt := range tests {
		resp, body := c.do(tt.request)
		if resp.StatusCode != tt.status || tt.code != "" && !strings.Contains(body, `"Code":"`+tt.code+`"`) {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, resp.StatusCode, body, tt.status, tt.code)
		}
	}
}

func TestInvokeFunction(t *testing.T) {
	t.Parallel()
	c := open(t, "fn", nil)
	tests := []struct {
		name, path, event string
		headers           []string
		status            int
		errorType, body   string
	}{
		{"sync", "functions/fn/invocations", `{"a":1}`, nil, 200, "", `{"a":1}`},
		{"qualifier", "functions/fn/invocations?qualifier=LATEST", `{}`, []string{"Content-Type", "application/octet-stream"}, 200, "", `{}`},
		{"function error", "functions/fn/invocations", `{"do":"error"}`, nil, 200, unhandledError, `{"errorMessage":"no","errorType":"errorString"}`},
		{"async", "functions/fn/invocations", `{}`, []string{"X-Fc-Invocation-Type", "Async"}, 202, "", ""},
		{"async too large", "functions/fn/invocations", strings.Repeat("a", maxAsyncPayload+1), []string{"X-Fc-Invocation-Type", "Async"}, 400, "EntityTooLarge", ""},
		{"other type", "functions/fn/invocations", `{}`, []string{"X-Fc-Invocation-Type", "Later"}, 400, "InvalidArgument", ""},
		{"unknown function", "functions/fm/invocations", `{}`, nil, 404, "FunctionNotFound", ""},
		{"unknown version", "functions/fn/invocations?qualifier=3", `{}`, nil, 404, "VersionNotFound", ""},
		{"other operation", "functions/fn/aliases", `{}`, nil, 501, "NotImplemented", ""},
	}
	for _, tt := range tests {
		resp, body := c.api("POST", tt.path, tt.event, tt.headers...)
		if resp.StatusCode != tt.status || resp.Header.Get("X-Fc-Error-Type") != tt.errorType || tt.body != "" && body != tt.body {
			t.Errorf("%s: got %d %s %s", tt.name, resp.StatusCode, resp.Header.Get("X-Fc-Error-Type"), body)
		}
		if resp.Header.Get("X-Fc-Request-Id") == "" {
			t.Errorf("%s: no request id", tt.name)
		}
	}
	resp, _ := c.api("POST", "functions/fn/invocations", `{"do":"sleep","ms":1}`, "X-Fc-Log-Type", "Tail")
	log, err := base64.StdEncoding.DecodeString(resp.Header.Get("X-Fc-Log-Result"))
	id := resp.Header.Get("X-Fc-Request-Id")
	if want := "FC Invoke Start RequestId: " + id + "\nsleeping\nFC Invoke End RequestId: " + id + "\n"; err != nil || string(log) != want {
		t.Errorf("log %q, want %q, %v", log, want, err)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	c := open(t, "b"+webTrigger+"\n---\na\nrole: runner\ntimeout: 9\nenvironmentVariables: {A: b}", nil)
	_, body := c.api("GET", "functions?limit=1", "")
	list := decode[struct {
		Functions []functionInfo
		NextToken string
	}](t, []byte(body))
	if len(list.Functions) != 1 || list.Functions[0].Name != "a" || list.NextToken != "b" {
		t.Errorf("list %s", body)
	}
	_, body = c.api("GET", "functions/a", "")
	got := decode[functionInfo](t, []byte(body))
	if got.ARN != "acs:fc:cn-hangzhou:1234567890123456:functions/a" || got.Timeout != 9 || got.Role != "runner" || got.Environment["A"] != "b" {
		t.Errorf("function %s", body)
	}
	_, body = c.api("GET", "functions/b/triggers", "")
	triggers := decode[struct{ Triggers []triggerInfo }](t, []byte(body)).Triggers
	if len(triggers) != 1 || triggers[0].Name != "http" || triggers[0].Config != `{"authType":"anonymous","methods":["GET","POST","HEAD"]}` {
		t.Errorf("triggers %s", body)
	}
	if resp, body := c.api("GET", "functions/b/triggers/no", ""); resp.StatusCode != 404 || !strings.Contains(body, "TriggerNotFound") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}
