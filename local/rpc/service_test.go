package rpc_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/identity"
	"ecs-image-export/local/rpc"
)

// people is an identity.Source of a few keys, each with the secret "secret".
type people struct{}

func (people) Identify(key, token string) (*identity.Identity, error) {
	id := &identity.Identity{AccountID: "1", Credentials: identity.Credentials{AccessKeyID: key, AccessKeySecret: "secret"}}
	switch key {
	case "root":
		id.Root = true
	case "reader":
		id.ARN = "acs:ram::1:user/reader"
		p, err := identity.ParsePolicy([]byte(`{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs:Describe*","Resource":"acs:ecs:*:1:image/m-1"}]}`))
		if err != nil {
			return nil, err
		}
		id.Policies = []identity.Policy{p}
	case "session":
		id.ARN, id.Root = "acs:ram::1:assumed-role/r/s", true
		if token != "token" {
			return nil, identity.ErrInvalidToken
		}
	case "expired":
		return nil, fmt.Errorf("session: %w", identity.ErrExpiredToken)
	case "broken":
		return nil, errors.New("the disk is full")
	default:
		return nil, identity.ErrUnknownKey
	}
	return id, nil
}

// epoch is what the service under test takes the time for.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newService() *rpc.Service {
	type image struct {
		ImageID string `json:"ImageId"`
		Size    int
		Public  bool
	}
	return &rpc.Service{
		Product: "Ecs", Version: "2014-05-26", Host: "ecs-cn-hangzhou.aliyuncs.com",
		Identities: people{}, Now: func() time.Time { return epoch },
		Unbuilt: []string{"RunInstances"},
		Actions: []rpc.Action{
			{
				Name:     "DescribeImages",
				Resource: func(r *rpc.Request) string { return "acs:ecs:" + r.Region + ":1:image/" + r.Get("ImageId") },
				Do: func(_ context.Context, r *rpc.Request) (any, error) {
					if err := r.Require("ImageId"); err != nil {
						return nil, err
					}
					var out struct {
						Images struct{ Image []image }
						Note   *string
					}
					out.Images.Image = []image{{r.Get("ImageId"), 40, true}, {"m-<&>", 0, false}}
					return out, nil
				},
			},
			{Name: "Nothing", Required: []string{"RoleName"}, Do: func(context.Context, *rpc.Request) (any, error) { return nil, nil }},
			{Name: "Everyone", Anyone: true, Do: func(context.Context, *rpc.Request) (any, error) { return struct{}{}, nil }},
			{Name: "Breaks", Do: func(context.Context, *rpc.Request) (any, error) { return nil, errors.New("out of paper") }},
			{Name: "Refuses", Do: func(context.Context, *rpc.Request) (any, error) {
				return nil, fmt.Errorf("deep inside: %w", &rpc.Error{Status: 409, Code: "OperationConflict", Message: "Not now."})
			}},
		},
	}
}

var lastNonce atomic.Int64

// signed returns well signed parameters for an action, by the key root.
func signed(method, action string, change func(url.Values)) url.Values {
	p := url.Values{
		"Action": {action}, "Version": {"2014-05-26"}, "Format": {"JSON"}, "AccessKeyId": {"root"},
		"SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"}, "SignatureType": {""}, "RegionId": {"cn-hangzhou"},
		"SignatureNonce": {fmt.Sprint("nonce-", lastNonce.Add(1))}, "Timestamp": {epoch.Format(time.RFC3339)},
	}
	if change != nil {
		change(p)
	}
	p.Set("Signature", rpc.Signature(method, p, "secret"))
	return p
}

func send(t *testing.T, h http.Handler, r *http.Request) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if id, _ := body["RequestId"].(string); len(id) != 36 || w.Header().Get("x-acs-request-id") != id {
		t.Errorf("request id %q, header %q", id, w.Header().Get("x-acs-request-id"))
	}
	return w.Code, body
}

func get(p url.Values) *http.Request { return httptest.NewRequest("GET", "/?"+p.Encode(), nil) }

