// Package tracker takes the step that every function takes when it is nudged
// about an export: load the log, announce what was not announced, look at the
// world, decide, act, record, announce. It does not matter which function takes
// it, whether several do at once, or whether one of them dies half-way: the log
// says what is so, and whoever comes next goes on from there.
//
// What to do is decided in shared/export; this package only carries it out.
package tracker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
)

// Tracker follows exports. It is safe for concurrent use.
type Tracker struct {
	Records *record.Store
	OSS     *oss.Client
	ECS     *ecs.Client
	Tasks   *mns.Queue // nudges
	Events  *mns.Topic // announcements
	Policy  export.Policy

	AccountID string
	Region    string

	Now func() time.Time

	connections *http.Transport
}

// Rest is for the end of an event. Function Compute freezes an instance between
// two events, and the other side closes its connections meanwhile: a write sent
// on one of them fails without anybody knowing whether it arrived.
func (t *Tracker) Rest() { t.connections.CloseIdleConnections() }

// Known is what the caller of a step has found out before it.
type Known struct {
	// Task is the task of the log as ECS describes it now.
	Task *export.TaskSeen
	// Objects are keys of objects that have landed.
	Objects []string
}

// Followed is an export that a step has been taken on.
type Followed struct {
	record.Log
	Hint record.Hint
	// Wait is how long the next look can wait; it means nothing at the end.
	Wait time.Duration
	// before is what Hint says in the bucket.
	before record.Hint
	// slot is the one of the deployment's slots that this step took; 0: none.
	slot int
}

// Ended says that there is nothing left to follow.
func (f *Followed) Ended() bool { return f.State.Terminal() }

// maxTurns bounds the decisions of one step. A step has about a dozen; more
// means that it goes round in circles.
const maxTurns = 64

// recordTimeout bounds one append to a log, with finding out what became of it:
// twice the 10 seconds of a request to OSS that hangs.
const recordTimeout = 20 * time.Second

// Load reads an export for a step. It returns record.ErrNotFound if there is
// none. An export whose end is announced has no hint any more: open is false.
func (t *Tracker) Load(ctx context.Context, id string) (f *Followed, open bool, err error) {
	log, err := t.Records.Load(ctx, id)
	if err != nil {
		return nil, false, err
	}
	hint, open, err := t.Records.Hint(ctx, id)
	if err != nil {
		return nil, false, err
	}
	switch {
	case !open && log.State.Terminal():
		hint.Announced = log.Seq()
	case !open:
		// Only a hand in the bucket can have removed it. Announcing again is
		// better than not announcing.
		hint, open = record.Hint{ImageID: log.Request.ImageID}, true
	}
	return &Followed{Log: log, Hint: hint, before: hint}, open, nil
}

// Step does all that can be done about an export now. On an error the step is
// incomplete, and what it did stays done.
func (t *Tracker) Step(ctx context.Context, f *Followed, known Known) error {
	err := t.step(ctx, f, known)
	if err != nil {
		return fmt.Errorf("follow export %s: %w", f.ID, err)
	}
	return nil
}

