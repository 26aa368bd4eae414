package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/identity"
	localmns "ecs-image-export/local/mns"
	localoss "ecs-image-export/local/oss"
	localram "ecs-image-export/local/ram"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/rpc"
	"ecs-image-export/shared/tracker"
)

const (
	region  = "cn-hangzhou"
	account = "1234567890123456"
)

// stand is an account with nothing in it.
type stand struct {
	cfg Config
	ram *localram.Service
}

func start(t *testing.T) *stand {
	t.Helper()
	serve := func(h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL
	}
	root := identity.Credentials{AccessKeyID: "LTAI-root", AccessKeySecret: "secret"}
	roles, err := localram.Open(localram.Config{Dir: t.TempDir(), AccountID: account, Region: region, Root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = roles.Close() })
	objects, err := localoss.Open(localoss.Config{Dir: t.TempDir(), AccountID: account, Region: region, Identities: roles, RejectV1: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = objects.Close() })
	messages, err := localmns.Open(localmns.Config{Dir: t.TempDir(), AccountID: account, Region: region, Identities: roles})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = messages.Close() })
	cfg, err := decode(map[string]string{
		"REGION": region, "ACCOUNT_ID": account, "POLICIES": "../docs/policies", "EXPORT_BUCKETS": "image-exports,more-exports",
		"OSS_ENDPOINT": serve(objects), "MNS_ENDPOINT": serve(messages), "RAM_ENDPOINT": serve(roles.RAM()),
		"ALIBABA_CLOUD_ACCESS_KEY_ID": root.AccessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": root.AccessKeySecret,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &stand{cfg, roles}
}

func (s *stand) run(t *testing.T) (lines []string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = setUp(t.Context(), s.cfg, &out)
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines, err
}

func (s *stand) bucket(t *testing.T, name string) *oss.Bucket {
	t.Helper()
	client, err := oss.New(oss.Config{Region: region, Endpoint: s.cfg.OSSEndpoint, Credentials: func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: s.cfg.AccessKeyID, Secret: s.cfg.AccessKeySecret}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return client.Bucket(name)
}

var things = []string{
	"queue image-export-tasks",
	"topic image-export-events",
	"bucket image-exports",
	"lifecycle rule image-exports ecs-image-export-abort-uploads",
	"bucket more-exports",
	"lifecycle rule more-exports ecs-image-export-abort-uploads",
	"bucket image-export-records",
	"lifecycle rule image-export-records ecs-image-export-progress",
	"lifecycle rule image-export-records ecs-image-export-idempotency",
	"lifecycle rule image-export-records ecs-image-export-by-caller",
	"role AliyunECSImageExportDefaultRole",
	"grant AliyunECSImageExportDefaultRole AliyunECSImageExportRolePolicy",
	"role aliyunosseventnotificationrole",
	"policy ecs-image-export-invoke-catalog",
	"grant aliyunosseventnotificationrole ecs-image-export-invoke-catalog",
	"role ecs-image-export-catalog",
	"policy ecs-image-export-catalog",
	"grant ecs-image-export-catalog ecs-image-export-catalog",
	"role ecs-image-export-poller",
	"policy ecs-image-export-poller",
	"grant ecs-image-export-poller ecs-image-export-poller",
	"role ecs-image-export-request",
	"policy ecs-image-export-request",
	"grant ecs-image-export-request ecs-image-export-request",
	"role ecs-image-export-download",
	"policy ecs-image-export-download",
	"grant ecs-image-export-download ecs-image-export-download",
}

func each(word string) (lines []string) {
	for _, thing := range things {
		lines = append(lines, word+" "+thing)
	}
	return lines
}

func TestMakesEverythingOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, word := range []string{made, unchanged, unchanged} {
		lines, err := s.run(t)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(each(word), lines); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPutsRightWhatDiffers(t *testing.T) {
	t.Parallel()
	s := start(t)
	if _, err := s.run(t); err != nil {
		t.Fatal(err)
	}
	// Somebody else's rule, and ours with another number of days.
	records := s.bucket(t, s.cfg.RecordsBucket)
	theirs := oss.Rule{ID: "theirs", Prefix: "logs/", ExpireDays: 90}
	wrong := progressRule
	wrong.ExpireDays = 30
	if _, err := records.SetLifecycle(t.Context(), theirs, wrong); err != nil {
		t.Fatal(err)
	}
	// A policy that was loosened by hand comes back as the files say, and so do
	// the roles of a folder that changed.
	folder := t.TempDir()
	files, err := filepath.Glob("../docs/policies/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "ecs-image-export-catalog.json" {
			text = bytes.ReplaceAll(text, []byte("oss:ListMultipartUploads"), []byte("oss:ListParts"))
			text = bytes.ReplaceAll(text, []byte("fc.aliyuncs.com"), []byte("ecs.aliyuncs.com"))
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.cfg.Policies = folder
	lines, err := s.run(t)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range lines {
		if !strings.HasPrefix(line, unchanged) {
			got = append(got, line)
		}
	}
	want := []string{
		"changed lifecycle rule image-export-records ecs-image-export-progress",
		"changed role ecs-image-export-catalog",
		"changed policy ecs-image-export-catalog",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	rules, err := records.Lifecycle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Concat(claimRules, []oss.Rule{theirs, progressRule}), rules); diff != "" {
		t.Error(diff)
	}
}

// TestLifecyclesOutliveExports wants no rule to take from an export what it still
// stands on, by the longest that a deployment may allow.
func TestLifecyclesOutliveExports(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	if kept := time.Duration(exportRule.AbortUploadsDays) * day; kept < tracker.LongestTask {
		t.Errorf("uploads are ended after %v, and exports run for %v", kept, tracker.LongestTask)
	}
	rules := map[string]oss.Rule{}
	for _, r := range append(claimRules, progressRule) {
		rules[r.Prefix] = r
	}
	for prefix, needed := range map[string]time.Duration{"by-caller/": tracker.LongestOpen, "idempotency/": 28 * day, "progress/": day} {
		if kept := time.Duration(rules[prefix].ExpireDays) * day; kept < needed {
			t.Errorf("%s is kept for %v, and needed for %v", prefix, kept, needed)
		}
		delete(rules, prefix)
	}
	if len(rules) > 0 {
		t.Errorf("nobody says how long these are needed: %v", rules)
	}
}

func TestRefusesVersionedRecords(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"Enabled", "Suspended"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			// The stand-in has no versions; what a bucket with them would answer
			// comes from here.
			real := s.cfg.OSSEndpoint
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("versioning") {
					_, _ = w.Write([]byte("<VersioningConfiguration><Status>" + status + "</Status></VersioningConfiguration>"))
					return
				}
				forward(w, r, real)
			}))
			t.Cleanup(front.Close)
			s.cfg.OSSEndpoint = front.URL
			lines, err := s.run(t)
			if err == nil || !strings.Contains(err.Error(), "RECORDS_BUCKET") || !strings.Contains(err.Error(), status) {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(strings.Join(lines, "\n"), "FAILED bucket image-export-records") || len(lines) != len(things)-1-len(claimRules) {
				t.Errorf("%d lines: %s", len(lines), lines)
			}
		})
	}
}

