package syaml

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// valid is a file that passes; each broken one replaces a part of it.
const valid = `edition: 3.0.0
name: t
vars:
  n: 8
  intervals: {look: 15s}
resources:
  one:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: one
      runtime: go1
      handler: main
      code: ./b
      role: one
      memorySize: 512
      cpu: 0.5
      timeout: 30
      environmentVariables: {A: b}
      triggers:
        - {triggerName: http, triggerType: http, triggerConfig: {authType: anonymous, methods: [GET]}}
        - {triggerName: tick, triggerType: timer, triggerConfig: {cronExpression: "@every 1m", enable: true}}
        - triggerName: in
          triggerType: oss
          sourceArn: acs:oss:cn-hangzhou:1:b
          triggerConfig: {events: ["oss:ObjectCreated:PutObject"], filter: {key: {prefix: "", suffix: .a}}}
        - triggerName: told
          triggerType: mns_topic
          sourceArn: acs:mns:cn-hangzhou:1:/topics/t
          triggerConfig: {notifyContentFormat: STREAM, notifyStrategy: BACKOFF_RETRY, filterTag: a}
`

type breakage struct {
	name     string
	old, new string // new replaces old in valid; old is a line's end or a part of it
	want     []string
}

func (b breakage) file() string { return strings.Replace(valid, b.old, b.new, 1) }

// props replaces the line of a property; more adds one after the role.
func more(line string) string { return "role: one\n      " + line }

const asyncConfig = "asyncInvokeConfig: "

