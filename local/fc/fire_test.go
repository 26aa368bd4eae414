package fc

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/events"
	"ecs-image-export/local/faults"
)

// struck is a table with one fault of events.
func struck(t *testing.T, trigger string, when faults.When, what faults.What) *faults.Table {
	t.Helper()
	table := faults.New()
	if _, err := table.Add(faults.Fault{Service: faults.FC, Action: trigger, When: when, What: what}); err != nil {
		t.Fatal(err)
	}
	return table
}

// A fault strikes the first of two events; the source hears of an error where it
// would send the event again.
func TestFaultsOfObjectEvents(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		what   faults.What
		failed bool
		want   []string // the keys that the function gets; in this order where some are late
	}{
		{"duplicate", faults.What{Duplicate: true}, false, []string{"1", "1", "2"}},
		{"lose", faults.What{Lose: true}, false, []string{"2"}},
		{"cut", faults.What{Cut: true}, true, []string{"2"}},
		{"drop", faults.What{Drop: true}, true, []string{"1", "2"}},
		{"delay", faults.What{Delay: faults.Duration(2 * time.Second)}, false, []string{"2", "1"}},
		{"both late", faults.What{Delay: faults.Duration(2 * time.Second), Duplicate: true}, false, []string{"2", "1", "1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			at := filepath.Join(t.TempDir(), "keys")
			c := open(t, "fn\nenvironmentVariables: {DO: note, AT: "+at+"}\ntriggers: [{triggerName: t, triggerType: oss, sourceArn: 'acs:oss:cn-hangzhou:1234567890123456:b', invocationRole: invoker, triggerConfig: {events: ['oss:ObjectCreated:*'], filter: {key: {prefix: '', suffix: ''}}}}]",
				func(c *Config) {
					c.MaxInstances = 1
					c.Faults = struck(t, faults.OSS, faults.When{Nth: 1}, test.what)
				})
			for i, key := range []string{"1", "2"} {
				err := c.OnObjectEvent(t.Context(), events.ObjectEvent{Events: []events.ObjectRecord{object("ObjectCreated:PutObject", "b", key)}})
				if failed := i == 0 && test.failed; (err != nil) != failed {
					t.Errorf("event %s: %v, want an error: %v", key, err, failed)
				}
			}
			eventually(t, "the queue is empty", func() bool { return c.queue.size() == 0 })
			var got []string
			for _, line := range readLines(t, at) {
				got = append(got, decode[events.ObjectEvent](t, []byte(line)).Events[0].OSS.Object.Key)
			}
			if test.what.Delay == 0 {
				slices.Sort(got) // what is due at once is not ordered
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultsOfMessages(t *testing.T) {
	t.Parallel()
	at := filepath.Join(t.TempDir(), "messages")
	c := open(t, "fn\nenvironmentVariables: {DO: note, AT: "+at+"}\ntriggers:\n"+
		"- {triggerName: m, triggerType: mns_topic, sourceArn: 'acs:mns:cn-hangzhou:1:/topics/news', invocationRole: listener, triggerConfig: {notifyContentFormat: STREAM, notifyStrategy: BACKOFF_RETRY, filterTag: a}}",
		func(c *Config) { c.Faults = struck(t, faults.MNSTopic, faults.When{}, faults.What{Duplicate: true}) })
	c.ids.mu.Lock()
	c.ids.policies["listener"], c.ids.trust["listener"] = "fc:InvokeFunction", mnsService
	c.ids.mu.Unlock()
	if err := c.TopicTriggers()[0].Deliver(t.Context(), []byte(`{"m":1}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queue is empty", func() bool { return c.queue.size() == 0 })
	if diff := cmp.Diff([]string{`{"m":1}`, `{"m":1}`}, readLines(t, at)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// A tick that is lost or cut off does not stop the timer.
func TestFaultsOfTimers(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]faults.What{"lose": {Lose: true}, "cut": {Cut: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ticks := filepath.Join(t.TempDir(), "ticks")
			table := struck(t, faults.Timer, faults.When{Times: 2}, what)
			open(t, "fn\nenvironmentVariables: {TICKS: "+ticks+"}\ntriggers:\n"+
				"- {triggerName: on, triggerType: timer, triggerConfig: {cronExpression: '@every 1m', enable: true, payload: hello}}",
				func(c *Config) { c.Speed, c.Faults = 600, table })
			eventually(t, "a tick after two", func() bool { return len(readLines(t, ticks)) > 0 })
			if got := table.List()[0]; got.Struck != 2 {
				t.Errorf("%d ticks were struck, want 2", got.Struck)
			}
		})
	}
}
