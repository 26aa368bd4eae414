package oss

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/google/go-cmp/cmp"
)

// oddKeys are names that break servers which clean paths or keep objects under
// their names.
var oddKeys = []string{
	"a b", "a+b", "a%b", "a%2Fb", "100%", "ünïcödé/日本語.txt", "..", "../up", "a/../b", "a//b", "a/", "a//", ".", "./x",
	".hidden", "..hidden/..", "-", "~tilde", "x?y=z&w", "#frag", "semi;colon", "a'b\"c", "<xml>&amp;", "back\\slash",
	"new\nline", "tab\tkey", "star*(paren)!", "@:$,", "emoji-😀", "con", strings.Repeat("k", 1023), "%00", "a=b", "{}[]|^`",
}

func TestIndependentSDKOddKeys(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "odd-keys")
	for _, key := range oddKeys {
		put(t, client, "odd-keys", key, "content of "+key)
	}
	for _, key := range oddKeys {
		if got := get(t, client, "odd-keys", key); got != "content of "+key {
			t.Errorf("GetObject %q = %q", key, got)
		}
		if _, err := client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("odd-keys"), Key: &key}); err != nil {
			t.Errorf("HeadObject %q: %v", key, err)
		}
		link, err := client.Presign(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("odd-keys"), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get(link.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, resp.Body); got != "content of "+key {
			t.Errorf("presigned GET %q = %q", key, got)
		}
	}
	want := slices.Sorted(slices.Values(oddKeys))
	var got []string
	pages := client.NewListObjectsV2Paginator(&v2.ListObjectsV2Request{Bucket: v2.Ptr("odd-keys"), MaxKeys: 4})
	for pages.HasNext() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("listing (-want +got):\n%s", d)
	}
	var objects []v2.DeleteObject
	for _, key := range oddKeys {
		objects = append(objects, v2.DeleteObject{Key: v2.Ptr(key)})
	}
	res, err := client.DeleteMultipleObjects(t.Context(), &v2.DeleteMultipleObjectsRequest{Bucket: v2.Ptr("odd-keys"), Objects: objects, EncodingType: v2.Ptr("url")})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.DeletedObjects) != len(oddKeys) || *res.DeletedObjects[0].Key != oddKeys[0] {
		t.Errorf("deleted %d objects, want %d", len(res.DeletedObjects), len(oddKeys))
	}
	if _, err := client.DeleteBucket(t.Context(), &v2.DeleteBucketRequest{Bucket: v2.Ptr("odd-keys")}); err != nil {
		t.Errorf("DeleteBucket after everything is deleted: %v", err)
	}
}

