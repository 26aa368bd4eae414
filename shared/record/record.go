// Package record keeps the logs of exports, and what is needed to find them, in
// a bucket of their own:
//
//	exports/<id>             an appendable object of JSON lines: the log
//	active/<id>              exists until the export's end is announced; a Hint
//	by-image/<imageId>/<id>  for lists by image
//	by-caller/<digest>/<n>   claims of a caller's places for open exports
//	idempotency/<digest>     claims of a caller's idempotency key
//	queue/<time>-<id>        an export's place in the queue
//	queue/<time>-<id>@<img>  it lets others pass while its image is exported
//	queue/.hold              what everybody waits for, and until when
//	slots/<n>                the right to one of the deployment's tasks; blank if
//	                         it was given back
//	unmanaged/<hash>         a disk object that somebody else exported
//	progress/<id>/…          what ECS last said of an export's progress
//	parked/<message id>      a message that could not be handled, with the reason
//	parked/export-<id>       the same of an export whose log can't be read
//	sweep-cursor             where the next sweep of active/ goes on
//
// The append is the claim: a log grows only from the length that its writer has
// read, so of two writers one loses and reads again. Everything else is created
// once, or is a hint that may be stale. No promise rests on a listing.
package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
)

var (
	// ErrNotFound means that there is no log of this id.
	ErrNotFound = errors.New("no such export")
	// ErrUnreadable means that there is one that can't be a log, or is one of a
	// later version.
	ErrUnreadable = errors.New("the log can't be read")
	// ErrExists means that the id is taken.
	ErrExists = errors.New("export id is taken")
	// ErrLost means that somebody else appended first: load the log again and
	// decide again.
	ErrLost = errors.New("another writer appended first")
)

// Store keeps records in a bucket. It is safe for concurrent use.
type Store struct {
	bucket *oss.Bucket
	now    func() time.Time
}

// New returns a store in a bucket. The bucket must not be versioned.
func New(bucket *oss.Bucket, now func() time.Time) *Store {
	return &Store{bucket: bucket, now: now}
}

// Log is an export with its length in the bucket, where the next line goes.
type Log struct {
	export.Export
	length int64
}

// Load reads an export. It returns ErrNotFound if there is none, and ErrUnreadable
// for a log that only a person can mend.
func (s *Store) Load(ctx context.Context, id string) (Log, error) {
	body, _, err := s.bucket.Get(ctx, "exports/"+id)
	if errors.Is(err, oss.ErrNotFound) {
		return Log{}, fmt.Errorf("load export %s: %w", id, ErrNotFound)
	}
	if errors.Is(err, oss.ErrTooLarge) {
		return Log{}, fmt.Errorf("load export %s: %w: %v", id, ErrUnreadable, err)
	}
	if err != nil {
		return Log{}, fmt.Errorf("load export %s: %w", id, err)
	}
	lines, err := decode(body)
	var x export.Export
	if err == nil {
		x, err = export.New(id, lines)
	}
	if err != nil {
		return Log{}, fmt.Errorf("load export %s: %w: %w", id, ErrUnreadable, err)
	}
	return Log{Export: x, length: int64(len(body))}, nil
}

// Empty is the log of an export that has no line yet.
func Empty(id string) Log {
	x, _ := export.New(id, nil)
	return Log{Export: x}
}

// Append adds lines to a log, all or none, and returns the longer log. It fills
// in each line's Seq, Time and Nonce. The nonce must be the writer's alone. It
// returns ErrLost if the log has grown since it was read. Where the answer to
// the append is lost, it finds out by reading what happened.
func (s *Store) Append(ctx context.Context, log Log, nonce string, lines ...export.Line) (Log, error) {
	now := s.now().UTC().Truncate(time.Millisecond)
	if now.Before(log.UpdatedAt) {
		now = log.UpdatedAt // clocks differ between instances; the log's doesn't run backwards
	}
	next := log
	var body []byte
	for i, l := range lines {
		l.Seq, l.Time, l.Nonce = log.Seq()+1+i, now, nonce
		x, err := next.With(l)
		if err != nil {
			return Log{}, err
		}
		next.Export = x
		b, err := json.Marshal(l)
		if err != nil {
			return Log{}, fmt.Errorf("append to export %s: %w", log.ID, err)
		}
		body = append(append(body, b...), '\n')
	}
	next.length += int64(len(body))

	const tries = 3
	for try := 1; ; try++ {
		_, err := s.bucket.Append(ctx, "exports/"+log.ID, log.length, body)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, oss.ErrPosition) && !errors.Is(err, oss.ErrUnsettled) {
			return Log{}, fmt.Errorf("append to export %s: %w", log.ID, err)
		}
		// Lost to another writer, or to ourselves: an append whose answer did
		// not arrive may have been carried out.
		current, loadErr := s.Load(ctx, log.ID)
		switch {
		case loadErr == nil && current.Seq() > log.Seq():
			if current.Lines[log.Seq()].Nonce == nonce {
				return current, nil
			}
			return Log{}, fmt.Errorf("append to export %s: %w", log.ID, ErrLost)
		case loadErr != nil && !errors.Is(loadErr, ErrNotFound):
			return Log{}, fmt.Errorf("append to export %s: %w", log.ID, errors.Join(err, loadErr))
		case try == tries:
			return Log{}, fmt.Errorf("append to export %s: %w", log.ID, err)
		}
		// It has not arrived. If it still does, it takes the place of this
		// try, which holds the same lines.
	}
}

func decode(body []byte) ([]export.Line, error) {
	var lines []export.Line
	for len(body) > 0 {
		line, rest, ok := bytes.Cut(body, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("line %d has no end", len(lines)+1)
		}
		var l export.Line
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(lines)+1, err)
		}
		lines, body = append(lines, l), rest
	}
	return lines, nil
}
