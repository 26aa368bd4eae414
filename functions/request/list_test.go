package main

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
)

// pages walks a list to its end and returns the ids on it, and what each page
// cost in calls to OSS.
func (i *instance) pages(t *testing.T, query string, size int) (ids []string, costs []int, unreadable []string) {
	t.Helper()
	token := ""
	for {
		i.bench.count("oss")
		q := query + "&pageSize=" + strconv.Itoa(size)
		if token != "" {
			q += "&pageToken=" + url.QueryEscape(token)
		}
		a := i.do(t, "GET", "/exports?"+strings.TrimPrefix(q, "&"), "")
		if a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", q, a.status, a.body)
		}
		var page exportPage
		a.into(t, &page)
		for _, x := range page.Exports {
			ids = append(ids, x.ID)
		}
		unreadable = append(unreadable, page.Unreadable...)
		costs = append(costs, i.bench.count("oss"))
		if token = page.NextPageToken; token == "" {
			return ids, costs, unreadable
		}
		if len(costs) > 100 {
			t.Fatal("the list has no end")
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	api := b.instance(t)
	if ids, _, _ := api.pages(t, "", 20); len(ids) != 0 {
		t.Errorf("a new system lists %v", ids)
	}

	// Nine exports of three images; every third has failed.
	type made struct {
		id, image string
		failed    bool
	}
	var all []made
	for n := range 9 {
		image := "m-bp" + strconv.Itoa(n%3)
		m := made{image: image, failed: n%3 == 0}
		f, err := b.tracker.Begin(t.Context(), "", export.Request{ImageID: image, RegionID: "cn-hangzhou", Disks: []export.Disk{}})
		if err != nil {
			t.Fatal(err)
		}
		m.id = f.ID
		if m.failed {
			_, err := b.tracker.Records.Append(t.Context(), f.Log, "nonce"+f.ID, export.Line{State: export.Failed, Failure: &export.Failure{Code: "X"}})
			if err != nil {
				t.Fatal(err)
			}
			if n < 6 { // the end of the last one has not been announced
				if err := b.tracker.Records.Close(t.Context(), f.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b made) int { return strings.Compare(a.id, b.id) })
	want := func(take func(made) bool) (ids []string) {
		for _, m := range all {
			if take(m) {
				ids = append(ids, m.id)
			}
		}
		return ids
	}
	for _, test := range []struct {
		query string
		take  func(made) bool
	}{
		{"", func(made) bool { return true }},
		{"&state=failed", func(m made) bool { return m.failed }},
		{"&state=requested", func(m made) bool { return !m.failed }},
		{"&state=completed", func(made) bool { return false }},
		{"&imageId=m-bp0", func(m made) bool { return m.image == "m-bp0" }},
		{"&imageId=m-bp0&state=requested", func(made) bool { return false }},
		{"&imageId=m-bp9", func(made) bool { return false }},
	} {
		for _, size := range []int{1, 2, 4, 20, 100} {
			ids, costs, _ := api.pages(t, test.query, size)
			if d := cmp.Diff(want(test.take), ids); d != "" {
				t.Errorf("%q by %d (-want +got):\n%s", test.query, size, d)
			}
			for _, cost := range costs {
				if cost > size+1 {
					t.Errorf("%q: a page of %d costs %d calls", test.query, size, cost)
				}
			}
		}
	}
	api.brokenLogs(t, all[4].id)
}

// brokenLogs wants a list with one log that can't be read, and one without any
// where the service is down.
func (i *instance) brokenLogs(t *testing.T, id string) {
	records := i.bench.tracker.OSS.Bucket(i.bench.environment["RECORDS_BUCKET"])
	if err := records.Delete(t.Context(), "exports/"+id); err != nil {
		t.Fatal(err)
	}
	foreign := "exports/" + strings.Repeat("0", 1000) // ends the first page
	for key, content := range map[string]string{"exports/" + id: "{]\n", "exports/readme.txt": "hello", foreign: "hello"} {
		if _, err := records.Append(t.Context(), key, 0, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	ids, _, unreadable := i.pages(t, "", 1)
	if len(ids) != 8 || cmp.Diff([]string{id}, unreadable) != "" {
		t.Errorf("with a broken log: %v, unreadable %v", ids, unreadable)
	}
	if p := i.do(t, "GET", "/exports/"+id, "").problem(t); p.Status != 500 || p.Code != codeUnreadable {
		t.Errorf("the broken log by itself: %+v", p)
	}
	if _, err := i.bench.tracker.Records.Load(t.Context(), id); err == nil || errors.Is(err, record.ErrNotFound) {
		t.Errorf("the log is not broken: %v", err)
	}
	i.bench.meddle(func(call string, w http.ResponseWriter) bool {
		if strings.HasPrefix(call, "oss GET") && strings.Contains(call, "/exports/") {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	if a := i.do(t, "GET", "/exports", ""); a.status != 503 || a.header["Retry-After"] == "" {
		t.Errorf("with OSS down: %d %s", a.status, a.body)
	}
}

func TestPageToken(t *testing.T) {
	t.Parallel()
	id := export.NewID(time.Now())
	filters := []pageFilter{{}, {state: export.Failed}, {imageID: "m-1"}, {state: export.Failed, imageID: "m-1"}, {state: export.Exporting}}
	for i, f := range filters {
		for j, g := range filters {
			after, err := g.parse(f.token(id))
			switch {
			case i == j && (err != nil || after != id):
				t.Errorf("%+v: got %q, %v", f, after, err)
			case i != j && !errors.Is(err, errFilter):
				t.Errorf("token of %+v for %+v: got %q, %v", f, g, after, err)
			}
		}
	}
	for _, bad := range []string{"x", "AQ", "====", f64(2), strings.Repeat("A", 200), pageFilter{}.token(""), pageFilter{}.token(strings.Repeat("x", 1016)), pageFilter{}.token("\xff")} {
		if after, err := (pageFilter{}).parse(bad); err == nil {
			t.Errorf("token %q: got %q", bad, after)
		}
	}
}

// f64 is a token of another version.
func f64(version byte) string {
	t := []byte(pageFilter{}.token("0123456789abc"))
	t[1] += version * 4
	return string(t)
}

func FuzzPageToken(f *testing.F) {
	f.Add("", "", pageFilter{}.token("7kq3m9x2q4r8w"))
	f.Add("failed", "m-1", pageFilter{export.Failed, "m-1"}.token("7kq3m9x2q4r8w"))
	f.Add("failed", "", "AQ__")
	f.Add("", "m-1", "not a token")
	f.Fuzz(func(t *testing.T, state, imageID, token string) {
		filter := pageFilter{export.State(state), imageID}
		after, err := filter.parse(token)
		if err != nil || token == "" {
			return
		}
		if again := filter.token(after); again != token {
			t.Errorf("%q reads as %q, which is written as %q", token, after, again)
		}
	})
}

// TestLongPageToken wants the longest name that a token may hold to be one that OSS
// takes behind any prefix: what is too long is the caller's mistake, not ours.
func TestLongPageToken(t *testing.T) {
	t.Parallel()
	api := newBench(t, 1, cloud.Options{Speed: 1000}).instance(t)
	image := "m-" + strings.Repeat("a", 64)
	for query, f := range map[string]pageFilter{"": {}, "state=queued&": {state: export.Queued}, "imageId=" + image + "&": {imageID: image}} {
		longest := f.scope().MaxName()
		for length, want := range map[int]int{longest: 200, longest + 1: 400, 1023: 400} {
			a := api.do(t, "GET", "/exports?"+query+"pageToken="+f.token(strings.Repeat("a", length)), "")
			if a.status != want {
				t.Errorf("%sa name of %d: %d %s", query, length, a.status, a.body)
			}
		}
	}
}
