package tracker

import (
	"context"
	"fmt"
	"time"

	"ecs-image-export/shared/export"
)

// Delete removes what an ended export left in the bucket, and records it with the
// reason. One that is deleted already is looked after once more. It returns
// ErrNotEnded or ErrTaskRuns where it is too early for that. When it fails half-way,
// it has to be called again: nobody else goes on.
func (t *Tracker) Delete(ctx context.Context, f *Followed, reason string) error {
	if !f.State.Terminal() {
		return fmt.Errorf("export %s is %s: %w", f.ID, f.State, ErrNotEnded)
	}
	if err := t.announce(ctx, f); err != nil {
		return err
	}
	if err := t.quiet(ctx, f); err != nil {
		return err
	}
	if err := t.RemoveLate(ctx, f); err != nil {
		return err
	}
	if f.State == export.Deleted {
		return t.settle(ctx, f)
	}
	// Whoever finds the entry announces the line if this function can't.
	f.Hint.Next = t.Now().Add(t.Policy.LookMax).UTC().Truncate(time.Millisecond)
	if err := t.Records.SetHint(ctx, f.ID, f.Hint); err != nil {
		return err
	}
	if err := t.change(ctx, f, export.Line{State: export.Deleted, Reason: reason}, ErrNotEnded); err != nil {
		return err
	}
	if err := t.announce(ctx, f); err != nil {
		return err
	}
	if err := t.settle(ctx, f); err != nil {
		return err
	}
	// What landed meanwhile landed in an export that kept it. From the record on
	// the catalog removes it.
	return t.RemoveLate(ctx, f)
}

// quiet returns ErrTaskRuns, with what is known of it, while a task of an ended
// export may still write.
func (t *Tracker) quiet(ctx context.Context, f *Followed) error {
	hidden := !t.Now().After(f.Shown(t.Policy))
	asked := map[string]bool{}
	for _, l := range f.Lines { // the log may name a second one
		if l.Task == nil || l.Task.ID == "" || asked[l.Task.ID] {
			continue
		}
		asked[l.Task.ID] = true
		task, err := t.task(ctx, l.Task.ID)
		switch {
		case err != nil:
			return err
		case task.Status == export.TaskGone && hidden:
			return t.hidden(f, "task "+task.ID)
		case !task.Status.Ended():
			return fmt.Errorf("task %s is %s: %w", task.ID, task.Status, ErrTaskRuns)
		}
	}
	if len(asked) > 0 || f.Doubt == 0 {
		return nil
	}
	candidates, err := t.candidates(ctx, f)
	if err != nil {
		return err
	}
	for _, task := range candidates {
		if !task.Status.Ended() {
			return fmt.Errorf("task %s of image %s is %s and may be this export's: %w", task.ID, f.Request.ImageID, task.Status, ErrTaskRuns)
		}
	}
	if hidden {
		return t.hidden(f, "a call of ExportImage was never answered, and its task")
	}
	return nil
}

func (t *Tracker) hidden(f *Followed, what string) error {
	return fmt.Errorf("%s may run: until %s ECS may not tell of it yet: %w", what, f.Shown(t.Policy).Format(time.RFC3339), ErrTaskRuns)
}

// RemoveLate removes what landed after an export was canceled or deleted.
func (t *Tracker) RemoveLate(ctx context.Context, f *Followed) error {
	if f.Request.OSSPrefix == "" {
		return nil // an abandoned one never had any object
	}
	_, err := t.clear(ctx, f)
	return err
}
