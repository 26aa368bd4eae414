package recordtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
)

// Queue runs the suite of the queue and the slots. They are the account's, so the
// bucket must hold none.
func Queue(t *testing.T, bucket *oss.Bucket) {
	store := record.New(bucket, time.Now)
	queue := func(t *testing.T) export.Queue {
		t.Helper()
		q, err := store.Queue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	place := func(after time.Duration) export.Waiting {
		at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC).Add(after)
		return export.Waiting{ID: export.NewID(at), Arrived: at}
	}
	first, second, third := place(0), place(time.Millisecond), place(time.Hour)

	t.Run("nobody waits", func(t *testing.T) {
		if q := queue(t); len(q.Waiting) != 0 || q.Hold != nil {
			t.Fatalf("got %+v", q)
		}
	})

	t.Run("the queue is in the order of arrival, whoever joins first and often", func(t *testing.T) {
		for _, w := range []export.Waiting{third, first, second, first} {
			if err := store.Join(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]export.Waiting{first, second, third}, queue(t).Waiting); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})

	t.Run("who stands aside keeps the place", func(t *testing.T) {
		for range 2 {
			if err := store.StandAside(t.Context(), second, "m-test"); err != nil {
				t.Fatal(err)
			}
		}
		aside := second
		aside.ImageID = "m-test"
		if diff := cmp.Diff([]export.Waiting{first, aside, third}, queue(t).Waiting); diff != "" {
			t.Errorf("aside (-want +got):\n%s", diff)
		}
		for range 2 {
			if err := store.StepBack(t.Context(), second, "m-test"); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]export.Waiting{first, second, third}, queue(t).Waiting); diff != "" {
			t.Errorf("back (-want +got):\n%s", diff)
		}
	})

	t.Run("a hold is for all and ends", func(t *testing.T) {
		want := export.Delay{Code: "WeeklyQuotaExceed.ExportImage", Message: "used up", RequestID: "r", Next: first.Arrived, Refused: true}
		for range 2 {
			if err := store.SetHold(t.Context(), want); err != nil {
				t.Fatal(err)
			}
		}
		q := queue(t)
		if diff := cmp.Diff(&want, q.Hold); diff != "" || len(q.Waiting) != 3 {
			t.Errorf("%d wait, hold (-want +got):\n%s", len(q.Waiting), diff)
		}
		for range 2 {
			if err := store.EndHold(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if q := queue(t); q.Hold != nil {
			t.Errorf("got %+v after its end", q.Hold)
		}
	})

	t.Run("who leaves is gone, aside or not", func(t *testing.T) {
		if err := store.StandAside(t.Context(), third, "m-test"); err != nil {
			t.Fatal(err)
		}
		for _, w := range []export.Waiting{first, second, third, first} {
			if err := store.Leave(t.Context(), w, "m-test"); err != nil {
				t.Fatal(err)
			}
		}
		if q := queue(t); len(q.Waiting) != 0 {
			t.Errorf("got %+v", q)
		}
	})

	t.Run("what is no place is passed over", func(t *testing.T) {
		for _, name := range []string{"queue/x", "queue/2026-x", "queue/20260102T030405.678Z-no"} {
			if err := bucket.Put(t.Context(), name, nil, oss.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			defer bucket.Delete(t.Context(), name)
		}
		if q := queue(t); len(q.Waiting) != 0 {
			t.Errorf("got %+v", q)
		}
	})

	slots(t, store, bucket)
}

func slots(t *testing.T, store *record.Store, bucket *oss.Bucket) {
	const limit = 3
	var mu sync.Mutex
	busy := map[string]bool{} // exports whose task runs
	needs := func(_ context.Context, id string, taken time.Time) (bool, error) {
		if taken.IsZero() {
			t.Errorf("the slot of %s was taken at no time", id)
		}
		mu.Lock()
		defer mu.Unlock()
		return busy[id], nil
	}
	take := func(t *testing.T, id string) int {
		t.Helper()
		mu.Lock()
		busy[id] = true
		mu.Unlock()
		number, err := store.TakeSlot(t.Context(), id, limit, needs)
		if err != nil {
			t.Error(err)
		}
		if number == 0 {
			mu.Lock()
			delete(busy, id)
			mu.Unlock()
		}
		return number
	}
	numbers := func(t *testing.T) (names []string) {
		t.Helper()
		page, err := bucket.List(t.Context(), oss.ListOptions{Prefix: "slots/"})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			names = append(names, strings.TrimLeft(strings.TrimPrefix(o.Key, "slots/"), "0"))
		}
		return names
	}
	end := func(id string) {
		mu.Lock()
		defer mu.Unlock()
		delete(busy, id)
	}

	t.Run("there are as many slots as the limit says", func(t *testing.T) {
		for i := range limit {
			if take(t, fmt.Sprint("x", i)) == 0 {
				t.Fatalf("slot %d of %d was not to be had", i+1, limit)
			}
		}
		if take(t, "y") > 0 {
			t.Error("one more than the limit")
		}
		if take(t, "x1") == 0 {
			t.Error("an export that has a slot can't take it again")
		}
	})

	t.Run("a slot that ended is another's, under a number never used", func(t *testing.T) {
		end("x0")
		if take(t, "y") == 0 {
			t.Fatal("the slot of an export that ended was not to be had")
		}
		if take(t, "z") > 0 {
			t.Error("one more than the limit")
		}
		// x1's first number, 2, and x0's went; x1 has 4, y has 5.
		if diff := cmp.Diff([]string{"3", "4", "5"}, numbers(t)); diff != "" {
			t.Errorf("numbers (-want +got):\n%s", diff)
		}
	})

	t.Run("a view that is out of date takes nothing", func(t *testing.T) {
		// While somebody looks who still needs a slot, others take and give up
		// numbers, so that the one it is about to create is free again.
		for id := range map[string]bool{"x1": true, "x2": true, "y": true} {
			end(id)
		}
		var once sync.Once
		slow := func(ctx context.Context, id string, taken time.Time) (bool, error) {
			once.Do(func() {
				for i := range limit {
					if take(t, fmt.Sprint("quick", i)) == 0 {
						t.Error("no slot")
					}
				}
				if err := bucket.Delete(ctx, fmt.Sprintf("slots/%012d", 6)); err != nil {
					t.Error(err)
				}
			})
			return false, nil
		}
		// Its view is of before: numbers up to 5. 6 is free, 8 is the highest.
		number, err := store.TakeSlot(t.Context(), "slow", limit, func(ctx context.Context, id string, taken time.Time) (bool, error) {
			if strings.HasPrefix(id, "quick") {
				return true, nil
			}
			return slow(ctx, id, taken)
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := numbers(t); number > 0 && len(got) > limit {
			t.Errorf("took a number that was free again; there are %v", got)
		}
		for _, name := range numbers(t) {
			if name == "6" {
				t.Error("the number that was free again is taken")
			}
		}
	})

	t.Run("of many at once as many as the limit get one", func(t *testing.T) {
		mu.Lock()
		clear(busy)
		mu.Unlock()
		var got atomic.Int32
		each(12, func(i int) {
			id := fmt.Sprint("many", i)
			for range 3 { // who loses a race asks again
				mu.Lock()
				busy[id] = true // as long as it tries, for the others to see
				mu.Unlock()
				number, err := store.TakeSlot(t.Context(), id, limit, needs)
				if err != nil {
					t.Error(err)
				}
				if number > 0 {
					got.Add(1)
					return
				}
			}
		})
		if n := got.Load(); n < 1 || n > limit {
			t.Errorf("%d got a slot, the limit is %d", n, limit)
		}
	})

	t.Run("a slot that was given back is another's, under a number never used", func(t *testing.T) {
		mu.Lock()
		clear(busy)
		mu.Unlock()
		last := 0
		for i := range limit {
			last = take(t, fmt.Sprint("held", i))
		}
		if last == 0 || take(t, "next") > 0 {
			t.Fatalf("the last slot is %d, and another has one too", last)
		}
		// Its export still says that it needs one, as one does that has just taken it.
		if err := store.GiveSlotBack(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		if got := take(t, "next"); got != last+1 {
			t.Errorf("slot %d, want %d", got, last+1)
		}
		if take(t, "one more") > 0 {
			t.Error("one more than the limit")
		}
	})
}
