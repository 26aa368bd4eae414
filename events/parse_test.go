package events

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseNudge(t *testing.T) {
	t.Parallel()
	whole := Nudge{ID: "9j86nkgt6mq1h", Seq: 3, TaskID: "t-1", Next: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)}
	for name, c := range map[string]struct {
		body string
		want Nudge // zero: refused
	}{
		"whole":                     {`{"id":"9j86nkgt6mq1h","seq":3,"taskId":"t-1","next":"2026-01-02T03:04:05.006Z"}`, whole},
		"white space around":        {" \n{\"id\":\"9j86nkgt6mq1h\"}\n ", Nudge{ID: "9j86nkgt6mq1h"}},
		"a field of a later sender": {`{"id":"9j86nkgt6mq1h","seq":3,"taskId":"t-1","next":"2026-01-02T03:04:05.006Z","why":{"x":[]}}`, whole},
		"nothing":                   {body: ``},
		"no JSON":                   {body: `look at 9j86nkgt6mq1h`},
		"null":                      {body: `null`},
		"a list":                    {body: `[{"id":"9j86nkgt6mq1h"}]`},
		"a string":                  {body: `"9j86nkgt6mq1h"`},
		"no id":                     {body: `{"seq":3}`},
		"blank id":                  {body: `{"id":""}`},
		"null id":                   {body: `{"id":null,"seq":3}`},
		"id of a wrong type":        {body: `{"id":9}`},
		"seq of a wrong type":       {body: `{"id":"9j86nkgt6mq1h","seq":"3"}`},
		"seq with a fraction":       {body: `{"id":"9j86nkgt6mq1h","seq":1.5}`},
		"seq too large":             {body: `{"id":"9j86nkgt6mq1h","seq":9223372036854775808}`},
		"seq below 0":               {body: `{"id":"9j86nkgt6mq1h","seq":-1}`},
		"next is no time":           {body: `{"id":"9j86nkgt6mq1h","next":"soon"}`},
		"two nudges":                {body: `{"id":"9j86nkgt6mq1h"}{"id":"9j86nkfhsy06h"}`},
		"trailing data":             {body: `{"id":"9j86nkgt6mq1h"} x`},
		"cut off":                   {body: `{"id":"9j86nkgt6mq1h"`},
		"in base64":                 {body: `eyJpZCI6IjlqODZua2d0Nm1xMWgifQ==`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseNudge(c.body)
			if refused := c.want == (Nudge{}); refused != (err != nil) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseNudge(f *testing.F) {
	f.Add(string(sample(f, "nudge")))
	f.Fuzz(func(t *testing.T, body string) {
		n, err := ParseNudge(body)
		if err != nil {
			if n != (Nudge{}) {
				t.Errorf("a refused nudge says %+v", n)
			}
			return
		}
		if n.ID == "" || n.Seq < 0 {
			t.Errorf("%+v was taken", n)
		}
		again, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := ParseNudge(string(again)); err != nil || !cmp.Equal(m, n) {
			t.Errorf("%s became %+v, %v", again, m, err)
		}
	})
}

// TestObjectTime wants the three decimals that OSS gives, whatever there is.
func TestObjectTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2022, 8, 13, 6, 45, 43, 0, time.UTC), "2022-08-13T06:45:43.000Z"},
		{time.Date(2022, 8, 13, 6, 45, 43, 123456789, time.UTC), "2022-08-13T06:45:43.123Z"},
		{time.Date(2022, 8, 13, 14, 45, 43, 5e8, time.FixedZone("", 8*3600)), "2022-08-13T06:45:43.500Z"},
	} {
		body, err := json.Marshal(ObjectEvent{Events: []ObjectRecord{{EventName: "ObjectCreated:PutObject", EventTime: c.at}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"eventTime":"` + c.want + `"`, `"eventName":"ObjectCreated:PutObject"`} {
			if strings.Count(string(body), want) != 1 {
				t.Errorf("%v: %s does not hold %s once", c.at, body, want)
			}
		}
		if n := strings.Count(string(body), "eventTime"); n != 1 {
			t.Errorf("eventTime is there %d times", n)
		}
	}
	if body, err := json.Marshal(ObjectRecord{EventTime: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}); err == nil {
		t.Errorf("year 10000 is encoded as %s", body)
	}
}

// TestUserMeta decodes what ECS does not send but others may.
func TestUserMeta(t *testing.T) {
	t.Parallel()
	body := strings.Replace(string(sample(t, "object-created")), `"objectMeta": {`,
		`"objectMeta": {"userMeta": {"x-oss-meta-k": "v"},`, 1)
	var e ObjectEvent
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	want := &ObjectMeta{MimeType: "application/gzip", UserMeta: map[string]string{"x-oss-meta-k": "v"}}
	if diff := cmp.Diff(want, e.Events[0].OSS.Object.ObjectMeta); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := compile(t, schemaFile("object-created")).Validate(document(t, []byte(body))); err != nil {
		t.Error(err)
	}
}

func FuzzObjectEvent(f *testing.F) {
	f.Add(sample(f, "object-created"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var e ObjectEvent
		if json.Unmarshal(body, &e) != nil {
			return
		}
		again, err := json.Marshal(e)
		if err != nil {
			return // a year that RFC 3339 has no room for
		}
		var f ObjectEvent
		if err := json.Unmarshal(again, &f); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		for i := range e.Events {
			e.Events[i].EventTime = e.Events[i].EventTime.UTC().Truncate(time.Millisecond)
		}
		if diff := cmp.Diff(e, f, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
}

// FuzzTimerEvent wants what a timer sends to be refused or to be the same when it is
// written and read again.
func FuzzTimerEvent(f *testing.F) {
	f.Add(sample(f, "timer"))
	f.Add([]byte(`{"triggerTime":"2026-11-22T17:12:48+08:00","triggerName":"x","payload":"{\"a\":1}"}`))
	f.Add([]byte(`{"triggerTime":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var e, again TimerEvent
		if json.Unmarshal(body, &e) != nil {
			return
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
}
