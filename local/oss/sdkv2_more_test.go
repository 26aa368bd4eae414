package oss

import (
	"net/http"
	"strings"
	"testing"
	"time"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/google/go-cmp/cmp"
)

func TestIndependentSDKCopy(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	c.withBucket(t, "other")
	body := string(randomBytes(1000))
	key := "from/ü +%25 b"
	_, err := client.PutObject(t.Context(), &v2.PutObjectRequest{Bucket: v2.Ptr("data"), Key: &key, Body: strings.NewReader(body), Metadata: map[string]string{"m": "1"}, ContentType: v2.Ptr("text/x"), Tagging: v2.Ptr("t=1")})
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.CopyObject(t.Context(), &v2.CopyObjectRequest{Bucket: v2.Ptr("other"), Key: v2.Ptr("to"), SourceBucket: v2.Ptr("data"), SourceKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "other", "to"); got != body {
		t.Error("content differs")
	}
	head, err := client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("other"), Key: v2.Ptr("to")})
	if err != nil {
		t.Fatal(err)
	}
	if *head.ETag != *res.ETag || head.Metadata["m"] != "1" || *head.ContentType != "text/x" || head.TaggingCount != 1 {
		t.Errorf("copied head = %v", head.Headers)
	}
	_, err = client.CopyObject(t.Context(), &v2.CopyObjectRequest{
		Bucket: v2.Ptr("other"), Key: v2.Ptr("to"), SourceBucket: v2.Ptr("data"), SourceKey: &key,
		MetadataDirective: v2.Ptr("REPLACE"), Metadata: map[string]string{"n": "2"}, TaggingDirective: v2.Ptr("REPLACE"),
	})
	if err != nil {
		t.Fatal(err)
	}
	head, err = client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("other"), Key: v2.Ptr("to")})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"n": "2"}, head.Metadata); d != "" || head.TaggingCount != 0 {
		t.Errorf("replaced metadata: %s", d)
	}
	_, err = client.CopyObject(t.Context(), &v2.CopyObjectRequest{Bucket: v2.Ptr("other"), Key: v2.Ptr("x"), SourceBucket: v2.Ptr("data"), SourceKey: &key, IfMatch: v2.Ptr("wrong")})
	wantCode(t, err, 412, "PreconditionFailed")
	_, err = client.CopyObject(t.Context(), &v2.CopyObjectRequest{Bucket: v2.Ptr("other"), Key: v2.Ptr("x"), SourceBucket: v2.Ptr("data"), SourceKey: v2.Ptr("none")})
	wantCode(t, err, 404, "NoSuchKey")
	// The source may go; its files stay for the copy.
	if _, err := client.DeleteObject(t.Context(), &v2.DeleteObjectRequest{Bucket: v2.Ptr("data"), Key: &key}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "other", "to"); got != body {
		t.Error("content of the copy is gone with its source")
	}
}

func TestIndependentSDKSymlinkAndACL(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	put(t, client, "data", "dir/ target+", "hello")
	if _, err := client.PutSymlink(t.Context(), &v2.PutSymlinkRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("link"), Target: v2.Ptr("dir%2F%20target%2B")}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "data", "link"); got != "hello" {
		t.Errorf("through the link: %q", got)
	}
	l, err := client.GetSymlink(t.Context(), &v2.GetSymlinkRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("link")})
	if err != nil || *l.Target != "dir%2F%20target%2B" {
		t.Errorf("GetSymlink = %v, %v", l, err)
	}
	if _, err := client.PutSymlink(t.Context(), &v2.PutSymlinkRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("dangling"), Target: v2.Ptr("none")}); err != nil {
		t.Fatal(err)
	}
	_, err = client.GetObject(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("dangling")})
	wantCode(t, err, 404, "SymlinkTargetNotExist")

	acl, err := client.GetObjectAcl(t.Context(), &v2.GetObjectAclRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("link")})
	if err != nil || *acl.ACL != "default" {
		t.Errorf("GetObjectAcl = %v, %v", acl, err)
	}
	anonymous := func() int {
		resp, err := http.Get(c.url + "/data/link")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := anonymous(); got != 403 {
		t.Errorf("anonymous GET of a private object = %d", got)
	}
	if _, err := client.PutObjectAcl(t.Context(), &v2.PutObjectAclRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("link"), Acl: v2.ObjectACLPublicRead}); err != nil {
		t.Fatal(err)
	}
	if got := anonymous(); got != 200 {
		t.Errorf("anonymous GET of a public object = %d", got)
	}
}

