package ecs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/local/ecs"
	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/identity"
	"ecs-image-export/local/oss"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	osssdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

const (
	accountID = "1234567890123456"
	region    = "cn-hangzhou"
	bucket    = "image-exports"
)

// exportPolicy is the policy that the documents give for the role.
var exportPolicy = identity.Policy{Version: "1", Statement: []identity.Statement{{
	Effect: "Allow", Resource: identity.StringList{"*"},
	Action: identity.StringList{"oss:GetObject", "oss:PutObject", "oss:DeleteObject", "oss:GetBucketLocation", "oss:GetBucketInfo",
		"oss:AbortMultipartUpload", "oss:ListMultipartUploads", "oss:ListParts"},
}}}

// account holds keys and roles in memory.
type account struct {
	mu    sync.Mutex
	keys  map[string]*identity.Identity
	roles map[string]role
	ttl   time.Duration // of the credentials of a role; an hour if zero
	taken int           // how often a role was assumed
}

type role struct {
	trusted bool // by ECS
	policy  identity.Policy
}

func newAccount() *account {
	a := &account{keys: map[string]*identity.Identity{}, roles: map[string]role{}}
	a.keys["root"] = &identity.Identity{
		AccountID: accountID, ARN: "acs:ram::" + accountID + ":root", Root: true,
		Credentials: identity.Credentials{AccessKeyID: "root", AccessKeySecret: "secret"},
	}
	a.roles[strings.ToLower(ecs.DefaultRole)] = role{true, exportPolicy}
	return a
}

func (a *account) Identify(key, token string) (*identity.Identity, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.keys[key]
	switch {
	case id == nil:
		return nil, identity.ErrUnknownKey
	case id.SecurityToken != token:
		return nil, identity.ErrInvalidToken
	case !id.Expiration.IsZero() && time.Now().After(id.Expiration):
		return nil, identity.ErrExpiredToken
	}
	return id, nil
}

func (a *account) AssumeAs(_ context.Context, service, name, session string, d time.Duration) (identity.Credentials, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, ok := a.roles[strings.ToLower(name)]
	switch {
	case !ok:
		return identity.Credentials{}, identity.ErrNoRole
	case !r.trusted || service != "ecs.aliyuncs.com":
		return identity.Credentials{}, identity.ErrNotTrusted
	}
	if a.ttl > 0 {
		d = a.ttl
	}
	a.taken++
	c := identity.Credentials{
		AccessKeyID: fmt.Sprintf("STS.%d", a.taken), AccessKeySecret: "temporary", SecurityToken: fmt.Sprintf("token-%d", a.taken),
		Expiration: time.Now().Add(d),
	}
	a.keys[c.AccessKeyID] = &identity.Identity{
		AccountID: accountID, ARN: "acs:ram::" + accountID + ":assumed-role/" + name + "/" + session,
		Credentials: c, Policies: []identity.Policy{r.policy},
	}
	return c, nil
}

func (a *account) setRole(name string, r role) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.roles[strings.ToLower(name)] = r
}

// cloud is ECS over a real OSS, with a gate between the two.
type cloud struct {
	t       *testing.T
	account *account
	config  ecs.Config
	ecs     *ecs.Service
	url     string // of ECS
	oss     *osssdk.Client
	gate    atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	handler atomic.Pointer[http.Handler]
}

