package fc

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/syaml"

	"github.com/google/go-cmp/cmp"
)

func (c *cloud) async(name, event string) string {
	c.t.Helper()
	resp, body := c.api("POST", "functions/"+name+"/invocations", event, "X-Fc-Invocation-Type", "Async")
	if resp.StatusCode != 202 {
		c.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return resp.Header.Get("X-Fc-Request-Id")
}

func event(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A function that fails is tried again, with the same request id and the number
// of the try.
func TestAsyncRetries(t *testing.T) {
	t.Parallel()
	c := open(t, "fn", nil)
	at := filepath.Join(c.dir, "tries")
	id := c.async("fn", event(t, map[string]string{"do": "fail", "at": at}))
	eventually(t, "the queue is empty", func() bool { return c.queue.size() == 0 })
	if d := cmp.Diff([]string{id + " 0", id + " 1", id + " 2"}, readLines(t, at)); d != "" {
		t.Error(d)
	}
}

// After the last try the failure destination is told.
func TestAsyncGivesUp(t *testing.T) {
	t.Parallel()
	at, told := filepath.Join(t.TempDir(), "tries"), filepath.Join(t.TempDir(), "told")
	c := open(t, "fn\nasyncInvokeConfig: {maxAsyncRetryAttempts: 1, destinationConfig: {onFailure: {destination: acs:fc:cn-hangzhou:1:functions/told}}}\n"+
		"---\ntold\nenvironmentVariables: {DO: note, AT: "+told+"}", nil)
	id := c.async("fn", event(t, map[string]string{"do": "never", "at": at}))
	eventually(t, "the destination is told", func() bool { return len(readLines(t, told)) > 0 })
	if d := cmp.Diff([]string{"0", "1"}, readLines(t, at)); d != "" {
		t.Error(d)
	}
	got := decode[struct {
		RequestContext struct {
			RequestID, Condition   string
			ApproximateInvokeCount int
		}
		RequestPayload  string
		ResponsePayload string
	}](t, []byte(readLines(t, told)[0]))
	if got.RequestContext.RequestID != id || got.RequestContext.Condition != unhandledError || got.RequestContext.ApproximateInvokeCount != 2 ||
		!strings.Contains(got.RequestPayload, `"never"`) || !strings.Contains(got.ResponsePayload, "never") {
		t.Errorf("told %+v", got)
	}
	if !strings.Contains(c.log.String(), "is given up after 2 tries, tries are used up") {
		t.Errorf("log %s", c.log)
	}
}

// What waits for an instance longer than its event may live is dropped.
func TestAsyncEventAge(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ahead time.Duration
	c := open(t, "fn\ntimeout: 30\nasyncInvokeConfig: {maxAsyncRetryAttempts: 0, maxAsyncEventAgeInSeconds: 60}", func(c *Config) {
		c.MaxInstances = 1
		c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	})
	first := make(chan outcome, 1)
	go func() { first <- c.call("fn", `{"do":"sleep","ms":500}`) }()
	eventually(t, "the first call runs", func() bool { return c.byName["fn"].pool.size() == 1 })
	at := filepath.Join(c.dir, "ran")
	c.async("fn", event(t, map[string]string{"do": "note", "at": at}))
	mu.Lock()
	ahead = 61 * time.Second
	mu.Unlock()
	<-first
	eventually(t, "the queue is empty", func() bool { return c.queue.size() == 0 })
	if got := readLines(t, at); got != nil {
		t.Errorf("it ran: %s", got)
	}
	if !strings.Contains(c.log.String(), "is given up after 1 tries, its event is older than 1m0s") {
		t.Errorf("log %s", c.log)
	}
}

// What the service could not hand to the function, for want of its role, stays
// in the queue and does not count as a try.
func TestAsyncWaitsForTheRole(t *testing.T) {
	t.Parallel()
	c := open(t, "fn\nrole: later\nasyncInvokeConfig: {maxAsyncRetryAttempts: 0}", nil)
	at := filepath.Join(c.dir, "ran")
	c.async("fn", event(t, map[string]string{"do": "note", "at": at}))
	eventually(t, "the first refusal", func() bool { return strings.Contains(c.log.String(), "did not reach it") })
	c.ids.mu.Lock()
	c.ids.policies["later"], c.ids.trust["later"] = "", fcService
	c.ids.mu.Unlock()
	eventually(t, "it runs", func() bool { return len(readLines(t, at)) == 1 })
}

// What was accepted runs after a restart, also what was running.
func TestAsyncSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const functions = "fn\ntimeout: 60\nasyncInvokeConfig: {maxAsyncRetryAttempts: 0}"
	one := func(c *Config) { c.MaxInstances = 1 }
	first := openIn(t, dir, functions, one)
	blocked := first.async("fn", `{"do":"sleep","ms":1000}`)
	eventually(t, "the first runs", func() bool {
		log, err := readLog(first)
		return err == nil && strings.Contains(log, "FC Invoke Start RequestId: "+blocked)
	})
	at := filepath.Join(dir, "ran")
	first.async("fn", event(t, map[string]string{"do": "note", "at": at}))
	if err := first.Close(); err != nil { // does not wait for what runs: it would not run again
		t.Fatal(err)
	}
	second := openIn(t, dir, functions, one)
	eventually(t, "both ran", func() bool { return second.queue.size() == 0 })
	if got := readLines(t, at); len(got) != 1 {
		t.Errorf("ran %d times", len(got))
	}
	if log, err := readLog(second); err != nil || strings.Count(log, "FC Invoke Start RequestId: "+blocked) != 2 {
		t.Errorf("the first one did not run again: %v %s", err, log)
	}
}

func readLog(c *cloud) (string, error) {
	var b strings.Builder
	err := c.byName["fn"].log.copyTo(&b)
	return b.String(), err
}

func TestTimer(t *testing.T) {
	t.Parallel()
	ticks := filepath.Join(t.TempDir(), "ticks")
	start := time.Now()
	c := open(t, "fn\nenvironmentVariables: {TICKS: "+ticks+"}\ntriggers:\n"+
		"- {triggerName: on, triggerType: timer, triggerConfig: {cronExpression: '@every 1m', enable: true, payload: hello}}\n"+
		"- {triggerName: off, triggerType: timer, triggerConfig: {cronExpression: '* * * * * *', enable: false}}", func(c *Config) { c.Speed = 600 })
	eventually(t, "three ticks", func() bool { return len(readLines(t, ticks)) >= 3 })
	if d := time.Since(start); d < 250*time.Millisecond {
		t.Errorf("three ticks of 100 ms within %v", d)
	}
	for _, line := range readLines(t, ticks) {
		e := decode[events.TimerEvent](t, []byte(line))
		if e.TriggerName != "on" || e.Payload != "hello" || time.Since(e.TriggerTime) > time.Minute {
			t.Errorf("event %s", line)
		}
	}
	_ = c
}

func TestTimerExpressions(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 3, 59, 30, 0, time.UTC)
	for expression, want := range map[string]string{
		"@every 90m":                          "2026-03-01T05:29:30Z",
		"0 0 4 * * *":                         "2026-03-01T04:00:00Z",
		"0 0/5 * * * *":                       "2026-03-01T04:00:00Z",
		"CRON_TZ=Asia/Shanghai 0 0 4 * * MON": "2026-03-01T20:00:00Z",
	} {
		s, err := syaml.Schedule(expression)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := s.Next(at).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%s: got %s, want %s", expression, got, want)
		}
	}
}

