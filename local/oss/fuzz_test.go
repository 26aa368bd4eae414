package oss

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func FuzzParseV4(f *testing.F) {
	f.Add("OSS4-HMAC-SHA256 Credential=ak/20250101/cn-hangzhou/oss/aliyun_v4_request,AdditionalHeaders=host;range,Signature=" + strings.Repeat("ab", 32))
	f.Add("OSS4-HMAC-SHA256 Credential=,Signature=")
	f.Add("OSS4-HMAC-SHA256 ")
	f.Fuzz(func(t *testing.T, header string) {
		a, e := parseV4(header)
		if e != nil {
			if e.Status != 400 || e.Code != "InvalidArgument" {
				t.Errorf("%q: %v", header, e)
			}
			return
		}
		if a.credential.keyID == "" || len(a.credential.day) != 8 || len(a.signature) != 64 {
			t.Errorf("%q was read as %+v", header, a)
		}
		if !strings.Contains(header, a.credential.keyID+"/"+a.credential.scope()) {
			t.Errorf("%q: scope %q is not in it", header, a.credential.scope())
		}
	})
}

func FuzzParseV1(f *testing.F) {
	f.Add("OSS ak:c2ln")
	f.Add("OSS :")
	f.Fuzz(func(t *testing.T, header string) {
		key, signature, e := parseV1(header)
		if e == nil && (key == "" || signature == "" || strings.Contains(key, ":")) {
			t.Errorf("%q was read as %q, %q", header, key, signature)
		}
	})
}

// FuzzServe sends any path and query, signed by nobody: every answer is an
// error of OSS, and nothing is written.
func FuzzServe(f *testing.F) {
	f.Add("GET", "/data/a%2Fb", "list-type=2&prefix=%zz", "")
	f.Add("PUT", "/data/../..//", "uploadId&partNumber=1", "OSS x:y")
	f.Add("POST", "/", "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=%2F%2F%2F%2F", "")
	s, err := Open(Config{Dir: f.TempDir(), AccountID: testAccount, Region: testRegion, Identities: people{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, method, path, query, authorization string) {
		if !strings.HasPrefix(path, "/") || method == "" || strings.ContainsFunc(method+path+query, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return
		}
		target := path + "?" + query
		if _, err := url.ParseRequestURI(target); err != nil {
			return
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.RequestURI = method, target
		r.Header.Set("Authorization", authorization)
		s.ServeHTTP(w, r)
		if w.Code < 400 || w.Code == 500 {
			t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
	})
}

func FuzzParseRange(f *testing.F) {
	f.Add("bytes=0-9", int64(10), true)
	f.Add("bytes=-1", int64(0), false)
	f.Fuzz(func(t *testing.T, header string, size int64, standard bool) {
		if size < 0 {
			return
		}
		start, length, partial, e := parseRange(header, size, standard)
		if e != nil && !standard {
			t.Errorf("%q of %d: %v", header, size, e)
		}
		if e == nil && (start < 0 || length < 0 || length > size-start || !partial && (start != 0 || length != size)) {
			t.Errorf("%q of %d: %d+%d partial %v", header, size, start, length, partial)
		}
	})
}
