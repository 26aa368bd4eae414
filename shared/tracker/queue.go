package tracker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/record"
)

// askQueue answers the questions that the queue puts.
func (t *Tracker) askQueue(ctx context.Context, f *Followed, q export.Question, seen *export.Seen) error {
	switch q {
	case export.AskQueue:
		queue, err := t.Records.Queue(ctx)
		if err != nil {
			return err
		}
		seen.Queue = &queue
	case export.AskImage:
		tasks, err := t.ECS.TasksByImage(ctx, f.Request.ImageID)
		if err != nil {
			return err
		}
		busy := false
		for _, task := range tasks {
			busy = busy || !seenTask(task).Status.Ended()
		}
		seen.ImageBusy = &busy
	case export.AskSlot:
		number, err := t.Records.TakeSlot(ctx, f.ID, t.Policy.Tasks, t.needsSlot)
		if err != nil {
			return err
		}
		f.slot = number
		ok := number > 0
		seen.Slot = &ok
	}
	return nil
}

// needsSlot says that an export may have a task that runs, or has just taken its
// slot and is about to claim the right to start one. One whose log can't be read
// may have both.
func (t *Tracker) needsSlot(ctx context.Context, id string, taken time.Time) (bool, error) {
	recent := t.Now().Sub(taken) < t.Policy.SubmitTimeout+t.Policy.ClockSkew
	log, err := t.Records.Load(ctx, id)
	switch {
	case errors.Is(err, record.ErrNotFound):
		return recent, nil
	case errors.Is(err, record.ErrUnreadable):
		return true, nil
	case err != nil:
		return false, err
	case recent && log.State.Waits():
		return true, nil
	}
	return log.NeedsSlot(func() ([]export.TaskSeen, error) {
		return t.candidates(ctx, &Followed{Log: log})
	}, t.Policy, t.Now())
}

// queue does what a decision says about the queue, and notes in seen how the
// queue is now.
func (t *Tracker) queue(ctx context.Context, f *Followed, act export.Action, seen *export.Seen) error {
	me, image := f.Place(), f.Request.ImageID
	q := *seen.Queue
	switch act := act.(type) {
	case export.Join:
		if err := t.Records.Join(ctx, me); err != nil {
			return err
		}
		q = q.With(me)
	case export.StandAside:
		if err := t.Records.StandAside(ctx, me, image); err != nil {
			return err
		}
		q = q.Without(f.ID)
		me.ImageID = image
		q = q.With(me)
		t.nudgeHead(ctx, q, f.ID)
	case export.StepBack:
		if err := t.Records.StepBack(ctx, me, image); err != nil {
			return err
		}
		q = q.Without(f.ID).With(me)
	case export.Hold:
		if err := t.Records.SetHold(ctx, act.Delay); err != nil {
			return err
		}
		slog.WarnContext(ctx, "exports are held", "code", act.Delay.Code, "message", act.Delay.Message, "until", act.Delay.Next)
		q.Hold = &act.Delay
	}
	seen.Queue = &q
	return nil
}

// moved tells the queue that an export went on from a state. What fails here is
// made good by the next poll, or by the end of the hold, so it is only logged.
func (t *Tracker) moved(ctx context.Context, f *Followed, before export.State, q *export.Queue) {
	if f.slot > 0 && before == export.Submitting && f.State == export.Queued && f.Delay.Refused && f.Doubt == 0 {
		// Whoever has its turn next, because this one steps aside, can have the slot.
		if err := t.giveSlotBack(ctx, f); err != nil {
			slog.WarnContext(ctx, "slot", "export", f.ID, "error", err)
		}
	}
	left, ended := f.Moved(before)
	if left && !ended && f.Delay == nil && q != nil {
		if _, place := q.Find(f.ID); place < 0 {
			return // it never waited
		}
	}
	if !ended && !left {
		return
	}
	if err := t.release(ctx, f, ended); err != nil {
		slog.WarnContext(ctx, "queue", "export", f.ID, "error", err)
	}
}

func (t *Tracker) giveSlotBack(ctx context.Context, f *Followed) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	number := f.slot
	f.slot = 0
	return t.Records.GiveSlotBack(ctx, number)
}

func (t *Tracker) release(ctx context.Context, f *Followed, ended bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	q, err := t.Records.Queue(ctx)
	if err != nil {
		return err
	}
	if me, place := q.Find(f.ID); place >= 0 && !f.State.Waits() {
		if err := t.Records.Leave(ctx, me, f.Request.ImageID); err != nil {
			return err
		}
		q = q.Without(f.ID)
	}
	if ended {
		if q.Hold != nil && !q.Hold.Weekly() {
			if err := t.Records.EndHold(ctx); err != nil {
				return err
			}
			q.Hold = nil
		}
		if w, ok := q.First(f.Request.ImageID); ok {
			if err := t.Records.StepBack(ctx, w, w.ImageID); err != nil {
				return err
			}
			q = q.Without(w.ID)
			w.ImageID = ""
			q = q.With(w)
		}
	}
	t.nudgeHead(ctx, q, f.ID)
	return nil
}

