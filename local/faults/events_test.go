package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
)

// noted deploys one function with a trigger of each type, which notes the events
// that it gets; it returns them, a line each.
func (s standIn) noted() func() []string {
	s.t.Helper()
	source, err := cloud.Root()
	s.must(err)
	root := s.t.TempDir()
	s.must(cloud.BuildOne(s.t.Context(), source, filepath.Join(root, "build", "notes", "main"), "./local/fc/testdata/probe"))
	account, at := s.environment["ACCOUNT_ID"], filepath.Join(root, "events")
	s.must(os.WriteFile(filepath.Join(root, "s.yaml"), []byte(`edition: 3.0.0
name: notes
access: default
resources:
  notes:
    component: fc3
    props:
      region: cn-hangzhou
      functionName: notes
      runtime: go1
      handler: main
      code: ./build/notes
      memorySize: 128
      cpu: 0.1
      timeout: 10
      environmentVariables: {DO: note, AT: `+at+`, TICKS: `+at+`}
      triggers:
        - triggerName: object
          triggerType: oss
          sourceArn: acs:oss:cn-hangzhou:`+account+`:`+s.environment["EXPORT_BUCKET"]+`
          invocationRole: acs:ram::`+account+`:role/fires
          triggerConfig:
            events: ['oss:ObjectCreated:PutObject']
            filter: {key: {prefix: noted-, suffix: ""}}
        - triggerName: message
          triggerType: mns_topic
          sourceArn: acs:mns:cn-hangzhou:`+account+`:/topics/`+s.environment["EVENT_TOPIC"]+`
          invocationRole: acs:ram::`+account+`:role/fires
          triggerConfig: {notifyContentFormat: STREAM, notifyStrategy: BACKOFF_RETRY}
        - triggerName: tick
          triggerType: timer
          triggerConfig: {cronExpression: '@every 1m', enable: true}
`), 0o600))
	_, err = s.ram.CreateRole(s.t.Context(), ram.Role{Name: "fires", Trust: strings.Replace(trustsECS, `"ecs.aliyuncs.com"`, `"oss.aliyuncs.com","mns.aliyuncs.com"`, 1)})
	s.must(err)
	s.must(s.ram.EnsureAttached(s.t.Context(), "fires", ram.System, "AliyunFCInvocationAccess"))
	s.must(s.cloud.Deploy(root))
	return func() []string {
		text, err := os.ReadFile(at)
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		return strings.Fields(string(text)) // no event here has a blank
	}
}

// TestEvents does to an event of a trigger everything that can be done to it, on
// its whole way from OSS or MNS to a function.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *cloud.Options) { o.Speed = 60 })
	events := s.noted()
	count := func(text string) (n int) {
		for _, e := range events() {
			if strings.Contains(e, text) {
				n++
			}
		}
		return n
	}
	sources := map[string]func(name string) error{
		"oss": func(name string) error {
			return s.target.Put(t.Context(), name, []byte("x"), oss.PutOptions{})
		},
		"mns_topic": func(name string) error {
			_, err := s.topic.Publish(t.Context(), `{"name":"`+name+`"}`, "")
			return err
		},
	}
	for trigger, send := range sources {
		for i, test := range []struct {
			what string
			want int // how often the event comes
		}{
			{`{"duplicate":true}`, 2},
			{`{"lose":true}`, 0},
			{`{"cut":true}`, 1},
			{`{"drop":true}`, 2},
			{`{"delay":"100ms"}`, 1},
			{`{"delay":"1h"}`, 0}, // until then
			{`{"delay":"100ms","duplicate":true}`, 2},
		} {
			s.add(fmt.Sprintf(`{"service":"fc","action":%q,"when":{"nth":1},"what":%s}`, trigger, test.what))
			struck, next := fmt.Sprintf("noted-%s-%d-struck.", trigger, i), fmt.Sprintf("noted-%s-%d-next.", trigger, i)
			s.must(send(struck))
			s.strikes()
			s.must(send(next))
			what := fmt.Sprintf("%s of an event of %s", test.what, trigger)
			eventually(t, what+", and the next", func() bool { return count(struck) >= test.want && count(next) >= 1 })
			if a, b := count(struck), count(next); a != test.want || b != 1 {
				t.Errorf("%s: it came %d times, want %d; the next one %d times", what, a, test.want, b)
			}
			s.clear(1)
		}
	}

	// A timer's event holds its time, so that no two are the same.
	s.add(`{"service":"fc","action":"timer","when":{"nth":1},"what":{"duplicate":true}}`)
	eventually(t, "a tick twice", func() bool {
		ticks := map[string]int{}
		for _, e := range events() {
			if ticks[e]++; strings.Contains(e, `"triggerName":"tick"`) && ticks[e] == 2 {
				return true
			}
		}
		return false
	})
	s.clear(1)
}
