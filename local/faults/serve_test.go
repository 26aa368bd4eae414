package faults

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func decode(t *testing.T, w *httptest.ResponseRecorder, v any) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
}

// TestServe makes, lists and forgets faults over HTTP.
func TestServe(t *testing.T) {
	t.Parallel()
	table := open()
	call := func(method, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		table.ServeHTTP(w, httptest.NewRequest(method, Path, strings.NewReader(body)))
		return w
	}
	var empty struct{ Faults []Entry }
	if w := call(http.MethodGet, ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "[]") {
		t.Errorf("an empty list: %d %s", w.Code, w.Body)
	}
	made := Fault{Service: "shop", Action: "Buy", When: When{Times: 2}, What: What{Code: "SoldOut", Status: 409, Message: "There is none.", Delay: Duration(1500 * time.Millisecond)}}
	w := call(http.MethodPost, `{"service": "shop", "action": "Buy", "when": {"times": 2}, "what": {"code": "SoldOut", "delay": "1.5s"}}`)
	var got Fault
	if decode(t, w, &got); w.Code != http.StatusCreated {
		t.Errorf("POST: %d", w.Code)
	}
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	if w := call(http.MethodPost, `{"service": "fc", "what": {"duplicate": true}}`); w.Code != http.StatusCreated {
		t.Errorf("POST of an event's fault: %d %s", w.Code, w.Body)
	}
	table.Strike("shop", "Buy")
	decode(t, call(http.MethodGet, ""), &empty)
	if diff := cmp.Diff([]Entry{{made, 1, 1}, {Fault{Service: "fc", What: What{Duplicate: true}}, 0, 0}}, empty.Faults); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if w := call(http.MethodDelete, ""); w.Code != http.StatusNoContent || len(table.List()) != 0 {
		t.Errorf("DELETE: %d, left %v", w.Code, table.List())
	}
	if w := call(http.MethodPut, `{}`); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, POST, DELETE" {
		t.Errorf("PUT: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// FuzzParse finds no body that panics, and none that is taken and cannot be
// written back.
func FuzzParse(f *testing.F) {
	f.Add(`{"service":"ecs","action":"ExportImage","when":{"nth":2,"times":3},"what":{"code":"Throttling.User","status":400,"message":"m","delay":"1.5s"}}`)
	f.Add(`{"service":"fc","action":"timer","when":{"probability":0.5},"what":{"lose":true}}`)
	f.Add(`{"service":null,"what":[]}`)
	f.Add(`{"what":{"delay":"9223372036854775807ns"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		fault, err := parse([]byte(body))
		if err != nil {
			return
		}
		text, err := json.Marshal(fault)
		if err != nil {
			t.Fatal(err)
		}
		again := Fault{}
		if err := json.Unmarshal(text, &again); err != nil || again != fault {
			t.Errorf("%s became %s: %v", body, text, err)
		}
	})
}