func object(event, bucket, key string) events.ObjectRecord {
	r := events.ObjectRecord{EventName: event, EventSource: "acs:oss", EventVersion: "1.0", Region: testRegion}
	r.OSS.Bucket.Name, r.OSS.Object.Key = bucket, key
	return r
}

func TestObjectTriggerMatch(t *testing.T) {
	t.Parallel()
	trigger := func(bucket, event, prefix, suffix string) string {
		return fmt.Sprintf("fn\ntriggers: [{triggerName: t, triggerType: oss, sourceArn: 'acs:oss:cn-hangzhou:1234567890123456:%s', invocationRole: invoker, triggerConfig: {events: ['oss:%s'], filter: {key: {prefix: '%s', suffix: '%s'}}}}]",
			bucket, event, prefix, suffix)
	}
	tests := []struct {
		name, trigger string
		record        events.ObjectRecord
		want          bool
	}{
		{"suffix", trigger("b", "ObjectCreated:PutObject", "", ".vhd"), object("ObjectCreated:PutObject", "b", "a/x.vhd"), true},
		{"other suffix", trigger("b", "ObjectCreated:PutObject", "", ".vhd"), object("ObjectCreated:PutObject", "b", "x.vhdx"), false},
		{"case", trigger("b", "ObjectCreated:PutObject", "", ".vhd"), object("ObjectCreated:PutObject", "b", "x.VHD"), false},
		{"prefix", trigger("b", "ObjectCreated:PutObject", "in/", ""), object("ObjectCreated:PutObject", "b", "in/x"), true},
		{"other prefix", trigger("b", "ObjectCreated:PutObject", "in/", ""), object("ObjectCreated:PutObject", "b", "out/in/x"), false},
		{"other bucket", trigger("b", "ObjectCreated:PutObject", "", ""), object("ObjectCreated:PutObject", "bb", "x"), false},
		{"other event", trigger("b", "ObjectCreated:PutObject", "", ""), object("ObjectCreated:UploadPart", "b", "x"), false},
		{"wildcard", trigger("b", "ObjectCreated:*", "", ""), object("ObjectCreated:UploadPart", "b", "x"), true},
		{"wildcard of another kind", trigger("b", "ObjectCreated:*", "", ""), object("ObjectRemoved:DeleteObject", "b", "x"), false},
		{"odd key", trigger("b", "ObjectCreated:PutObject", "", ".vhd"), object("ObjectCreated:PutObject", "b", "a b+%2F//ü.vhd"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := project(t, tt.trigger)
			s := &Service{config: Config{AccountID: testAccount, Region: testRegion}}
			if got := s.matches(p.Functions[0].Triggers[0], tt.record); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	s := &Service{config: Config{AccountID: testAccount, Region: "cn-beijing"}}
	if s.matches(project(t, trigger("b", "ObjectCreated:*", "", "")).Functions[0].Triggers[0], object("ObjectCreated:PutObject", "b", "x")) {
		t.Error("a trigger on a bucket of another region fired")
	}
}

func TestObjectEvents(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	fn := func(name, role string) string {
		return name + "\nenvironmentVariables: {DO: note, AT: " + at(name) + "}\ntriggers: [{triggerName: t, triggerType: oss, sourceArn: 'acs:oss:cn-hangzhou:1234567890123456:b', invocationRole: " +
			role + ", triggerConfig: {events: ['oss:ObjectCreated:PutObject'], filter: {key: {prefix: '" + name + "/', suffix: ''}}}}]"
	}
	c := open(t, strings.Join([]string{fn("good", "acs:ram::1234567890123456:role/invoker"), fn("powerless", "powerless"), fn("stranger", "stranger"), fn("absent", "absent")}, "\n---\n"), nil)
	var all []events.ObjectRecord
	for _, key := range []string{"good/1", "powerless/1", "stranger/1", "absent/1", "none/1", "good/2"} {
		all = append(all, object("ObjectCreated:PutObject", "b", key))
	}
	if err := c.OnObjectEvent(t.Context(), events.ObjectEvent{Events: all}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is empty", func() bool { return c.queue.size() == 0 })
	keys := map[string]bool{}
	for _, line := range readLines(t, at("good")) {
		e := decode[events.ObjectEvent](t, []byte(line))
		if len(e.Events) != 1 || e.Events[0].OSS.RuleID == "" {
			t.Errorf("event %s", line)
		}
		keys[e.Events[0].OSS.Object.Key] = true
	}
	if d := cmp.Diff(map[string]bool{"good/1": true, "good/2": true}, keys); d != "" {
		t.Error(d)
	}
	for name, why := range map[string]string{
		"powerless": "role powerless may not fc:InvokeFunction on acs:fc:cn-hangzhou:1234567890123456:functions/powerless",
		"stranger":  "take role stranger: role does not trust the caller",
		"absent":    "take role absent: no such role",
	} {
		if readLines(t, at(name)) != nil {
			t.Errorf("%s fired", name)
		}
		if want := fmt.Sprintf("fc: %s: trigger t does not fire for %s/1: %s\n", name, name, why); !strings.Contains(c.log.String(), want) {
			t.Errorf("no %q in the log", want)
		}
	}
}

// An event is accepted only when it is on disk.
func TestObjectEventsAfterClose(t *testing.T) {
	t.Parallel()
	c := open(t, "fn\ntriggers: [{triggerName: t, triggerType: oss, sourceArn: 'acs:oss:cn-hangzhou:1234567890123456:b', invocationRole: invoker, triggerConfig: {events: ['oss:ObjectCreated:*'], filter: {key: {prefix: '', suffix: ''}}}}]", nil)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.OnObjectEvent(context.Background(), events.ObjectEvent{Events: []events.ObjectRecord{object("ObjectCreated:PutObject", "b", "x")}}); err == nil {
		t.Error("accepted")
	}
}

func TestTopicTriggers(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "messages")
	c := open(t, "fn\nenvironmentVariables: {DO: note, AT: "+at+"}\ntriggers:\n"+
		"- {triggerName: m, triggerType: mns_topic, sourceArn: 'acs:mns:cn-hangzhou:1:/topics/news', invocationRole: listener, triggerConfig: {notifyContentFormat: STREAM, notifyStrategy: BACKOFF_RETRY, filterTag: a}}", nil)
	triggers := c.TopicTriggers()
	if len(triggers) != 1 || triggers[0].Topic != "news" || triggers[0].FilterTag != "a" || triggers[0].ContentFormat != "STREAM" {
		t.Fatalf("triggers %+v", triggers)
	}
	if err := triggers[0].Deliver(t.Context(), []byte(`{}`)); err == nil {
		t.Error("delivered without the role")
	}
	c.ids.mu.Lock()
	c.ids.policies["listener"], c.ids.trust["listener"] = "fc:InvokeFunction", mnsService
	c.ids.mu.Unlock()
	if err := triggers[0].Deliver(t.Context(), []byte(`{"m":1}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message is there", func() bool { return len(readLines(t, at)) == 1 })
	if got := readLines(t, at)[0]; got != `{"m":1}` {
		t.Errorf("got %s", got)
	}
}
