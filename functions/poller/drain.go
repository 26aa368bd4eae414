package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ecs-image-export/events"
	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
)

const (
	// batch is how many messages MNS gives at a time.
	batch = 16
	// round is how many messages are handled together: as many whole batches as
	// there are tasks in one call of DescribeTasks.
	round = ecs.MaxTasks / batch * batch
	// parallel is how many exports are followed at a time: each step waits for
	// the network most of its time.
	parallel = 16
	// maxReceives is how often handling a message may fail before it is parked.
	// The sweep goes on looking at its export.
	maxReceives = 10
	// stepTimeout bounds the step on one export, so that one whose looks hang
	// does not take the others' time: a call of ExportImage has 10 seconds.
	stepTimeout = 20 * time.Second
	// reserve is the time that a second round needs. Messages received with less left
	// would stay hidden for nothing.
	reserve = stepTimeout + 5*time.Second
)

// drain handles the nudges that are due and returns how many there were.
func (p poller) drain(ctx context.Context) (handled int, err error) {
	for left := p.config.Batches; left > 0; {
		if deadline, ok := ctx.Deadline(); ok && handled > 0 && time.Until(deadline) < reserve {
			return handled, nil
		}
		var messages []mns.Received
		// MNS may give fewer than there are, but none only where it has none.
		none := false
		for ; left > 0 && len(messages)+batch <= round && !none && err == nil; left-- {
			var more []mns.Received
			more, err = p.tracker.Tasks.Receive(ctx, batch, 0)
			messages = append(messages, more...)
			none = len(more) == 0
		}
		if err != nil {
			err = fmt.Errorf("receive nudges: %w", err)
		}
		handled += len(messages)
		if err := errors.Join(err, p.handleRound(ctx, messages)); err != nil || none {
			return handled, err
		}
	}
	return handled, nil
}

// handleRound follows the exports of some messages. A message is deleted once
// the next look at its export is planned, or none is needed; the others become
// visible again.
func (p poller) handleRound(ctx context.Context, messages []mns.Received) error {
	var mu sync.Mutex
	var done []string // receipt handles
	finish := func(m mns.Received) {
		mu.Lock()
		defer mu.Unlock()
		done = append(done, m.Handle)
	}

	byID := map[string][]mns.Received{}
	nudges := map[string]events.Nudge{} // the latest of each export
	for _, m := range messages {
		n, err := events.ParseNudge(m.Body)
		if err == nil {
			_, err = export.ParseID(n.ID)
		}
		if err != nil {
			slog.WarnContext(ctx, "message dropped: not a nudge", "messageId", m.ID, "body", fmt.Sprintf("%.200q", m.Body), "error", err)
			finish(m)
			continue
		}
		byID[n.ID] = append(byID[n.ID], m)
		if last, ok := nudges[n.ID]; !ok || n.Next.After(last.Next) {
			nudges[n.ID] = n
		}
	}
	if len(nudges) > 0 {
		failed := p.follow(ctx, nudges)
		for id, received := range byID {
			for _, m := range received {
				err := failed[id]
				if err != nil && m.Dequeues < maxReceives {
					continue
				}
				if err != nil {
					if _, err := p.tracker.Records.Park(ctx, m.ID, err.Error(), m.Body); err != nil {
						slog.ErrorContext(ctx, "park", "messageId", m.ID, "error", err)
						continue
					}
				}
				finish(m)
			}
		}
	}
	if len(done) == 0 {
		return nil
	}
	if _, err := p.tracker.Tasks.Delete(ctx, done...); err != nil {
		return fmt.Errorf("delete %d handled messages: %w", len(done), err)
	}
	return nil
}

// follow takes a step on each export that its nudge is still good for, asking
// ECS about all their tasks together, and plans the next looks. It returns what
// failed, by export.
func (p poller) follow(ctx context.Context, nudges map[string]events.Nudge) map[string]error {
	var mu sync.Mutex
	failed := map[string]error{}
	fail := func(id string, err error) {
		slog.ErrorContext(ctx, "follow", "export", id, "error", err)
		mu.Lock()
		defer mu.Unlock()
		failed[id] = err
	}

	var due []*tracker.Followed
	each(maps.Values(nudges), func(n events.Nudge) {
		f, open, err := p.tracker.Load(ctx, n.ID)
		switch {
		case errors.Is(err, record.ErrNotFound):
			slog.WarnContext(ctx, "message dropped: no such export", "export", n.ID)
		case errors.Is(err, record.ErrUnreadable):
			if err := p.tracker.Park(ctx, n.ID, err); err != nil {
				fail(n.ID, err)
			}
		case err != nil:
			fail(n.ID, err)
		case open && !tracker.OutOfDate(n, f.Hint):
			mu.Lock()
			defer mu.Unlock()
			due = append(due, f)
		}
	})
	followed := p.step(ctx, due, fail)
	for id, err := range p.tracker.Plan(ctx, followed...) {
		fail(id, err)
	}
	return failed
}

// step takes a step on each export and returns those it succeeded for.
func (p poller) step(ctx context.Context, due []*tracker.Followed, fail func(id string, err error)) []*tracker.Followed {
	var tasks []string
	for _, f := range due {
		if (f.State == export.Exporting || f.State == export.Canceling) && f.Task.ID != "" {
			tasks = append(tasks, f.Task.ID)
		}
	}
	seen, err := p.describe(ctx, tasks)
	if err != nil {
		// Every step asks for itself then, or fails for itself.
		slog.WarnContext(ctx, "describe tasks", "tasks", len(tasks), "error", err)
	}
	var mu sync.Mutex
	var followed []*tracker.Followed
	each(slices.Values(due), func(f *tracker.Followed) {
		ctx, cancel := context.WithTimeout(ctx, stepTimeout)
		defer cancel()
		if err := p.tracker.Step(ctx, f, tracker.Known{Task: seen[f.Task.ID]}); err != nil {
			fail(f.ID, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		followed = append(followed, f)
	})
	return followed
}

func (p poller) describe(ctx context.Context, tasks []string) (map[string]*export.TaskSeen, error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return p.tracker.Describe(ctx, tasks)
}

// each calls do for every value, some at a time.
func each[T any](values iter.Seq[T], do func(T)) {
	var group errgroup.Group
	group.SetLimit(parallel)
	for v := range values {
		group.Go(func() error { do(v); return nil })
	}
	_ = group.Wait()
}
