package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// place is one of those that a caller has for open exports.
type place struct {
	record.Claimed                  // ID is blank if no export has it
	what           record.Claimable // zero where places are not counted
	free           bool             // another export may have it
	begun          bool             // its export is on record
}

// of says whether a place is that of an order already: of its id, or of its key and
// taken by an earlier try that came no further, or by one at the same time.
func (p place) of(id, key string) bool {
	return !p.free && (p.ID == id || key != "" && p.Key == key && !p.begun)
}

// admit gives an export one of the places that its caller has, or refuses it with a
// problem. key is the digest of the order's Idempotency-Key, blank for none: where
// the key has a place already, the order has to go on under the id of that. A place
// is free when its export has ended, so nobody has to give it back. Claims are
// appends: of those who want the last place one gets it.
func (s *server) admit(ctx context.Context, id, key string) (place, error) {
	limit := s.config.CallerOpenExports
	if limit == 0 {
		return place{Claimed: record.Claimed{Claim: record.Claim{ID: id}}}, nil
	}
	who := callerOf(ctx)
	digest := record.Digest(who.issuer, who.subject)
	for first := 1; first <= limit; first += placesAtOnce {
		taken, err := s.admitTo(ctx, digest, first, min(limit, first+placesAtOnce-1), id, key)
		if err != nil {
			return place{}, unavailable(ctx, "The caller's open exports can't be counted, and nothing was submitted.", "Send the order again.", err)
		}
		if taken.ID != "" {
			return taken, nil
		}
	}
	p := newProblem(http.StatusTooManyRequests, codeTooManyOpen, fmt.Sprintf(
		"This caller has %d exports that have not ended, which is all that it may have at a time. Send the order again when one of them has ended, or cancel one.", limit))
	p.headers = http.Header{"Retry-After": {"60"}}
	return place{}, p
}

// isFull says that an order was refused for want of a place.
func isFull(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.Code == codeTooManyOpen
}

// admitTo looks for a place among some. It returns one without an id if there is
// none.
func (s *server) admitTo(ctx context.Context, digest string, first, last int, id, key string) (place, error) {
	places := make([]place, last-first+1)
	var group errgroup.Group
	for i := range places {
		group.Go(func() (err error) {
			places[i], err = s.place(ctx, record.CallerPlace(digest, first+i))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return place{}, err
	}
	for _, p := range places {
		if p.of(id, key) {
			return p, nil
		}
	}
	for _, p := range places {
		if !p.free {
			continue
		}
		var err error
		p.Claimed, err = s.tracker.Records.SetClaim(ctx, p.what, p.Claimed, record.Claim{ID: id, Key: key, At: s.tracker.Now()})
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, record.ErrLost) {
			return place{}, err
		}
		if p, err = s.place(ctx, p.what); err != nil || p.of(id, key) {
			return p, err
		}
	}
	return place{}, nil
}

// place reads a place.
func (s *server) place(ctx context.Context, what record.Claimable) (p place, err error) {
	p.what = what
	if p.Claimed, err = s.tracker.Records.Claim(ctx, what); err != nil || p.ID == "" {
		p.free = true
		return p, err
	}
	log, err := s.tracker.Records.Load(ctx, p.ID)
	switch {
	case errors.Is(err, record.ErrNotFound):
		p.free = s.tracker.Now().Sub(p.At) > placeGrace
		return p, nil
	case err != nil && unanswered(err):
		return p, err
	}
	// One that can't be read may be open. It must not keep its caller from all others.
	p.begun, p.free = true, err == nil && log.State.Terminal()
	return p, nil
}

// giveBack frees a place whose export will not begin, unless somebody has taken it
// anew. Where that fails it is free after placeGrace.
func (s *server) giveBack(ctx context.Context, p place) {
	if p.what == (record.Claimable{}) {
		return
	}
	_, err := s.tracker.Records.SetClaim(context.WithoutCancel(ctx), p.what, p.Claimed, record.Claim{At: s.tracker.Now()})
	if err != nil && !errors.Is(err, record.ErrLost) {
		slog.WarnContext(ctx, "give a place back", "export", p.ID, "error", err)
	}
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
