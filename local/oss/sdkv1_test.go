package oss

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/aliyun/aliyun-oss-go-sdk/oss"
	"github.com/google/go-cmp/cmp"
)

// sdkV1 is the SDK that our functions use, which signs with either version.
func (c cloud) sdkV1(t testing.TB, version v1.AuthVersionType, token bool) *v1.Client {
	t.Helper()
	options := []v1.ClientOption{v1.AuthVersion(version), v1.Region(testRegion)}
	key, secret := rootKey, rootSecret
	if token {
		key, secret = stsKey, stsSecret
		options = append(options, v1.SecurityToken(stsToken))
	}
	client, err := v1.New(c.url, key, secret, options...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func wantV1(t testing.TB, err error, status int, code string) {
	t.Helper()
	var e v1.ServiceError
	if !errors.As(err, &e) || e.StatusCode != status || e.Code != code {
		t.Errorf("error = %v, want %d %s", err, status, code)
	}
}

func TestSDKV1(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]v1.AuthVersionType{"V1": v1.AuthV1, "V4": v1.AuthV4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t)
			client := c.sdkV1(t, version, false)
			if err := client.CreateBucket("data", v1.StorageClass(v1.StorageStandard), v1.ACL(v1.ACLPrivate)); err != nil {
				t.Fatal(err)
			}
			b, err := client.Bucket("data")
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := client.IsBucketExist("data"); err != nil || !ok {
				t.Errorf("IsBucketExist = %v, %v", ok, err)
			}
			if info, err := client.GetBucketInfo("data"); err != nil || info.BucketInfo.Location != "oss-cn-hangzhou" {
				t.Errorf("GetBucketInfo = %+v, %v", info, err)
			}
			if l, err := client.GetBucketLocation("data"); err != nil || l != "oss-cn-hangzhou" {
				t.Errorf("GetBucketLocation = %q, %v", l, err)
			}
			exerciseV1Objects(t, b)
			exerciseV1Lists(t, b)
			exerciseV1Uploads(t, b)
			exerciseV1Bucket(t, client)

			reader, err := c.sdkV1(t, version, true).Bucket("data")
			if err != nil {
				t.Fatal(err)
			}
			if err := b.PutObject("shared/x", strings.NewReader("shared")); err != nil {
				t.Fatal(err)
			}
			r, err := reader.GetObject("shared/x")
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			link, err := reader.SignURL("shared/x", v1.HTTPGet, 60, v1.ResponseContentType("text/x"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.Get(link)
			if err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, resp.Body); got != "shared" || resp.Header.Get("Content-Type") != "text/x" {
				t.Errorf("signed link with a token: %q", got)
			}
			_, err = reader.GetObject("secret")
			wantV1(t, err, 403, "AccessDenied")
		})
	}
}

