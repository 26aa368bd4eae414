package rpc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestList(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query string
		want  []string
	}{
		"in order of the numbers": {"ResourceIds.10=c&ResourceIds.2=b&ResourceIds.1=a", []string{"a", "b", "c"}},
		"with gaps":               {"ResourceIds.1=a&ResourceIds.9=b", []string{"a", "b"}},
		"none":                    {"ResourceIds=a&ResourceId.1=b&Other.1=c", nil},
		"no numbers":              {"ResourceIds.x=a&ResourceIds.=b&ResourceIds.0=c&ResourceIds.-1=d&ResourceIds.01=e", nil},
		"too high":                {"ResourceIds.1001=a&ResourceIds.99999999999999999999=b", nil},
		"in another case":         {"resourceids.1=a", []string{"a"}},
		"a structure":             {"ResourceIds.1.Key=a", nil},
		"empty values":            {"ResourceIds.1=&ResourceIds.2=b", []string{"", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			r := &Request{Params: params}
			if d := cmp.Diff(c.want, r.List("ResourceIds")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestListReturnsWhatWasSent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.String(), 0, 30).Draw(t, "values")
		params := url.Values{}
		for i, v := range want {
			params.Set("TaskId."+strconv.Itoa(i+1), v)
		}
		got := (&Request{Params: params}).List("TaskId")
		if len(got) == 0 && len(want) == 0 {
			return
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestGetPrefersTheExactName(t *testing.T) {
	t.Parallel()
	r := &Request{Params: url.Values{"OSSBucket": {"right"}, "OssBucket": {"other"}, "oSSBUCKET": {"third"}}}
	for name, want := range map[string]string{"OSSBucket": "right", "OssBucket": "other", "ossbucket": "right", "Bucket": ""} {
		if got := r.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestNumbersAndBooleans(t *testing.T) {
	t.Parallel()
	r := &Request{Params: url.Values{"N": {"7"}, "Big": {"101"}, "Word": {"x"}, "Yes": {"true"}, "No": {"False"}, "Empty": {""}}}
	for name, c := range map[string]struct {
		want int
		code string
	}{
		"N": {7, ""}, "Absent": {10, ""}, "Empty": {10, ""}, "Big": {0, "InvalidParameter"}, "Word": {0, "InvalidParameter"},
	} {
		got, err := r.Int(name, 10, 1, 100)
		if got != c.want || code(err) != c.code {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct {
		want bool
		code string
	}{
		"Yes": {true, ""}, "No": {false, ""}, "Absent": {false, ""}, "Word": {false, "InvalidParameter"},
	} {
		got, err := r.Bool(name)
		if got != c.want || code(err) != c.code {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	if err := r.Require("N", "Empty"); code(err) != "MissingParameter" || !strings.Contains(err.Error(), `"Empty"`) {
		t.Errorf("got %v", err)
	}
	if err := r.Require("N", "Yes"); err != nil {
		t.Error(err)
	}
}

func code(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Code
	}
	return ""
}

func FuzzRead(f *testing.F) {
	f.Add("Action=DescribeTasks&Version=2014-05-26&ResourceIds.1=m-1", "TaskIds=t-1", "application/x-www-form-urlencoded", "")
	f.Add("a=%zz", "a=%", "application/x-www-form-urlencoded; charset=utf-8", "")
	f.Add("", "{}", "application/json", "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host;;x-acs-action,Signature=b")
	f.Add("Format=xml&Signature=x&AccessKeyId=a&Timestamp=1&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=n", "", "", "")
	f.Fuzz(func(t *testing.T, query, body, contentType, authorization string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", authorization)
		r.Header.Set("x-acs-date", "d")
		r.Header.Set("x-acs-signature-nonce", "n")
		c, err := read(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		a := &answer{}
		_ = a.setFormat(c)
		if claimed, err := c.claim(); err == nil {
			claimed.sign("secret")
		}
		q := &Request{Params: c.params}
		q.Get("OSSBucket")
		q.List("ResourceIds")
	})
}
