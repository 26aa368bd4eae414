package oss

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/google/go-cmp/cmp"

	"hash/crc64"
)

// uploadParts uploads parts with the given numbers and returns them for
// CompleteMultipartUpload.
func uploadParts(t testing.TB, client *v2.Client, bucket, key, id string, parts map[int][]byte) []v2.UploadPart {
	t.Helper()
	var out []v2.UploadPart
	for n, data := range parts {
		res, err := client.UploadPart(t.Context(), &v2.UploadPartRequest{
			Bucket: &bucket, Key: &key, UploadId: &id, PartNumber: int32(n), Body: bytes.NewReader(data),
		})
		if err != nil {
			t.Fatalf("part %d: %v", n, err)
		}
		out = append(out, v2.UploadPart{PartNumber: int32(n), ETag: res.ETag})
	}
	slices.SortFunc(out, func(a, b v2.UploadPart) int { return int(a.PartNumber - b.PartNumber) })
	return out
}

func initiate(t testing.TB, client *v2.Client, bucket, key string) string {
	t.Helper()
	res, err := client.InitiateMultipartUpload(t.Context(), &v2.InitiateMultipartUploadRequest{
		Bucket: &bucket, Key: &key, ContentType: v2.Ptr("application/gzip"), Metadata: map[string]string{"m": "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *res.UploadId
}

func complete(t testing.TB, client *v2.Client, bucket, key, id string, parts []v2.UploadPart) (*v2.CompleteMultipartUploadResult, error) {
	t.Helper()
	return client.CompleteMultipartUpload(t.Context(), &v2.CompleteMultipartUploadRequest{
		Bucket: &bucket, Key: &key, UploadId: &id, CompleteMultipartUpload: &v2.CompleteMultipartUpload{Parts: parts},
	})
}

func TestIndependentSDKMultipart(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	key := "dir/odd +%key"
	parts := map[int][]byte{1: randomBytes(minPart), 5: randomBytes(minPart + 1), 10000: randomBytes(7)}
	whole := slices.Concat(parts[1], parts[5], parts[10000])
	id := initiate(t, client, "data", key)
	list := uploadParts(t, client, "data", key, id, parts)

	lp, err := client.ListParts(t.Context(), &v2.ListPartsRequest{Bucket: v2.Ptr("data"), Key: &key, UploadId: &id, MaxParts: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(lp.Parts) != 2 || !lp.IsTruncated || lp.NextPartNumberMarker != 5 || lp.Parts[1].Size != minPart+1 || *lp.Key != key {
		t.Errorf("ListParts = %+v", lp)
	}
	if _, err := client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("data"), Key: &key}); err == nil {
		t.Error("the object is there before the upload is complete")
	}
	_, err = client.DeleteBucket(t.Context(), &v2.DeleteBucketRequest{Bucket: v2.Ptr("data")})
	wantCode(t, err, 409, "BucketNotEmpty")

	res, err := complete(t, client, "data", key, id, list)
	if err != nil {
		t.Fatal(err)
	}
	crc := strconv.FormatUint(crc64.Checksum(whole, crcTable), 10)
	if *res.HashCRC64 != crc || !strings.HasSuffix(*res.ETag, `-3"`) || *res.Key != key {
		t.Errorf("complete = %s %s %s, want crc %s", *res.HashCRC64, *res.ETag, *res.Key, crc)
	}
	if got := get(t, client, "data", key); got != string(whole) {
		t.Error("content differs")
	}
	r, err := client.GetObject(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("data"), Key: &key, Range: v2.Ptr(fmt.Sprintf("bytes=%d-%d", minPart-3, 2*minPart+3))})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r.Body); got != string(whole[minPart-3:2*minPart+4]) {
		t.Error("a range across parts differs")
	}
	head, err := client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("data"), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ObjectType != "Multipart" || head.ContentMD5 != nil || *head.ContentType != "application/gzip" || head.Metadata["m"] != "1" {
		t.Errorf("head = %v", head.Headers)
	}
	_, err = complete(t, client, "data", key, id, list)
	wantCode(t, err, 404, "NoSuchUpload")
}

func TestMultipartRules(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	id := initiate(t, client, "data", "k")
	list := uploadParts(t, client, "data", "k", id, map[int][]byte{1: randomBytes(minPart), 2: randomBytes(minPart - 1), 3: randomBytes(1)})

	// The SDK sorts the parts, so the wrong orders are written by hand.
	for _, order := range [][]int{{1, 0}, {0, 0}} {
		var body strings.Builder
		for _, i := range order {
			fmt.Fprintf(&body, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", list[i].PartNumber, *list[i].ETag)
		}
		a := c.call(t, "POST", "/data/k?uploadId="+id, nil, "<CompleteMultipartUpload>"+body.String()+"</CompleteMultipartUpload>")
		if a.code != "InvalidPartOrder" {
			t.Errorf("order %v: %d %s", order, a.status, a.code)
		}
	}
	_, err := complete(t, client, "data", "k", id, []v2.UploadPart{list[0], {PartNumber: 3, ETag: v2.Ptr("wrong")}})
	wantCode(t, err, 400, "InvalidPart")
	_, err = complete(t, client, "data", "k", id, []v2.UploadPart{list[0], {PartNumber: 4, ETag: list[0].ETag}})
	wantCode(t, err, 400, "InvalidPart")
	_, err = complete(t, client, "data", "k", id, list)
	wantCode(t, err, 400, "EntityTooSmall")
	_, err = complete(t, client, "data", "k", id, nil)
	wantCode(t, err, 400, "MalformedXML")
	_, err = complete(t, client, "data", "other", id, list)
	wantCode(t, err, 404, "NoSuchUpload")
	_, err = client.UploadPart(t.Context(), &v2.UploadPartRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), UploadId: &id, PartNumber: 10001, Body: strings.NewReader("")})
	wantCode(t, err, 400, "InvalidArgument")
	_, err = client.UploadPart(t.Context(), &v2.UploadPartRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), UploadId: v2.Ptr("none"), PartNumber: 1, Body: strings.NewReader("")})
	wantCode(t, err, 404, "NoSuchUpload")

	// Create-only is decided at the end as well.
	put(t, client, "data", "k", "first")
	_, err = client.CompleteMultipartUpload(t.Context(), &v2.CompleteMultipartUploadRequest{
		Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), UploadId: &id, ForbidOverwrite: v2.Ptr("true"), CompleteMultipartUpload: &v2.CompleteMultipartUpload{Parts: list[:2]},
	})
	wantCode(t, err, 409, "FileAlreadyExists")
	_, err = client.InitiateMultipartUpload(t.Context(), &v2.InitiateMultipartUploadRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), ForbidOverwrite: v2.Ptr("true")})
	wantCode(t, err, 409, "FileAlreadyExists")

	// A part that is uploaded again replaces the first; parts that are not
	// listed go.
	list = uploadParts(t, client, "data", "k", id, map[int][]byte{1: []byte("again"), 2: randomBytes(3)})
	if _, err := complete(t, client, "data", "k", id, list[:1]); err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "data", "k"); got != "again" {
		t.Errorf("content = %q", got)
	}
	if n := c.files(t); n != 1 {
		t.Errorf("%d content files, want 1", n)
	}
}

