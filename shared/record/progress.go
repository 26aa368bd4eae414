package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecs-image-export/shared/oss"
)

// Progress is what ECS last said of how far an export is.
type Progress struct {
	Percent int       `json:"percent"`
	At      time.Time `json:"at"`
}

// Progress returns what ECS last said; ok is false if nobody has asked yet.
func (s *Store) Progress(ctx context.Context, id string) (p Progress, ok bool, err error) {
	body, _, err := s.bucket.Get(ctx, "progress/"+id+"/latest")
	if errors.Is(err, oss.ErrNotFound) {
		return Progress{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	if err != nil {
		return Progress{}, false, fmt.Errorf("progress of export %s: %w", id, err)
	}
	return p, true, nil
}

// ClaimProgress says whether the caller may ask ECS: of all callers within one
// interval, one may. The claims expire with the bucket's lifecycle rule for
// progress/.
func (s *Store) ClaimProgress(ctx context.Context, id string, interval time.Duration) (bool, error) {
	now := s.now()
	slot := now.UnixNano() / int64(max(interval, time.Millisecond))
	key := func(slot int64) string { return fmt.Sprintf("progress/%s/%d", id, slot) }
	// A claim late in the slot before this one holds in this one too.
	before, _, err := s.bucket.Get(ctx, key(slot-1))
	if err == nil {
		at, err := time.Parse(time.RFC3339Nano, string(before))
		if err == nil && now.Sub(at) < interval {
			return false, nil
		}
	} else if !errors.Is(err, oss.ErrNotFound) {
		return false, fmt.Errorf("claim progress of export %s: %w", id, err)
	}
	err = s.bucket.Create(ctx, key(slot), []byte(now.Format(time.RFC3339Nano)))
	if errors.Is(err, oss.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("claim progress of export %s: %w", id, err)
	}
	return true, nil
}

// SetProgress keeps what ECS said.
func (s *Store) SetProgress(ctx context.Context, id string, p Progress) error {
	body, err := json.Marshal(p)
	if err == nil {
		err = s.bucket.Put(ctx, "progress/"+id+"/latest", body, oss.PutOptions{ContentType: "application/json"})
	}
	if err != nil {
		return fmt.Errorf("keep progress of export %s: %w", id, err)
	}
	return nil
}
