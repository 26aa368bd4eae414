package oss

import (
	"errors"
	"fmt"
	"testing"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

// A bucket of another account cannot be used unless it is shared, cannot be made
// and is in no list; also after a restart.
func TestForeignBuckets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const other = "6543210987654321"
	config := func(c *Config) {
		c.Dir = dir
		c.Foreign = []Foreign{{Name: "private-one", OwnerID: other}, {Name: "shared-one", OwnerID: other, Shared: true}, {Name: "mine-already", OwnerID: other}}
	}
	t.Run("first", func(t *testing.T) {
		c := start(t, func(c *Config) { c.Dir = dir })
		c.withBucket(t, "mine-already")
	})
	refused := func(err error) string {
		var e *v2.ServiceError
		if errors.As(err, &e) {
			return fmt.Sprintf("%d %s", e.StatusCode, e.Code)
		}
		return fmt.Sprint(err)
	}
	for _, run := range []string{"second", "third"} {
		t.Run(run, func(t *testing.T) {
			client := start(t, config).client()
			info := func(bucket string) (owner, err string) {
				got, e := client.GetBucketInfo(t.Context(), &v2.GetBucketInfoRequest{Bucket: &bucket})
				if e != nil {
					return "", refused(e)
				}
				return *got.BucketInfo.Owner.ID, ""
			}
			if owner, err := info("shared-one"); owner != other || err != "" {
				t.Errorf("shared: owner %q, %s", owner, err)
			}
			if owner, err := info("mine-already"); owner != testAccount || err != "" {
				t.Errorf("one that was ours: owner %q, %s", owner, err)
			}
			if _, err := info("private-one"); err != "403 AccessDenied" {
				t.Errorf("private: %s", err)
			}
			put(t, client, "shared-one", "k", "x")
			for name, want := range map[string]string{"private-one": "409 BucketAlreadyExists", "shared-one": "409 BucketAlreadyExists"} {
				if _, err := client.PutBucket(t.Context(), &v2.PutBucketRequest{Bucket: &name}); refused(err) != want {
					t.Errorf("make %s: %s, want %s", name, refused(err), want)
				}
				if _, err := client.DeleteBucket(t.Context(), &v2.DeleteBucketRequest{Bucket: &name}); refused(err) != "403 AccessDenied" {
					t.Errorf("delete %s: %s", name, refused(err))
				}
			}
			for source, want := range map[string]string{"shared-one": "", "private-one": "403 AccessDenied"} {
				_, err := client.CopyObject(t.Context(), &v2.CopyObjectRequest{Bucket: v2.Ptr("mine-already"), Key: v2.Ptr("copy"), SourceBucket: &source, SourceKey: v2.Ptr("k")})
				if err != nil && refused(err) != want || err == nil && want != "" {
					t.Errorf("copy from %s: %v, want %q", source, err, want)
				}
			}
			list, err := client.ListBuckets(t.Context(), &v2.ListBucketsRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Buckets) != 1 || *list.Buckets[0].Name != "mine-already" {
				t.Errorf("list: %v", list.Buckets)
			}
		})
	}
}