// files counts the content files on disk.
func (c cloud) files(t testing.TB) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(c.cfg.Dir, "content", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestMultipartCompleteAllAndCopy(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	source := randomBytes(3 * minPart)
	put(t, client, "data", "source", string(source))
	id := initiate(t, client, "data", "k")
	for n, rng := range []string{fmt.Sprintf("bytes=0-%d", minPart-1), fmt.Sprintf("bytes=%d-%d", minPart, 2*minPart), ""} {
		req := &v2.UploadPartCopyRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), SourceKey: v2.Ptr("source"), UploadId: &id, PartNumber: int32(n + 1)}
		if rng != "" {
			req.Range = &rng
		}
		if _, err := client.UploadPartCopy(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.CompleteMultipartUpload(t.Context(), &v2.CompleteMultipartUploadRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), UploadId: &id, CompleteAll: v2.Ptr("yes")}); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(source[:minPart], source[minPart:2*minPart+1], source)
	if got := get(t, client, "data", "k"); got != string(want) {
		t.Error("content differs")
	}
	// The uploader and the copier of the SDK use several parts at once.
	up := v2.NewUploader(client, func(o *v2.UploaderOptions) { o.PartSize = minPart; o.ParallelNum = 4 })
	if _, err := up.UploadFrom(t.Context(), &v2.PutObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("big")}, bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CopyObject(t.Context(), &v2.CopyObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("big2"), SourceKey: v2.Ptr("big")}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteObject(t.Context(), &v2.DeleteObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("big")}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "big")
	down := v2.NewDownloader(client, func(o *v2.DownloaderOptions) { o.PartSize = minPart; o.ParallelNum = 4 })
	if _, err := down.DownloadFile(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("big2")}, path); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("downloaded content differs, %v", err)
	}
}

func TestListUploads(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	var want []string
	ids := map[string]string{}
	for _, key := range []string{"a/1", "a/1", "a/2", "b", "b/c", "b/c"} {
		id := initiate(t, client, "data", key)
		ids[id] = key
		want = append(want, key)
	}
	for limit := int32(1); limit < 7; limit++ {
		var got []string
		p := client.NewListMultipartUploadsPaginator(&v2.ListMultipartUploadsRequest{Bucket: v2.Ptr("data"), MaxUploads: limit})
		for p.HasNext() {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range page.Uploads {
				if ids[*u.UploadId] != *u.Key {
					t.Errorf("upload %s has key %s", *u.UploadId, *u.Key)
				}
				got = append(got, *u.Key)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d a page: %s", limit, d)
		}
	}
	for id, key := range ids {
		if _, err := client.AbortMultipartUpload(t.Context(), &v2.AbortMultipartUploadRequest{Bucket: v2.Ptr("data"), Key: &key, UploadId: &id}); err != nil {
			t.Fatal(err)
		}
		_, err := client.AbortMultipartUpload(t.Context(), &v2.AbortMultipartUploadRequest{Bucket: v2.Ptr("data"), Key: &key, UploadId: &id})
		wantCode(t, err, 404, "NoSuchUpload")
	}
	if _, err := client.DeleteBucket(t.Context(), &v2.DeleteBucketRequest{Bucket: v2.Ptr("data")}); err != nil {
		t.Error(err)
	}
}

// brokenReader ends before it should.
type brokenReader struct{ n int }

func (b *brokenReader) Read(p []byte) (int, error) {
	if b.n == 0 {
		return 0, errors.New("line cut")
	}
	n := min(b.n, len(p))
	b.n -= n
	return n, nil
}

func TestABrokenUploadLeavesNothing(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	put(t, client, "data", "k", "old")
	for _, body := range []io.Reader{
		&brokenReader{300 << 10}, // chunked
		struct{ io.ReadSeeker }{io.NewSectionReader(strings.NewReader("short"), 0, 1<<20)},
	} {
		if _, err := client.PutObject(t.Context(), &v2.PutObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), Body: body}); err == nil {
			t.Error("a broken body was accepted")
		}
	}
	if got := get(t, client, "data", "k"); got != "old" {
		t.Errorf("content = %q", got)
	}
	eventually(t, "only one content file", func() bool { return c.files(t) == 1 })
}
