package oss

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// answer is what came back for a raw call.
type answer struct {
	status   int
	header   http.Header
	body     string
	code, ec string
	detail   map[string]string // the elements of an error
}

// call makes a request signed with V4 by hand, with headers as given; a header
// with the value "-" is left out.
func (c cloud) call(t testing.TB, method, target string, headers map[string]string, body string) answer {
	t.Helper()
	req, err := http.NewRequest(method, c.url+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	req.Header.Set("X-Oss-Date", now.Format(isoBasic))
	req.Header.Set("X-Oss-Content-Sha256", unsignedPayload)
	for k, v := range headers {
		if v == "-" {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, v)
		}
	}
	if req.Header.Get("Authorization") == "" && headers["Authorization"] != "-" {
		r, _ := newRequest(requestAsReceived(req), "", now, func(string) bool { return false })
		day, date := now.Format(isoDay), req.Header.Get("X-Oss-Date")
		if d, err := time.Parse(isoBasic, date); err == nil {
			day = d.Format(isoDay)
		} else if date == "" {
			date = req.Header.Get("Date")
		}
		cred := credentialV4{rootKey, day, testRegion, "oss"}
		sts := stringToSignV4(date, cred, canonicalRequestV4(r, nil, req.Header.Get("X-Oss-Content-Sha256")))
		req.Header.Set("Authorization", v4Algorithm+" Credential="+rootKey+"/"+cred.scope()+",Signature="+signV4(rootSecret, cred, sts))
	}
	return do(t, req)
}

// requestAsReceived is a client's request as the server will see it.
func requestAsReceived(req *http.Request) *http.Request {
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	return in
}

func do(t testing.TB, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b), detail: map[string]string{}}
	text := a.body
	if v := resp.Header.Get("X-Oss-Err"); v != "" {
		d, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			t.Fatal(err)
		}
		text = string(d)
	}
	if resp.StatusCode >= 400 {
		var e struct {
			Elements []struct {
				XMLName xml.Name
				Text    string `xml:",chardata"`
			} `xml:",any"`
		}
		if err := xml.Unmarshal([]byte(text), &e); err != nil {
			t.Fatalf("%s %s: %d with a body that is no error: %q", req.Method, req.URL, a.status, text)
		}
		for _, x := range e.Elements {
			a.detail[x.XMLName.Local] = x.Text
		}
		a.code, a.ec = a.detail["Code"], a.detail["EC"]
		if a.detail["RequestId"] != resp.Header.Get("X-Oss-Request-Id") || a.detail["RequestId"] == "" || a.detail["HostId"] == "" || a.detail["Message"] == "" {
			t.Errorf("%s %s: error lacks an element: %v", req.Method, req.URL, a.detail)
		}
	}
	return a
}

