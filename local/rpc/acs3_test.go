package rpc_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ecs-image-export/local/rpc"
)

// acs3 signs as the newer SDKs do, written from the description of the scheme.
func acs3(change func(*http.Request)) *http.Request {
	body := "ImageId=m-1"
	r := httptest.NewRequest("POST", "http://127.0.0.1:9083/?RegionId=cn-hangzhou&b=%2A&a=x%20y", strings.NewReader(body))
	sum := sha256.Sum256([]byte(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("x-acs-action", "DescribeImages")
	r.Header.Set("x-acs-version", "2014-05-26")
	r.Header.Set("x-acs-date", epoch.Format(time.RFC3339))
	r.Header.Set("x-acs-signature-nonce", fmt.Sprint("nonce-", lastNonce.Add(1)))
	r.Header.Set("x-acs-content-sha256", hex.EncodeToString(sum[:]))
	names := []string{"content-type", "host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	var headers strings.Builder
	for _, n := range names {
		v := r.Header.Get(n)
		if n == "host" {
			v = r.Host
		}
		fmt.Fprintf(&headers, "%s:%s\n", n, v)
	}
	canonical := "POST\n/\nRegionId=cn-hangzhou&a=x%20y&b=%2A\n" + headers.String() + "\n" + strings.Join(names, ";") + "\n" + hex.EncodeToString(sum[:])
	r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential=root,SignedHeaders="+strings.Join(names, ";")+",Signature="+rpc.SignatureACS3(canonical, "secret"))
	if change != nil {
		change(r)
	}
	return r
}

func TestACS3(t *testing.T) {
	t.Parallel()
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
		code   any
	}{
		"good":                   {nil, 200, nil},
		"another action":         {header("x-acs-action", "Everyone"), 400, "SignatureDoesNotMatch"},
		"another host":           {func(r *http.Request) { r.Host = "example.com" }, 400, "SignatureDoesNotMatch"},
		"another body":           {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("ImageId=m-2")) }, 400, "InvalidContentSha256"},
		"unsigned token":         {header("x-acs-security-token", "t"), 400, "IncompleteSignature"},
		"another algorithm":      {header("Authorization", "ACS3-RSA-SHA256 Credential=root"), 400, "InvalidSignatureMethod"},
		"half an authorization":  {header("Authorization", "ACS3-HMAC-SHA256 Credential=root"), 400, "IncompleteSignature"},
		"no date":                {func(r *http.Request) { r.Header.Del("x-acs-date") }, 400, "MissingTimestamp"},
		"version not in headers": {func(r *http.Request) { r.Header.Del("x-acs-version") }, 400, "MissingVersion"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := send(t, newService(), acs3(c.change))
			if status != c.status || body["Code"] != c.code {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
}