func TestIndependentSDKPutGetHead(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	body := randomBytes(300<<10 + 7)
	sum := md5.Sum(body)
	etag := fmt.Sprintf("%q", strings.ToUpper(fmt.Sprintf("%x", sum)))
	crc := strconv.FormatUint(crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)), 10)

	res, err := client.PutObject(t.Context(), &v2.PutObjectRequest{
		Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), Body: bytes.NewReader(body), ContentType: v2.Ptr("image/x-raw"),
		CacheControl: v2.Ptr("no-cache"), Metadata: map[string]string{"Disk": "/dev/xvda"}, Tagging: v2.Ptr("a=1&b=%2F+x"),
		StorageClass: v2.StorageClassIA, Acl: v2.ObjectACLPrivate,
	})
	if err != nil {
		t.Fatal(err)
	}
	if *res.ETag != etag || *res.HashCRC64 != crc || res.VersionId != nil {
		t.Errorf("PutObject = %s %s, want %s %s", *res.ETag, *res.HashCRC64, etag, crc)
	}
	head, err := client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k")})
	if err != nil {
		t.Fatal(err)
	}
	type facts struct {
		Size                                                          int64
		ETag, CRC, Type, ContentType, Cache, Class, Meta, Tags, Range string
	}
	got := facts{
		head.ContentLength, *head.ETag, *head.HashCRC64, *head.ObjectType, *head.ContentType, *head.CacheControl, *head.StorageClass,
		head.Metadata["disk"], fmt.Sprint(head.TaggingCount), head.Headers.Get("Accept-Ranges"),
	}
	want := facts{int64(len(body)), etag, crc, "Normal", "image/x-raw", "no-cache", "IA", "/dev/xvda", "2", "bytes"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("HeadObject (-want +got):\n%s", d)
	}
	if time.Since(*head.LastModified).Abs() > time.Minute {
		t.Errorf("LastModified = %v", head.LastModified)
	}
	r, err := client.GetObject(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), Range: v2.Ptr("bytes=1000-1999")})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r.Body); got != string(body[1000:2000]) || *r.ContentRange != fmt.Sprintf("bytes 1000-1999/%d", len(body)) || r.StatusCode != 206 {
		t.Errorf("range: %d bytes, status %d, %v", len(got), r.StatusCode, *r.ContentRange)
	}
	meta, err := client.GetObjectMeta(t.Context(), &v2.GetObjectMetaRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k")})
	if err != nil {
		t.Fatal(err)
	}
	if meta.ContentLength != int64(len(body)) || *meta.ETag != etag {
		t.Errorf("GetObjectMeta = %d %s", meta.ContentLength, *meta.ETag)
	}

	tags, err := client.GetObjectTagging(t.Context(), &v2.GetObjectTaggingRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k")})
	if err != nil {
		t.Fatal(err)
	}
	if len(tags.Tags) != 2 || *tags.Tags[1].Value != "/ x" {
		t.Errorf("tags = %v", tags.Tags)
	}
	_, err = client.PutObjectTagging(t.Context(), &v2.PutObjectTaggingRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), Tagging: &v2.Tagging{
		TagSet: &v2.TagSet{Tags: []v2.Tag{{Key: v2.Ptr("only"), Value: v2.Ptr("")}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	tags, err = client.GetObjectTagging(t.Context(), &v2.GetObjectTaggingRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k")})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "only" {
		t.Errorf("tags = %v, %v", tags, err)
	}
	if _, err := client.DeleteObjectTagging(t.Context(), &v2.DeleteObjectTaggingRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k")}); err != nil {
		t.Error(err)
	}

	// A reader of unknown length is sent in chunks.
	_, err = client.PutObject(t.Context(), &v2.PutObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("chunked"), Body: io.MultiReader(bytes.NewReader(body))})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "data", "chunked"); got != string(body) {
		t.Error("chunked content differs")
	}

	_, err = client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("none")})
	wantCode(t, err, 404, "NoSuchKey")
	_, err = client.GetObject(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("none"), Key: v2.Ptr("none")})
	wantCode(t, err, 404, "NoSuchBucket")
	if _, err := client.DeleteObject(t.Context(), &v2.DeleteObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("none")}); err != nil {
		t.Errorf("DeleteObject of nothing: %v", err)
	}
}

func wantCode(t testing.TB, err error, status int, code string) {
	t.Helper()
	var e *v2.ServiceError
	if !errors.As(err, &e) {
		t.Errorf("error = %v, want %s", err, code)
		return
	}
	if e.StatusCode != status || e.Code != code {
		t.Errorf("error = %d %s (%s), want %d %s", e.StatusCode, e.Code, e.Message, status, code)
	}
}

