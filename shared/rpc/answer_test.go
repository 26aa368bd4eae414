package rpc

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever a service or a proxy answers, there is an error that can be printed,
// and a 4xx is a refusal.
func FuzzRefusal(f *testing.F) {
	f.Add(403, []byte(`{"RequestId":"R","HostId":"h","Code":"Forbidden.RAM","Message":"No.","Recommend":"x"}`))
	f.Add(400, []byte(`{"Code":{"a":1},"Message":[null],"RequestId":7,"AccessDeniedDetail":"x"}`))
	f.Add(400, []byte("Specified signature is not matched. server string to sign is:GET"))
	f.Add(502, []byte("<html>\xff\xfe</html>"))
	f.Add(302, []byte(nil))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := refusal("Ecs", "Act", status, body)
		if e.kind == refused && (status < 400 || status > 501) {
			t.Errorf("status %d is a refusal", status)
		}
		if len(e.Message) > 600 || !utf8.ValidString(e.Message) || !strings.HasPrefix(e.Error(), "Act") {
			t.Errorf("message %q", e.Message)
		}
		requestID(body)
		var v struct {
			B Bool
			N Int
			T Text
			D Time
		}
		_ = json.Unmarshal(body, &v)
	})
}