func post(p url.Values) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(p.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestAnswersInJSON(t *testing.T) {
	t.Parallel()
	image := func(p url.Values) { p.Set("ImageId", "m-1 +*~/é") }
	split := signed("POST", "DescribeImages", image)
	form := url.Values{"ImageId": {split.Get("ImageId")}}
	split.Del("ImageId")
	both := httptest.NewRequest("POST", "/?"+split.Encode(), strings.NewReader(form.Encode()))
	both.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	for name, r := range map[string]*http.Request{
		"GET":                    get(signed("GET", "DescribeImages", image)),
		"POST with a form":       post(signed("POST", "DescribeImages", image)),
		"POST with a query":      httptest.NewRequest("POST", "/?"+signed("POST", "DescribeImages", image).Encode(), nil),
		"POST with both of them": both,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := send(t, newService(), r)
			delete(body, "RequestId")
			want := map[string]any{
				"Note": nil,
				"Images": map[string]any{"Image": []any{
					map[string]any{"ImageId": "m-1 +*~/é", "Size": 40.0, "Public": true},
					map[string]any{"ImageId": "m-<&>", "Size": 0.0, "Public": false},
				}},
			}
			if d := cmp.Diff(want, body); status != 200 || d != "" {
				t.Errorf("status %d\n%s", status, d)
			}
		})
	}
}