func TestIndependentSDKForbidOverwrite(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	req := func() *v2.PutObjectRequest {
		return &v2.PutObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("claim"), Body: strings.NewReader("x"), ForbidOverwrite: v2.Ptr("true")}
	}
	if _, err := client.PutObject(t.Context(), req()); err != nil {
		t.Fatal(err)
	}
	_, err := client.PutObject(t.Context(), req())
	wantCode(t, err, 409, "FileAlreadyExists")
	_, err = client.CopyObject(t.Context(), &v2.CopyObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("claim"), SourceKey: v2.Ptr("claim"), ForbidOverwrite: v2.Ptr("true"), MetadataDirective: v2.Ptr("REPLACE")})
	wantCode(t, err, 409, "FileAlreadyExists")

	// A versioned bucket ignores the header and shows itself by a version id.
	_, err = client.PutBucketVersioning(t.Context(), &v2.PutBucketVersioningRequest{Bucket: v2.Ptr("data"), VersioningConfiguration: &v2.VersioningConfiguration{Status: v2.VersionEnabled}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.PutObject(t.Context(), req())
	if err != nil {
		t.Fatal(err)
	}
	if res.VersionId == nil || *res.VersionId == "" {
		t.Error("no version id in a versioned bucket")
	}
	v, err := client.GetBucketVersioning(t.Context(), &v2.GetBucketVersioningRequest{Bucket: v2.Ptr("data")})
	if err != nil || *v.VersionStatus != "Enabled" {
		t.Errorf("GetBucketVersioning = %v, %v", v, err)
	}
}

func TestIndependentSDKForbidOverwriteRace(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	const n = 16
	won := make(chan bool, n)
	for i := range n {
		go func() {
			_, err := client.PutObject(t.Context(), &v2.PutObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("claim"), Body: strings.NewReader(fmt.Sprint(i)), ForbidOverwrite: v2.Ptr("true")})
			won <- err == nil
		}()
	}
	winners := 0
	for range n {
		if <-won {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d of %d create-only writes won", winners, n)
	}
}

func TestIndependentSDKList(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	for _, key := range []string{"a/1", "a/2", "a/b/3", "b", "c/1", "c/2", "d"} {
		put(t, client, "data", key, key)
	}
	list := func(req v2.ListObjectsV2Request) (out []string) {
		req.Bucket = v2.Ptr("data")
		p := client.NewListObjectsV2Paginator(&req)
		for p.HasNext() {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				out = append(out, *o.Key)
			}
			for _, o := range page.CommonPrefixes {
				out = append(out, *o.Prefix)
			}
		}
		slices.Sort(out)
		return out
	}
	listV1 := func(req v2.ListObjectsRequest) (out []string) {
		req.Bucket = v2.Ptr("data")
		p := client.NewListObjectsPaginator(&req)
		for p.HasNext() {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range page.Contents {
				out = append(out, *o.Key)
			}
			for _, o := range page.CommonPrefixes {
				out = append(out, *o.Prefix)
			}
		}
		slices.Sort(out)
		return out
	}
	for _, limit := range []int32{0, 1, 2, 3} {
		if d := cmp.Diff([]string{"a/", "b", "c/", "d"}, list(v2.ListObjectsV2Request{Delimiter: v2.Ptr("/"), MaxKeys: limit})); d != "" {
			t.Errorf("delimiter, %d a page: %s", limit, d)
		}
		if d := cmp.Diff([]string{"a/1", "a/2", "a/b/"}, listV1(v2.ListObjectsRequest{Prefix: v2.Ptr("a/"), Delimiter: v2.Ptr("/"), MaxKeys: limit})); d != "" {
			t.Errorf("prefix and delimiter, %d a page: %s", limit, d)
		}
	}
	if d := cmp.Diff([]string{"c/1", "c/2", "d"}, list(v2.ListObjectsV2Request{StartAfter: v2.Ptr("b")})); d != "" {
		t.Errorf("start-after: %s", d)
	}
	res, err := client.ListObjectsV2(t.Context(), &v2.ListObjectsV2Request{Bucket: v2.Ptr("data"), FetchOwner: true, MaxKeys: 1})
	if err != nil {
		t.Fatal(err)
	}
	if res.KeyCount != 1 || !res.IsTruncated || *res.Contents[0].Owner.ID != testAccount {
		t.Errorf("KeyCount %d, truncated %v, owner %v", res.KeyCount, res.IsTruncated, res.Contents[0].Owner)
	}
	_, err = client.ListObjectsV2(t.Context(), &v2.ListObjectsV2Request{Bucket: v2.Ptr("data"), ContinuationToken: v2.Ptr("not a token")})
	wantCode(t, err, 400, "InvalidArgument")
	_, err = client.ListObjectsV2(t.Context(), &v2.ListObjectsV2Request{Bucket: v2.Ptr("data"), MaxKeys: 1001})
	wantCode(t, err, 400, "InvalidArgument")
}

