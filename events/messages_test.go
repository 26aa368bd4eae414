package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
)

// message says about one sample what the tests can't read in it.
type message struct {
	schema string
	// again decodes the sample into its type, knowing every field, and encodes
	// it. CloudEvents go through their envelope too.
	again func([]byte) ([]byte, error)
	// theirs is what Function Compute sends: fields may be added.
	theirs bool
	// optional are the fields that may be missing. "a[].b" is a field of the
	// elements of the list a.
	optional []string
}

var messages = map[string]message{
	"object-created": {
		schema: "object-created", again: through[ObjectEvent], theirs: true,
		optional: []string{
			"events[].oss.bucket.arn", "events[].oss.bucket.ownerIdentity", "events[].oss.bucket.virtualBucket",
			"events[].oss.object.deltaSize", "events[].oss.object.objectMeta", "events[].oss.object.objectMeta.mimeType",
			"events[].oss.ossSchemaVersion", "events[].oss.ruleId",
			"events[].requestParameters", "events[].requestParameters.sourceIPAddress",
			"events[].responseElements", "events[].responseElements.requestId",
			"events[].userIdentity", "events[].userIdentity.principalId",
		},
	},
	"timer": {schema: "timer", again: through[TimerEvent], theirs: true, optional: []string{"payload"}},
	"http-request": {
		schema: "http-request", again: through[HTTPRequest], theirs: true,
		optional: []string{
			"headers.*", "requestContext.domainName", "requestContext.domainPrefix", "requestContext.time", "requestContext.timeEpoch",
			"requestContext.http.protocol", "requestContext.http.sourceIp", "requestContext.http.userAgent",
		},
	},
	"http-response":           {schema: "http-response", again: through[HTTPResponse], optional: []string{"headers.*"}},
	"nudge":                   {schema: "nudge", again: through[Nudge], optional: []string{"taskId"}},
	"image-export.requested":  stateMessage(),
	"image-export.queued":     stateMessage("data.reason"),
	"image-export.submitting": stateMessage(),
	"image-export.exporting":  stateMessage("data.taskId"),
	"image-export.exported":   stateMessage("data.taskId"),
	"image-export.completed":  stateMessage("data.taskId"),
	"image-export.failed":     stateMessage("data.taskId", "data.failure.requestId"),
	"image-export.canceling":  stateMessage("data.taskId", "data.reason"),
	"image-export.canceled":   stateMessage("data.taskId", "data.reason"),
	"image-export.abandoned":  stateMessage(),
	"image-export.deleted":    stateMessage("data.taskId", "data.reason", "data.format", "data.bucket", "data.ossPrefix"),
	"image-export.disk":       {schema: "cloud-event", again: throughCloudEvent[DiskLanded], optional: []string{"data.requestedBy"}},
	"image-export.unmanaged":  {schema: "cloud-event", again: throughCloudEvent[Unmanaged]},
}

func stateMessage(optional ...string) message {
	return message{schema: "cloud-event", again: throughCloudEvent[StateChange], optional: append(optional, "data.imageName", "data.requestedBy")}
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("samples", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestSamples wants a sample of each message and nothing else, each of which
// goes through its type without loss.
func TestSamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("samples/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := messages[strings.TrimSuffix(filepath.Base(f), ".json")]; !ok {
			t.Errorf("%s: no message of this name", f)
		}
	}
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := sample(t, name)
			after, err := m.again(before)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(document(t, before), document(t, after), sameTime); diff != "" {
				t.Errorf("(-before +after):\n%s", diff)
			}
		})
	}
}

// TestCloudEvents shows the published samples to the reference implementation.
func TestCloudEvents(t *testing.T) {
	t.Parallel()
	for name := range messages {
		if !strings.HasPrefix(name, TypePrefix) {
			continue
		}
		var e cloudevents.Event
		if err := json.Unmarshal(sample(t, name), &e); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if e.Type() != name {
			t.Errorf("samples/%s.json is of type %s", name, e.Type())
		}
		if tag := strings.TrimPrefix(e.Type(), TypePrefix); len(tag) > 16 {
			t.Errorf("tag %s: MNS takes 16 characters", tag)
		}
	}
}

// through decodes one value, refusing fields that T does not have and anything
// behind the value, and encodes it.
func through[T any](body []byte) ([]byte, error) {
	var v T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("more than one value")
	}
	return json.Marshal(v)
}

func throughCloudEvent[T any](body []byte) ([]byte, error) {
	var e cloudevents.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, err
	}
	data, err := through[T](e.Data())
	if err != nil {
		return nil, err
	}
	e.DataEncoded = data
	return json.Marshal(e)
}

// document decodes JSON into plain values that keep every digit of a number.
func document(t testing.TB, body []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// sameTime lets a time have other trailing zeros.
var sameTime = cmp.FilterValues(func(a, b string) bool {
	_, errA := time.Parse(time.RFC3339, a)
	_, errB := time.Parse(time.RFC3339, b)
	return errA == nil && errB == nil
}, cmp.Comparer(func(a, b string) bool {
	x, _ := time.Parse(time.RFC3339, a)
	y, _ := time.Parse(time.RFC3339, b)
	return x.Equal(y)
}))
