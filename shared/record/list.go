package record

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ecs-image-export/shared/oss"
)

// Entry is an export in a list.
type Entry struct {
	ID string
	// Touched is when the entry was last written.
	Touched time.Time
}

// Scope says which exports a list is over.
type Scope struct{ prefix string }

// All lists every export ever made, Active those that have not ended yet.
var (
	All    = Scope{"exports/"}
	Active = Scope{"active/"}
)

// OfImage lists the exports of one image.
func OfImage(imageID string) Scope { return Scope{byImage(imageID)} }

// MaxName is how long the name of an entry can be, in bytes: a key in OSS has 1,023
// at most, and the prefix takes its part.
func (s Scope) MaxName() int { return 1023 - len(s.prefix) }

// List returns up to max exports of a scope that come after the id given, newest
// first, with one call. more says that others follow.
func (s *Store) List(ctx context.Context, scope Scope, after string, max int) (entries []Entry, more bool, err error) {
	options := oss.ListOptions{Prefix: scope.prefix, Max: max}
	if after != "" {
		options.StartAfter = scope.prefix + after
	}
	page, err := s.bucket.List(ctx, options)
	if err != nil {
		return nil, false, fmt.Errorf("list %s: %w", scope.prefix, err)
	}
	for _, o := range page.Objects {
		entries = append(entries, Entry{ID: strings.TrimPrefix(o.Key, scope.prefix), Touched: o.LastModified})
	}
	return entries, page.Next != "", nil
}

const cursorKey = "sweep-cursor"

// Cursor returns the id behind which the next sweep goes on, "" to begin anew.
func (s *Store) Cursor(ctx context.Context) (string, error) {
	body, _, err := s.bucket.Get(ctx, cursorKey)
	if errors.Is(err, oss.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the sweep's cursor: %w", err)
	}
	return string(body), nil
}

// SetCursor keeps the id behind which the next sweep goes on.
func (s *Store) SetCursor(ctx context.Context, id string) error {
	if err := s.bucket.Put(ctx, cursorKey, []byte(id), oss.PutOptions{}); err != nil {
		return fmt.Errorf("keep the sweep's cursor: %w", err)
	}
	return nil
}