func b64md5(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestHeadBucket is getBucketMetadata of the SDK for Java and getBucketMeta of
// that for PHP.
func TestHeadBucket(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.withBucket(t, "data")
	for _, target := range []string{"/data", "/data/"} {
		if a := c.call(t, "HEAD", target, nil, ""); a.status != 200 || a.header.Get("X-Oss-Bucket-Region") != "oss-"+testRegion {
			t.Errorf("HEAD %s: %d, region %q", target, a.status, a.header.Get("X-Oss-Bucket-Region"))
		}
	}
}

// TestErrors is one call for each documented refusal.
func TestErrors(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	put(t, client, "data", "k", "0123456789")
	elevenTags := strings.Repeat("k=v&", 10) + "k=v"
	for _, x := range []struct {
		name, method, target string
		header               map[string]string
		body                 string
		status               int
		code                 string
		detail               string // an element that must be there
	}{
		{name: "no such bucket", method: "GET", target: "/none/k", status: 404, code: "NoSuchBucket", detail: "BucketName"},
		{name: "no such key", method: "GET", target: "/data/none", status: 404, code: "NoSuchKey", detail: "Key"},
		{name: "no such bucket, HEAD", method: "HEAD", target: "/none/", status: 404, code: "NoSuchBucket", detail: "BucketName"},
		{name: "no such key, HEAD", method: "HEAD", target: "/data/none", status: 404, code: "NoSuchKey", detail: "Key"},
		{name: "bad bucket name", method: "PUT", target: "/Bad_Name/", status: 400, code: "InvalidBucketName"},
		{name: "short bucket name", method: "PUT", target: "/ab/", status: 400, code: "InvalidBucketName"},
		{name: "bad storage class", method: "PUT", target: "/newbucket/", body: "<CreateBucketConfiguration><StorageClass>X</StorageClass></CreateBucketConfiguration>", status: 400, code: "InvalidStorageClass"},
		{name: "key that begins with a slash", method: "PUT", target: "/data/%2Fx", status: 400, code: "InvalidObjectName"},
		{name: "key that begins with a backslash", method: "PUT", target: "/data/%5Cx", status: 400, code: "InvalidObjectName"},
		{name: "long key", method: "PUT", target: "/data/" + strings.Repeat("k", 1024), status: 400, code: "InvalidObjectName"},
		{name: "key that is not UTF-8", method: "PUT", target: "/data/%ff", status: 400, code: "InvalidObjectName"},
		{name: "If-Match on a write", method: "PUT", target: "/data/k", header: map[string]string{"If-Match": "*"}, status: 400, code: "NotImplemented", detail: "Header"},
		{name: "If-None-Match on a write", method: "PUT", target: "/data/k", header: map[string]string{"If-None-Match": "*"}, status: 400, code: "NotImplemented", detail: "Header"},
		{name: "If-Unmodified-Since on a write", method: "PUT", target: "/data/k", header: map[string]string{"If-Unmodified-Since": "x"}, status: 400, code: "NotImplemented", detail: "Header"},
		{name: "garbled MD5", method: "PUT", target: "/data/k", header: map[string]string{"Content-Md5": "x"}, body: "a", status: 400, code: "InvalidDigest"},
		{name: "wrong MD5", method: "PUT", target: "/data/k", header: map[string]string{"Content-Md5": b64md5("b")}, body: "a", status: 400, code: "InvalidDigest"},
		{name: "forbidden overwrite", method: "PUT", target: "/data/k", header: map[string]string{"X-Oss-Forbid-Overwrite": "true"}, body: "a", status: 409, code: "FileAlreadyExists"},
		{name: "too much metadata", method: "PUT", target: "/data/m", header: map[string]string{"X-Oss-Meta-A": strings.Repeat("x", 8193)}, body: "a", status: 400, code: "InvalidArgument"},
		{name: "too many tags", method: "PUT", target: "/data/m", header: map[string]string{"X-Oss-Tagging": elevenTags}, body: "a", status: 400, code: "BadRequest"},
		{name: "tag twice", method: "PUT", target: "/data/m", header: map[string]string{"X-Oss-Tagging": "a=1&a=2"}, body: "a", status: 400, code: "InvalidTag"},
		{name: "bad ACL", method: "PUT", target: "/data/m", header: map[string]string{"X-Oss-Object-Acl": "x"}, body: "a", status: 400, code: "InvalidArgument", detail: "ArgumentName"},
		{name: "bad encryption", method: "PUT", target: "/data/m", header: map[string]string{"X-Oss-Server-Side-Encryption": "x"}, body: "a", status: 400, code: "InvalidEncryptionAlgorithmError"},
		{name: "append without position", method: "POST", target: "/data/l?append", body: "a", status: 400, code: "MissingArgument"},
		{name: "append at a bad position", method: "POST", target: "/data/l?append&position=-1", body: "a", status: 400, code: "InvalidArgument"},
		{name: "append behind the end", method: "POST", target: "/data/l?append&position=1", body: "a", status: 409, code: "PositionNotEqualToLength"},
		{name: "append to a normal object", method: "POST", target: "/data/k?append&position=10", body: "a", status: 409, code: "ObjectNotAppendable"},
		{name: "precondition", method: "GET", target: "/data/k", header: map[string]string{"If-Match": `"x"`}, status: 412, code: "PreconditionFailed", detail: "Condition"},
		{name: "standard range", method: "GET", target: "/data/k", header: map[string]string{"Range": "bytes=10-11", "X-Oss-Range-Behavior": "standard"}, status: 416, code: "InvalidRange"},
		{name: "delete many without MD5", method: "POST", target: "/data/?delete", body: "<Delete/>", status: 400, code: "MissingArgument"},
		{name: "delete many of nothing", method: "POST", target: "/data/?delete", header: map[string]string{"Content-Md5": b64md5("<Delete/>")}, body: "<Delete/>", status: 400, code: "MalformedXML"},
		{name: "garbled XML", method: "PUT", target: "/data/?versioning", body: "<", status: 400, code: "MalformedXML"},
		{name: "XML of something else", method: "PUT", target: "/data/?versioning", body: "<Other/>", status: 400, code: "MalformedXML"},
		{name: "bad page size", method: "GET", target: "/data/?max-keys=0", status: 400, code: "InvalidArgument", detail: "ArgumentName"},
		{name: "bad encoding type", method: "GET", target: "/data/?encoding-type=x", status: 400, code: "InvalidArgument"},
		{name: "self-copy", method: "PUT", target: "/data/k", header: map[string]string{"X-Oss-Copy-Source": "/data/k"}, status: 400, code: "InvalidRequest"},
		{name: "garbled copy source", method: "PUT", target: "/data/k", header: map[string]string{"X-Oss-Copy-Source": "x"}, status: 400, code: "InvalidArgument"},
		{name: "symlink to nowhere", method: "PUT", target: "/data/l?symlink", status: 400, code: "InvalidArgument"},
		{name: "not a symlink", method: "GET", target: "/data/k?symlink", status: 400, code: "NotSymlink"},
		{name: "no lifecycle", method: "GET", target: "/data/?lifecycle", status: 404, code: "NoSuchLifecycle"},
		{name: "no such version", method: "GET", target: "/data/k?versionId=x", status: 404, code: "NoSuchVersion"},
		{name: "method", method: "PATCH", target: "/data/k", status: 405, code: "MethodNotAllowed", detail: "Method"},
		{name: "CORS", method: "OPTIONS", target: "/data/k", status: 403, code: "AccessForbidden"},
		{name: "form that is none", method: "POST", target: "/data/", body: "x", status: 400, code: "RequestIsNotMultiPartContent"},
		{name: "not built: bucket", method: "GET", target: "/data/?website", status: 501, code: "NotImplemented"},
		{name: "not built: service", method: "GET", target: "/?regions", status: 501, code: "NotImplemented"},
		{name: "not built: service with a value", method: "GET", target: "/?regions=oss-cn-hangzhou", status: 501, code: "NotImplemented"},
		{name: "unknown subresource of a bucket", method: "PUT", target: "/data/?bucketArchiveDirectRead", status: 501, code: "NotImplemented"},
		{name: "unknown subresource of a bucket, with =", method: "PUT", target: "/data/?bucketArchiveDirectRead=", status: 501, code: "NotImplemented"},
		{name: "unknown subresource of a new bucket", method: "DELETE", target: "/none/?userDefinedLogFieldsConfig", status: 501, code: "NotImplemented"},
		{name: "not built: object", method: "POST", target: "/data/k?restore", status: 501, code: "NotImplemented"},
		{name: "not built: process", method: "GET", target: "/data/k?x-oss-process=image%2Finfo", status: 501, code: "NotImplemented"},
		{name: "not built: callback", method: "PUT", target: "/data/k", header: map[string]string{"X-Oss-Callback": "x"}, status: 501, code: "NotImplemented"},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := c.call(t, x.method, x.target, x.header, x.body)
			if a.status != x.status || a.code != x.code {
				t.Errorf("%d %s (%s), want %d %s", a.status, a.code, a.detail["Message"], x.status, x.code)
			}
			if x.detail != "" && a.detail[x.detail] == "" {
				t.Errorf("no element %s in %v", x.detail, a.detail)
			}
		})
	}
	if got := get(t, client, "data", "k"); got != "0123456789" {
		t.Errorf("a refused call changed the object: %q", got)
	}
}

