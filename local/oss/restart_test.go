package oss

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

// serve makes an opened Service reachable until the test ends.
func serve(t testing.TB, s *Service) cloud {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return cloud{s, server.URL}
}

func TestEverythingSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() (*Service, cloud) {
		s, err := Open(Config{Dir: dir, AccountID: testAccount, Region: testRegion, Identities: people{}})
		if err != nil {
			t.Fatal(err)
		}
		return s, serve(t, s)
	}
	s, c := open()
	client := c.withBucket(t, "data")
	put(t, client, "data", "normal", "hello")
	part := randomBytes(minPart)
	id := initiate(t, client, "data", "multi")
	list := uploadParts(t, client, "data", "multi", id, map[int][]byte{1: part, 2: []byte("end")})
	unfinished := initiate(t, client, "data", "unfinished")
	rest := uploadParts(t, client, "data", "unfinished", unfinished, map[int][]byte{1: []byte("kept")})
	if _, err := complete(t, client, "data", "multi", id, list); err != nil {
		t.Fatal(err)
	}
	if _, err := client.AppendObject(t.Context(), &v2.AppendObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("log"), Position: v2.Ptr(int64(0)), Body: bytes.NewReader([]byte("one"))}); err != nil {
		t.Fatal(err)
	}
	// What a killed process leaves: a body that was being received, and a file
	// whose transaction did not happen.
	content := filepath.Join(dir, "content")
	if err := os.WriteFile(filepath.Join(content, "tmp", "half"), part, 0o644); err != nil {
		t.Fatal(err)
	}
	orphan := c.blobs.path(randomID())
	if err := os.MkdirAll(filepath.Dir(orphan), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(orphan, part, 0o644); err != nil {
		t.Fatal(err)
	}
	// And bytes of an append that did not commit.
	logFile := ""
	if o, err := s.open("data", "log", ""); err != nil {
		t.Fatal(err)
	} else {
		logFile = o.Blob
		s.blobs.unpin(o.segments)
	}
	if err := s.blobs.appendAt(logFile, 3, []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, c = open()
	defer s.Close()
	client = c.client()
	if _, err := os.Stat(orphan); !os.IsNotExist(err) {
		t.Errorf("the orphan is still there: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(content, "tmp")); err != nil || len(left) != 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
	if got := get(t, client, "data", "normal"); got != "hello" {
		t.Errorf("normal = %q", got)
	}
	if got := get(t, client, "data", "multi"); got != string(part)+"end" {
		t.Error("multi differs")
	}
	if got := get(t, client, "data", "log"); got != "one" {
		t.Errorf("log = %q", got)
	}
	if _, err := client.AppendObject(t.Context(), &v2.AppendObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("log"), Position: v2.Ptr(int64(3)), Body: bytes.NewReader([]byte(" two"))}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "data", "log"); got != "one two" {
		t.Errorf("log = %q", got)
	}
	if _, err := complete(t, client, "data", "unfinished", unfinished, rest); err != nil {
		t.Fatal(err)
	}
	if got := get(t, client, "data", "unfinished"); got != "kept" {
		t.Errorf("unfinished = %q", got)
	}
}

func TestReadersKeepWhatTheyRead(t *testing.T) {
	t.Parallel()
	c := start(t)
	client := c.withBucket(t, "data")
	body := randomBytes(4 << 20)
	put(t, client, "data", "k", string(body))
	o, err := c.open("data", "k", "")
	if err != nil {
		t.Fatal(err)
	}
	put(t, client, "data", "k", "new")
	var got bytes.Buffer
	if err := c.blobs.copyTo(&got, o.segments, 0, o.Size); err != nil || !bytes.Equal(got.Bytes(), body) {
		t.Errorf("the old content is gone under its reader: %v", err)
	}
	c.blobs.unpin(o.segments)
	if n := c.files(t); n != 1 {
		t.Errorf("%d files after the last reader has gone, want 1", n)
	}
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	clock := &fakeClock{now: now}
	c := start(t, func(cfg *Config) { cfg.Now = clock.Now })
	client := c.withBucket(t, "data")
	_, err := client.PutBucketLifecycle(t.Context(), &v2.PutBucketLifecycleRequest{Bucket: v2.Ptr("data"), LifecycleConfiguration: &v2.LifecycleConfiguration{Rules: []v2.LifecycleRule{
		{ID: v2.Ptr("objects"), Prefix: v2.Ptr("tmp/"), Status: v2.Ptr("Enabled"), Expiration: &v2.LifecycleRuleExpiration{Days: v2.Ptr(int32(2))}},
		{Prefix: v2.Ptr(""), Status: v2.Ptr("Enabled"), AbortMultipartUpload: &v2.LifecycleRuleAbortMultipartUpload{Days: v2.Ptr(int32(1))}},
		{Prefix: v2.Ptr("off/"), Status: v2.Ptr("Disabled"), Expiration: &v2.LifecycleRuleExpiration{Days: v2.Ptr(int32(1))}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"tmp/old", "off/old", "kept"} {
		put(t, client, "data", key, "x")
	}
	id := initiate(t, client, "data", "upload")
	uploadParts(t, client, "data", "upload", id, map[int][]byte{1: []byte("x")})
	apply := func(after time.Duration) []string {
		clock.set(now.Add(after))
		if err := c.applyLifecycles(t.Context()); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, key := range []string{"kept", "off/old", "tmp/old"} {
			if _, err := c.open("data", key, ""); err == nil {
				keys = append(keys, key)
			}
		}
		return keys
	}
	if got := apply(47 * time.Hour); len(got) != 3 {
		t.Errorf("before the second day ends: %v", got)
	}
	if got := apply(73 * time.Hour); len(got) != 2 {
		t.Errorf("after the third midnight: %v", got)
	}
	if err := c.checkUpload(&request{bucket: "data", key: "upload", query: []param{{"uploadId", id}}}); asError(err).Code != "NoSuchUpload" {
		t.Errorf("the upload is still there: %v", err)
	}
	clock.set(now)
	_, err = client.PutBucketLifecycle(t.Context(), &v2.PutBucketLifecycleRequest{Bucket: v2.Ptr("data"), LifecycleConfiguration: &v2.LifecycleConfiguration{Rules: []v2.LifecycleRule{
		{Prefix: v2.Ptr(""), Status: v2.Ptr("Enabled"), Transitions: []v2.LifecycleRuleTransition{{Days: v2.Ptr(int32(1)), StorageClass: v2.StorageClassIA}}},
	}}})
	wantCode(t, err, 501, "NotImplemented")
}