func exerciseV1Objects(t *testing.T, b *v1.Bucket) {
	body := randomBytes(50000)
	for _, key := range oddKeys {
		if err := b.PutObject(key, bytes.NewReader(body), v1.Meta("m", "1"), v1.ContentType("text/x")); err != nil {
			t.Fatalf("PutObject %q: %v", key, err)
		}
		r, err := b.GetObject(key, v1.Range(10, 19))
		if err != nil {
			t.Fatalf("GetObject %q: %v", key, err)
		}
		if got := readAll(t, r); got != string(body[10:20]) {
			t.Errorf("GetObject %q: wrong content", key)
		}
		link, err := b.SignURL(key, v1.HTTPPut, 60, v1.ContentType("text/y"))
		if err != nil {
			t.Fatal(err)
		}
		if err := b.PutObjectWithURL(link, bytes.NewReader(body[:7]), v1.ContentType("text/y")); err != nil {
			t.Errorf("PutObjectWithURL %q: %v", key, err)
		}
		h, err := b.GetObjectDetailedMeta(key)
		if err != nil || h.Get("Content-Length") != "7" || h.Get("Content-Type") != "text/y" {
			t.Errorf("GetObjectDetailedMeta %q = %v, %v", key, h, err)
		}
	}
	if _, err := b.DeleteObjects(oddKeys); err != nil {
		t.Error(err)
	}
	if err := b.PutObject("once", strings.NewReader("a"), v1.ForbidOverWrite(true)); err != nil {
		t.Error(err)
	}
	wantV1(t, b.PutObject("once", strings.NewReader("b"), v1.ForbidOverWrite(true)), 409, "FileAlreadyExists")
	_, err := b.GetObject("none")
	wantV1(t, err, 404, "NoSuchKey")
	_, err = b.GetObjectDetailedMeta("none")
	wantV1(t, err, 404, "NoSuchKey")
	if ok, err := b.IsObjectExist("none"); ok || err != nil {
		t.Errorf("IsObjectExist = %v, %v", ok, err)
	}
	// The reader hides the length, so the body is sent in chunks; the SDK
	// compares the CRC-64.
	if err := b.PutObject("chunked", io.MultiReader(bytes.NewReader(body))); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := b.GetObjectToFile("chunked", file); err != nil {
		t.Error(err)
	}
	next, err := b.AppendObject("log", strings.NewReader("one"), 0)
	if err != nil || next != 3 {
		t.Errorf("AppendObject = %d, %v", next, err)
	}
	_, err = b.AppendObject("log", strings.NewReader("two"), 2)
	wantV1(t, err, 409, "PositionNotEqualToLength")
	if _, err := b.CopyObject("log", "copy of + log"); err != nil {
		t.Error(err)
	}
	if err := b.SetObjectMeta("copy of + log", v1.Meta("x", "2")); err != nil {
		t.Error(err)
	}
	if err := b.PutSymlink("link", "copy of + log"); err != nil {
		t.Error(err)
	}
	if h, err := b.GetSymlink("link"); err != nil || h.Get("X-Oss-Symlink-Target") != "copy of + log" {
		t.Errorf("GetSymlink = %v, %v", h, err)
	}
	r, err := b.GetObject("link")
	if err != nil || readAll(t, r) != "one" {
		t.Errorf("through the link: %v", err)
	}
	if err := b.PutObjectTagging("once", v1.Tagging{Tags: []v1.Tag{{Key: "a b", Value: "+"}}}); err != nil {
		t.Error(err)
	}
	tags, err := b.GetObjectTagging("once")
	if err != nil || len(tags.Tags) != 1 || tags.Tags[0].Key != "a b" || tags.Tags[0].Value != "+" {
		t.Errorf("GetObjectTagging = %v, %v", tags, err)
	}
	if err := b.SetObjectACL("once", v1.ACLPublicRead); err != nil {
		t.Error(err)
	}
	if acl, err := b.GetObjectACL("once"); err != nil || acl.ACL != "public-read" {
		t.Errorf("GetObjectACL = %v, %v", acl, err)
	}
	for _, key := range []string{"once", "chunked", "log", "copy of + log", "link"} {
		if err := b.DeleteObject(key); err != nil {
			t.Error(err)
		}
	}
}

