package oss

import (
	"context"
	"crypto/rand"
	"hash/crc64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/local/identity"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/signer"
)

const (
	testAccount = "1234567890123456"
	testRegion  = "cn-hangzhou"
	rootKey     = "LTAIroot"
	rootSecret  = "root-secret"
	stsKey      = "STS.reader"
	stsSecret   = "reader-secret"
	stsToken    = "CAIS+token/with=odd chars"
)

// people is an identity.Source: the account itself, and a role that may only
// read "shared/" in the bucket "data".
type people struct{}

func (p people) Identify(key, token string) (*identity.Identity, error) {
	switch key {
	case rootKey:
		if token != "" {
			return nil, identity.ErrInvalidToken
		}
		return &identity.Identity{
			AccountID: testAccount, ARN: "acs:ram::" + testAccount + ":root", Root: true,
			Credentials: identity.Credentials{AccessKeyID: rootKey, AccessKeySecret: rootSecret},
		}, nil
	case stsKey:
		if token != stsToken {
			return nil, identity.ErrInvalidToken
		}
		return &identity.Identity{
			AccountID: testAccount, ARN: "acs:ram::" + testAccount + ":assumed-role/reader/s",
			Credentials: identity.Credentials{AccessKeyID: stsKey, AccessKeySecret: stsSecret, SecurityToken: stsToken},
			Policies: []identity.Policy{{Version: "1", Statement: []identity.Statement{{
				Effect: "Allow", Action: identity.StringList{"oss:GetObject"}, Resource: identity.StringList{"acs:oss:*:" + testAccount + ":data/shared/*"},
			}}}},
		}, nil
	case "STS.expired":
		return nil, identity.ErrExpiredToken
	}
	return nil, identity.ErrUnknownKey
}

// cloud is a running Service.
type cloud struct {
	*Service
	url string
}

// start runs a Service on a free port until the test ends.
func start(t testing.TB, change ...func(*Config)) cloud {
	t.Helper()
	cfg := Config{Dir: t.TempDir(), AccountID: testAccount, Region: testRegion, Identities: people{}}
	for _, f := range change {
		f(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.Close()
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return cloud{s, server.URL}
}

// client is the independent SDK with the account's own key.
func (c cloud) client(change ...func(*v2.Options)) *v2.Client {
	cfg := v2.LoadDefaultConfig().
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(rootKey, rootSecret)).
		WithRegion(testRegion).WithEndpoint(c.url).WithRetryMaxAttempts(1)
	return v2.NewClient(cfg, change...)
}

// bucket makes a bucket and returns a client.
func (c cloud) withBucket(t testing.TB, name string) *v2.Client {
	t.Helper()
	client := c.client()
	if _, err := client.PutBucket(t.Context(), &v2.PutBucketRequest{Bucket: &name}); err != nil {
		t.Fatalf("PutBucket %s: %v", name, err)
	}
	return client
}

func put(t testing.TB, c *v2.Client, bucket, key, body string) {
	t.Helper()
	_, err := c.PutObject(t.Context(), &v2.PutObjectRequest{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatalf("PutObject %q: %v", key, err)
	}
}

func get(t testing.TB, c *v2.Client, bucket, key string) string {
	t.Helper()
	r, err := c.GetObject(t.Context(), &v2.GetObjectRequest{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("GetObject %q: %v", key, err)
	}
	return readAll(t, r.Body)
}

func readAll(t testing.TB, r io.ReadCloser) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	return string(b)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

var (
	signerV1 signer.Signer = &signer.SignerV1{}
	signerV4 signer.Signer = &signer.SignerV4{}
)

func crcOf(b []byte) uint64 { return crc64.Checksum(b, crcTable) }

// sendRaw sends bytes, with a V1 signature for a PUT of /data/k, and returns the
// answer.
func (c cloud) sendRaw(t testing.TB, head string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	date := time.Now().UTC().Format(http.TimeFormat)
	signature := signV1(rootSecret, "PUT\n\n\n"+date+"\n/data/k")
	if _, err := io.WriteString(conn, head+"Date: "+date+"\r\nAuthorization: OSS "+rootKey+":"+signature+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fakeClock is a clock that is set by hand.
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}