var broken = []breakage{
	{"not yaml", "name: t", "name: [t", []string{"s.yaml:3:1: ',' or ']' must be specified"}},
	{"key twice", "name: t", "name: t\nname: u", []string{`s.yaml:3:1: mapping key "name" already defined at [2:1]`}},
	{"unknown top key", "name: t", "name: t\nnames: t", []string{`s.yaml:3:1: the file has no key "names" (did you mean "name"?)`}},
	{"edition", "3.0.0", "2.0.0", []string{`s.yaml:1:10: edition is "2.0.0", must be one of 3.0.0 (did you mean "3.0.0"?)`}},
	{"extend", "name: t", "name: t\nextend: base.yaml", []string{"s.yaml:3:9: extend is not supported here: write the values out"}},
	{"no resources", "resources:", "resource:", []string{
		"s.yaml:1:1: the file needs the key resources",
		`s.yaml:6:1: the file has no key "resource" (did you mean "resources"?)`}},
	{"unknown resource key", "component: fc3", "component: fc3\n    prop: {}", []string{
		`s.yaml:9:5: resources.one has no key "prop" (did you mean "props"?)`}},

	{"misspelt property", "memorySize", "memorySze", []string{`s.yaml:16:7: props has no key "memorySze" (did you mean "memorySize"?)`}},
	{"property from nowhere", "cpu: 0.5", "zzzzzzzz: 0.5", []string{`s.yaml:17:7: props has no key "zzzzzzzz"`}},
	{"nested key", "role: one", more("logConfig: {project: p, logstor: l}"), []string{
		`s.yaml:16:19: logConfig needs the key logstore`,
		`s.yaml:16:31: logConfig has no key "logstor" (did you mean "logstore"?)`}},
	{"missing property", "functionName: one", "description: d", []string{"s.yaml:10:7: props needs the key functionName"}},
	{"missing handler", "      handler: main\n", "", []string{"s.yaml:10:7: props needs the key handler for runtime go1"}},
	{"handler outside", "handler: main", "handler: ../main", []string{`s.yaml:13:16: handler "../main" must be the path of the executable inside the code`}},
	{"runtime", "runtime: go1", "runtime: go2", []string{
		`s.yaml:12:16: runtime is "go2", must be one of ` + strings.Join(runtimes, ", ") + ` (did you mean "go1"?)`}},
	{"function name", "functionName: one", "functionName: 1one", []string{
		`s.yaml:11:21: functionName "1one" must be 1 to 128 letters, digits, - and _, and start with a letter or _`}},

	{"number in the environment", "{A: b}", "{A: 15}", []string{`s.yaml:19:33: environmentVariables.A must be a string, is a number (quote it: "15")`}},
	{"boolean in the environment", "{A: b}", "{A: true}", []string{`s.yaml:19:33: environmentVariables.A must be a string, is a boolean (quote it: "true")`}},
	{"quoted expression of a number", "{A: b}", `{A: "${vars.n}"}`, []string{`s.yaml:19:33: environmentVariables.A must be a string, is a number (quote it: "8")`}},
	{"empty in the environment", "{A: b}", "{A: }", []string{`s.yaml:19:32: environmentVariables.A must be a string, is empty`}},
	{"reserved name", "{A: b}", "{FC_A: b}", []string{`s.yaml:19:30: environmentVariables.FC_A: names that start with FC_ are the service's`}},
	{"bad name", "{A: b}", "{_A: b}", []string{`s.yaml:19:30: environmentVariables._A: a name starts with a letter and has letters, digits and _`}},
	{"too much environment", "{A: b}", "{A: " + strings.Repeat("b", 4096) + "}", []string{`s.yaml:19:30: environmentVariables take 4097 bytes, must be at most 4096`}},

	{"memory step", "memorySize: 512", "memorySize: 520", []string{
		"s.yaml:16:19: memorySize is 520, must be a multiple of 64"}},
	{"memory too small", "memorySize: 512", "memorySize: 64", []string{
		"s.yaml:16:19: memorySize is 64, must be from 128 to 32768",
		"s.yaml:17:12: 64 MB with 0.5 vCPU is 0.12 GB per vCPU, must be from 1 to 4"}},
	{"memory as text", "memorySize: 512", `memorySize: "512"`, []string{"s.yaml:16:19: memorySize must be a number, is a string"}},
	{"memory with a fraction", "memorySize: 512", "memorySize: 512.5", []string{"s.yaml:16:19: memorySize must be a whole number, is a fraction"}},
	{"cpu step", "cpu: 0.5", "cpu: 0.33", []string{"s.yaml:17:12: cpu is 0.33, must be a multiple of 0.05"}},
	{"cpu ratio", "cpu: 0.5", "cpu: 1", []string{"s.yaml:17:12: 512 MB with 1 vCPU is 0.50 GB per vCPU, must be from 1 to 4"}},
	{"timeout", "timeout: 30", "timeout: 90000", []string{"s.yaml:18:16: timeout is 90000, must be from 1 to 86400"}},
	{"disk", "role: one", more("diskSize: 1024"), []string{"s.yaml:16:17: diskSize is 1024, must be 512 or 10240"}},
	{"concurrency", "role: one", more("instanceConcurrency: 2"), []string{
		"s.yaml:16:28: instanceConcurrency is 2, but runtime go1 takes one request at a time"}},
	{"role of edition 2", "role: one", "role: {name: one, policies: [x]}", []string{"s.yaml:15:14: role must be a string, is a map"}},
	{"role arn", "role: one", "role: acs:ram:cn:1:role/x", []string{
		`s.yaml:15:13: role "acs:ram:cn:1:role/x" must be a role's name or acs:ram::<account>:role/<name>`}},
	{"retries", "role: one", more(asyncConfig + "{maxAsyncRetryAttempts: 9}"), []string{
		"s.yaml:16:50: asyncInvokeConfig.maxAsyncRetryAttempts is 9, must be from 0 to 8"}},
	{"event age", "role: one", more(asyncConfig + "{maxAsyncEventAgeInSeconds: 0}"), []string{
		"s.yaml:16:54: asyncInvokeConfig.maxAsyncEventAgeInSeconds is 0, must be from 1 to 2592000"}},
	{"destination", "role: one", more(asyncConfig + "{destinationConfig: {onFailure: {destination: acs:mns:r:1:/queues/q}}}"), []string{
		`s.yaml:16:72: onFailure.destination "acs:mns:r:1:/queues/q" must be acs:fc:<region>:<account>:functions/<name>, or acs:mns:<region>:<account>: with /queues/<name>/messages or /topics/<name>/messages`}},

	{"two http triggers", "{triggerName: tick, triggerType: timer, triggerConfig: {cronExpression: \"@every 1m\", enable: true}}",
		"{triggerName: web, triggerType: http, triggerConfig: {authType: anonymous, methods: [GET]}}", []string{
			"s.yaml:22:12: trigger web is a second HTTP trigger of LATEST beside http: one is allowed"}},
	{"trigger name twice", "triggerName: tick", "triggerName: http", []string{"s.yaml:22:25: triggerName http is used twice"}},
	{"trigger name", "triggerName: tick", "triggerName: 9tick", []string{
		`s.yaml:22:25: triggerName "9tick" must be 1 to 128 letters, digits, - and _, and start with a letter or _`}},
	{"trigger type", "triggerType: timer", "triggerType: time", []string{
		`s.yaml:22:44: triggerType is "time", must be one of cdn_events, eventbridge, http, log, mns_topic, oss, tablestore, timer (did you mean "timer"?)`}},
	{"http method", "methods: [GET]", "methods: [FETCH]", []string{
		`s.yaml:21:97: each of http triggerConfig.methods is "FETCH", must be one of GET, POST, PUT, DELETE, HEAD, PATCH, OPTIONS (did you mean "PATCH"?)`}},
	{"http key", "authType: anonymous", "authTyp: anonymous", []string{
		`s.yaml:21:66: http triggerConfig has no key "authTyp" (did you mean "authType"?)`,
		"s.yaml:21:66: http triggerConfig needs the key authType"}},
	{"timer without enable", ", enable: true", "", []string{"s.yaml:22:67: timer triggerConfig needs the key enable"}},
	{"timer too often", "@every 1m", "@every 0m", []string{`s.yaml:22:83: cronExpression "@every 0m": the shortest period is 1m`}},
	{"timer unit", "@every 1m", "@every 90s", []string{`s.yaml:22:83: cronExpression "@every 90s": must be @every and minutes or hours, such as @every 5m`}},
	{"cron of five fields", "@every 1m", "*/5 * * * *", []string{
		`s.yaml:22:83: cronExpression "*/5 * * * *": must have 6 fields (second minute hour day month weekday), has 5`}},
	{"cron zone", "@every 1m", "CRON_TZ=Mars/X 0 0 4 * * *", []string{
		`s.yaml:22:83: cronExpression "CRON_TZ=Mars/X 0 0 4 * * *": provided bad location Mars/X: unknown time zone Mars/X`}},
	{"event name", "oss:ObjectCreated:PutObject", "ObjectCreated:PutObject", []string{
		`s.yaml:26:36: each of oss triggerConfig.events is "ObjectCreated:PutObject", must be one of ` +
			strings.Join(objectEvents, ", ") + ` (did you mean "oss:ObjectCreated:PutObject"?)`}},
	{"filter without suffix", `prefix: "", suffix: .a`, `prefix: ""`, []string{
		"s.yaml:26:83: oss triggerConfig.filter.key needs the key suffix"}},
	{"no source", "          sourceArn: acs:oss:cn-hangzhou:1:b\n", "", []string{"s.yaml:23:11: trigger in of type oss needs the key sourceArn"}},
	{"source in another region", "acs:oss:cn-hangzhou", "acs:oss:cn-beijing", []string{
		"s.yaml:25:22: sourceArn is in cn-beijing, must be in the function's region cn-hangzhou"}},
	{"source of another service", "acs:oss:cn-hangzhou:1:b", "acs:mns:cn-hangzhou:1:b", []string{
		`s.yaml:25:22: sourceArn "acs:mns:cn-hangzhou:1:b" must be acs:oss:<region>:<account>:<bucket>`}},
	{"topic source", ":/topics/t", ":t", []string{
		`s.yaml:29:22: sourceArn "acs:mns:cn-hangzhou:1:t" must be acs:mns:<region>:<account>:/topics/<topic>`}},
	{"tag", "filterTag: a", "filterTag: seventeen-letters", []string{`s.yaml:30:98: filterTag "seventeen-letters" is longer than 16 characters`}},

	{"unknown variable", "{A: b}", "{A: '${vars.m}'}", []string{`s.yaml:19:33: ${vars.m}: there is no vars.m (did you mean "n"?)`}},
	{"unknown root", "{A: b}", "{A: '${var.n}'}", []string{`s.yaml:19:33: ${var.n} starts with neither vars, this nor resources (did you mean "vars"?)`}},
	{"environment without default", "{A: b}", "{A: \"${env('X')}\"}", []string{`s.yaml:19:33: the environment has no X and ${env('X')} no default`}},
	{"function that needs files", "{A: b}", "{A: \"${file('x')}\"}", []string{
		`s.yaml:19:33: ${file('x')} is not supported here: only env('NAME', 'default') and config('AccountID') are`}},
	{"output", "{A: b}", "{A: '${resources.one.output.url}'}", []string{`s.yaml:19:33: ${resources.one.output.url} is only known after a deployment`}},
	{"circle", "{A: b}", "{A: '${this.props.environmentVariables.A}'}", []string{`s.yaml:19:33: ${this.props.environmentVariables.A} refers to itself`}},
	{"a map in text", "{A: b}", "{A: 'x${vars.intervals}'}", []string{`s.yaml:19:33: ${vars.intervals} is a map and can't stand within text`}},
	{"not closed", "{A: b}", "{A: 'x${vars.n'}", []string{`s.yaml:19:33: an expression is not closed: x${vars.n`}},
	{"interval", "look: 15s", "look: 15", []string{`s.yaml:5:21: vars.intervals.look must be a duration such as 15s, is a number`}},
	{"interval's unit", "look: 15s", "look: 15 s", []string{`s.yaml:5:21: vars.intervals.look: "15 s" is not a duration such as 15s`}},

	{"all at once", "runtime: go1\n      handler: main\n      code: ./b", "runtim: go1\n      handler: 5\n      code: ./b", []string{
		"s.yaml:10:7: props needs the key runtime",
		`s.yaml:12:7: props has no key "runtim" (did you mean "runtime"?)`,
		`s.yaml:13:16: handler must be a string, is a number (quote it: "5")`}},
}

