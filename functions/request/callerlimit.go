package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ecs-image-export/shared/record"
)

// maxCallerOpenExports bounds what an order looks at: every place is read, and the
// export in it.
const maxCallerOpenExports = 200

// placesAtOnce is how many of them are read together.
const placesAtOnce = 4

// placeGrace is for an export that has a place and no log: it is being made, or
// whoever was at it died. It is longer than any call takes.
const placeGrace = 10 * time.Minute

// admit gives an export one of the places that its caller has, or refuses it with a
// problem. A place is free when its export has ended, so nobody has to give it back.
// Claims are appends: of those who want the last place one gets it.
func (s *server) admit(ctx context.Context, id string) error {
	limit := s.config.CallerOpenExports
	if limit == 0 {
		return nil
	}
	who := callerOf(ctx)
	digest := record.Digest(who.issuer, who.subject)
	for first := 1; first <= limit; first += placesAtOnce {
		admitted, err := s.admitTo(ctx, digest, first, min(limit, first+placesAtOnce-1), id)
		if err != nil {
			return unavailable(ctx, "The caller's open exports can't be counted at the moment, and nothing was submitted. Send the order again.", err)
		}
		if admitted {
			return nil
		}
	}
	p := newProblem(http.StatusTooManyRequests, codeTooManyOpen, fmt.Sprintf(
		"This caller has %d exports that have not ended, which is all that it may have at a time. Send the order again when one of them has ended, or cancel one.", limit))
	p.headers = http.Header{"Retry-After": {"60"}}
	return p
}

// admitTo looks for a place among some.
func (s *server) admitTo(ctx context.Context, digest string, first, last int, id string) (bool, error) {
	places := make([]record.Claimed, last-first+1)
	free := make([]bool, len(places))
	var group errgroup.Group
	for i := range places {
		group.Go(func() (err error) {
			if places[i], err = s.tracker.Records.Claim(ctx, record.CallerPlace(digest, first+i)); err == nil {
				free[i], err = s.free(ctx, places[i].Claim)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return false, err
	}
	for _, place := range places {
		if place.ID == id { // of an earlier try, or one at the same time
			return true, nil
		}
	}
	for i, place := range places {
		if !free[i] {
			continue
		}
		what := record.CallerPlace(digest, first+i)
		_, err := s.tracker.Records.SetClaim(ctx, what, place, record.Claim{ID: id, At: s.tracker.Now()})
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, record.ErrLost) {
			return false, err
		}
		if now, err := s.tracker.Records.Claim(ctx, what); err != nil || now.ID == id {
			return err == nil, err
		}
	}
	return false, nil
}

// free says whether the place of a claim can be claimed by another.
func (s *server) free(ctx context.Context, c record.Claim) (bool, error) {
	if c.ID == "" {
		return true, nil
	}
	log, err := s.tracker.Records.Load(ctx, c.ID)
	if errors.Is(err, record.ErrNotFound) {
		return s.tracker.Now().Sub(c.At) > placeGrace, nil
	}
	return err == nil && log.State.Terminal(), err
}

// rate counts the calls of each caller in each minute, in this instance alone:
// counting over all instances would cost every call a write. It is safe for
// concurrent use.
type rate struct {
	limit int // per minute; 0: none
	now   func() time.Time

	mu     sync.Mutex
	minute time.Time
	calls  map[string]int
}

// take counts a call. It returns how long to wait if the caller had too many.
func (r *rate) take(who caller) (wait time.Duration, ok bool) {
	if r.limit == 0 {
		return 0, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if minute := now.Truncate(time.Minute); !minute.Equal(r.minute) {
		r.minute, r.calls = minute, map[string]int{}
	}
	name := who.issuer + "\x00" + who.subject
	if r.calls[name] >= r.limit {
		return r.minute.Add(time.Minute).Sub(now), false
	}
	r.calls[name]++
	return 0, true
}

// tooMany is the answer to a caller that has to wait.
func (r *rate) tooMany(wait time.Duration) *problem {
	seconds := int((wait + time.Second - 1) / time.Second)
	p := newProblem(http.StatusTooManyRequests, codeTooMany,
		fmt.Sprintf("This caller made more than %d calls in this minute. Wait %d seconds.", r.limit, seconds))
	p.headers = http.Header{"Retry-After": {fmt.Sprint(seconds)}}
	return p
}
