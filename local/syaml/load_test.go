package syaml

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

const own = "../../s.yaml"

func TestOwnFile(t *testing.T) {
	t.Parallel()
	p, err := Load(own, Options{})
	if err != nil {
		t.Fatal(err)
	}
	type summary struct {
		Name, Code string
		Timeout    time.Duration
		Retries    int
		EventAge   time.Duration
		Triggers   []string
		Ignored    []string
	}
	var got []summary
	for _, f := range p.Functions {
		s := summary{Name: f.Name, Code: f.Code, Timeout: f.Timeout, Retries: f.Async.Retries,
			EventAge: f.Async.EventAge, Ignored: f.Ignored}
		for _, tr := range f.Triggers {
			s.Triggers = append(s.Triggers, tr.Type+" "+tr.Name)
		}
		if f.Role != f.Name {
			t.Errorf("role of %s is %s", f.Name, f.Role)
		}
		got = append(got, s)
	}
	want := []summary{
		{"ecs-image-export-request", "./build/request", 40 * time.Second, 3, 24 * time.Hour, []string{"http http"}, nil},
		{"ecs-image-export-poller", "./build/poller", 55 * time.Second, 0, time.Minute, []string{"timer every-minute"}, nil},
		{"ecs-image-export-catalog", "./build/catalog", time.Minute, 8, 72 * time.Hour,
			[]string{"oss raw-tar-gz", "oss vhd", "oss qcow2", "oss vdi", "oss vmdk"}, nil},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOwnFileFollowsTheDeployment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"EXPORT_BUCKET": "exports-b", "MAX_AGE": "24h", "OSS_ENDPOINT": "http://one"}
	p, err := Load(own, Options{
		Env:       func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Overrides: map[string]string{"region": "cn-beijing", "endpoints.oss": "http://two"},
		Speed:     60,
	})
	if err != nil {
		t.Fatal(err)
	}
	request, catalog := p.Functions[0], p.Functions[2]
	got := map[string]string{"bucket": catalog.Triggers[0].OSS.Bucket, "source": catalog.Triggers[0].SourceARN, "region": request.Region}
	for _, k := range []string{"REGION", "EXPORT_BUCKETS", "OSS_ENDPOINT", "MNS_ENDPOINT", "MAX_AGE", "LOOK_MIN", "SUBMIT_TIMEOUT"} {
		got[k] = request.Environment[k]
	}
	want := map[string]string{
		"bucket": "exports-b", "source": "acs:oss:cn-beijing:1234567890123456:exports-b", "region": "cn-beijing",
		"REGION": "cn-beijing", "EXPORT_BUCKETS": "exports-b", "OSS_ENDPOINT": "http://two", "MNS_ENDPOINT": "",
		"MAX_AGE": "24m0s", "LOOK_MIN": "250ms", "SUBMIT_TIMEOUT": "15s",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The published schema is weaker than ours, but it is what the deploy tool uses.
func TestOwnFilePassesThePublishedSchema(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("testdata", "fc3-schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("fc3.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("fc3.json")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{file: "s.yaml"}
	root := r.parse(content)
	if root == nil {
		t.Fatal(r.problems)
	}
	r.prepare(root)
	for _, f := range root.get("resources").fields {
		props := roundTrip(t, plain(f.value.get("props")))
		if err := schema.Validate(props); err != nil {
			t.Errorf("%s: %v", f.key, err)
		}
	}
}

func plain(n *node) any {
	switch n.kind {
	case isMap:
		out := map[string]any{}
		for _, f := range n.fields {
			out[f.key] = plain(f.value)
		}
		return out
	case isList:
		out := []any{}
		for _, item := range n.items {
			out = append(out, plain(item))
		}
		return out
	case isBool:
		return n.boolean
	case isInteger, isFloat:
		return n.number
	case isNull:
		return nil
	}
	return n.text
}

func roundTrip(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	const file = `
edition: 3.0.0
name: t
access: mine
vars:
  number: 8
  text: "8"
  a: {b: deep}
  again: x-${vars.a.b}
  interval: ${vars.intervals.look}
  intervals: {look: 1m}
resources:
  one:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: fn-${this.name}-${this.access}
      runtime: go1
      handler: main
      code: ./b
      memorySize: ${vars.number}00
      timeout: ${vars.number}
      environmentVariables:
        ENV: ${env('SET', 'no')}
        DEFAULT: ${env("UNSET", "it's")}
        BLANK: ${env('UNSET', '')}
        TEXT: ${vars.text}
        AGAIN: ${vars.again}
        HERE: ${this.props.region}/${this.props.environmentVariables.AGAIN}
        THERE: ${resources.two.props.functionName}
        ACCOUNT: acs:ram::${config('AccountID')}:role/x
        INTERVAL: ${vars.interval}
  two:
    component: fc3
    props: {region: cn-hangzhou, functionName: "two-${this.props.handler}", runtime: go1, handler: main, code: ./b}
`
	p, err := Parse("s.yaml", []byte(strings.Replace(file, "memorySize: ${vars.number}00", "memorySize: 512", 1)), Options{
		Env:       func(name string) (string, bool) { return "yes", name == "SET" },
		AccountID: "77",
		Speed:     10,
	})
	if err != nil {
		t.Fatal(err)
	}
	f := p.Functions[0]
	want := map[string]string{"ENV": "yes", "DEFAULT": "it's", "BLANK": "", "TEXT": "8", "AGAIN": "x-deep",
		"HERE": "cn-hangzhou/x-deep", "THERE": "two-main", "ACCOUNT": "acs:ram::77:role/x", "INTERVAL": "6s"}
	if d := cmp.Diff(want, f.Environment); d != "" {
		t.Error(d)
	}
	if f.Name != "fn-one-mine" || f.Timeout != 8*time.Second {
		t.Errorf("got %s %s", f.Name, f.Timeout)
	}
	// Within text a number becomes text, as in the deploy tool.
	_, err = Parse("s.yaml", []byte(file), Options{})
	if got, want := err.Error(), `s.yaml:21:19: memorySize must be a number, is a string`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestScaleIntervals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(1000*time.Hour)).Draw(t, "duration"))
		speed := rapid.Float64Range(1, 10000).Draw(t, "speed")
		s, err := ScaleIntervals(d.String(), speed)
		if err != nil {
			t.Fatal(err)
		}
		got, err := time.ParseDuration(s)
		if err != nil || got < time.Millisecond || got > d {
			t.Fatalf("%s at speed %v is %s, %v", d, speed, s, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(own)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	for _, b := range broken {
		f.Add(b.file())
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse("s.yaml", []byte(s), Options{Speed: 2})
		if (p == nil) == (err == nil) {
			t.Fatalf("project %v, error %v", p, err)
		}
	})
}