func TestAnswersInXML(t *testing.T) {
	t.Parallel()
	for name, format := range map[string]string{"asked for": "xml", "the default": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			newService().ServeHTTP(w, get(signed("GET", "DescribeImages", func(p url.Values) {
				p.Set("Format", format)
				p.Set("ImageId", "m-1")
			})))
			var got struct {
				XMLName   xml.Name
				RequestID string   `xml:"RequestId"`
				IDs       []string `xml:"Images>Image>ImageId"`
			}
			if err := xml.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if got.XMLName.Local != "DescribeImagesResponse" || got.RequestID == "" || !cmp.Equal(got.IDs, []string{"m-1", "m-<&>"}) {
				t.Errorf("got %+v", got)
			}
			if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "text/xml") {
				t.Errorf("content type %s", kind)
			}
		})
	}
	w := httptest.NewRecorder()
	newService().ServeHTTP(w, get(signed("GET", "Refuses", func(p url.Values) { p.Set("Format", "XML") })))
	if !strings.HasPrefix(w.Body.String(), "<?xml version='1.0' encoding='UTF-8'?><Error><RequestId>") || !strings.Contains(w.Body.String(), "<Code>OperationConflict</Code>") {
		t.Errorf("got %s", w.Body)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	set := func(k, v string) func(url.Values) { return func(p url.Values) { p.Set(k, v) } }
	del := func(k string) func(url.Values) { return func(p url.Values) { p.Del(k) } }
	tampered := signed("GET", "Everyone", nil)
	tampered.Set("ImageId", "m-2")
	for name, c := range map[string]struct {
		request *http.Request
		status  int
		code    string
		says    string
	}{
		"unknown action":         {get(signed("GET", "Explode", nil)), 404, "InvalidAction.NotFound", "check your url and method"},
		"action in another case": {get(signed("GET", "describeimages", nil)), 404, "InvalidAction.NotFound", ""},
		"action not built":       {get(signed("GET", "RunInstances", nil)), 501, "NotImplemented", "Ecs RunInstances"},
		"another path":           {httptest.NewRequest("GET", "/x?"+signed("GET", "Everyone", nil).Encode(), nil), 404, "InvalidAction.NotFound", ""},
		"PUT":                    {httptest.NewRequest("PUT", "/?"+signed("PUT", "Everyone", set("Format", "")).Encode(), nil), 403, "UnsupportedHTTPMethod", ""},
		"no action":              {get(signed("GET", "", nil)), 400, "MissingAction", ""},
		"no version":             {get(signed("GET", "Everyone", del("Version"))), 400, "MissingVersion", "Version is mandatory"},
		"other version":          {get(signed("GET", "Everyone", set("Version", "2016-03-14"))), 400, "InvalidVersion", "Version is not valid"},
		"other format":           {get(signed("GET", "Everyone", set("Format", "YAML"))), 400, "InvalidParameter.Format", ""},
		"no key":                 {get(signed("GET", "Everyone", del("AccessKeyId"))), 400, "MissingAccessKeyId", ""},
		"unknown key":            {get(signed("GET", "Everyone", set("AccessKeyId", "who"))), 404, "InvalidAccessKeyId.NotFound", "access key is not found"},
		"no nonce":               {get(signed("GET", "Everyone", del("SignatureNonce"))), 400, "MissingSignatureNonce", ""},
		"no time stamp":          {get(signed("GET", "Everyone", del("Timestamp"))), 400, "MissingTimestamp", ""},
		"local time stamp":       {get(signed("GET", "Everyone", set("Timestamp", "2026-01-02T03:04:05+08:00"))), 400, "InvalidTimeStamp.Format", ""},
		"garbled time stamp":     {get(signed("GET", "Everyone", set("Timestamp", "yesterday"))), 400, "InvalidTimeStamp.Format", ""},
		"old time stamp":         {get(signed("GET", "Everyone", set("Timestamp", epoch.Add(-15*time.Minute-time.Second).Format(time.RFC3339)))), 400, "InvalidTimeStamp.Expired", ""},
		"future time stamp":      {get(signed("GET", "Everyone", set("Timestamp", epoch.Add(15*time.Minute+time.Second).Format(time.RFC3339)))), 400, "InvalidTimeStamp.Expired", ""},
		"other signature method": {get(signed("GET", "Everyone", set("SignatureMethod", "HMAC-MD5"))), 400, "InvalidSignatureMethod", ""},
		"other version of it":    {get(signed("GET", "Everyone", set("SignatureVersion", "2.0"))), 400, "InvalidSignatureVersion", ""},
		"changed on the way":     {get(tampered), 400, "SignatureDoesNotMatch", "server string to sign is:GET&%2F&AccessKeyId%3Droot%26Action%3DEveryone"},
		"signed for POST":        {get(signed("POST", "Everyone", nil)), 400, "SignatureDoesNotMatch", ""},
		"no token":               {get(signed("GET", "Everyone", set("AccessKeyId", "session"))), 400, "MissingSecurityToken", "SecurityToken is mandatory"},
		"wrong token": {get(signed("GET", "Everyone", func(p url.Values) {
			p.Set("AccessKeyId", "session")
			p.Set("SecurityToken", "other")
		})), 400, "InvalidSecurityToken.MismatchWithAccessKey", ""},
		"expired token":      {get(signed("GET", "Everyone", set("AccessKeyId", "expired"))), 400, "InvalidSecurityToken.Expired", ""},
		"failing identities": {get(signed("GET", "Everyone", set("AccessKeyId", "broken"))), 500, "InternalError", "disk is full"},
		"no permission":      {get(signed("GET", "Breaks", set("AccessKeyId", "reader"))), 403, "Forbidden.RAM", "not authorized"},
		"permission for another": {get(signed("GET", "DescribeImages", func(p url.Values) {
			p.Set("AccessKeyId", "reader")
			p.Set("ImageId", "m-2")
		})), 403, "Forbidden.RAM", ""},
		"missing parameter, gateway": {get(signed("GET", "Nothing", nil)), 400, "MissingRoleName", "RoleName is mandatory for this action."},
		"missing parameter, ECS":     {get(signed("GET", "DescribeImages", nil)), 400, "MissingParameter", `parameter "ImageId" that is mandatory`},
		"failure":                    {get(signed("GET", "Breaks", nil)), 500, "InternalError", "out of paper"},
		"refusal that is wrapped":    {get(signed("GET", "Refuses", nil)), 409, "OperationConflict", "Not now."},
		"bad query":                  {httptest.NewRequest("GET", "/?Format=JSON&a=%25zz&b=%", nil), 400, "InvalidParameter", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			newService().ServeHTTP(w, c.request)
			var got struct {
				XMLName                  xml.Name
				RequestID                string `json:"RequestId" xml:"RequestId"`
				HostID                   string `json:"HostId" xml:"HostId"`
				Code, Message, Recommend string
			}
			var err error
			if strings.HasPrefix(w.Body.String(), "{") {
				err = json.Unmarshal(w.Body.Bytes(), &got)
			} else {
				err = xml.Unmarshal(w.Body.Bytes(), &got)
			}
			if err != nil {
				t.Fatalf("%s: %v", w.Body, err)
			}
			if w.Code != c.status || got.Code != c.code || !strings.Contains(got.Message, c.says) {
				t.Errorf("got %d %s %q, want %d %s %q", w.Code, got.Code, got.Message, c.status, c.code, c.says)
			}
			recommend := "https://api.aliyun.com/troubleshoot?q=" + got.Code + "&product=Ecs&requestId=" + got.RequestID
			if got.HostID != "ecs-cn-hangzhou.aliyuncs.com" || got.Recommend != recommend {
				t.Errorf("host %q, recommend %q", got.HostID, got.Recommend)
			}
		})
	}
}

