package fc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/local/identity"
	"ecs-image-export/local/syaml"
)

const (
	testAccount = "1234567890123456"
	testRegion  = "cn-hangzhou"
)

var root string // holds code/main, the built probe

func TestMain(m *testing.M) {
	if dir := os.Getenv("FC_TEST_PARENT"); dir != "" {
		parent(dir)
		return
	}
	os.Exit(func() int {
		var err error
		if root, err = os.MkdirTemp("", "fc-test-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(root)
		build := exec.Command("go", "build", "-o", filepath.Join(root, "code", "main"), "./testdata/probe")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("build probe: %v\n%s", err, out))
		}
		return m.Run()
	}())
}

// cloud is a Service with what a test needs of it.
type cloud struct {
	*Service
	t    testing.TB
	log  *lines
	ids  *identities
	dir  string
	http *httptest.Server
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// identities knows the account's key and roles with policies.
type identities struct {
	mu       sync.Mutex
	policies map[string]string // role -> what it may do
	trust    map[string]string // role -> service
	taken    map[string]*identity.Identity
	assumed  int
	life     time.Duration
	broken   error // nil: roles can be taken
}

var rootKey = identity.Credentials{AccessKeyID: "root", AccessKeySecret: "root-secret"}

func newIdentities() *identities {
	return &identities{
		policies: map[string]string{"runner": "", "invoker": "fc:InvokeFunction", "powerless": "", "stranger": "fc:InvokeFunction"},
		trust:    map[string]string{"runner": fcService, "invoker": ossService, "powerless": ossService, "stranger": "ecs.aliyuncs.com"},
		taken:    map[string]*identity.Identity{},
		life:     time.Hour,
	}
}

func (x *identities) Identify(keyID, token string) (*identity.Identity, error) {
	if keyID == rootKey.AccessKeyID {
		return &identity.Identity{AccountID: testAccount, Credentials: rootKey, Root: true}, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	id := x.taken[keyID]
	if id == nil {
		return nil, identity.ErrUnknownKey
	}
	if token != id.SecurityToken {
		return nil, identity.ErrInvalidToken
	}
	return id, nil
}

func (x *identities) AssumeAs(_ context.Context, service, role, session string, d time.Duration) (identity.Credentials, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.broken != nil {
		return identity.Credentials{}, x.broken
	}
	role = role[strings.LastIndex(role, "/")+1:]
	action, ok := x.policies[role]
	if !ok {
		return identity.Credentials{}, identity.ErrNoRole
	}
	if x.trust[role] != service {
		return identity.Credentials{}, identity.ErrNotTrusted
	}
	x.assumed++
	c := identity.Credentials{AccessKeyID: fmt.Sprintf("STS.%s.%d", role, x.assumed), AccessKeySecret: "secret", SecurityToken: "token-" + session,
		Expiration: time.Now().Add(min(d, x.life))}
	x.taken[c.AccessKeyID] = &identity.Identity{AccountID: testAccount, Credentials: c, Policies: []identity.Policy{{Version: "1",
		Statement: []identity.Statement{{Effect: identity.Allow, Action: identity.StringList{action},
			Resource: identity.StringList{"acs:fc:*:*:functions/*"}}}}}}
	return c, nil
}

// open runs a project in which every function is the probe. The lines are those
// of resources in s.yaml, with component, code and so on filled in.
func open(t testing.TB, resources string, change func(*Config)) *cloud {
	t.Helper()
	return openIn(t, t.TempDir(), resources, change)
}

func openIn(t testing.TB, dir, resources string, change func(*Config)) *cloud {
	t.Helper()
	c := &cloud{t: t, log: &lines{}, ids: newIdentities(), dir: dir}
	config := Config{Dir: dir, Root: root, Project: project(t, resources), AccountID: testAccount, Region: testRegion,
		Identities: c.ids, Roles: c.ids, RetryWait: 10 * time.Millisecond, Log: c.log}
	if change != nil {
		change(&config)
	}
	var err error
	if c.Service, err = Open(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("fc: %s", c.log)
		}
	})
	c.http = httptest.NewServer(c)
	t.Cleanup(c.http.Close)
	return c
}

// project parses the functions: a block of properties each, by name.
func project(t testing.TB, resources string) *syaml.Project {
	t.Helper()
	file := "edition: 3.0.0\nname: t\nresources:\n"
	for block := range strings.SplitSeq(strings.TrimSpace(resources), "\n---\n") {
		name, props, _ := strings.Cut(block, "\n")
		file += "  " + name + ":\n    component: fc3\n    props:\n      functionName: " + name +
			"\n      region: cn-hangzhou\n      runtime: go1\n      handler: main\n      code: ./code\n"
		for line := range strings.SplitSeq(props, "\n") {
			file += "      " + line + "\n"
		}
	}
	p, err := syaml.Parse("s.yaml", []byte(file), syaml.Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return p
}

// call invokes a function with an event and gives its outcome.
func (c *cloud) call(name, event string) outcome {
	c.t.Helper()
	f := c.byName[name]
	if f == nil {
		c.t.Fatalf("no function %s", name)
	}
	return c.invoke(c.t.Context(), f, request{id: newRequestID(time.Now()), payload: []byte(event), tail: true})
}

// api sends a signed call of the OpenAPI.
func (c *cloud) api(method, path, body string, headers ...string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.http.URL+"/2023-03-30/"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if err := Sign(r, rootKey, time.Now()); err != nil {
		c.t.Fatal(err)
	}
	return c.do(r)
}

func (c *cloud) do(r *http.Request) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, again := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func readLines(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) || len(data) == 0 {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func decode[T any](t testing.TB, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}
