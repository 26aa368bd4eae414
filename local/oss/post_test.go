package oss

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/http"
	"testing"
	"time"
)

// post sends a form; the fields go before the file in the given order.
func (c cloud) post(t testing.TB, fields [][2]string, file string) answer {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	p, err := w.CreateFormFile("file", "report.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = p.Write([]byte(file))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", c.url+"/data/", &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return do(t, req)
}

func TestPostObject(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	now := time.Now().UTC()
	policyFor := func(end time.Time) string {
		return base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf(
			`{"expiration":%q,"conditions":[{"bucket":"data"},["starts-with","$key","in/"],["content-length-range",1,10],["in","$x-oss-meta-a",["1","2"]]]}`,
			end.Format("2006-01-02T15:04:05.000Z"))))
	}
	v1 := func(key, meta, policy, signature string) [][2]string {
		return [][2]string{{"key", key}, {"OSSAccessKeyId", rootKey}, {"policy", policy}, {"Signature", signature}, {"x-oss-meta-a", meta}, {"success_action_status", "201"}}
	}
	policy := policyFor(now.Add(time.Minute))
	signature := signV1(rootSecret, policy)
	old := policyFor(now.Add(-time.Minute))
	for _, x := range []struct {
		name   string
		fields [][2]string
		file   string
		status int
		code   string
	}{
		{"version 1", v1("in/${filename}", "1", policy, signature), "hello", 201, ""},
		{"wrong signature", v1("in/x", "1", policy, "x"), "hello", 403, "SignatureDoesNotMatch"},
		{"expired policy", v1("in/x", "1", old, signV1(rootSecret, old)), "hello", 403, "AccessDenied"},
		{"key against the policy", v1("out/x", "1", policy, signature), "hello", 403, "AccessDenied"},
		{"meta against the policy", v1("in/x", "3", policy, signature), "hello", 403, "AccessDenied"},
		{"too long", v1("in/x", "1", policy, signature), "hello, world", 400, "EntityTooLarge"},
		{"too short", v1("in/x", "1", policy, signature), "", 400, "EntityTooSmall"},
		{"no key", v1("", "1", policy, signature), "hello", 400, "InvalidObjectName"},
		{"anonymous", [][2]string{{"key", "in/x"}}, "hello", 403, "AccessDenied"},
		{"forbidden overwrite", append(v1("in/report.txt", "1", policy, signature), [2]string{"x-oss-forbid-overwrite", "true"}), "again", 409, "FileAlreadyExists"},
	} {
		if a := c.post(t, x.fields, x.file); a.status != x.status || a.code != x.code {
			t.Errorf("%s: %d %s (%s), want %d %s", x.name, a.status, a.code, a.detail["Message"], x.status, x.code)
		}
	}
	if got := get(t, client, "data", "in/report.txt"); got != "hello" {
		t.Errorf("content = %q", got)
	}
	cred := credentialV4{rootKey, now.Format(isoDay), testRegion, "oss"}
	a := c.post(t, [][2]string{
		{"key", "in/v4"}, {"policy", policy}, {"x-oss-meta-a", "2"}, {"x-oss-signature-version", v4Algorithm},
		{"x-oss-credential", rootKey + "/" + cred.scope()}, {"x-oss-date", now.Format(isoBasic)}, {"x-oss-signature", signV4(rootSecret, cred, policy)},
	}, "v4")
	if a.status != 204 || get(t, client, "data", "in/v4") != "v4" {
		t.Errorf("version 4: %d %s", a.status, a.body)
	}
}
