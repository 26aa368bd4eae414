package faults

import (
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shop is a service with two operations.
type shop struct{ http.Handler }

func (shop) Operations() []string { return []string{"Buy", "Sell"} }

func (shop) Operation(r *http.Request) []string { return []string{strings.TrimPrefix(r.URL.Path, "/")} }

func (shop) Documented(code string, _ int) (int, string) {
	if code == "SoldOut" {
		return 409, "There is none."
	}
	return 0, ""
}

func (shop) Refuse(w http.ResponseWriter, _ *http.Request, status int, code, message string) {
	http.Error(w, code+": "+message, status)
}

func open() *Table {
	t := New()
	t.Wrap("shop", shop{http.NotFoundHandler()})
	t.Wrap("mns", shop{http.NotFoundHandler()})
	return t
}

// When decides which calls are struck.
func TestWhen(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		when When
		want string // of six calls
	}{
		{"every call", When{}, "xxxxxx"},
		{"the next", When{Nth: 1}, "x....."},
		{"the third", When{Nth: 3}, "..x..."},
		{"two from the third", When{Nth: 3, Times: 2}, "..xx.."},
		{"all from the second", When{Nth: 2, Times: math.MaxInt}, ".xxxxx"},
		{"the first four", When{Times: 4}, "xxxx.."},
		{"by chance", When{Probability: 0.5}, "x..x.x"},
		{"twice by chance", When{Probability: 0.5, Times: 2}, "x..x.."},
		{"surely", When{Probability: 1}, "xxxxxx"},
	} {
		table := open()
		chances := []float64{0.1, 0.9, 0.5, 0.2, 0.7, 0.4}
		n := 0
		table.random = func() float64 { n++; return chances[(n-1)%len(chances)] }
		if _, err := table.Add(Fault{Service: "shop", Action: "Buy", When: test.when, What: What{Cut: true}}); err != nil {
			t.Fatal(err)
		}
		got := ""
		for range 6 {
			table.Strike("shop", "Sell") // no call of this operation counts
			table.Strike("mns", "Buy")
			if _, ok := table.Strike("shop", "Rent", "Buy"); ok {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
		if e := table.List()[0]; e.Calls != 6 || e.Struck != strings.Count(test.want, "x") {
			t.Errorf("%s: counted %d calls, %d struck", test.name, e.Calls, e.Struck)
		}
	}
}

// Of several faults that strike a call, the oldest happens and all count it.
func TestSeveral(t *testing.T) {
	t.Parallel()
	table := open()
	for _, f := range []Fault{
		{Service: "shop", When: When{Nth: 2}, What: What{Cut: true}},
		{Service: "shop", Action: "Buy", What: What{Drop: true}},
	} {
		if _, err := table.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	var got []What
	for range 3 {
		what, _ := table.Strike("shop", "Buy")
		got = append(got, what)
	}
	if diff := cmp.Diff([]What{{Drop: true}, {Cut: true}, {Drop: true}}, got); diff != "" {
		t.Errorf("what happened (-want +got):\n%s", diff)
	}
	var nobody *Table
	if _, ok := nobody.Strike("shop", "Buy"); ok {
		t.Error("no table struck")
	}
}

// The end of the table ends what is late.
func TestClose(t *testing.T) {
	t.Parallel()
	table := New()
	h := table.Wrap("shop", shop{http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the work was done") })})
	if _, err := table.Add(Fault{Service: "shop", What: What{Delay: Duration(24 * time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	done := make(chan error, 1)
	go func() {
		resp, err := http.Get(server.URL + "/Buy")
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	for table.List()[0].Struck == 0 {
		runtime.Gosched()
	}
	table.Close()
	if err := <-done; err == nil {
		t.Error("a call that was not done got an answer")
	}
	server.Close() // waits for the call to end
}

// Whatever is wrong with a fault is said at once, in words that help.
func TestWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string
		want       []string
	}{
		{"nothing", ``, []string{`the body is empty: give a fault such as`}},
		{"no JSON", `service=shop`, []string{`the body is no JSON: invalid character`}},
		{"cut off", `{"service":`, []string{`the body is no JSON: it ends too early`}},
		{"null", `null`, []string{`the body is not a JSON object`}},
		{"a list", `[]`, []string{`the body is an array, and has to be an object`}},
		{"two", `{"service":"shop","what":{"cut":true}} {}`, []string{`more than one JSON value`}},
		{"misspelled", `{"service":"shop","waht":{"cut":true}}`, []string{`unknown field "waht"; a fault has service, action, when`}},
		{"number for text", `{"service":1}`, []string{`service is a number, and has to be a text`}},
		{"text for number", `{"service":"shop","when":{"nth":"2"},"what":{"cut":true}}`, []string{`when.nth is a string, and has to be a whole number`}},
		{"fraction", `{"service":"shop","when":{"nth":1.5},"what":{"cut":true}}`, []string{`when.nth is a number 1.5, and has to be a whole number`}},
		{"number for duration", `{"service":"shop","what":{"delay":2}}`, []string{`what.delay is a number, and has to be a text such as "1.5s"`}},
		{"no duration", `{"service":"shop","what":{"delay":"soon"}}`, []string{`what.delay is "soon", and has to be a text such as "1.5s" or "300ms"`}},
		{"values that say nothing", `{"service":"shop","action":"","when":{"nth":0},"what":{"cut":false,"drop":null}}`,
			[]string{`action is "", which says nothing`, `what.cut is false`, `what.drop is null`, `when.nth is 0`}},
		{"no service", `{"what":{"cut":true}}`, []string{`service "" is none of fc, mns, shop`}},
		{"unknown service", `{"service":"shopp","what":{"cut":true}}`, []string{`service "shopp" is none of fc, mns, shop`}},
		{"unknown action", `{"service":"shop","action":"Rent","what":{"cut":true}}`, []string{`action "Rent" is none of shop's: Buy, Sell (leave it out for every one)`}},
		{"unknown trigger", `{"service":"fc","action":"http","what":{"cut":true}}`, []string{`action "http" is none of fc's: oss, mns_topic, timer`}},
		{"nothing to do", `{"service":"shop"}`, []string{`what does nothing: give one of code, status, drop, cut, duplicate, lose, delay`}},
		{"unknown code", `{"service":"shop","what":{"code":"Soldout"}}`, []string{`what.code "Soldout" is no code that shop documents: correct it, or give its what.status too`}},
		{"message alone", `{"service":"shop","what":{"status":502,"message":"x"}}`, []string{`what.message is shown with a code`}},
		{"no error", `{"service":"shop","what":{"status":200}}`, []string{`what.status 200 is no error: it is from 400 to 599`}},
		{"negative", `{"service":"shop","when":{"nth":-1,"times":-2,"probability":1.5},"what":{"delay":"-1s"}}`,
			[]string{`when.nth -1`, `when.times -2`, `when.probability 1.5`, `when.nth and when.probability do not go together`, `what.delay -1s is below zero`}},
		{"two at once", `{"service":"shop","what":{"cut":true,"drop":true,"code":"SoldOut"}}`, []string{`only one of what.code, what.drop, what.cut can happen to a call`}},
		{"duplicate of a call", `{"service":"shop","action":"Buy","what":{"duplicate":true}}`, []string{`what.duplicate is of messages and events: give it with an action of mns (SendMessage, BatchSendMessage, PublishMessage) or with service fc`}},
		{"lost call", `{"service":"shop","what":{"lose":true}}`, []string{`what.lose is of events: give it with service fc`}},
		{"code for an event", `{"service":"fc","what":{"code":"X"}}`, []string{`what.code is of calls, and fc has events`}},
		{"status for an event", `{"service":"fc","what":{"status":503}}`, []string{`what.status is of calls, and fc has events`}},
		{"too large", `{"service":"` + strings.Repeat("x", maxBody) + `"}`, []string{`the body takes more than 65536 bytes`}},
	} {
		table := open()
		w := httptest.NewRecorder()
		table.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(test.body)))
		if w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d: %s", test.name, w.Code, w.Body)
		}
		var answer Wrong
		decode(t, w, &answer)
		if len(answer.Problems) != len(test.want) {
			t.Errorf("%s: %d problems, want %d: %q", test.name, len(answer.Problems), len(test.want), answer.Problems)
			continue
		}
		for _, want := range test.want {
			if !slices.ContainsFunc(answer.Problems, func(p string) bool { return strings.Contains(p, want) }) {
				t.Errorf("%s: no problem says %q: %q", test.name, want, answer.Problems)
			}
		}
		if got := table.List(); len(got) != 0 {
			t.Errorf("%s: it was made: %v", test.name, got)
		}
	}
}