// newCloud starts one with the images of a folder. Exports take no longer than
// their bytes, unless change says otherwise.
func newCloud(t *testing.T, images string, change func(*ecs.Config)) *cloud {
	t.Helper()
	c := &cloud{t: t, account: newAccount()}
	store, err := oss.Open(oss.Config{Dir: t.TempDir(), AccountID: accountID, Region: region, Identities: c.account, RejectV1: true,
		Foreign: []oss.Foreign{{Name: "not-ours", OwnerID: "6543210987654321"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	gated := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g := c.gate.Load(); g == nil || !(*g)(w, r) {
			store.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(gated.Close)
	direct := httptest.NewServer(store)
	t.Cleanup(direct.Close)
	c.oss, err = osssdk.New(direct.URL, "root", "secret", osssdk.AuthVersion(osssdk.AuthV4), osssdk.Region(region))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.oss.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	c.config = ecs.Config{
		Dir: t.TempDir(), Images: images, AccountID: accountID, Region: region, Identities: c.account, Roles: c.account,
		OSSEndpoint: gated.URL, Speed: 1e6,
	}
	if change != nil {
		change(&c.config)
	}
	c.open()
	t.Cleanup(func() { c.closeECS() })
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(*c.handler.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	c.url = front.URL
	return c
}

func (c *cloud) open() {
	c.t.Helper()
	s, err := ecs.Open(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.ecs = s
	h := http.Handler(s)
	c.handler.Store(&h)
}

func (c *cloud) closeECS() {
	if c.ecs == nil {
		return
	}
	if err := c.ecs.Close(); err != nil {
		c.t.Error(err)
	}
	c.ecs = nil
}

// through sets what sees every call to OSS that ECS makes; it returns true for
// those that it answered itself.
func (c *cloud) through(g func(http.ResponseWriter, *http.Request) bool) { c.gate.Store(&g) }

type params map[string]string

// call calls ECS with the official SDK, as the account itself.
func (c *cloud) call(action string, p params) (map[string]any, error) {
	return c.callAs("root", "secret", "", action, p)
}

func (c *cloud) callAs(key, secret, token, action string, p params) (map[string]any, error) {
	clientRegion := region
	if v, ok := p["RegionId"]; ok {
		clientRegion = v // the SDK adds its own
	}
	client, err := sdk.NewClientWithOptions(clientRegion, sdk.NewConfig().WithScheme("HTTP"), credentials.NewStsTokenCredential(key, secret, token))
	if err != nil {
		return nil, err
	}
	r := requests.NewCommonRequest()
	r.Method, r.Scheme, r.Product, r.Version, r.ApiName = "POST", "http", "Ecs", "2014-05-26", action
	r.Domain = strings.TrimPrefix(c.url, "http://")
	for k, v := range p {
		r.QueryParams[k] = v
		if v == "" {
			delete(r.QueryParams, k)
		}
	}
	response, err := client.ProcessCommonRequest(r)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	if err := json.Unmarshal(response.GetHttpContentBytes(), &out); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *cloud) must(action string, p params) map[string]any {
	c.t.Helper()
	out, err := c.call(action, p)
	if err != nil {
		c.t.Fatalf("%s %v: %v", action, p, err)
	}
	return out
}

// refused returns "<status> <code>" of an error, or "" for none.
func refused(err error) string {
	var s *sdkerrors.ServerError
	if errors.As(err, &s) {
		return fmt.Sprintf("%d %s", s.HttpStatus(), s.ErrorCode())
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// export starts an export and returns its task.
func (c *cloud) export(p params) string {
	c.t.Helper()
	all := params{"OSSBucket": bucket}
	for k, v := range p {
		all[k] = v
	}
	return c.must("ExportImage", all)["TaskId"].(string)
}

func (c *cloud) task(id string) map[string]any {
	c.t.Helper()
	return c.must("DescribeTaskAttribute", params{"TaskId": id})
}

// await waits for a task to reach a status.
func (c *cloud) await(id string, statuses ...string) map[string]any {
	c.t.Helper()
	var got map[string]any
	eventually(c.t, func() bool {
		got = c.task(id)
		for _, s := range statuses {
			if got["TaskStatus"] == s {
				return true
			}
		}
		return false
	}, func() string { return fmt.Sprintf("task %s is not %v but %v", id, statuses, got) })
	return got
}

// eventually waits for a condition.
func eventually(t *testing.T, ok func() bool, what func() string) {
	t.Helper()
	deadline := time.After(4 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(what())
		}
	}
}

// keys lists the bucket.
func (c *cloud) keys() []string {
	c.t.Helper()
	b, err := c.oss.Bucket(bucket)
	if err != nil {
		c.t.Fatal(err)
	}
	list, err := b.ListObjectsV2(osssdk.MaxKeys(1000))
	if err != nil {
		c.t.Fatal(err)
	}
	out := []string{}
	for _, o := range list.Objects {
		out = append(out, o.Key)
	}
	return out
}

// uploads lists the unfinished uploads of the bucket.
func (c *cloud) uploads() []string {
	c.t.Helper()
	b, err := c.oss.Bucket(bucket)
	if err != nil {
		c.t.Fatal(err)
	}
	list, err := b.ListMultipartUploads()
	if err != nil {
		c.t.Fatal(err)
	}
	out := []string{}
	for _, u := range list.Uploads {
		out = append(out, u.Key)
	}
	return out
}

func (c *cloud) download(key string) string {
	c.t.Helper()
	b, err := c.oss.Bucket(bucket)
	if err != nil {
		c.t.Fatal(err)
	}
	path := filepath.Join(c.t.TempDir(), url.QueryEscape(key))
	if err := b.GetObjectToFile(key, path); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// disk is a disk of an image in a test.
func disk(kind, device, size, file string) image.Mapping {
	return image.Mapping{Type: kind, Device: "/dev/" + device, Size: size, File: file}
}

// folder makes an images folder; every image may leave out what image.Load fills.
func folder(t *testing.T, files map[string][]byte, images ...image.Image) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, img := range images {
		if err := image.Write(dir, img); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func with(id string, disks ...image.Mapping) image.Image {
	return image.Image{ImageID: id, DiskDeviceMappings: image.Mappings{DiskDeviceMapping: disks}}
}
