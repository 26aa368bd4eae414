package oss_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ecs-image-export/local/identity"
	local "ecs-image-export/local/oss"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/rpc"
)

const account = "1234567890123456"

// keys is an identity.Source of one key that may do everything and one that may
// only read.
type keys struct{}

func (keys) Identify(id, token string) (*identity.Identity, error) {
	who := &identity.Identity{AccountID: account, ARN: "acs:ram::" + account + ":root", Credentials: identity.Credentials{AccessKeyID: id, AccessKeySecret: "secret", SecurityToken: token}}
	switch id {
	case "id":
		who.Root = true
	case "reader":
		who.Policies = []identity.Policy{{Version: "1", Statement: []identity.Statement{{Effect: "Allow", Action: identity.StringList{"oss:GetObject"}, Resource: identity.StringList{"*"}}}}}
	default:
		return nil, identity.ErrUnknownKey
	}
	return who, nil
}

// stand starts the stand-in with the bucket made, and returns a client of it.
func stand(t *testing.T, change ...func(*oss.Config)) *oss.Bucket {
	t.Helper()
	service, err := local.Open(local.Config{Dir: t.TempDir(), AccountID: account, Region: "cn-hangzhou", Identities: keys{}, RejectV1: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	cfg := oss.Config{Region: "cn-hangzhou", Endpoint: server.URL, PublicEndpoint: server.URL, Credentials: static}
	for _, f := range change {
		f(&cfg)
	}
	client, err := oss.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := client.Bucket(bucket)
	if err := b.CreateBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestObjects(t *testing.T) {
	t.Parallel()
	b := stand(t)
	ctx := t.Context()
	if _, _, err := b.Get(ctx, "k"); !errors.Is(err, oss.ErrNotFound) {
		t.Errorf("get before: %v", err)
	}
	if _, err := b.Head(ctx, "k"); !errors.Is(err, oss.ErrNotFound) {
		t.Errorf("head before: %v", err)
	}
	if err := b.Create(ctx, "k", []byte("123456789")); err != nil {
		t.Fatal(err)
	}
	if err := b.Create(ctx, "k", []byte("other")); !errors.Is(err, oss.ErrExists) || errors.Is(err, oss.ErrUnsettled) {
		t.Errorf("create again: %v", err)
	}
	want := oss.Meta{Size: 9, ETag: "25F9E794323B453885F5181F1B624D0B", CRC64: 0x995DC9BBDF1939FA, Type: "Normal"}
	content, got, err := b.Get(ctx, "k")
	if err != nil || string(content) != "123456789" {
		t.Errorf("%q %v", content, err)
	}
	head, err := b.Head(ctx, "k")
	if err != nil {
		t.Error(err)
	}
	for name, m := range map[string]oss.Meta{"get": got, "head": head} {
		if m.LastModified.IsZero() || m.RequestID == "" {
			t.Errorf("%s: %+v", name, m)
		}
		m = oss.Meta{Size: m.Size, ETag: m.ETag, CRC64: m.CRC64, Type: m.Type}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if err := b.Put(ctx, "k", []byte("new"), oss.PutOptions{ContentType: "application/json"}); err != nil {
		t.Error(err)
	}
	if m, err := b.Head(ctx, "k"); err != nil || m.ContentType != "application/json" || m.Size != 3 {
		t.Errorf("%+v %v", m, err)
	}
	r, m, err := b.Open(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(r); err != nil || string(content) != "new" || m.Size != 3 {
		t.Errorf("%q %v %+v", content, err, m)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := b.Delete(ctx, "k"); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Head(ctx, "k"); !errors.Is(err, oss.ErrNotFound) {
		t.Errorf("head after: %v", err)
	}
}

func TestAppendClaims(t *testing.T) {
	t.Parallel()
	b := stand(t)
	ctx := t.Context()
	next, err := b.Append(ctx, "log", 0, []byte("one\n"))
	if err != nil || next != 4 {
		t.Fatalf("%d %v", next, err)
	}
	if next, err = b.Append(ctx, "log", next, []byte("two\n")); err != nil || next != 8 {
		t.Fatalf("%d %v", next, err)
	}
	if next, err := b.Append(ctx, "log", 4, []byte("lost\n")); !errors.Is(err, oss.ErrPosition) || errors.Is(err, oss.ErrUnsettled) || next != 8 {
		t.Errorf("%d %v", next, err)
	}
	if next, err := b.Append(ctx, "none", 4, []byte("x")); !errors.Is(err, oss.ErrPosition) || next != 0 {
		t.Errorf("%d %v", next, err)
	}
	if err := b.Put(ctx, "put", []byte("x"), oss.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(ctx, "put", 1, []byte("x")); !errors.Is(err, oss.ErrNotAppendable) {
		t.Errorf("%v", err)
	}
	content, meta, err := b.Get(ctx, "log")
	if err != nil || string(content) != "one\ntwo\n" || meta.Type != "Appendable" || meta.CRC64 != crc64.Checksum(content, crc64.MakeTable(crc64.ECMA)) {
		t.Errorf("%q %+v %v", content, meta, err)
	}

	// Of many at once exactly one wins each position.
	var group sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 20 {
		group.Go(func() {
			_, err := b.Append(ctx, "log", 8, []byte("x"))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, oss.ErrPosition):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

var odd = []string{
	"a b", "a+b", "a%2Fb", "100%", "ünïcödé/日本", "a//b", "a/../b", "..", ".", "a?b=c", "?b", "a#b", "a&b=c;d", "quote\"'<>", "tab\there", "a\\b", "~*()!", "emoji😀", "trailing/", " lead",
	strings.Repeat("k", 1023),
}

func TestOddKeys(t *testing.T) {
	t.Parallel()
	b := stand(t)
	ctx := t.Context()
	for _, key := range odd {
		if err := b.Put(ctx, key, []byte(key), oss.PutOptions{}); err != nil {
			t.Errorf("put %.40q: %v", key, err)
			continue
		}
		if content, _, err := b.Get(ctx, key); err != nil || string(content) != key {
			t.Errorf("get %.40q: %.40q %v", key, content, err)
		}
		if _, err := b.Head(ctx, key); err != nil {
			t.Errorf("head %.40q: %v", key, err)
		}
		link, _, err := b.SignGet(ctx, key, time.Minute, oss.SignOptions{Filename: `dis k"ü.raw`})
		if err != nil {
			t.Errorf("sign %.40q: %v", key, err)
			continue
		}
		resp, err := http.Get(link)
		if err != nil {
			t.Errorf("follow %.40q: %v", key, err)
			continue
		}
		content, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || string(content) != key || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment") {
			t.Errorf("link of %.40q: %s %.200q %q", key, resp.Status, content, resp.Header.Get("Content-Disposition"))
		}
	}
	page, err := b.List(ctx, oss.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, object := range page.Objects {
		got = append(got, object.Key)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(odd)), got); diff != "" {
		t.Error(diff)
	}
	if err := b.DeleteMany(ctx, odd); err != nil {
		t.Error(err)
	}
	if page, err := b.List(ctx, oss.ListOptions{}); err != nil || len(page.Objects) != 0 {
		t.Errorf("%+v %v", page, err)
	}
}

func TestAnyKeyThatMayBe(t *testing.T) {
	t.Parallel()
	b := stand(t)
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringOfN(rapid.RuneFrom([]rune("aZ09 +%/?#&=;:@!$'()*,~.\"<>\\_-é日😀")), 1, 40, 200).
			Filter(func(s string) bool { return s[0] != '/' && s[0] != '\\' }).Draw(t, "key")
		if err := b.Put(context.Background(), key, []byte(key), oss.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if content, _, err := b.Get(context.Background(), key); err != nil || string(content) != key {
			t.Fatalf("%q %v", content, err)
		}
		page, err := b.List(context.Background(), oss.ListOptions{Prefix: key, Max: 1})
		if err != nil || len(page.Objects) != 1 || page.Objects[0].Key != key {
			t.Fatalf("%+v %v", page, err)
		}
		if err := b.Delete(context.Background(), key); err != nil {
			t.Fatal(err)
		}
	})
}

func TestListing(t *testing.T) {
	t.Parallel()
	b := stand(t)
	ctx := t.Context()
	var all []string
	for i := range 25 {
		key := fmt.Sprintf("exports/%02d", i)
		if i%5 == 0 {
			key = fmt.Sprintf("exports/d%d/x", i)
		}
		all = append(all, key)
		if err := b.Put(ctx, key, []byte("x"), oss.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(all)
	list := func(o oss.ListOptions) (keys, prefixes []string, pages int) {
		for {
			page, err := b.List(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, object := range page.Objects {
				if object.Size != 1 || object.ETag == "" || strings.Contains(object.ETag, `"`) || object.LastModified.IsZero() {
					t.Errorf("%+v", object)
				}
				keys = append(keys, object.Key)
			}
			prefixes = append(prefixes, page.Prefixes...)
			if o.Token = page.Next; o.Token == "" {
				return keys, prefixes, pages
			}
		}
	}
	if keys, _, pages := list(oss.ListOptions{Prefix: "exports/", Max: 10}); cmp.Diff(all, keys) != "" || pages != 3 {
		t.Errorf("%v on %d pages", keys, pages)
	}
	if keys, _, _ := list(oss.ListOptions{StartAfter: all[19], Max: 2}); cmp.Diff(all[20:], keys) != "" {
		t.Errorf("after %s: %v", all[19], keys)
	}
	keys, prefixes, _ := list(oss.ListOptions{Prefix: "exports/", Delimiter: "/", Max: 7})
	if len(keys) != 20 || len(prefixes) != 5 || !slices.Contains(prefixes, "exports/d10/") {
		t.Errorf("%v %v", keys, prefixes)
	}
}

func TestDeleteManyTakesMoreThanOneCallTakes(t *testing.T) {
	t.Parallel()
	b := stand(t)
	keys := make([]string, 2001)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%d", i)
	}
	for _, key := range []string{"k0", "k1000", "k2000"} {
		if err := b.Put(t.Context(), key, nil, oss.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.DeleteMany(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	if page, err := b.List(t.Context(), oss.ListOptions{}); err != nil || len(page.Objects) != 0 {
		t.Errorf("%+v %v", page, err)
	}
}

func TestBucketSettings(t *testing.T) {
	t.Parallel()
	b := stand(t)
	ctx := t.Context()
	info, err := b.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != bucket || info.Region != "cn-hangzhou" || info.StorageClass != "Standard" || info.Versioning != "" || info.Encryption != "" ||
		info.ACL != "private" || info.OwnerID != account || info.Created.IsZero() {
		t.Errorf("%+v", info)
	}
	if err := b.CreateBucket(ctx); err != nil {
		t.Errorf("create again: %v", err)
	}
	if versioning, err := b.Versioning(ctx); err != nil || versioning != "" {
		t.Errorf("%q %v", versioning, err)
	}
	if rules, err := b.Lifecycle(ctx); err != nil || rules != nil {
		t.Errorf("%v %v", rules, err)
	}
	abort := oss.Rule{ID: "abort", AbortUploadsDays: 7}
	expire := oss.Rule{ID: "expire", Prefix: "progress/", ExpireDays: 1}
	for _, want := range []bool{true, false} {
		if changed, err := b.SetLifecycle(ctx, abort, expire); err != nil || changed != want {
			t.Errorf("%v %v", changed, err)
		}
	}
	expire.ExpireDays = 2
	if changed, err := b.SetLifecycle(ctx, expire); err != nil || !changed {
		t.Errorf("%v %v", changed, err)
	}
	rules, err := b.Lifecycle(ctx)
	if diff := cmp.Diff([]oss.Rule{abort, expire}, rules); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []oss.Rule{{}, {ID: "x"}, {ID: "x", ExpireDays: -1}} {
		if _, err := b.SetLifecycle(ctx, bad); !errors.Is(err, oss.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// What a rule of somebody else has that ours cannot say must survive.
func TestLifecycleKeepsForeignRules(t *testing.T) {
	t.Parallel()
	const foreign = `<ID>theirs</ID><Prefix>a&amp;b/</Prefix><Status>Disabled</Status><Tag><Key>k</Key><Value>v</Value></Tag><Transition><Days>30</Days><StorageClass>IA</StorageClass></Transition><Odd x="1">&lt;</Odd>`
	var stored []byte
	b, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			stored, _ = io.ReadAll(r.Body)
			return
		}
		fmt.Fprintf(w, `<?xml version="1.0"?><LifecycleConfiguration><Rule>%s</Rule></LifecycleConfiguration>`, foreign)
	})
	if changed, err := b.SetLifecycle(t.Context(), oss.Rule{ID: "ours", AbortUploadsDays: 7}); err != nil || !changed {
		t.Fatal(changed, err)
	}
	want := "<LifecycleConfiguration><Rule>" + foreign + "</Rule><Rule><ID>ours</ID><Prefix></Prefix><Status>Enabled</Status><AbortMultipartUpload><Days>7</Days></AbortMultipartUpload></Rule></LifecycleConfiguration>"
	if !bytes.Equal(stored, []byte(want)) {
		t.Errorf("stored %s", stored)
	}
}

func TestRefusedCallers(t *testing.T) {
	t.Parallel()
	as := func(id string) func(*oss.Config) {
		return func(c *oss.Config) {
			asked := 0
			c.Credentials = func(context.Context) (rpc.Credentials, error) {
				// The first call makes the bucket.
				if asked++; asked == 1 {
					return rpc.Credentials{ID: "id", Secret: "secret"}, nil
				}
				return rpc.Credentials{ID: id, Secret: "secret"}, nil
			}
		}
	}
	if err := stand(t, as("reader")).Create(t.Context(), "k", nil); !errors.Is(err, oss.ErrDenied) || errors.Is(err, oss.ErrUnsettled) {
		t.Errorf("reader: %v", err)
	}
	if _, err := stand(t, as("nobody")).Head(t.Context(), "k"); !errors.Is(err, oss.ErrDenied) {
		t.Errorf("nobody: %v", err)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var expires time.Time
	client, err := oss.New(oss.Config{Region: "cn-hangzhou", Endpoint: "https://oss-cn-hangzhou-internal.aliyuncs.com", Now: func() time.Time { return now },
		Credentials: func(context.Context) (rpc.Credentials, error) {
			return rpc.Credentials{ID: "id", Secret: "secret", Token: "t+/=", Expires: expires}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	b := client.Bucket("image-exports")
	for _, test := range []struct {
		live, ttl time.Duration
		want      time.Duration // 0: refused
	}{
		{0, time.Hour, time.Hour},
		{30 * time.Minute, time.Hour, 30 * time.Minute},
		{2 * time.Hour, time.Hour, time.Hour},
		{0, 30 * 24 * time.Hour, 7 * 24 * time.Hour},
		{90*time.Second + 700*time.Millisecond, time.Hour, 90 * time.Second},
		{500 * time.Millisecond, time.Hour, 0},
		{-time.Minute, time.Hour, 0},
	} {
		expires = time.Time{}
		if test.live != 0 {
			expires = now.Add(test.live)
		}
		link, end, err := b.SignGet(t.Context(), "demo_m-1_system.raw.tar.gz", test.ttl, oss.SignOptions{})
		if test.want == 0 {
			if !errors.Is(err, oss.ErrDenied) {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err != nil || !end.Equal(now.Add(test.want)) {
			t.Errorf("%+v: ends %v, %v", test, end, err)
			continue
		}
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if u.Scheme != "https" || u.Host != "image-exports.oss-cn-hangzhou.aliyuncs.com" || q.Get("x-oss-signature-version") != "OSS4-HMAC-SHA256" ||
			q.Get("x-oss-security-token") != "t+/=" || q.Get("x-oss-expires") != fmt.Sprint(int(test.want/time.Second)) || q.Has("OSSAccessKeyId") {
			t.Errorf("link %s", link)
		}
	}
	if _, _, err := b.SignGet(t.Context(), "k", 0, oss.SignOptions{}); !errors.Is(err, oss.ErrInvalid) {
		t.Errorf("no time: %v", err)
	}
}
