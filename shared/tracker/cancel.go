package tracker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
)

var (
	// ErrEnded means that an export can't be canceled any more.
	ErrEnded = errors.New("the export has ended")
	// ErrNotEnded means that an export can't be deleted yet, ErrTaskRuns that a
	// task of it may still write to the bucket although the export has ended.
	ErrNotEnded = errors.New("the export has not ended")
	ErrTaskRuns = errors.New("it could write again what was removed")
)

// maxLost bounds how often one change loses to others that come first.
const maxLost = 10

// Cancel records that an export is not wanted any more; steps do the rest. One
// that is being canceled or is canceled stays as it is. It returns ErrEnded for
// one that has ended otherwise.
func (t *Tracker) Cancel(ctx context.Context, f *Followed, reason string) error {
	err := t.change(ctx, f, export.Line{State: export.Canceling, Reason: reason}, ErrEnded)
	if f.State == export.Canceled {
		return nil
	}
	return err
}

// change brings an export into another state, whatever others append meanwhile.
// It returns never if a state does not allow it.
func (t *Tracker) change(ctx context.Context, f *Followed, l export.Line, never error) error {
	for range maxLost {
		if f.State == l.State {
			return nil
		}
		if !export.CanFollow(f.State, l.State) {
			return fmt.Errorf("export %s is %s: %w", f.ID, f.State, never)
		}
		before := f.State
		longer, err := t.append(ctx, f, rand.Text(), []export.Line{l})
		if err == nil {
			f.Log = longer
			t.moved(ctx, f, before, nil)
			return nil
		}
		if !errors.Is(err, record.ErrLost) {
			return err
		}
		if f.Log, err = t.Records.Load(ctx, f.ID); err != nil {
			return err
		}
	}
	return fmt.Errorf("export %s: others appended first %d times", f.ID, maxLost)
}

// cancelTask calls CancelTask. A call that came to nothing is made again at the
// next look; what counts is what the task is then.
func (t *Tracker) cancelTask(ctx context.Context, f *Followed) *export.StopAsked {
	err := t.ECS.CancelTask(ctx, f.Task.ID)
	if err == nil {
		return &export.StopAsked{}
	}
	slog.WarnContext(ctx, "CancelTask", "export", f.ID, "task", f.Task.ID, "error", err)
	refusal, refused := ecs.Refusal(err)
	code, _ := export.Explain(err)
	if !refused || code.Do == export.DoAdopt {
		return &export.StopAsked{}
	}
	asked := &export.StopAsked{Refused: &export.Failure{Code: refusal.Code, Message: refusal.Message, RequestID: refusal.RequestID}}
	if !code.Passes() {
		asked.Remedy = code.Remedy
	}
	return asked
}

// clear removes what lies under the export's prefix: disks, the manifest, and
// uploads that nobody will complete.
func (t *Tracker) clear(ctx context.Context, f *Followed) (export.Cleared, error) {
	bucket := t.OSS.Bucket(f.Request.Bucket)
	objects, err := t.list(ctx, f)
	if errors.Is(err, oss.ErrNoBucket) {
		return export.Cleared{}, nil
	}
	if err != nil {
		return export.Cleared{}, err
	}
	uploads, err := bucket.Uploads(ctx, f.prefix())
	if err != nil {
		return export.Cleared{}, err
	}
	var errs []error // one that can't go keeps no other
	for _, u := range uploads {
		errs = append(errs, bucket.Abort(ctx, u))
	}
	for _, o := range objects {
		errs = append(errs, bucket.Delete(ctx, o.Key))
	}
	if err := errors.Join(errs...); err != nil {
		return export.Cleared{}, err
	}
	if n, m := len(objects), len(uploads); n+m > 0 {
		slog.InfoContext(ctx, "cleared", "export", f.ID, "objects", n, "uploads", m)
	}
	return export.Cleared{Objects: len(objects), Uploads: len(uploads)}, nil
}