func forward(w http.ResponseWriter, r *http.Request, to string) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, to+r.RequestURI, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	req.Header, req.ContentLength, req.Host = r.Header, r.ContentLength, r.Host
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for name, value := range resp.Header {
		w.Header()[name] = value
	}
	w.WriteHeader(resp.StatusCode)
	var body bytes.Buffer
	_, _ = body.ReadFrom(resp.Body)
	_, _ = w.Write(body.Bytes())
}

func TestOneProblemDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.cfg.OSSEndpoint, s.cfg.MNSEndpoint = "http://127.0.0.1:1", "http://127.0.0.1:1"
	lines, err := s.run(t)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"queue image-export-tasks", "topic image-export-events", "bucket image-exports", "bucket image-export-records"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
	if !strings.Contains(strings.Join(lines, "\n"), "made role ecs-image-export-request") {
		t.Errorf("no roles: %s", lines)
	}
}

func TestConfigReportsEveryVariable(t *testing.T) {
	t.Parallel()
	_, err := decode(map[string]string{"EXPORT_BUCKETS": "a-bucket,image-export-records"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"REGION", "ACCOUNT_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "RECORDS_BUCKET"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
	cfg, err := decode(map[string]string{"REGION": "r", "ACCOUNT_ID": "1", "ALIBABA_CLOUD_ACCESS_KEY_ID": "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s", "EXPORT_BUCKET": "one"})
	if err != nil || cmp.Diff([]string{"one"}, cfg.ExportBuckets) != "" {
		t.Errorf("%v, %v", cfg.ExportBuckets, err)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	v := values{one: map[string]string{"a": `x"y`}, buckets: []string{"b1", "b2"}}
	for _, test := range []struct{ in, want string }{
		{`{"k":["${exportBucket}/${a}","z"]}`, `{"k":["b1/x\"y","b2/x\"y","z"]}`},
		{`["plain",1,null,{"d":"${a}"}]`, `["plain",1,null,{"d":"x\"y"}]`},
		{`["${unknown}"]`, ""},
		{`"${exportBucket}"`, ""},
	} {
		var document any
		if err := json.Unmarshal([]byte(test.in), &document); err != nil {
			t.Fatal(err)
		}
		filled, err := v.fill(document)
		if (err != nil) != (test.want == "") {
			t.Errorf("%s: %v", test.in, err)
		}
		if got, _ := json.Marshal(filled); err == nil && string(got) != test.want {
			t.Errorf("%s: %s, want %s", test.in, got, test.want)
		}
	}
	for name, text := range map[string]string{
		"unknown field":    `{"role":"r","trust":{},"policies":[{"type":"System","name":"n"}],"more":1}`,
		"no policy":        `{"role":"r","trust":{},"policies":[]}`,
		"bad type":         `{"role":"r","trust":{},"policies":[{"type":"custom","name":"n","document":{}}]}`,
		"no document":      `{"role":"r","trust":{},"policies":[{"type":"Custom","name":"n"}]}`,
		"system document":  `{"role":"r","trust":{},"policies":[{"type":"System","name":"n","document":{}}]}`,
		"not JSON":         `{`,
		"unknown variable": `{"role":"r","trust":{},"policies":[{"type":"System","name":"n","if":"NOPE"}]}`,
		"unnamed policies": `{"role":"r","trust":{},"policies":[{"type":"System"}]}`,
	} {
		file := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadRole(file, v); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// may tells what the holder of a role may do.
func (s *stand) may(t *testing.T, service, role string) func(action, resource string) bool {
	t.Helper()
	c, err := s.ram.AssumeAs(t.Context(), service, role, "test", time.Hour)
	if err != nil {
		t.Fatalf("%s takes %s: %v", service, role, err)
	}
	id, err := s.ram.Identify(c.AccessKeyID, c.SecurityToken)
	if err != nil {
		t.Fatal(err)
	}
	return id.Allows
}
