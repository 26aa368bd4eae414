package record

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ecs-image-export/shared/export"
)

// FuzzLog reads anything as the log of an export: it is refused, or makes an export
// that is the same when it is written and read again, and that can be decided about.
func FuzzLog(f *testing.F) {
	f.Add([]byte(`{"seq":1,"time":"2026-01-02T03:04:05.006Z","state":"requested","nonce":"a","request":{"imageId":"m-1","disks":[{"role":"system","device":"/dev/xvda","sizeGiB":1}]}}` + "\n" +
		`{"seq":2,"time":"2026-01-02T03:04:06.006Z","state":"submitting","nonce":"a","attempt":{"number":1,"until":"2026-01-02T03:05:06.006Z"}}` + "\n" +
		`{"seq":3,"time":"2026-01-02T03:04:07.006Z","state":"exporting","nonce":"a","task":{"id":"t-1"}}` + "\n"))
	f.Add([]byte(`{"seq":1,"state":"abandoned","request":{}}` + "\n"))
	f.Add([]byte("{]\n"))
	f.Add([]byte(`{"seq":1,"state":"requested"}`))
	f.Add([]byte("null\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		lines, err := decode(body)
		if err != nil {
			return
		}
		x, err := export.New("9j86nkgt6mq1h", lines)
		if err != nil {
			return
		}
		var again bytes.Buffer
		for _, l := range lines {
			text, err := json.Marshal(l)
			if err != nil {
				return // a year that JSON has no room for
			}
			again.Write(append(text, '\n'))
		}
		same, err := decode(again.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", again.Bytes(), err)
		}
		if d := cmp.Diff(lines, same, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("(-before +after):\n%s", d)
		}
		export.Decide(x, export.Seen{}, export.Policy{}, x.UpdatedAt)
		x.Manifest().JSON()
	})
}

// FuzzPlace reads anything as the key of a place in the queue: it is passed over, or
// names the place that it would be given.
func FuzzPlace(f *testing.F) {
	f.Add("queue/20260102T030405.006Z-9j86nkgt6mq1h")
	f.Add("queue/20260102T030405.006Z-9j86nkgt6mq1h@m-bp1g7004ksh0oeuco4ng")
	f.Add("queue/.hold")
	f.Fuzz(func(t *testing.T, key string) {
		w, ok := parsePlace(key)
		if !ok {
			return
		}
		if again, ok := parsePlace(placeKey(w)); !ok || !again.Arrived.Equal(w.Arrived) || again.ID != w.ID {
			t.Errorf("%q: %+v is at %q, which says %+v", key, w, placeKey(w), again)
		}
	})
}