func TestBroken(t *testing.T) {
	t.Parallel()
	if _, err := Parse("s.yaml", []byte(valid), Options{}); err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if b.file() == valid {
				t.Fatal("nothing was replaced")
			}
			_, err := Parse("s.yaml", []byte(b.file()), Options{})
			if err == nil {
				t.Fatal("passed")
			}
			if d := cmp.Diff(b.want, strings.Split(err.Error(), "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

func objectTriggers(configs ...string) string {
	head, _, _ := strings.Cut(valid, "        - {triggerName: http")
	for i, c := range configs {
		head += "        - {triggerName: t" + string(rune('a'+i)) + ", triggerType: oss, sourceArn: 'acs:oss:cn-hangzhou:1:b', triggerConfig: {" + c + "}}\n"
	}
	return head
}

// The rule between the OSS triggers of a bucket: events, prefixes and suffixes
// must not all overlap.
func TestObjectTriggersOverlap(t *testing.T) {
	t.Parallel()
	config := func(events, prefix, suffix string) string {
		return `events: ["oss:ObjectCreated:` + strings.ReplaceAll(events, ",", `", "oss:ObjectCreated:`) +
			`"], filter: {key: {prefix: "` + prefix + `", suffix: "` + suffix + `"}}`
	}
	tests := []struct {
		name    string
		a, b    string
		overlap bool
	}{
		{"same", config("PutObject", "", ".a"), config("PutObject", "", ".a"), true},
		{"other suffix", config("PutObject", "", ".a"), config("PutObject", "", ".b"), false},
		{"suffix within suffix", config("PutObject", "", ".tar.gz"), config("PutObject", "", ".gz"), true},
		{"suffix that only looks alike", config("PutObject", "", ".gz"), config("PutObject", "", ".gzip"), false},
		{"no suffix is any", config("PutObject", "", ""), config("PutObject", "", ".gz"), true},
		{"other prefix", config("PutObject", "a/", ""), config("PutObject", "b/", ""), false},
		{"prefix within prefix", config("PutObject", "a/", ""), config("PutObject", "a/b/", ""), true},
		{"other events", config("PutObject", "", ""), config("CopyObject", "", ""), false},
		{"one event in common", config("PutObject,PostObject", "", ""), config("CopyObject,PostObject", "", ""), true},
		{"wildcard", config("*", "", ""), config("CopyObject", "", ""), true},
	}
	for _, tt := range tests {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			_, err := Parse("s.yaml", []byte(objectTriggers(pair[0], pair[1])), Options{})
			want := ""
			if tt.overlap {
				want = "s.yaml:22:12: trigger tb of one overlaps with ta of one: events, prefix and suffix allow the same object"
			}
			if got := message(err); got != want {
				t.Errorf("%s: got %q, want %q", tt.name, got, want)
			}
		}
	}
}

func TestElevenTriggersOfABucket(t *testing.T) {
	t.Parallel()
	var configs []string
	for i := range 11 {
		configs = append(configs, `events: ["oss:ObjectCreated:PutObject"], filter: {key: {prefix: "`+string(rune('a'+i))+`/", suffix: ""}}`)
	}
	if _, err := Parse("s.yaml", []byte(objectTriggers(configs[:10]...)), Options{}); err != nil {
		t.Error(err)
	}
	_, err := Parse("s.yaml", []byte(objectTriggers(configs...)), Options{})
	if got, want := message(err), "s.yaml:31:12: trigger tk is number 11 of bucket b, which has at most 10"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What only the cloud acts on is valid and listed.
func TestIgnored(t *testing.T) {
	t.Parallel()
	file := strings.Replace(valid, "role: one", more("vpcConfig: auto\n      layers: [x]\n      logConfig: auto"), 1)
	file = strings.Replace(file, "resources:\n", "flow: {}\nresources:\n  db: {component: rds, props: {anything: 1}}\n", 1)
	file += "        - {triggerName: bus, triggerType: tablestore, triggerConfig: {a: b}}\n"
	p, err := Parse("s.yaml", []byte(file), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"flow", "resource db (component rds)"}, p.Ignored); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"vpcConfig", "layers", "trigger bus (type tablestore)"}, p.Functions[0].Ignored); d != "" {
		t.Error(d)
	}
}

func TestOverrideOfNothing(t *testing.T) {
	t.Parallel()
	_, err := Parse("s.yaml", []byte(valid), Options{Overrides: map[string]string{"x.y": "1"}})
	if got, want := message(err), "s.yaml:4:3: vars.x.y is set from outside, but the file has no such value"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