func TestIndependentSDKAppend(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "log")
	var want []byte
	for i, size := range []int{10, 0, 1 << 10, 2<<20 + 3, 100, 1<<20 + 1, 5} {
		chunk := randomBytes(size)
		res, err := client.AppendObject(t.Context(), &v2.AppendObjectRequest{
			Bucket: v2.Ptr("log"), Key: v2.Ptr("a"), Position: v2.Ptr(int64(len(want))), Body: bytes.NewReader(chunk), ContentType: v2.Ptr("application/x-ndjson"),
		})
		if err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
		want = append(want, chunk...)
		crc := strconv.FormatUint(crc64.Checksum(want, crcTable), 10)
		if res.NextPosition != int64(len(want)) || *res.HashCRC64 != crc {
			t.Fatalf("append %d: next %d crc %s, want %d %s", i, res.NextPosition, *res.HashCRC64, len(want), crc)
		}
	}
	if got := get(t, client, "log", "a"); got != string(want) {
		t.Error("content differs")
	}
	_, err := client.AppendObject(t.Context(), &v2.AppendObjectRequest{Bucket: v2.Ptr("log"), Key: v2.Ptr("a"), Position: v2.Ptr(int64(3)), Body: strings.NewReader("x")})
	wantCode(t, err, 409, "PositionNotEqualToLength")
	var e *v2.ServiceError
	if errors.As(err, &e) && e.Headers.Get("x-oss-next-append-position") != fmt.Sprint(len(want)) {
		t.Errorf("next position in the refusal = %q", e.Headers.Get("x-oss-next-append-position"))
	}
	put(t, client, "log", "normal", "x")
	_, err = client.AppendObject(t.Context(), &v2.AppendObjectRequest{Bucket: v2.Ptr("log"), Key: v2.Ptr("normal"), Position: v2.Ptr(int64(1)), Body: strings.NewReader("x")})
	wantCode(t, err, 409, "ObjectNotAppendable")
	head, err := client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("log"), Key: v2.Ptr("a")})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ObjectType != "Appendable" || *head.NextAppendPosition != fmt.Sprint(len(want)) || head.ContentMD5 != nil || *head.ContentType != "application/x-ndjson" {
		t.Errorf("head = %v", head.Headers)
	}

	// A copy shares the files; appending to the original must not show in it.
	if _, err := client.CopyObject(t.Context(), &v2.CopyObjectRequest{Bucket: v2.Ptr("log"), Key: v2.Ptr("copy"), SourceKey: v2.Ptr("a")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AppendObject(t.Context(), &v2.AppendObjectRequest{Bucket: v2.Ptr("log"), Key: v2.Ptr("a"), Position: v2.Ptr(int64(len(want))), Body: strings.NewReader("more")}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "log", "copy"); got != string(want) {
		t.Error("the copy has changed with its source")
	}
}

func TestIndependentSDKAppendIsACompareAndSwap(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "log")
	const writers, each = 8, 10
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			done <- func() error {
				position, i := int64(0), 0
				for i < each {
					res, err := client.AppendObject(t.Context(), &v2.AppendObjectRequest{
						Bucket: v2.Ptr("log"), Key: v2.Ptr("a"), Position: &position, Body: strings.NewReader(fmt.Sprintf("%d-%d\n", w, i)),
					})
					var e *v2.ServiceError
					switch {
					case err == nil:
						position = res.NextPosition
						i++
					case errors.As(err, &e) && e.Code == "PositionNotEqualToLength":
						position, err = strconv.ParseInt(e.Headers.Get("x-oss-next-append-position"), 10, 64)
						if err != nil {
							return err
						}
					default:
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Fields(get(t, client, "log", "a"))
	slices.Sort(lines)
	if len(slices.Compact(lines)) != writers*each {
		t.Errorf("%d distinct lines, want %d", len(slices.Compact(lines)), writers*each)
	}
}