func TestSignatureErrors(t *testing.T) {
	t.Parallel()
	c := start(t)
	put(t, c.withBucket(t, "data"), "data", "k", "x")
	now := time.Now().UTC()
	v4 := func(credential, signature string) map[string]string {
		return map[string]string{"Authorization": v4Algorithm + " Credential=" + credential + ",Signature=" + signature}
	}
	scope := rootKey + "/" + now.Format(isoDay) + "/" + testRegion + "/oss/aliyun_v4_request"
	bad := strings.Repeat("0", 64)
	presigned := func(date time.Time, expires string) string {
		return "/data/k?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=" + url.QueryEscape(rootKey+"/"+date.Format(isoDay)+"/"+testRegion+"/oss/aliyun_v4_request") +
			"&x-oss-date=" + date.Format(isoBasic) + "&x-oss-expires=" + expires + "&x-oss-signature=" + bad
	}
	for _, x := range []struct {
		name, target string
		header       map[string]string
		status       int
		code, ec     string
		detail       string
	}{
		{"anonymous", "/data/k", map[string]string{"Authorization": "-"}, 403, "AccessDenied", "0003-00000001", ""},
		{"anonymous list of buckets", "/", map[string]string{"Authorization": "-"}, 403, "AccessDenied", "0003-00000001", ""},
		{"unknown scheme", "/data/k", map[string]string{"Authorization": "Basic x"}, 400, "InvalidArgument", "", "ArgumentName"},
		{"S3 version 4", "/data/k", map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=x/20261122/cn-hangzhou/s3/aws4_request, SignedHeaders=host, Signature=y"}, 501, "NotImplemented", "", ""},
		{"S3 version 4 in the URL", "/data/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=y", map[string]string{"Authorization": "-"}, 501, "NotImplemented", "", ""},
		{"version 2", "/data/k", map[string]string{"Authorization": "OSS2 AccessKeyId:x,Signature:y"}, 501, "NotImplemented", "", ""},
		{"wrong signature", "/data/k", v4(scope, bad), 403, "SignatureDoesNotMatch", "0002-00000040", "StringToSign"},
		{"wrong signature shows bytes", "/data/k", v4(scope, bad), 403, "SignatureDoesNotMatch", "0002-00000040", "StringToSignBytes"},
		{"unknown key", "/data/k", v4(strings.Replace(scope, rootKey, "nobody", 1), bad), 403, "InvalidAccessKeyId", "0002-00000902", "OSSAccessKeyId"},
		{"wrong region", "/data/k", v4(strings.Replace(scope, testRegion, "cn-beijing", 1), bad), 400, "InvalidArgument", "0002-00000226", ""},
		{"wrong product", "/data/k", v4(strings.Replace(scope, "/oss/", "/ecs/", 1), bad), 400, "InvalidArgument", "", ""},
		{"wrong day", "/data/k", v4(strings.Replace(scope, now.Format(isoDay), "20200101", 1), bad), 400, "InvalidArgument", "", ""},
		{"garbled credential", "/data/k", v4("x/y", bad), 400, "InvalidArgument", "", ""},
		{"garbled signature", "/data/k", v4(scope, "zz"), 400, "InvalidArgument", "", ""},
		{"no payload hash", "/data/k", map[string]string{"X-Oss-Content-Sha256": "-"}, 400, "InvalidArgument", "", "ArgumentName"},
		{"no date", "/data/k", map[string]string{"X-Oss-Date": "-"}, 403, "AccessDenied", "0002-00000503", ""},
		{"garbled date", "/data/k", map[string]string{"X-Oss-Date": "yesterday"}, 400, "InvalidArgument", "0002-00000502", ""},
		{"late", "/data/k", map[string]string{"X-Oss-Date": now.Add(-16 * time.Minute).Format(isoBasic)}, 403, "RequestTimeTooSkewed", "0002-00000504", "MaxAllowedSkewMilliseconds"},
		{"early", "/data/k", map[string]string{"X-Oss-Date": now.Add(16 * time.Minute).Format(isoBasic)}, 403, "RequestTimeTooSkewed", "0002-00000504", "ServerTime"},
		{"token of nobody", "/data/k", map[string]string{"X-Oss-Security-Token": "x"}, 403, "InvalidSecurityToken", "", ""},
		{"temporary key without token", "/data/k", v4(strings.Replace(scope, rootKey, stsKey, 1), bad), 403, "InvalidAccessKeyId", "", ""},
		{"expired token", "/data/k", v4(strings.Replace(scope, rootKey, "STS.expired", 1), bad), 403, "SecurityTokenExpired", "", ""},
		{"version 1, wrong", "/data/k", map[string]string{"Authorization": "OSS " + rootKey + ":x", "Date": now.Format(http.TimeFormat)}, 403, "SignatureDoesNotMatch", "0002-00000040", "SignatureProvided"},
		{"version 1, garbled", "/data/k", map[string]string{"Authorization": "OSS x"}, 400, "InvalidArgument", "", ""},
		{"presigned, wrong", presigned(now, "60"), map[string]string{"Authorization": "-"}, 403, "SignatureDoesNotMatch", "0002-00000040", "StringToSign"},
		{"presigned, expired", presigned(now.Add(-time.Hour), "60"), map[string]string{"Authorization": "-"}, 403, "AccessDenied", "", "Expires"},
		{"presigned for too long", presigned(now, "604801"), map[string]string{"Authorization": "-"}, 400, "InvalidArgument", "", "ArgumentName"},
		{"presigned, incomplete", "/data/k?x-oss-signature-version=OSS4-HMAC-SHA256", map[string]string{"Authorization": "-"}, 403, "AccessDenied", "", ""},
		{"presigned, version 1, expired", "/data/k?OSSAccessKeyId=" + rootKey + "&Signature=x&Expires=" + strconv.FormatInt(now.Add(-time.Second).Unix(), 10), map[string]string{"Authorization": "-"}, 403, "AccessDenied", "", "Expires"},
		{"presigned, version 1, wrong", "/data/k?OSSAccessKeyId=" + rootKey + "&Signature=x&Expires=" + strconv.FormatInt(now.Add(time.Minute).Unix(), 10), map[string]string{"Authorization": "-"}, 403, "SignatureDoesNotMatch", "0002-00000040", ""},
		{"presigned, version 1, incomplete", "/data/k?Signature=x", map[string]string{"Authorization": "-"}, 403, "AccessDenied", "", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := c.call(t, "GET", x.target, x.header, "")
			if a.status != x.status || a.code != x.code || x.ec != "" && a.ec != x.ec {
				t.Errorf("%d %s %s (%s), want %d %s %s", a.status, a.code, a.ec, a.detail["Message"], x.status, x.code, x.ec)
			}
			if x.detail != "" && a.detail[x.detail] == "" {
				t.Errorf("no element %s in %v", x.detail, a.detail)
			}
		})
	}
}

