package rpc

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The action is found wherever a client puts it, and what was read of the body is
// still there.
func TestOperation(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	for _, test := range []struct {
		name, method, target, kind, body, header string
		want                                     []string
	}{
		{name: "query", method: "GET", target: "/?Action=ExportImage", want: []string{"ExportImage"}},
		{name: "form", method: "POST", target: "/", kind: form, body: "Version=1&Action=CancelTask", want: []string{"CancelTask"}},
		{name: "ACS3", method: "POST", target: "/", header: "GetRole", body: "{}", want: []string{"GetRole"}},
		{name: "unknown method", method: "PUT", target: "/?Action=ExportImage"},
		{name: "bad form", method: "POST", target: "/", kind: form, body: "Action=%"},
		{name: "none", method: "POST", target: "/"},
		{name: "too large", method: "POST", target: "/", kind: form, body: "Action=A&B=" + strings.Repeat("x", maxBody)},
	} {
		r := httptest.NewRequest(test.method, test.target, strings.NewReader(test.body))
		r.Header.Set("Content-Type", test.kind)
		if test.header != "" {
			r.Header.Set("Authorization", "ACS3-HMAC-SHA256 x")
			r.Header.Set("x-acs-action", test.header)
		}
		if diff := cmp.Diff(test.want, (&Service{}).Operation(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if left, err := io.ReadAll(r.Body); string(left) != test.body || err != nil {
			t.Errorf("%s: %d bytes are left of %d: %v", test.name, len(left), len(test.body), err)
		}
	}
}

// A refusal comes in the format that the call asks for.
func TestRefuse(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"JSON": `"Code":"Throttling.User"`, "XML": "<Code>Throttling.User</Code>", "": "<Code>Throttling.User</Code>"} {
		w := httptest.NewRecorder()
		(&Service{Product: "Ecs"}).Refuse(w, httptest.NewRequest(http.MethodGet, "/?Format="+format, nil), 400, "Throttling.User", "m")
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("format %q: %d %s", format, w.Code, w.Body)
		}
	}
}
