package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecs-image-export/shared/oss"
)

// Hint is what an open export's entry under active/ says. It may be stale in
// either direction; acting on a stale one repeats an announcement or a look.
type Hint struct {
	// ImageID is the image, for an export that never gets a log.
	ImageID string `json:"imageId"`
	// Announced is the last line whose event the topic has accepted.
	Announced int `json:"announced"`
	// Next is when the next look at the export is planned.
	Next time.Time `json:"next,omitzero"`
}

// Open marks an id as an export that is to be followed, before its log begins.
// It returns ErrExists if the id is taken.
func (s *Store) Open(ctx context.Context, id string, h Hint) error {
	err := s.create(ctx, "active/"+id, h)
	if errors.Is(err, oss.ErrExists) {
		return fmt.Errorf("open export %s: %w", id, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("open export %s: %w", id, err)
	}
	err = s.bucket.Create(ctx, byImage(h.ImageID)+id, nil)
	if err != nil && !errors.Is(err, oss.ErrExists) {
		return fmt.Errorf("open export %s: %w", id, err)
	}
	return nil
}

// Reopen is Open for an id that its caller has claimed: somebody may have opened
// it for the same claim, wholly or half.
func (s *Store) Reopen(ctx context.Context, id string, h Hint) error {
	err := s.create(ctx, "active/"+id, h)
	if err == nil || errors.Is(err, oss.ErrExists) {
		err = s.bucket.Create(ctx, byImage(h.ImageID)+id, nil)
	}
	if err != nil && !errors.Is(err, oss.ErrExists) {
		return fmt.Errorf("open export %s: %w", id, err)
	}
	return nil
}

// Hint reads the hint of an export. ok is false if the export is not open.
func (s *Store) Hint(ctx context.Context, id string) (h Hint, ok bool, err error) {
	body, _, err := s.bucket.Get(ctx, "active/"+id)
	if errors.Is(err, oss.ErrNotFound) {
		return Hint{}, false, nil
	}
	if err != nil {
		return Hint{}, false, fmt.Errorf("hint of export %s: %w", id, err)
	}
	// A hint that can't be read is as good as none: everything is announced
	// and looked at again.
	_ = json.Unmarshal(body, &h)
	return h, true, nil
}

// SetHint writes the hint of an open export.
func (s *Store) SetHint(ctx context.Context, id string, h Hint) error {
	body, err := json.Marshal(h)
	if err == nil {
		err = s.bucket.Put(ctx, "active/"+id, body, oss.PutOptions{ContentType: "application/json"})
	}
	if err != nil {
		return fmt.Errorf("set hint of export %s: %w", id, err)
	}
	return nil
}

// Close ends the following of an export. Its log stays.
func (s *Store) Close(ctx context.Context, id string) error {
	if err := s.bucket.Delete(ctx, "active/"+id); err != nil {
		return fmt.Errorf("close export %s: %w", id, err)
	}
	return nil
}

func (s *Store) create(ctx context.Context, key string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.bucket.Create(ctx, key, body)
}

func byImage(imageID string) string { return "by-image/" + imageID + "/" }