// nudgeHead lets the head try now, unless that is no use. A nudge without a time
// is in no chain, and followed whatever look is planned.
func (t *Tracker) nudgeHead(ctx context.Context, q export.Queue, but string) {
	head, ok := q.Head(but)
	if !ok || q.Holds(t.Now()) {
		return
	}
	body, err := json.Marshal(events.Nudge{ID: head.ID})
	if err == nil {
		err = t.send(ctx, []mns.Message{{Body: string(body)}})[0]
	}
	if err != nil {
		slog.WarnContext(ctx, "nudge the head of the queue", "export", head.ID, "error", err)
	}
}

// maxGone bounds the places that one look at the queue removes.
const maxGone = 16

// Head is for a poll: it returns the export at the head of the queue, if it may
// ask ECS now, and removes places on the way whose exports wait no more, because
// somebody died between their end and their leaving.
func (t *Tracker) Head(ctx context.Context, q export.Queue) (*Followed, error) {
	var aside []export.Waiting
	images := map[string]bool{}
	gone := 0
	var head *Followed
	for _, w := range q.Waiting {
		if w.ImageID != "" {
			if !images[w.ImageID] {
				aside = append(aside, w) // the others of its image wait behind it
			}
			images[w.ImageID] = true
			continue
		}
		if gone == maxGone || head != nil || gone == 0 && q.Holds(t.Now()) {
			continue
		}
		f, err := t.waiting(ctx, w)
		if err != nil {
			return nil, err
		}
		if f == nil {
			gone++
			continue
		}
		head = f
	}
	if len(aside) > 0 {
		if _, err := t.waiting(ctx, aside[rand.IntN(len(aside))]); err != nil {
			return nil, err
		}
	}
	return head, nil
}

// Park keeps the reason why the log of an export can't be read, and says so once.
func (t *Tracker) Park(ctx context.Context, id string, reason error) error {
	first, err := t.Records.ParkExport(ctx, id, reason)
	if first {
		slog.WarnContext(ctx, "parked", "export", id, "error", reason)
	}
	return err
}

// waiting loads an export that has a place in the queue. It takes the place from
// one that waits no more, or can't be read, and returns nil for it.
func (t *Tracker) waiting(ctx context.Context, w export.Waiting) (*Followed, error) {
	f, _, err := t.Load(ctx, w.ID)
	if err == nil && f.State.Waits() {
		return f, nil
	}
	switch {
	case errors.Is(err, record.ErrUnreadable):
		// It must not hold up the others. Once it is mended, it joins again where
		// it was.
		err = t.Park(ctx, w.ID, err)
	case err == nil || errors.Is(err, record.ErrNotFound):
		slog.WarnContext(ctx, "place in the queue was left behind", "export", w.ID)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return nil, t.Records.Leave(ctx, w, w.ImageID)
}

// longestPause is between two calls of ExportImage that ECS refuses for their
// number.
const longestPause = 5 * time.Second

// callTime is what one more call needs before the claim ends. One that is cut off
// by the end has an answer that nobody knows.
const callTime = time.Second

// exportImage calls ExportImage, and again only where ECS says that it did nothing
// because there were too many calls or another was under way, as long as there is
// time.
func (t *Tracker) exportImage(ctx context.Context, r ecs.ExportRequest) (taskID string, err error) {
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		taskID, err = t.ECS.ExportImage(ctx, r)
		if _, refused := ecs.Refusal(err); !refused || !errors.Is(err, ecs.ErrThrottled) {
			return taskID, err
		}
		d := pause/2 + rand.N(pause/2+1)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d+callTime {
			return "", err
		}
		timer := time.NewTimer(d)
		select {
		case <-ctx.Done():
			timer.Stop()
			return "", err
		case <-timer.C:
		}
	}
}

// mostQueueWait is how long MNS delays a message.
const mostQueueWait = 7 * 24 * time.Hour

func validateQueue(c Config) error {
	var problems []error
	if c.QueueWait <= 0 || c.QueueWait > mostQueueWait {
		problems = append(problems, fmt.Errorf(
			"QUEUE_WAIT is %v: it must be above zero and at most %v, the longest delay of a message; below 15m ECS is asked more than four times an hour while its weekly quota is used up",
			c.QueueWait, mostQueueWait))
	}
	if c.MaxQueued <= 0 {
		problems = append(problems, fmt.Errorf("MAX_QUEUED is %v: it must be above zero", c.MaxQueued))
	}
	if c.TasksAtOnce < 0 || c.TasksAtOnce > 100 {
		problems = append(problems, fmt.Errorf("TASKS_AT_ONCE is %d: it must be from 1 to 100, or 0 to leave the limit to ECS", c.TasksAtOnce))
	}
	return errors.Join(problems...)
}
