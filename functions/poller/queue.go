package main

import (
	"context"
	"time"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/tracker"
)

// advance follows the export at the head of the queue, unless it is known that it
// would be refused. Nudges do the same sooner; this is for when one was lost.
func (p poller) advance(ctx context.Context, q export.Queue) error {
	if len(q.Waiting) == 0 {
		return nil
	}
	head, err := p.tracker.Head(ctx, q)
	if err != nil || head == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := p.tracker.Step(ctx, head, tracker.Known{}); err != nil {
		return err
	}
	return p.tracker.PlanSooner(ctx, head)
}

// patience is how long an export may go without a look before its nudge is taken
// for lost. One that waits in the queue is looked at less often.
func (p poller) patience(q export.Queue) func(id string) time.Duration {
	waiting := make(map[string]bool, len(q.Waiting))
	for _, w := range q.Waiting {
		waiting[w.ID] = true
	}
	return func(id string) time.Duration {
		if waiting[id] {
			return p.config.SweepAfter + p.config.QueueWait
		}
		return p.config.SweepAfter
	}
}
