package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
)

const (
	queuePrefix = "queue/"
	// holdKey sorts before every place in the queue.
	holdKey = queuePrefix + ".hold"
	// arrival has a fixed length, so that names sort by time.
	arrival = "20060102T150405.000Z"
	// maxQueuePages bounds a look at the queue: up to 10,000 keys.
	maxQueuePages = 10
)

func placeKey(w export.Waiting) string {
	return queuePrefix + w.Arrived.UTC().Format(arrival) + "-" + w.ID
}

// asideKey sorts right behind the place.
func asideKey(w export.Waiting) string { return placeKey(w) + "@" }

// Queue reads who waits, in the order of arrival: one call where nobody does, and
// one for each thousand keys. Of a queue longer than 10,000 keys it reads the front.
func (s *Store) Queue(ctx context.Context) (export.Queue, error) {
	var q export.Queue
	held := false
	options := oss.ListOptions{Prefix: queuePrefix}
	for range maxQueuePages {
		page, err := s.bucket.List(ctx, options)
		if err != nil {
			return export.Queue{}, fmt.Errorf("list the queue: %w", err)
		}
		for _, o := range page.Objects {
			if o.Key == holdKey {
				held = true
				continue
			}
			w, ok := parsePlace(o.Key)
			if !ok {
				continue // no place of ours
			}
			if last := len(q.Waiting) - 1; last >= 0 && q.Waiting[last].ID == w.ID {
				q.Waiting[last] = w
			} else {
				q.Waiting = append(q.Waiting, w)
			}
		}
		if options.Token = page.Next; page.Next == "" {
			break
		}
	}
	if !held {
		return q, nil
	}
	body, _, err := s.bucket.Get(ctx, holdKey)
	if errors.Is(err, oss.ErrNotFound) {
		return q, nil // lifted meanwhile
	}
	if err != nil {
		return export.Queue{}, fmt.Errorf("read the queue's hold: %w", err)
	}
	var d export.Delay
	if json.Unmarshal(body, &d) == nil { // one that can't be read holds nobody
		q.Hold = &d
	}
	return q, nil
}

func parsePlace(key string) (export.Waiting, bool) {
	name, imageID, _ := strings.Cut(strings.TrimPrefix(key, queuePrefix), "@")
	at, id, ok := strings.Cut(name, "-")
	if !ok {
		return export.Waiting{}, false
	}
	t, err := time.Parse(arrival, at)
	if err != nil {
		return export.Waiting{}, false
	}
	if _, err := export.ParseID(id); err != nil {
		return export.Waiting{}, false
	}
	return export.Waiting{ID: id, Arrived: t, ImageID: imageID}, true
}

// Join gives an export its place in the queue. To have it already is no error.
func (s *Store) Join(ctx context.Context, w export.Waiting) error {
	return s.place(ctx, "join", w, placeKey(w))
}

// StandAside lets others pass an export that waits for this image.
func (s *Store) StandAside(ctx context.Context, w export.Waiting, imageID string) error {
	return s.place(ctx, "stand aside", w, asideKey(w)+imageID)
}

func (s *Store) place(ctx context.Context, what string, w export.Waiting, key string) error {
	if err := s.bucket.Create(ctx, key, nil); err != nil && !errors.Is(err, oss.ErrExists) {
		return fmt.Errorf("export %s: %s in the queue: %w", w.ID, what, err)
	}
	return nil
}

// StepBack ends that others pass an export.
func (s *Store) StepBack(ctx context.Context, w export.Waiting, imageID string) error {
	if err := s.bucket.Delete(ctx, asideKey(w)+imageID); err != nil {
		return fmt.Errorf("export %s: step back in the queue: %w", w.ID, err)
	}
	return nil
}

// Leave gives up a place. To have none is no error.
func (s *Store) Leave(ctx context.Context, w export.Waiting, imageID string) error {
	// The place goes last: what is left of a death in between is a place.
	for _, key := range []string{asideKey(w) + imageID, placeKey(w)} {
		if err := s.bucket.Delete(ctx, key); err != nil {
			return fmt.Errorf("export %s: leave the queue: %w", w.ID, err)
		}
	}
	return nil
}

// SetHold keeps everybody from asking ECS until the delay's Next.
func (s *Store) SetHold(ctx context.Context, d export.Delay) error {
	body, err := json.Marshal(d)
	if err == nil {
		err = s.bucket.Put(ctx, holdKey, body, oss.PutOptions{ContentType: "application/json"})
	}
	if err != nil {
		return fmt.Errorf("hold the queue: %w", err)
	}
	return nil
}

// EndHold lets the head ask again.
func (s *Store) EndHold(ctx context.Context) error {
	if err := s.bucket.Delete(ctx, holdKey); err != nil {
		return fmt.Errorf("end the queue's hold: %w", err)
	}
	return nil
}
