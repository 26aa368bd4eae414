package tracker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/record"
)

// nudge makes the message that brings somebody back to the export at next.
func (f *Followed) nudge(next, now time.Time) (mns.Message, error) {
	body, err := json.Marshal(events.Nudge{ID: f.ID, Seq: f.Seq(), TaskID: f.Task.ID, Next: next})
	if err != nil {
		return mns.Message{}, err
	}
	return mns.Message{Body: string(body), Delay: max(0, next.Sub(now))}, nil
}

// Plan ends the step on several exports: a nudge for each that has not ended,
// sent before its hint says that it was; the entry under active/ removed of
// those whose end is announced. Exports that it returns an error for stay as
// they were, for whoever looks at them next.
func (t *Tracker) Plan(ctx context.Context, followed ...*Followed) map[string]error {
	now := t.Now().UTC().Truncate(time.Millisecond)
	failed := map[string]error{}
	var messages []mns.Message
	var open []*Followed
	for _, f := range followed {
		if f.Ended() {
			if err := t.settle(ctx, f); err != nil {
				failed[f.ID] = err
			}
			continue
		}
		next := now.Add(f.Wait)
		m, err := f.nudge(next, now)
		if err != nil {
			failed[f.ID] = err
			continue
		}
		f.Hint.Next = next
		messages, open = append(messages, m), append(open, f)
	}
	unsent := t.send(ctx, messages)
	for i, f := range open {
		err := unsent[i]
		if err == nil {
			err = t.settle(ctx, f)
		}
		if err != nil {
			failed[f.ID] = err
		}
	}
	return failed
}

// PlanSooner ends a step that was taken out of turn: it leaves a nudge only if
// the next look is wanted before the one that is planned already. A look that is
// overdue by more than LookMax is not: its nudge may be lost.
func (t *Tracker) PlanSooner(ctx context.Context, f *Followed) error {
	now, next := t.Now(), f.Hint.Next
	planned := next.After(now.Add(-t.Policy.LookMax)) && !next.After(now.Add(f.Wait+t.Policy.LookMin/2))
	if planned && !f.Ended() {
		return t.settle(ctx, f)
	}
	return t.Plan(ctx, f)[f.ID]
}

// settle writes down how far the step came. The entry under active/ goes only
// when the last line has been announced.
func (t *Tracker) settle(ctx context.Context, f *Followed) error {
	switch {
	case f.Ended() && f.Hint.Announced >= f.Seq():
		return t.Records.Close(ctx, f.ID)
	case f.Hint == f.before:
		return nil
	}
	if err := t.Records.SetHint(ctx, f.ID, f.Hint); err != nil {
		return err
	}
	f.before = f.Hint
	return nil
}

// send returns the error of each message that was not sent, by index.
func (t *Tracker) send(ctx context.Context, messages []mns.Message) map[int]error {
	unsent := map[int]error{}
	if len(messages) == 0 {
		return unsent
	}
	err := t.Tasks.SendBatch(ctx, messages)
	var partial *mns.BatchError
	switch {
	case errors.As(err, &partial):
		for _, f := range partial.Failed {
			unsent[f.Index] = fmt.Errorf("send nudge: %w", f.Err)
		}
	case err != nil:
		for i := range messages {
			unsent[i] = fmt.Errorf("send nudge: %w", err)
		}
	}
	return unsent
}

// OutOfDate says that a later look than the nudge's is planned, so that the
// nudge is one of several and can go.
func OutOfDate(n events.Nudge, hint record.Hint) bool {
	return !n.Next.IsZero() && hint.Next.After(n.Next) // one without a time was sent by hand
}
