package function

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"ecs-image-export/events"
)

// FuzzServe hands any bytes to each kind of function: it handles an event once, or
// drops what is none and asks for no other try.
func FuzzServe(f *testing.F) {
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	f.Cleanup(func() { slog.SetDefault(before) })
	f.Add([]byte(`{"triggerTime":"2026-11-22T17:12:48Z","triggerName":"every-minute","payload":""}`))
	f.Add([]byte(`{"events":[{"eventName":"ObjectCreated:PutObject","oss":{"bucket":{"name":"b"},"object":{"key":"k","size":1}}}]}`))
	f.Add([]byte(`{"version":"v1","rawPath":"/exports","headers":{"a":"b"},"requestContext":{"http":{"method":"GET"}}}`))
	f.Add([]byte("null"))
	f.Add([]byte("\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		served[events.TimerEvent](t, raw)
		served[events.ObjectEvent](t, raw)
		served[events.HTTPRequest](t, raw)
	})
}

func served[In any](t *testing.T, raw []byte) {
	t.Helper()
	times := 0
	_, err := serve(t.Context(), raw, func(context.Context, In) (struct{}, error) {
		times++
		return struct{}{}, nil
	})
	var event In
	want := 0
	if json.Unmarshal(raw, &event) == nil {
		want = 1
	}
	if err != nil || times != want {
		t.Errorf("%T %q: handled %d times, want %d: %v", event, raw, times, want, err)
	}
}
