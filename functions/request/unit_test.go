package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/rpc"
)

func validEnvironment() map[string]string {
	return map[string]string{
		"REGION": "cn-hangzhou", "ACCOUNT_ID": "1234567890123456", "RECORDS_BUCKET": "image-export-records",
		"EXPORT_BUCKETS": "image-exports", "TASK_QUEUE": "image-export-tasks", "EVENT_TOPIC": "image-export-events",
		"DOWNLOAD_ROLE_ARN": "acs:ram::1234567890123456:role/ecs-image-export-download",
		"JWT_ISSUER":        testIssuer, "JWT_AUDIENCE": testAudience, "JWKS": keysOf(issuer),
	}
}

func validConfig() Config {
	c, err := function.Decode[Config](validEnvironment())
	if err != nil {
		panic(err)
	}
	return c
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c := validConfig()
	if c.DefaultFormat != "raw" || c.ExportRole != "AliyunECSImageExportDefaultRole" || c.ProgressInterval != 5*time.Second {
		t.Errorf("defaults: %+v", c)
	}
	e := validEnvironment()
	e["DEFAULT_FORMAT"], e["EXPORT_ROLE"], e["DOWNLOAD_ROLE_ARN"] = "iso", "a b", "ecs-image-export-download"
	e["JWKS"], e["PROGRESS_INTERVAL"], e["LOOK_MIN"] = "", "0s", "0s"
	e["IDEMPOTENCY_EXPIRY"], e["CALLER_OPEN_EXPORTS"], e["CALLER_REQUESTS_PER_MINUTE"] = "700h", "201", "-1"
	_, err := function.Decode[Config](e)
	if err == nil {
		t.Fatal("a wrong environment is taken")
	}
	for _, name := range []string{"DEFAULT_FORMAT", "EXPORT_ROLE", "DOWNLOAD_ROLE_ARN", "JWKS_URL", "IDEMPOTENCY_EXPIRY", "CALLER_OPEN_EXPORTS", "CALLER_REQUESTS_PER_MINUTE", "PROGRESS_INTERVAL", "LOOK_MIN"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in:\n%v", name, err)
		}
	}
	e = validEnvironment()
	e["PROGRESS_INTERVAL"] = "25h"
	if _, err := function.Decode[Config](e); err == nil || !strings.Contains(err.Error(), "PROGRESS_INTERVAL is 25h0m0s") || !strings.Contains(err.Error(), "at most 24h0m0s") {
		t.Errorf("an interval that outlives its claims: %v", err)
	}
	for _, name := range []string{"JWT_ISSUER", "JWT_AUDIENCE", "DOWNLOAD_ROLE_ARN"} {
		e := validEnvironment()
		delete(e, name)
		if _, err := function.Decode[Config](e); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	tests := []struct {
		name       string
		asked, now time.Time
		percent    int
		want       time.Time // zero: not known
	}{
		{"half-way", at(10), at(11), 50, at(20)},
		{"at the beginning", at(3), at(3), 1, at(300)},
		{"nothing done", at(10), at(10), 0, time.Time{}},
		{"all done", at(10), at(12), 100, at(12)},
		{"late", at(10), at(60), 50, at(60)},
		{"late by a part of a second", at(10), at(60).Add(time.Millisecond), 50, at(60).Add(time.Second)},
		{"no time spent", at(0), at(1), 50, time.Time{}},
		{"clocks differ", at(-1), at(1), 50, time.Time{}},
		{"no percentage", at(10), at(11), 101, time.Time{}},
		{"less than nothing", at(10), at(11), -1, time.Time{}},
		{"years", start.Add(3000 * time.Hour), start.Add(3000 * time.Hour), 1, start.Add(300000 * time.Hour)},
	}
	for _, test := range tests {
		got := estimate(start, test.asked, test.percent, test.now)
		if test.want.IsZero() != (got == nil) || got != nil && !got.Equal(test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// TestPatterns wants the patterns that describe the API to be those that the code
// goes by.
func TestPatterns(t *testing.T) {
	t.Parallel()
	tag := func(v any, field string) string {
		f, _ := reflect.TypeOf(v).FieldByName(field)
		return f.Tag.Get("pattern")
	}
	for _, p := range [][2]string{
		{tag(exportOrder{}, "ImageID"), export.ImageID.String()},
		{tag(listInput{}, "ImageID"), export.ImageID.String()},
		{tag(exportOrder{}, "Prefix"), export.Prefix.String()},
		{tag(exportOrder{}, "RoleName"), strings.Replace(export.RoleName.String(), "{1,", "{0,", 1)},
	} {
		if p[0] != p[1] {
			t.Errorf("described as %s, checked as %s", p[0], p[1])
		}
	}
}

// TestSessionEnds wants new credentials once a link would live less than half an
// hour.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	taken := 0
	s := &session{now: func() time.Time { return now }, take: func(context.Context) (rpc.Credentials, error) {
		taken++
		return rpc.Credentials{ID: "id", Expires: now.Add(time.Hour)}, nil
	}}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {29 * time.Minute, 1}, {time.Minute, 2}, {10 * time.Minute, 2}, {24 * time.Hour, 3}} {
		now = now.Add(step.after)
		if _, err := s.credentials(t.Context()); err != nil || taken != step.want {
			t.Errorf("after %v more: taken %d times, want %d, %v", step.after, taken, step.want, err)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files")

// TestOpenAPI wants docs/openapi.json to be what GET /openapi.json answers.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	a := lone(t).do(t, "GET", "/openapi.json", "", "Authorization", "")
	if a.status != 200 || a.header["Content-Type"] != "application/openapi+json" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(a.body), "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	golden := filepath.Join("..", "..", "docs", "openapi.json")
	if *update {
		if err := os.WriteFile(golden, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), indented.String()); d != "" {
		t.Errorf("docs/openapi.json is out of date; go test ./functions/request -run OpenAPI -update writes it anew (-file +code):\n%s", d)
	}
}

// TestOpenAPIForTools wants a document that strict linters take, and that makes
// clients without needless cases: no keyword that is the library's own, no array
// that may be null, and of every operation whether it needs a token.
func TestOpenAPIForTools(t *testing.T) {
	t.Parallel()
	a := lone(t).do(t, "GET", "/openapi.json", "")
	if strings.Contains(a.body, "patternDescription") {
		t.Error("patternDescription is no keyword of JSON Schema")
	}
	if strings.Contains(a.body, `["array","null"]`) {
		t.Error("an array may be null, and ours never are")
	}
	var document struct {
		Paths map[string]map[string]struct {
			Security *[]map[string][]string
		}
	}
	a.into(t, &document)
	for path, operations := range document.Paths {
		for method, operation := range operations {
			if operation.Security == nil || open[path] != (len(*operation.Security) == 0) {
				t.Errorf("%s %s: security %v", method, path, operation.Security)
			}
		}
	}
}