func (t *Tracker) step(ctx context.Context, f *Followed, known Known) error {
	writer := rand.Text()
	seen := export.Seen{Writer: writer, Task: known.Task}
	if err := t.announce(ctx, f); err != nil {
		return err
	}
	if len(known.Objects) > 0 {
		var err error
		if seen.Objects, err = t.landed(ctx, f, known.Objects); err != nil {
			return err
		}
	}
	for range maxTurns {
		switch act := export.Decide(f.Export, seen, t.Policy, t.Now()).(type) {
		case export.Ask:
			if err := t.ask(ctx, f, act.Question, &seen); err != nil {
				if seen.Blind != "" || !refused(err) {
					return err
				}
				slog.WarnContext(ctx, "look refused", "export", f.ID, "error", err)
				seen.Blind = err.Error() // that may be a reason to give up, or to let others pass
			}
		case export.Join, export.StandAside, export.StepBack, export.Hold:
			if err := t.queue(ctx, f, act, &seen); err != nil {
				return err
			}
		case export.Submit:
			seen.Submission = t.submit(ctx, f, act.Until)
		case export.CancelTask:
			seen.StopAsked = t.cancelTask(ctx, f)
			seen.Task = nil // it may have ended by that
		case export.Clear:
			cleared, err := t.clear(ctx, f)
			if err == nil {
				seen.Cleared = &cleared
			} else if seen.Blind != "" || !refused(err) {
				return err
			} else {
				seen.Blind = err.Error()
			}
		case export.PutManifest:
			if err := t.putManifest(ctx, f); err == nil {
				seen.Manifest = true
			} else if seen.Blind != "" || !refused(err) {
				return err
			} else {
				seen.Blind = err.Error()
			}
		case export.Append:
			longer, err := t.append(ctx, f, writer, act.Lines)
			if errors.Is(err, record.ErrLost) {
				if f.Log, err = t.Records.Load(ctx, f.ID); err != nil {
					return err
				}
				// All that was seen may be out of date, except our own call.
				seen = export.Seen{Writer: writer, Submission: seen.Submission}
			} else if err != nil {
				return err
			} else {
				if longer.State != f.State {
					// Completeness is judged by a listing made after the task
					// ended, not by an earlier one.
					seen.Objects, seen.Listed = nil, false
				}
				if longer.State == export.Canceling {
					// So is emptiness.
					seen.Objects, seen.Listed, seen.Cleared = nil, false, nil
				}
				before := f.State
				f.Log = longer
				t.moved(ctx, f, before, seen.Queue)
			}
			if err := t.announce(ctx, f); err != nil {
				return err
			}
		case export.Wait:
			f.Wait = act.For
			return nil
		case export.Done:
			return nil
		}
	}
	return fmt.Errorf("no end after %d decisions in state %s", maxTurns, f.State)
}

// refused says that the cloud will answer so until a person changes something.
func refused(err error) bool {
	code, ok := export.Explain(err)
	return ok && !code.Passes()
}

// append records lines. It has a deadline of its own: what a call of ExportImage
// learned must not be lost because the call took all the time there was.
func (t *Tracker) append(ctx context.Context, f *Followed, writer string, lines []export.Line) (record.Log, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	longer, err := t.Records.Append(ctx, f.Log, writer, lines...)
	if err != nil {
		return record.Log{}, err
	}
	for _, l := range longer.Lines[f.Seq():] {
		attrs := []any{"export", f.ID, "seq", l.Seq, "state", l.State}
		if l.Disk != nil {
			attrs = append(attrs, "disk", l.Disk.Device)
		}
		if l.Failure != nil {
			attrs = append(attrs, "code", l.Failure.Code, "message", l.Failure.Message)
		}
		slog.InfoContext(ctx, "recorded", attrs...)
	}
	return longer, nil
}

func (t *Tracker) putManifest(ctx context.Context, f *Followed) error {
	return t.OSS.Bucket(f.Request.Bucket).Put(ctx, f.Request.ManifestKey(), f.Manifest().JSON(),
		oss.PutOptions{ContentType: "application/json"})
}

// submit calls ExportImage once.
func (t *Tracker) submit(ctx context.Context, f *Followed, until time.Time) *export.Submission {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	r := f.Request
	taskID, err := t.exportImage(ctx, ecs.ExportRequest{
		ImageID: r.ImageID, Bucket: r.Bucket, Prefix: r.OSSPrefix, Format: string(r.Format), Role: r.RoleName,
	})
	if err == nil {
		return &export.Submission{TaskID: taskID}
	}
	slog.WarnContext(ctx, "ExportImage", "export", f.ID, "attempt", f.Attempt.Number, "error", err)
	refusal, refused := ecs.Refusal(err)
	if !refused {
		return &export.Submission{}
	}
	code := export.CodeOf(export.OpExport, refusal.Code, refusal.Status)
	busy := code.Code == export.CodeImageBusy
	if code.Do == export.DoAdopt && !busy {
		return &export.Submission{} // it may have begun all the same
	}
	return &export.Submission{
		Busy:    busy,
		Limit:   code.Limit,
		Refused: &export.Failure{Code: refusal.Code, Message: refusal.Message, RequestID: refusal.RequestID},
	}
}
