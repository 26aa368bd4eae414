package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
)

// TestQueue wants an export that ECS has no room for to be accepted, and shown
// with its place, why it waits and when it is tried next.
func TestQueue(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4, cloud.Options{Speed: 1, ConcurrentQuota: 1, TaskLeast: time.Hour})
	b.config.LookMax = time.Hour
	i := b.instance(t)
	var ids []string
	for n, image := range b.images {
		made := i.create(t, order("imageId", image))
		ids = append(ids, made.ID)
		if n > 0 && (made.Queue == nil || made.Queue.Place == nil || *made.Queue.Place != n || made.Queue.NextTryAt == nil) {
			t.Errorf("the answer to the order of image %d shows the queue as %+v", n+1, made.Queue)
		}
	}
	busy := i.create(t, order("imageId", b.images[0]))

	b.count("oss")
	a := i.do(t, "GET", "/exports", "")
	var page exportPage
	a.into(t, &page)
	shown := map[string]ExportSummary{}
	for _, sum := range page.Exports {
		shown[sum.ID] = sum
	}
	if runs := shown[ids[0]]; runs.State != stateName(export.Exporting) || runs.Queue != nil {
		t.Errorf("the first is %s, queue %+v", runs.State, runs.Queue)
	}
	for n, id := range append(ids[1:], busy.ID) {
		sum := shown[id]
		if sum.State != stateName(export.Queued) || sum.Queue == nil || sum.Queue.Place == nil {
			t.Fatalf("export %d is %s, queue %+v", n+2, sum.State, sum.Queue)
		}
		q := sum.Queue
		if *q.Place != n+1 || q.Code != "ConcurrentQuotaExceed.ExportImage" || q.Message == "" {
			t.Errorf("export %d: place %d, code %s, message %q", n+2, *q.Place, q.Code, q.Message)
		}
		if q.NextTryAt == nil || time.Until(*q.NextTryAt) < 50*time.Minute || time.Until(*q.NextTryAt) > time.Hour {
			t.Errorf("export %d is tried next at %v", n+2, q.NextTryAt)
		}
	}
	if n := b.count("oss GET"); n > 1+len(shown)+2 {
		t.Errorf("%d requests to OSS for a page of %d", n, len(shown))
	}

	a = i.do(t, "GET", "/exports/"+ids[2], "")
	var detail exportDetail
	a.into(t, &detail)
	if q := detail.Queue; q == nil || q.Place == nil || *q.Place != 2 {
		t.Errorf("shown by itself: %+v", q)
	}
	if h := detail.History; len(h) != 2 || h[1].State != stateName(export.Queued) || h[1].Reason == "" {
		t.Errorf("history: %+v", h)
	}

	// Where the queue can't be read, the rest is shown.
	b.meddle(func(call string, w http.ResponseWriter) bool {
		if call != "oss GET "+b.environment["RECORDS_BUCKET"]+"/queue/.hold" {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	a = i.do(t, "GET", "/exports/"+ids[2], "")
	detail = exportDetail{}
	a.into(t, &detail)
	if q := detail.Queue; a.status != http.StatusOK || q == nil || q.Place != nil || q.Code == "" {
		t.Errorf("without the queue: %d, %+v", a.status, q)
	}
}

// TestQuietHistory wants tries that changed nothing to be left out of what is
// shown, but for the last.
func TestQuietHistory(t *testing.T) {
	t.Parallel()
	try := export.Line{State: export.Submitting, Attempt: &export.Attempt{Number: 1}}
	no := export.Line{State: export.Queued, Delay: &export.Delay{Code: "A", Refused: true}}
	lines := []export.Line{{State: export.Requested, Request: &export.Request{}}, try, no}
	for range 20 {
		lines = append(lines, try, no)
	}
	for n := range lines {
		lines[n].Seq = n + 1
	}
	x, err := export.New("7zzzzzzzzzzz0", lines)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range describe(x, summarize(x), progress{}).History {
		got = append(got, fmt.Sprintf("%d %s", h.Seq, h.State))
	}
	if want := "[1 requested 2 submitting 3 queued 43 queued]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