func TestIndependentSDKBucket(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	info, err := client.GetBucketInfo(t.Context(), &v2.GetBucketInfoRequest{Bucket: v2.Ptr("data")})
	if err != nil {
		t.Fatal(err)
	}
	b := info.BucketInfo
	if *b.Name != "data" || *b.Location != "oss-cn-hangzhou" || *b.StorageClass != "Standard" || *b.ACL != "private" || *b.Owner.ID != testAccount || b.Versioning != nil || *b.SseRule.SSEAlgorithm != "" {
		t.Errorf("info = %+v", b)
	}
	_, err = client.PutBucketEncryption(t.Context(), &v2.PutBucketEncryptionRequest{Bucket: v2.Ptr("data"), ServerSideEncryptionRule: &v2.ServerSideEncryptionRule{
		ApplyServerSideEncryptionByDefault: &v2.ApplyServerSideEncryptionByDefault{SSEAlgorithm: v2.Ptr("KMS"), KMSMasterKeyID: v2.Ptr("key-1")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	info, err = client.GetBucketInfo(t.Context(), &v2.GetBucketInfoRequest{Bucket: v2.Ptr("data")})
	if err != nil || *info.BucketInfo.SseRule.SSEAlgorithm != "KMS" || *info.BucketInfo.SseRule.KMSMasterKeyID != "key-1" {
		t.Errorf("encryption in info: %v, %v", info, err)
	}
	put(t, client, "data", "k", "x")
	head, err := client.HeadObject(t.Context(), &v2.HeadObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k")})
	if err != nil || *head.ServerSideEncryption != "KMS" {
		t.Errorf("encryption of an object: %v, %v", head, err)
	}
	if _, err := client.DeleteBucketEncryption(t.Context(), &v2.DeleteBucketEncryptionRequest{Bucket: v2.Ptr("data")}); err != nil {
		t.Fatal(err)
	}
	_, err = client.GetBucketEncryption(t.Context(), &v2.GetBucketEncryptionRequest{Bucket: v2.Ptr("data")})
	wantCode(t, err, 404, "NoSuchServerSideEncryptionRule")

	_, err = client.PutBucket(t.Context(), &v2.PutBucketRequest{Bucket: v2.Ptr("elsewhere"), CreateBucketConfiguration: &v2.CreateBucketConfiguration{StorageClass: v2.StorageClassIA}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutBucket(t.Context(), &v2.PutBucketRequest{Bucket: v2.Ptr("elsewhere"), CreateBucketConfiguration: &v2.CreateBucketConfiguration{StorageClass: v2.StorageClassStandard}})
	wantCode(t, err, 409, "BucketAlreadyExists")
	_, err = client.DeleteBucket(t.Context(), &v2.DeleteBucketRequest{Bucket: v2.Ptr("data")})
	wantCode(t, err, 409, "BucketNotEmpty")
	list, err := client.ListBuckets(t.Context(), &v2.ListBucketsRequest{})
	if err != nil || len(list.Buckets) != 2 || *list.Buckets[1].Name != "elsewhere" {
		t.Errorf("ListBuckets = %v, %v", list, err)
	}
	if exist, err := client.IsBucketExist(t.Context(), "data"); err != nil || !exist {
		t.Errorf("IsBucketExist = %v, %v", exist, err)
	}
	if exist, err := client.IsBucketExist(t.Context(), "nothing"); err != nil || exist {
		t.Errorf("IsBucketExist of nothing = %v, %v", exist, err)
	}
	if exist, err := client.IsObjectExist(t.Context(), "data", "nothing"); err != nil || exist {
		t.Errorf("IsObjectExist of nothing = %v, %v", exist, err)
	}
	stat, err := client.GetBucketStat(t.Context(), &v2.GetBucketStatRequest{Bucket: v2.Ptr("data")})
	if err != nil || stat.ObjectCount != 1 || stat.Storage != 1 {
		t.Errorf("GetBucketStat = %v, %v", stat, err)
	}
	if _, err := client.PutBucketAcl(t.Context(), &v2.PutBucketAclRequest{Bucket: v2.Ptr("data"), Acl: v2.BucketACLPublicRead}); err != nil {
		t.Fatal(err)
	}
	acl, err := client.GetBucketAcl(t.Context(), &v2.GetBucketAclRequest{Bucket: v2.Ptr("data")})
	if err != nil || *acl.ACL != "public-read" {
		t.Errorf("GetBucketAcl = %v, %v", acl, err)
	}
	_, err = client.GetBucketCors(t.Context(), &v2.GetBucketCorsRequest{Bucket: v2.Ptr("data")})
	wantCode(t, err, 501, "NotImplemented")
	_, err = client.ListObjectVersions(t.Context(), &v2.ListObjectVersionsRequest{Bucket: v2.Ptr("data")})
	wantCode(t, err, 501, "NotImplemented")
}

func TestIndependentSDKTemporaryCredentials(t *testing.T) {
	t.Parallel()
	c := start(t)
	root := c.withBucket(t, "data")
	put(t, root, "data", "shared/x", "shared")
	put(t, root, "data", "secret/x", "secret")
	for _, version := range []v2.SignatureVersionType{v2.SignatureVersionV4, v2.SignatureVersionV1} {
		client := c.client(func(o *v2.Options) {
			o.CredentialsProvider = credentials.NewStaticCredentialsProvider(stsKey, stsSecret, stsToken)
			o.Signer = nil
			if version == v2.SignatureVersionV1 {
				o.Signer = signerV1
			} else {
				o.Signer = signerV4
			}
		})
		if got := get(t, client, "data", "shared/x"); got != "shared" {
			t.Errorf("version %d: %q", version, got)
		}
		_, err := client.GetObject(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("secret/x")})
		wantCode(t, err, 403, "AccessDenied")
		_, err = client.PutObject(t.Context(), &v2.PutObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("shared/y"), Body: strings.NewReader("")})
		wantCode(t, err, 403, "AccessDenied")
		_, err = client.ListBuckets(t.Context(), &v2.ListBucketsRequest{})
		wantCode(t, err, 403, "AccessDenied")
		link, err := client.Presign(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("shared/x")}, v2.PresignExpires(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Get(link.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, resp.Body); got != "shared" {
			t.Errorf("version %d, presigned: %s", version, got)
		}
	}
}

func TestIndependentSDKSignsFurtherHeaders(t *testing.T) {
	t.Parallel()
	c := start(t)
	put(t, c.withBucket(t, "data"), "data", "k", "0123456789")
	client := c.client(func(o *v2.Options) { o.AdditionalHeaders = []string{"host", "range", "user-agent", "content-length"} })
	put(t, client, "data", "a b", "x")
	r, err := client.GetObject(t.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), Range: v2.Ptr("bytes=1-2")})
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, r.Body); got != "12" {
		t.Errorf("range = %q", got)
	}
}

func TestBucketInAnotherRegion(t *testing.T) {
	t.Parallel()
	c := start(t)
	conf := func(region string) string {
		return "<CreateBucketConfiguration><LocationConstraint>" + region + "</LocationConstraint></CreateBucketConfiguration>"
	}
	if a := c.call(t, "PUT", "/far/", nil, conf("oss-cn-beijing")); a.status != 200 {
		t.Fatalf("create: %d %s", a.status, a.body)
	}
	if a := c.call(t, "PUT", "/far/", nil, conf("oss-cn-hangzhou")); a.code != "BucketAlreadyExists" {
		t.Errorf("moved: %d %s", a.status, a.code)
	}
	if a := c.call(t, "PUT", "/other/", nil, conf("nowhere")); a.code != "InvalidLocationConstraint" {
		t.Errorf("bad location: %d %s", a.status, a.code)
	}
	// The client of either region reaches it.
	for _, region := range []string{testRegion, "cn-beijing"} {
		client := c.client(func(o *v2.Options) { o.Region = region })
		l, err := client.GetBucketLocation(t.Context(), &v2.GetBucketLocationRequest{Bucket: v2.Ptr("far")})
		if err != nil || *l.LocationConstraint != "oss-cn-beijing" {
			t.Errorf("from %s: %v, %v", region, l, err)
		}
	}
}