func TestVersion1CanBeRefused(t *testing.T) {
	t.Parallel()
	c := start(t, func(cfg *Config) { cfg.RejectV1 = true })
	for _, target := range []string{"/", "/?OSSAccessKeyId=x&Signature=y&Expires=1"} {
		header := map[string]string{"Authorization": "OSS " + rootKey + ":x"}
		if strings.Contains(target, "Signature") {
			header["Authorization"] = "-"
		}
		if a := c.call(t, "GET", target, header, ""); a.status != 403 || a.ec != "0002-00000080" {
			t.Errorf("%s: %d %s %s", target, a.status, a.code, a.ec)
		}
	}
}

func TestHeadersOfAnswers(t *testing.T) {
	t.Parallel()
	c := start(t)
	put(t, c.withBucket(t, "data"), "data", "k", "0123456789")
	a := c.call(t, "GET", "/data/k?response-content-type=text%2Fhtml&response-content-disposition=attachment", map[string]string{"Accept-Encoding": "gzip"}, "")
	for name, want := range map[string]string{
		"Content-Type": "text/html", "Content-Disposition": "attachment", "Content-Length": "10", "Content-Encoding": "", "Server": "AliyunOSS",
		"X-Oss-Object-Type": "Normal", "X-Oss-Storage-Class": "Standard", "Content-Md5": b64md5("0123456789"), "Content-Range": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if id := a.header.Get("X-Oss-Request-Id"); len(id) != 24 || strings.ToUpper(id) != id {
		t.Errorf("request id %q", id)
	}
	if a.header.Get("X-Oss-Server-Time") == "" || a.header.Get("Date") == "" {
		t.Error("no server time or no date")
	}
	a = c.call(t, "GET", "/data/k", map[string]string{"If-None-Match": a.header.Get("ETag")}, "")
	if a.status != 304 || a.body != "" || a.header.Get("ETag") == "" {
		t.Errorf("unchanged: %d %q", a.status, a.body)
	}
	a = c.call(t, "GET", "/data/k", map[string]string{"If-Modified-Since": time.Now().UTC().Format(http.TimeFormat)}, "")
	if a.status != 304 {
		t.Errorf("not modified since: %d", a.status)
	}
	a = c.call(t, "GET", "/data/k", map[string]string{"Range": "bytes=5-100"}, "")
	if a.status != 200 || a.body != "0123456789" {
		t.Errorf("a range over the end: %d %q, want the whole object", a.status, a.body)
	}
}

// TestMissingLength sends what no HTTP library sends: a PUT that does not say
// how long it is.
func TestMissingLength(t *testing.T) {
	t.Parallel()
	c := start(t)
	c.withBucket(t, "data")
	a := c.sendRaw(t, "PUT /data/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
	if !strings.Contains(a, "411 Length Required") {
		t.Errorf("answer: %s", a)
	}
}

func TestVirtualHost(t *testing.T) {
	t.Parallel()
	c := start(t)
	put(t, c.withBucket(t, "data"), "data", "dir/k", "x")
	for _, x := range []struct {
		host, target, code string
		status             int
	}{
		{"data.oss-cn-hangzhou.aliyuncs.com", "/dir/k", "", 200},
		{"data.oss-cn-hangzhou-internal.aliyuncs.com", "/dir/k", "", 200},
		{"data.127.0.0.1", "/dir/k", "", 200},
		{"data.localhost", "/dir/k", "", 200},
		{"data.oss.test", "/dir/k", "", 200},
		{"localhost", "/data/dir/k", "", 200},
		{"[::1]", "/data/dir/k", "", 200},
		{"stand-in", "/data/dir/k", "", 200},
		{"oss-cn-hangzhou.aliyuncs.com", "/data/dir/k", "SecondLevelDomainForbidden", 403},
		{"none.oss-cn-hangzhou.aliyuncs.com", "/dir/k", "NoSuchBucket", 404},
	} {
		req, err := http.NewRequest("GET", c.url+x.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = x.host
		now := time.Now().UTC()
		req.Header.Set("Date", now.Format(http.TimeFormat))
		in := requestAsReceived(req)
		in.Host = x.host
		r, _ := newRequest(in, "", now, c.isBucket)
		req.Header.Set("Authorization", "OSS "+rootKey+":"+signV1(rootSecret, stringToSignV1(r, req.Header.Get("Date"))))
		if a := do(t, req); a.status != x.status || a.code != x.code {
			t.Errorf("%s%s: %d %s, want %d %s", x.host, x.target, a.status, a.code, x.status, x.code)
		}
	}
}
