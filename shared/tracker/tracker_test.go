package tracker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// TestMain lets more tests run at once than there are cores: lives of exports wait
// more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// throughWire returns a tracker whose every request goes through w.
func throughWire(t *testing.T, c trackertest.Cloud, w *trackertest.Wire) *tracker.Tracker {
	t.Helper()
	config := c.Config()
	config.OSSEndpoint = w.Serve(t, config.OSSEndpoint)
	config.MNSEndpoint = w.Serve(t, c.Environment["MNS_URL"])
	config.ECSEndpoint = w.Serve(t, config.ECSEndpoint)
	return c.Tracker(t, config)
}

// request is what the request function does once it has checked its input.
func request(ctx context.Context, tr *tracker.Tracker, r export.Request) error {
	f, err := tr.Begin(ctx, "Test", r)
	if err != nil {
		return err
	}
	// From here on the caller is told 202, whatever happens.
	if tr.Step(ctx, f, tracker.Known{}) == nil {
		_ = tr.PlanSooner(ctx, f)
	}
	return nil
}

// TestFaults breaks each request of an export's life in each way, and wants every
// promise kept all the same.
func TestFaults(t *testing.T) {
	t.Parallel()
	const requests = 45 // a whole life has fewer; TestFaults says so if not
	modes := []trackertest.Fault{{}, {Done: true}, {Dies: true}, {Dies: true, Done: true}}
	c := trackertest.Start(t, requests*len(modes)+1, cloud.Options{Tasks: 64})
	image := 0
	next := func() string { image++; return c.Images[image-1] }

	clean := &trackertest.Wire{}
	live(t, c, clean, next())
	if clean.Requests() > requests {
		t.Errorf("an undisturbed export takes %d requests: raise the constant", clean.Requests())
	}
	t.Logf("an undisturbed export takes %d requests with the looks of this test", clean.Requests())
	t.Run("at", func(t *testing.T) {
		for at := 1; at <= requests; at++ {
			for _, mode := range modes {
				mode.At = at
				id := next()
				t.Run(mode.String(), func(t *testing.T) {
					t.Parallel()
					live(t, c, &trackertest.Wire{Fault: mode}, id)
				})
			}
		}
	})
}

// live takes an image through its life, with new functions taking over from one
// that died, and checks what came of it.
func live(t *testing.T, c trackertest.Cloud, w *trackertest.Wire, imageID string) {
	tr := throughWire(t, c, w)
	r := c.Request(t, imageID)
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	w.Revive(kill)
	accepted := request(ctx, tr, r) == nil

	// Whoever comes next: a poll or an object event, over and over.
	deadline := time.Now().Add(time.Minute)
	for {
		ctx, kill := context.WithCancel(t.Context())
		w.Revive(kill)
		open, err := follow(ctx, tr, imageID)
		kill()
		if err == nil && !open {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the export has not ended: %v", err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("test ended")
		}
	}
	check(t, c, w, imageID, accepted)
}

// follow takes a step on every open export of the image.
func follow(ctx context.Context, tr *tracker.Tracker, imageID string) (open bool, err error) {
	active, _, err := tr.Records.List(ctx, record.Active, "", 1000)
	if err != nil {
		return true, err
	}
	var errs []error
	for _, a := range active {
		hint, _, err := tr.Records.Hint(ctx, a.ID)
		if err != nil || hint.ImageID != imageID {
			errs = append(errs, err)
			continue
		}
		open = true
		f, _, err := tr.Load(ctx, a.ID)
		if errors.Is(err, record.ErrNotFound) {
			errs = append(errs, tr.Abandon(ctx, a.ID))
			continue
		}
		if err == nil {
			err = tr.Step(ctx, f, tracker.Known{})
		}
		if err == nil {
			err = tr.Plan(ctx, f)[f.ID]
		}
		errs = append(errs, err)
	}
	return open, errors.Join(errs...)
}

// check wants: one task for one export, an end, completeness, and every change
// announced in order, with the same body each time.
func check(t *testing.T, c trackertest.Cloud, w *trackertest.Wire, imageID string, accepted bool) {
	t.Helper()
	tr := c.Tracker(t, c.Config())
	tasks, err := tr.ECS.TasksByImage(t.Context(), imageID)
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := tr.Records.List(t.Context(), record.OfImage(imageID), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 1 {
		t.Errorf("%d exports for one request", len(entries))
	}
	if len(tasks) > 1 || accepted && len(tasks) != 1 {
		t.Errorf("%d tasks, accepted %v", len(tasks), accepted)
	}
	if len(entries) == 0 {
		if accepted {
			t.Error("an accepted export was lost")
		}
		return
	}
	log, err := tr.Records.Load(t.Context(), entries[0].ID)
	if errors.Is(err, record.ErrNotFound) && !accepted {
		return // the entry by image was made, active/ was not
	}
	if err != nil {
		t.Fatal(err)
	}
	if want := export.Completed; log.State != want && (accepted || log.State != export.Abandoned) {
		t.Errorf("ended as %s: %+v", log.State, log.Failure)
	}
	announced(t, w, log)
}

// announced wants every change in the log announced in its order, with the same
// body each time.
func announced(t *testing.T, w *trackertest.Wire, log record.Log) {
	t.Helper()
	var want []string
	for _, l := range log.Lines {
		if log.Kind(l) != "" {
			want = append(want, fmt.Sprintf("%s/%d", log.ID, l.Seq))
		}
	}
	bodies := map[string]string{}
	var first []string // event ids in the order of their first announcement
	for _, body := range w.Published() {
		var e cloudevents.Event
		if err := e.UnmarshalJSON([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if before, again := bodies[e.ID()]; again && before != body {
			t.Errorf("event %s has two bodies:\n%s\n%s", e.ID(), before, body)
		} else if !again {
			first = append(first, e.ID())
		}
		bodies[e.ID()] = body
	}
	if strings.Join(first, " ") != strings.Join(want, " ") {
		t.Errorf("announced %v, want %v", first, want)
	}
}