func exerciseV1Lists(t *testing.T, b *v1.Bucket) {
	keys := []string{"l/a b", "l/a+b", "l/d/1", "l/d/2", "l/é"}
	for _, k := range keys {
		if err := b.PutObject(k, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for marker := ""; ; {
		res, err := b.ListObjects(v1.Prefix("l/"), v1.Marker(marker), v1.MaxKeys(2))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range res.Objects {
			got = append(got, o.Key)
		}
		if !res.IsTruncated {
			break
		}
		marker = res.NextMarker
	}
	if d := cmp.Diff(keys, got); d != "" {
		t.Errorf("ListObjects: %s", d)
	}
	got = nil
	for token := ""; ; {
		res, err := b.ListObjectsV2(v1.Prefix("l/"), v1.Delimiter("/"), v1.ContinuationToken(token), v1.MaxKeys(1))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range res.Objects {
			got = append(got, o.Key)
		}
		got = append(got, res.CommonPrefixes...)
		if !res.IsTruncated {
			break
		}
		token = res.NextContinuationToken
	}
	if d := cmp.Diff([]string{"l/a b", "l/a+b", "l/d/", "l/é"}, got); d != "" {
		t.Errorf("ListObjectsV2: %s", d)
	}
	res, err := b.DeleteObjects(keys, v1.DeleteObjectsQuiet(true))
	if err != nil || len(res.DeletedObjects) != 0 {
		t.Errorf("quiet DeleteObjects = %v, %v", res, err)
	}
}

func exerciseV1Uploads(t *testing.T, b *v1.Bucket) {
	up, err := b.InitiateMultipartUpload("multi/ü+ x")
	if err != nil {
		t.Fatal(err)
	}
	var parts []v1.UploadPart
	var whole []byte
	for n := 1; n <= 3; n++ {
		data := randomBytes(minPart + n)
		p, err := b.UploadPart(up, bytes.NewReader(data), int64(len(data)), n)
		if err != nil {
			t.Fatal(err)
		}
		parts, whole = append(parts, p), append(whole, data...)
	}
	if l, err := b.ListUploadedParts(up); err != nil || len(l.UploadedParts) != 3 {
		t.Errorf("ListUploadedParts = %v, %v", l, err)
	}
	if l, err := b.ListMultipartUploads(v1.Prefix("multi/")); err != nil || len(l.Uploads) != 1 || l.Uploads[0].Key != "multi/ü+ x" {
		t.Errorf("ListMultipartUploads = %v, %v", l, err)
	}
	if _, err := b.CompleteMultipartUpload(up, parts); err != nil {
		t.Fatal(err)
	}
	r, err := b.GetObject("multi/ü+ x")
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r); got != string(whole) {
		t.Error("multipart content differs")
	}
	up, err = b.InitiateMultipartUpload("multi/copy")
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.UploadPartCopy(up, "data", "multi/ü+ x", 100, minPart, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.CompleteMultipartUpload(up, []v1.UploadPart{p}); err != nil {
		t.Fatal(err)
	}
	r, err = b.GetObject("multi/copy")
	if err != nil || readAll(t, r) != string(whole[100:100+minPart]) {
		t.Errorf("UploadPartCopy: %v", err)
	}
	up, err = b.InitiateMultipartUpload("multi/gone")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AbortMultipartUpload(up); err != nil {
		t.Error(err)
	}
	wantV1(t, b.AbortMultipartUpload(up), 404, "NoSuchUpload")
	if _, err := b.DeleteObjects([]string{"multi/ü+ x", "multi/copy"}); err != nil {
		t.Error(err)
	}
}

func exerciseV1Bucket(t *testing.T, client *v1.Client) {
	rules := []v1.LifecycleRule{v1.BuildLifecycleRuleByDays("a", "tmp/", true, 3), {
		ID: "b", Prefix: "", Status: "Enabled", AbortMultipartUpload: &v1.LifecycleAbortMultipartUpload{Days: 7},
	}}
	if err := client.SetBucketLifecycle("data", rules); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetBucketLifecycle("data")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, r := range got.Rules {
		have = append(have, fmt.Sprint(r.ID, r.Prefix, r.Status, r.Expiration != nil && r.Expiration.Days == 3, r.AbortMultipartUpload != nil && r.AbortMultipartUpload.Days == 7))
	}
	if !slices.Equal(have, []string{"atmp/Enabledtrue false", "bEnabledfalse true"}) {
		t.Errorf("GetBucketLifecycle = %q", have)
	}
	if err := client.DeleteBucketLifecycle("data"); err != nil {
		t.Error(err)
	}
	if err := client.SetBucketVersioning("data", v1.VersioningConfig{Status: "Suspended"}); err != nil {
		t.Error(err)
	}
	if v, err := client.GetBucketVersioning("data"); err != nil || v.Status != "Suspended" {
		t.Errorf("GetBucketVersioning = %v, %v", v, err)
	}
	if err := client.SetBucketEncryption("data", v1.ServerEncryptionRule{SSEDefault: v1.SSEDefaultRule{SSEAlgorithm: "AES256"}}); err != nil {
		t.Error(err)
	}
	if e, err := client.GetBucketEncryption("data"); err != nil || e.SSEDefault.SSEAlgorithm != "AES256" {
		t.Errorf("GetBucketEncryption = %v, %v", e, err)
	}
	if err := client.DeleteBucketEncryption("data"); err != nil {
		t.Error(err)
	}
	l, err := client.ListBuckets()
	if err != nil || len(l.Buckets) != 1 || l.Buckets[0].Name != "data" {
		t.Errorf("ListBuckets = %v, %v", l, err)
	}
	wantV1(t, client.DeleteBucket("none"), 404, "NoSuchBucket")
}