func TestADenialSaysWhoAndWhat(t *testing.T) {
	t.Parallel()
	_, body := send(t, newService(), get(signed("GET", "Breaks", func(p url.Values) { p.Set("AccessKeyId", "reader") })))
	want := map[string]any{
		"AuthAction": "ecs:Breaks", "AuthPrincipalDisplayName": "reader", "AuthPrincipalOwnerId": "1",
		"AuthPrincipalType": "SubUser", "NoPermissionType": "ImplicitDeny", "PolicyType": "AccountLevelIdentityBasedPolicy",
	}
	if d := cmp.Diff(any(want), body["AccessDeniedDetail"]); d != "" {
		t.Error(d)
	}
}

func TestWhoNeedsNoPermission(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"Everyone": "reader", "DescribeImages": "reader", "Breaks": "session"} {
		status, body := send(t, newService(), get(signed("GET", name, func(p url.Values) {
			p.Set("AccessKeyId", key)
			p.Set("ImageId", "m-1")
			p.Set("SecurityToken", "token")
		})))
		if status == 403 || status == 404 {
			t.Errorf("%s by %s: %d %v", name, key, status, body)
		}
	}
}

func TestANonceCountsOnce(t *testing.T) {
	t.Parallel()
	now := epoch
	var mu sync.Mutex
	s := newService()
	s.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	call := func(action, nonce string, stamp time.Time) string {
		_, body := send(t, s, get(signed("GET", action, func(p url.Values) {
			p.Set("SignatureNonce", nonce)
			p.Set("Timestamp", stamp.Format(time.RFC3339))
		})))
		code, _ := body["Code"].(string)
		return code
	}
	if got := call("Everyone", "n", epoch); got != "" {
		t.Fatalf("first: %s", got)
	}
	if got := call("Everyone", "n", epoch); got != "SignatureNonceUsed" {
		t.Errorf("second: %q", got)
	}
	if got := call("Nothing", "n", epoch.Add(time.Minute)); got != "MissingRoleName" && got != "SignatureNonceUsed" {
		t.Errorf("other action: %q", got)
	}
	// One with a time stamp ahead of us would be accepted again until that time
	// is 15 minutes ago.
	if got := call("Everyone", "ahead", epoch.Add(10*time.Minute)); got != "" {
		t.Errorf("ahead: %q", got)
	}
	mu.Lock()
	now = epoch.Add(16 * time.Minute)
	mu.Unlock()
	if got := call("Everyone", "ahead", epoch.Add(10*time.Minute)); got != "SignatureNonceUsed" {
		t.Errorf("ahead, later: %q", got)
	}
	if got := call("Everyone", "n", now); got != "" {
		t.Errorf("after 16 minutes: %q", got)
	}
}

func TestAForgedRequestUsesUpNoNonce(t *testing.T) {
	t.Parallel()
	s := newService()
	forged := signed("GET", "Everyone", nil)
	forged.Set("Signature", "AAAA")
	if _, body := send(t, s, get(forged)); body["Code"] != "SignatureDoesNotMatch" {
		t.Fatalf("got %v", body)
	}
	forged.Del("Signature")
	forged.Set("Signature", rpc.Signature("GET", forged, "secret"))
	if status, body := send(t, s, get(forged)); status != 200 {
		t.Errorf("got %d %v", status, body)
	}
}

func TestOneOfManyWithTheSameNonceWins(t *testing.T) {
	t.Parallel()
	s := newService()
	p := signed("GET", "Everyone", nil)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, get(p))
			if w.Code == 200 {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}
