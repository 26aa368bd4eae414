package record

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"ecs-image-export/events"
	"ecs-image-export/shared/oss"
)

// UnmanagedID identifies one version of an object that somebody else exported.
func UnmanagedID(bucket, key, etag string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{bucket, key, etag}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// AddUnmanaged catalogs an object that somebody else exported, and returns what
// the catalog has of it: doing it again changes nothing, even where the same
// content was written again since.
func (s *Store) AddUnmanaged(ctx context.Context, u events.Unmanaged) (events.Unmanaged, error) {
	key := "unmanaged/" + UnmanagedID(u.Bucket, u.Key, u.ETag)
	err := s.create(ctx, key, u)
	if errors.Is(err, oss.ErrExists) {
		var body []byte
		if body, _, err = s.bucket.Get(ctx, key); err == nil {
			err = json.Unmarshal(body, &u)
		}
	}
	if err != nil {
		return u, fmt.Errorf("catalog unmanaged object %s/%s: %w", u.Bucket, u.Key, err)
	}
	return u, nil
}
