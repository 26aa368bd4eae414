package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/sample"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/rpc"
	"ecs-image-export/shared/tracker"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if !testing.Verbose() {
		slog.SetDefault(slog.New(slog.DiscardHandler))
	}
	os.Exit(m.Run())
}

// bench is a stand-in cloud with instances of the function on it.
type bench struct {
	images      []string
	environment map[string]string
	tracker     *tracker.Tracker
	config      Config
	role        rpc.Source

	mu      sync.Mutex
	calls   map[string]int                                // by service and operation
	meddler func(call string, w http.ResponseWriter) bool // true: it has answered
}

// newBench starts a cloud with n images.
func newBench(t *testing.T, n int, o cloud.Options) *bench {
	t.Helper()
	b := &bench{calls: map[string]int{}}
	dir := t.TempDir()
	var err error
	if b.images, err = sample.Small(dir, n); err != nil {
		t.Fatal(err)
	}
	if o.Wrap = b.wrap; o.Images == "" {
		o.Images = dir
	}
	c := cloudtest.Start(t, o)
	b.environment = cloudtest.Environment(c)
	e := b.environment
	b.config, err = function.Decode[Config](map[string]string{
		"REGION": e["REGION"], "ACCOUNT_ID": e["ACCOUNT_ID"], "RECORDS_BUCKET": e["RECORDS_BUCKET"],
		"EXPORT_BUCKETS": e["EXPORT_BUCKET"] + ",no-such-bucket,bucket-elsewhere", "TASK_QUEUE": e["TASK_QUEUE"], "EVENT_TOPIC": e["EVENT_TOPIC"],
		"OSS_ENDPOINT": e["OSS_ENDPOINT"], "OSS_PUBLIC_ENDPOINT": strings.Replace(e["OSS_ENDPOINT"], "127.0.0.1", "localhost", 1), "MNS_ENDPOINT": e["MNS_URL"],
		"ECS_ENDPOINT": e["ECS_ENDPOINT"], "STS_ENDPOINT": e["STS_ENDPOINT"], "RAM_ENDPOINT": e["RAM_ENDPOINT"],
		"WATCHED_BUCKETS":   e["EXPORT_BUCKET"],
		"DOWNLOAD_ROLE_ARN": "acs:ram::" + e["ACCOUNT_ID"] + ":role/ecs-image-export-download",
		"JWT_ISSUER":        testIssuer, "JWT_AUDIENCE": testAudience, "JWKS": keysOf(issuer),
		"LOOK_MIN": "20ms", "LOOK_MAX": "100ms", "CANCEL_GRACE": "100ms", "PROGRESS_INTERVAL": "1h",
	})
	if err != nil {
		t.Fatal(err)
	}
	b.role = b.requestRole(t)
	b.tracker, err = tracker.New(b.config.Config, b.administrator)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// administrator is an rpc.Source of somebody with every right.
func (b *bench) administrator(context.Context) (rpc.Credentials, error) {
	return rpc.Credentials{ID: b.environment["ACCESS_KEY_ID"], Secret: b.environment["ACCESS_KEY_SECRET"]}, nil
}

// requestRole is an rpc.Source of the function's own role, which has the policies
// that it is deployed with and no others. Only FC may take it, so the test joins.
func (b *bench) requestRole(t *testing.T) rpc.Source {
	t.Helper()
	const name = "ecs-image-export-request"
	e := b.environment
	roles, err := ram.New(ram.Config{Region: e["REGION"], RAMEndpoint: e["RAM_ENDPOINT"], STSEndpoint: e["STS_ENDPOINT"], Credentials: b.administrator})
	if err != nil {
		t.Fatal(err)
	}
	role, err := roles.EnsureRole(t.Context(), ram.Role{Name: name, Trust: `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
		"Principal":{"RAM":["acs:ram::` + e["ACCOUNT_ID"] + `:root"],"Service":["fc.aliyuncs.com"]}}]}`})
	if err != nil {
		t.Fatal(err)
	}
	c, err := roles.AssumeRole(t.Context(), role.ARN, "test", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b.count("sts")
	return func(context.Context) (rpc.Credentials, error) { return c, nil }
}

// wrap counts calls, and lets a test break them.
func (b *bench) wrap(service string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := service + " " + r.Method
		if action := r.URL.Query().Get("Action"); action != "" {
			call = service + " " + action
		} else if service == "oss" {
			call += " " + strings.TrimPrefix(r.URL.Path, "/")
		}
		b.mu.Lock()
		b.calls[call]++
		meddler := b.meddler
		b.mu.Unlock()
		if meddler == nil || !meddler(call, w) {
			h.ServeHTTP(w, r)
		}
	})
}

