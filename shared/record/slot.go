package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ecs-image-export/shared/oss"
)

const slotPrefix = "slots/"

func slotKey(n int) string { return fmt.Sprintf("%s%012d", slotPrefix, n) }

// TakeSlot takes the right to one of limit tasks for an export. It returns the
// slot's number, 0 if all are taken by others. needs says whether an export that took
// one at a time still needs it.
//
// Numbers of slots only grow and are never used twice, so that no slot that is
// removed late can be somebody's new one. The highest stays until there is a
// higher one.
func (s *Store) TakeSlot(ctx context.Context, id string, limit int, needs func(ctx context.Context, holder string, taken time.Time) (bool, error)) (number int, err error) {
	const tries = 5
	for range tries {
		slots, err := s.slots(ctx, id, needs)
		if err != nil {
			return 0, err
		}
		highest, taken := 0, 0
		for _, o := range slots {
			highest = o.number
			if o.needed {
				taken++
			}
		}
		if taken >= limit {
			return 0, nil
		}
		mine := slotKey(highest + 1)
		if err := s.bucket.Create(ctx, mine, []byte(id)); errors.Is(err, oss.ErrExists) {
			continue // somebody with the same view came first
		} else if err != nil {
			return 0, fmt.Errorf("take a slot for export %s: %w", id, err)
		}
		// A view may be so old that this number has been used and removed since.
		// Then there is a higher one.
		numbers, err := s.slotNumbers(ctx)
		if err != nil {
			return 0, err
		}
		if slices.Max(append(numbers, 0)) > highest+1 {
			if err := s.bucket.Delete(ctx, mine); err != nil {
				return 0, fmt.Errorf("give back a slot of export %s: %w", id, err)
			}
			continue
		}
		for _, o := range slots {
			if o.needed {
				continue
			}
			if err := s.bucket.Delete(ctx, slotKey(o.number)); err != nil {
				return 0, fmt.Errorf("remove slot %d: %w", o.number, err)
			}
		}
		return highest + 1, nil
	}
	return 0, nil // many want one; the next look tries again
}

// GiveSlotBack gives up a slot that no task came of, so that others need not find
// that out. Its number stays used.
func (s *Store) GiveSlotBack(ctx context.Context, number int) error {
	if err := s.bucket.Put(ctx, slotKey(number), nil, oss.PutOptions{}); err != nil {
		return fmt.Errorf("give back slot %d: %w", number, err)
	}
	return nil
}

type slot struct {
	number int
	needed bool // by another export
}

// slots reads which slots others need, the lowest number first.
func (s *Store) slots(ctx context.Context, id string, needs func(context.Context, string, time.Time) (bool, error)) ([]slot, error) {
	const parallel = 16
	page, err := s.bucket.List(ctx, oss.ListOptions{Prefix: slotPrefix})
	if err != nil {
		return nil, fmt.Errorf("list slots: %w", err)
	}
	slots := make([]slot, len(page.Objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, o := range page.Objects {
		group.Go(func() error {
			n, err := strconv.Atoi(strings.TrimPrefix(o.Key, slotPrefix))
			if err != nil {
				return nil // no slot of ours: number 0
			}
			slots[i].number = n
			holder, _, err := s.bucket.Get(ctx, o.Key)
			if errors.Is(err, oss.ErrNotFound) {
				return nil // removed meanwhile
			}
			if err == nil && len(holder) > 0 && string(holder) != id { // a blank one was given back
				slots[i].needed, err = needs(ctx, string(holder), o.LastModified)
			}
			if err != nil {
				return fmt.Errorf("slot %d: %w", n, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slots, func(o slot) bool { return o.number == 0 }), nil
}

func (s *Store) slotNumbers(ctx context.Context) ([]int, error) {
	page, err := s.bucket.List(ctx, oss.ListOptions{Prefix: slotPrefix})
	if err != nil {
		return nil, fmt.Errorf("list slots: %w", err)
	}
	var numbers []int
	for _, o := range page.Objects {
		if n, err := strconv.Atoi(strings.TrimPrefix(o.Key, slotPrefix)); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}
