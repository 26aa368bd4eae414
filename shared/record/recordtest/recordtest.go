// Package recordtest says what package record needs of a bucket, as tests that
// run against the stand-in's OSS always, and against the real one where its
// environment variables are set.
package recordtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/events"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
)

// Run runs the suite. The bucket must be unversioned; what the suite leaves in it
// is under ids of its own.
func Run(t *testing.T, bucket *oss.Bucket) {
	store := record.New(bucket, time.Now)
	image := func() string { return fmt.Sprintf("m-test%d", time.Now().UnixNano()) }

	t.Run("a log is what was appended", func(t *testing.T) {
		t.Parallel()
		log := begin(t, store, image())
		log, err := store.Append(t.Context(), log, "b",
			export.Line{State: export.Submitting, Attempt: &export.Attempt{Number: 1, Until: time.Now().UTC().Truncate(time.Second)}},
			export.Line{State: export.Exporting, Task: &export.Task{ID: "t-1"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := store.Load(t.Context(), log.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(log.Export, got.Export); diff != "" {
			t.Errorf("loaded (-appended +loaded):\n%s", diff)
		}
		if got.Seq() != 3 || got.State != export.Exporting || got.Task.ID != "t-1" {
			t.Errorf("got %d lines, state %s, task %q", got.Seq(), got.State, got.Task.ID)
		}
		// And it can go on from what was loaded.
		if _, err := store.Append(t.Context(), got, "c", export.Line{State: export.Exported}); err != nil {
			t.Error(err)
		}
	})

	t.Run("of writers at once one wins", func(t *testing.T) {
		t.Parallel()
		log := begin(t, store, image())
		const writers = 12
		for round := range 5 {
			var mu sync.Mutex
			var won []string
			each(writers, func(i int) {
				nonce := fmt.Sprintf("r%dw%d", round, i)
				_, err := store.Append(t.Context(), log, nonce, export.Line{State: export.Requested, Reason: nonce})
				if err != nil && !errors.Is(err, record.ErrLost) {
					t.Error(err)
				}
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					won = append(won, nonce)
				}
			})
			var err error
			if log, err = store.Load(t.Context(), log.ID); err != nil {
				t.Fatal(err)
			}
			last := log.Lines[log.Seq()-1]
			if log.Seq() != round+2 || !slices.Equal(won, []string{last.Nonce}) {
				t.Fatalf("round %d: %v won, the log has %d lines and ends with %s", round, won, log.Seq(), last.Nonce)
			}
		}
	})

	t.Run("a log begins once", func(t *testing.T) {
		t.Parallel()
		log := begin(t, store, image())
		_, err := store.Append(t.Context(), record.Empty(log.ID), "late", export.Line{State: export.Abandoned, Request: &export.Request{}})
		if !errors.Is(err, record.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
	})

	t.Run("what a log must not show is not appended", func(t *testing.T) {
		t.Parallel()
		log := begin(t, store, image())
		if _, err := store.Append(t.Context(), log, "x", export.Line{State: export.Completed}); err == nil {
			t.Error("requested was followed by completed")
		}
	})

	t.Run("an id that is not there", func(t *testing.T) {
		t.Parallel()
		if _, err := store.Load(t.Context(), export.NewID(time.Now())); !errors.Is(err, record.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		if _, open, err := store.Hint(t.Context(), export.NewID(time.Now())); open || err != nil {
			t.Errorf("got open %v and %v", open, err)
		}
	})

	t.Run("an id is opened once, hinted at and closed", func(t *testing.T) {
		t.Parallel()
		ctx, id := t.Context(), export.NewID(time.Now())
		want := record.Hint{ImageID: image(), Next: time.Now().UTC().Truncate(time.Millisecond)}
		if err := store.Open(ctx, id, want); err != nil {
			t.Fatal(err)
		}
		if err := store.Open(ctx, id, want); !errors.Is(err, record.ErrExists) {
			t.Errorf("opened twice: got %v, want ErrExists", err)
		}
		want.Announced = 7
		if err := store.SetHint(ctx, id, want); err != nil {
			t.Fatal(err)
		}
		got, open, err := store.Hint(ctx, id)
		if err != nil || !open || got != want {
			t.Errorf("got %+v, %v, %v, want %+v", got, open, err, want)
		}
		for range 2 { // closing again is closing
			if err := store.Close(ctx, id); err != nil {
				t.Error(err)
			}
		}
		if _, open, err := store.Hint(ctx, id); open || err != nil {
			t.Errorf("after closing: open %v, %v", open, err)
		}
	})

	t.Run("a claimed id is opened by all who claim it", func(t *testing.T) {
		t.Parallel()
		id, imageID := export.NewID(time.Now()), image()
		// What a death in the middle of it leaves.
		if err := bucket.Create(t.Context(), "active/"+id, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := store.Reopen(t.Context(), id, record.Hint{ImageID: imageID}); err != nil {
				t.Error(err)
			}
		}
		entries, _, err := store.List(t.Context(), record.OfImage(imageID), "", 10)
		if err != nil || len(entries) != 1 || entries[0].ID != id {
			t.Errorf("by image: %v, %v", entries, err)
		}
	})

	t.Run("lists are newest first and paged", func(t *testing.T) {
		t.Parallel()
		imageID := image()
		var want []string
		for i := range 7 {
			id := export.NewID(time.Now().Add(time.Duration(i) * time.Second))
			if err := store.Open(t.Context(), id, record.Hint{ImageID: imageID}); err != nil {
				t.Fatal(err)
			}
			want = append([]string{id}, want...)
		}
		var got []string
		for after, more := "", true; more; {
			var entries []record.Entry
			var err error
			if entries, more, err = store.List(t.Context(), record.OfImage(imageID), after, 3); err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				got, after = append(got, e.ID), e.ID
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ids (-want +got):\n%s", diff)
		}
	})

	t.Run("progress is asked for once an interval", func(t *testing.T) {
		t.Parallel()
		id := export.NewID(time.Now())
		noon := record.New(bucket, func() time.Time { return time.Date(2026, 1, 2, 12, 0, 1, 0, time.UTC) })
		var mu sync.Mutex
		claims := 0
		each(12, func(int) {
			ok, err := noon.ClaimProgress(t.Context(), id, 5*time.Second)
			if err != nil {
				t.Error(err)
			}
			if ok {
				mu.Lock()
				defer mu.Unlock()
				claims++
			}
		})
		if claims != 1 {
			t.Errorf("%d callers may ask, want 1", claims)
		}
		edge := record.New(bucket, func() time.Time { return time.Date(2026, 1, 2, 12, 0, 5, 999, time.UTC) })
		if ok, err := edge.ClaimProgress(t.Context(), id, 5*time.Second); ok || err != nil {
			t.Errorf("less than an interval later: %v, %v", ok, err)
		}
		later := record.New(bucket, func() time.Time { return time.Date(2026, 1, 2, 12, 0, 6, 0, time.UTC) })
		if ok, err := later.ClaimProgress(t.Context(), id, 5*time.Second); !ok || err != nil {
			t.Errorf("in the next interval: %v, %v", ok, err)
		}
		if _, ok, err := store.Progress(t.Context(), id); ok || err != nil {
			t.Errorf("before anybody asked: %v, %v", ok, err)
		}
		want := record.Progress{Percent: 42, At: time.Now().UTC().Truncate(time.Second)}
		if err := store.SetProgress(t.Context(), id, want); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := store.Progress(t.Context(), id); got != want || !ok || err != nil {
			t.Errorf("got %+v, %v, %v, want %+v", got, ok, err, want)
		}
	})

	t.Run("something is claimed by one at a time", func(t *testing.T) { claims(t, bucket) })

	t.Run("an unmanaged object is cataloged once", func(t *testing.T) {
		t.Parallel()
		first := events.Unmanaged{Bucket: "b", Key: image(), ETag: "E", LandedAt: time.Now().UTC().Truncate(time.Second)}
		for i := range 2 {
			again := first
			again.LandedAt = first.LandedAt.Add(time.Duration(i) * time.Hour)
			if got, err := store.AddUnmanaged(t.Context(), again); err != nil || got != first {
				t.Errorf("got %+v and %v, want %+v", got, err, first)
			}
		}
	})
}

// Versioned runs what must hold on a versioned bucket: nothing is opened.
func Versioned(t *testing.T, bucket *oss.Bucket) {
	err := record.New(bucket, time.Now).Open(t.Context(), export.NewID(time.Now()), record.Hint{ImageID: "m-test"})
	if !errors.Is(err, oss.ErrVersioned) {
		t.Errorf("got %v, want ErrVersioned", err)
	}
}

func begin(t *testing.T, store *record.Store, imageID string) record.Log {
	t.Helper()
	log, err := store.Append(t.Context(), record.Empty(export.NewID(time.Now())), "a", export.Line{
		State:   export.Requested,
		Request: &export.Request{ImageID: imageID, Disks: []export.Disk{{Role: export.System, Device: "/dev/xvda", SizeGiB: 40}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func each(n int, do func(int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { do(i) })
	}
	group.Wait()
}