func (b *bench) meddle(f func(call string, w http.ResponseWriter) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.meddler = f
}

// count says how many calls begin with prefix, since it was asked last.
func (b *bench) count(prefix string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for call, times := range b.calls {
		if strings.HasPrefix(call, prefix) {
			n += times
			delete(b.calls, call)
		}
	}
	return n
}

// instance is one instance of the function.
type instance struct {
	bench   *bench
	handler function.Handler[events.HTTPRequest, events.HTTPResponse]
}

func (b *bench) instance(t *testing.T) *instance {
	t.Helper()
	h, err := build(b.config, b.role)
	if err != nil {
		t.Fatal(err)
	}
	return &instance{b, h}
}

type answer struct {
	status int
	header map[string]string
	body   string
}

// problem decodes an answer that must be one.
func (a answer) problem(t *testing.T) problem {
	t.Helper()
	var p problem
	a.into(t, &p)
	if a.header["Content-Type"] != "application/problem+json" || p.Status != a.status || p.Code == "" || p.Detail == "" || p.Type != "about:blank" || p.Title != http.StatusText(a.status) {
		t.Errorf("not a whole problem document: %d %v %s", a.status, a.header, a.body)
	}
	return p
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
}

// do makes a call with the token, unless headers say otherwise.
func (i *instance) do(t *testing.T, method, target, body string, headers ...string) answer {
	t.Helper()
	event := eventOf(t, method, target, body)
	event.Headers["Authorization"] = "Bearer " + token
	for n := 0; n+1 < len(headers); n += 2 {
		if headers[n+1] == "" {
			delete(event.Headers, headers[n])
			continue
		}
		event.Headers[headers[n]] = headers[n+1]
	}
	return i.send(t, event)
}

func (i *instance) send(t *testing.T, event events.HTTPRequest) answer {
	t.Helper()
	out, err := i.handler(t.Context(), event)
	if err != nil {
		t.Fatalf("%s %s: %v", event.RequestContext.HTTP.Method, event.RawPath, err)
	}
	if out.IsBase64Encoded {
		t.Errorf("%s: JSON in base64", event.RawPath)
	}
	return answer{out.StatusCode, out.Headers, out.Body}
}

func eventOf(t *testing.T, method, target, body string) events.HTTPRequest {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	event := events.HTTPRequest{
		Version: "v1", RawPath: u.EscapedPath(), Body: body,
		Headers: map[string]string{"Host": "api.example.com"}, QueryParameters: map[string]string{},
	}
	if body != "" {
		event.Headers["Content-Type"] = "application/json"
	}
	for name, values := range u.Query() {
		event.QueryParameters[name] = strings.Join(values, ",")
	}
	event.RequestContext.HTTP.Method, event.RequestContext.HTTP.Path, event.RequestContext.HTTP.Protocol = method, u.Path, "HTTP/1.1"
	return event
}

// recorded lists what the records bucket holds.
func (b *bench) recorded(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, scope := range []record.Scope{record.All, record.Active} {
		entries, _, err := b.tracker.Records.List(t.Context(), scope, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// follow takes the steps that poller and catalog would until done says enough.
func (b *bench) follow(t *testing.T, id string, done func(export.Export) bool) export.Export {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		f, _, err := b.tracker.Load(t.Context(), id)
		if err == nil {
			if done(f.Export) {
				return f.Export
			}
			err = b.tracker.Step(t.Context(), f, tracker.Known{})
		}
		if time.Now().After(deadline) {
			t.Fatalf("export %s: %v", id, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func order(fields ...string) string {
	m := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	b, _ := json.Marshal(m)
	return string(b)
}

// create submits an export and returns its id.
func (i *instance) create(t *testing.T, body string) ExportSummary {
	t.Helper()
	a := i.do(t, "POST", "/exports", body)
	if a.status != http.StatusAccepted {
		t.Fatalf("POST /exports: %d %s", a.status, a.body)
	}
	var sum ExportSummary
	a.into(t, &sum)
	if want := "/exports/" + sum.ID; a.header["Location"] != want {
		t.Errorf("Location: got %q, want %q", a.header["Location"], want)
	}
	return sum
}

func download(t *testing.T, link string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("download: %s\n%s", resp.Status, body)
	}
	return resp, body
}
