package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
)

// maxSwept bounds the exports that one poll follows for lack of a nudge, so that
// a poll after a long outage ends in time; the next ones go on.
const maxSwept = 64

// sweep looks over one page of the open exports, behind where the last sweep
// ended, and follows those that nobody has looked at for too long. It returns how
// many those were. A page costs one call however many exports are on it; with
// SWEEP_PAGE at 500 and 10,000 open exports, a lost nudge is found within
// SWEEP_AFTER and 20 polls, as long as no page has more than maxSwept of them.
func (p poller) sweep(ctx context.Context, patience func(id string) time.Duration) (swept int, err error) {
	cursor, err := p.tracker.Records.Cursor(ctx)
	if err != nil {
		return 0, err
	}
	entries, more, err := p.tracker.Records.List(ctx, record.Active, cursor, p.config.SweepPage)
	if err != nil {
		return 0, err
	}
	next := ""
	if more {
		next = entries[len(entries)-1].ID
	}
	var stale []string
	for _, e := range entries {
		if p.tracker.Now().Sub(e.Touched) <= patience(e.ID) {
			continue
		}
		if _, err := export.ParseID(e.ID); err != nil {
			slog.WarnContext(ctx, "active/ holds what is no export", "name", e.ID, "error", err)
			continue
		}
		if len(stale) == maxSwept {
			next = stale[maxSwept-1] // the rest of this page is for the next poll
			break
		}
		stale = append(stale, e.ID)
	}
	// First, so that exports that take all the time there is are not the next
	// sweep's again.
	if next != cursor {
		err = p.tracker.Records.SetCursor(ctx, next)
	}
	return len(stale), errors.Join(append(p.rescue(ctx, stale), err)...)
}

// rescue follows exports whose nudge is lost, and closes entries whose log was
// never begun.
func (p poller) rescue(ctx context.Context, ids []string) []error {
	var mu sync.Mutex
	var errs []error
	fail := func(id string, err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, fmt.Errorf("sweep export %s: %w", id, err))
	}
	var due []*tracker.Followed
	each(slices.Values(ids), func(id string) {
		f, _, err := p.tracker.Load(ctx, id)
		switch {
		case errors.Is(err, record.ErrNotFound):
			if err := p.tracker.Abandon(ctx, id); err != nil && !errors.Is(err, record.ErrLost) {
				fail(id, err)
			}
		case errors.Is(err, record.ErrUnreadable):
			if err := p.tracker.Park(ctx, id, err); err != nil {
				fail(id, err)
			}
		case err != nil:
			fail(id, err)
		default:
			slog.WarnContext(ctx, "nudge was lost", "export", id, "state", f.State)
			mu.Lock()
			defer mu.Unlock()
			due = append(due, f)
		}
	})
	followed := p.step(ctx, due, fail)
	for id, err := range p.tracker.Plan(ctx, followed...) {
		fail(id, err)
	}
	return errs
}
