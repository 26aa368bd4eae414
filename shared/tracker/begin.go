package tracker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/record"
)

// Begin records an export that somebody asks for, with prefix before its id in
// the names of its objects, and leaves a nudge, so that from here on it reaches
// an end whatever happens to the caller. It submits nothing: the next Step does.
func (t *Tracker) Begin(ctx context.Context, prefix string, r export.Request) (*Followed, error) {
	now := t.Now().UTC().Truncate(time.Millisecond)
	hint := record.Hint{ImageID: r.ImageID, Next: now.Add(t.Policy.LookMin)}
	id, err := t.open(ctx, now, hint)
	if err != nil {
		return nil, err
	}
	return t.begin(ctx, id, prefix, r, hint, now)
}

// BeginAs is Begin under an id of the caller's. Where r.Claim is set, somebody may
// have begun the same before: it goes on where that ended, and returns the export
// as it is. Such an export may have been abandoned since. Otherwise it returns
// record.ErrExists if the id is taken.
func (t *Tracker) BeginAs(ctx context.Context, id, prefix string, r export.Request) (*Followed, error) {
	now := t.Now().UTC().Truncate(time.Millisecond)
	hint := record.Hint{ImageID: r.ImageID, Next: now.Add(t.Policy.LookMin)}
	open := t.Records.Open
	if r.Claim != "" {
		open = t.Records.Reopen
	}
	if err := open(ctx, id, hint); err != nil {
		return nil, err
	}
	f, err := t.begin(ctx, id, prefix, r, hint, now)
	if r.Claim == "" || !errors.Is(err, record.ErrLost) {
		return f, err
	}
	if f, _, err = t.Load(ctx, id); err != nil {
		return nil, err
	}
	if f.Request.Claim != r.Claim && !f.Abandoned() {
		return nil, fmt.Errorf("begin export %s: %w", id, record.ErrExists)
	}
	return f, nil
}

// begin writes the first line of an opened export and leaves a nudge.
func (t *Tracker) begin(ctx context.Context, id, prefix string, r export.Request, hint record.Hint, now time.Time) (*Followed, error) {
	r.OSSPrefix = prefix + id
	log, err := t.Records.Append(ctx, record.Empty(id), rand.Text(), export.Line{State: export.Requested, Request: &r})
	if err != nil {
		return nil, err
	}
	f := &Followed{Log: log, Hint: hint, before: hint}
	m, err := f.nudge(hint.Next, now)
	if err == nil {
		err = t.send(ctx, []mns.Message{m})[0]
	}
	if err != nil {
		// The export is on record, and the sweep finds it without a nudge. The
		// end of the caller's step need not wait for that: no look is planned.
		f.Hint.Next = time.Time{}
		slog.WarnContext(ctx, "nudge", "export", id, "error", err)
	}
	return f, nil
}

func (t *Tracker) open(ctx context.Context, now time.Time, hint record.Hint) (id string, err error) {
	for range 3 {
		id = export.NewID(now)
		if err = t.Records.Open(ctx, id, hint); !errors.Is(err, record.ErrExists) {
			return id, err
		}
	}
	return "", err
}

// Abandon closes an entry under active/ whose log was never begun, by beginning
// it with its end: a writer who still comes loses. It returns record.ErrLost if
// that writer came first.
func (t *Tracker) Abandon(ctx context.Context, id string) error {
	hint, open, err := t.Records.Hint(ctx, id)
	if err != nil || !open {
		return err
	}
	log, err := t.Records.Append(ctx, record.Empty(id), rand.Text(), export.Line{
		State:   export.Abandoned,
		Request: &export.Request{ImageID: hint.ImageID, RegionID: t.Region, Disks: []export.Disk{}},
		Reason:  "the request ended before it was recorded; its caller got no answer",
	})
	if err != nil {
		return err
	}
	f := &Followed{Log: log, Hint: hint, before: hint}
	if err := t.announce(ctx, f); err != nil {
		return err
	}
	return t.settle(ctx, f)
}
