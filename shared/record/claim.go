package record

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"ecs-image-export/shared/oss"
)

// Claim gives something to an export: a caller's idempotency key, or one of the
// places that a caller has for open exports. A claim ends by its age or with its
// export, as its readers see it; then the next one can be made.
type Claim struct {
	// ID is of the export, which may not have begun yet. A blank one gives back what
	// was claimed before.
	ID string `json:"id"`
	// Body is a digest of what was asked for with an idempotency key.
	Body string `json:"body,omitempty"`
	// Key is the digest of the idempotency key that a place was claimed for.
	Key string    `json:"key,omitempty"`
	At  time.Time `json:"at"`
}

// Claimed is the latest claim of something, with what it takes to make the next
// one. ID is blank if there is none, or if it was given back.
type Claimed struct {
	Claim
	length int64
}

// Claimable names something that exports claim.
type Claimable struct{ key string }

// IdempotencyKey is a caller's key, by a digest of both.
func IdempotencyKey(digest string) Claimable { return Claimable{"idempotency/" + digest} }

// CallerPlace is the nth of the places that a caller has for open exports.
func CallerPlace(digest string, n int) Claimable {
	return Claimable{fmt.Sprintf("by-caller/%s/%d", digest, n)}
}

// Digest names what should not be read in records, such as a caller's key. No part
// may hold a NUL.
func Digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// Claim reads the latest claim.
func (s *Store) Claim(ctx context.Context, what Claimable) (Claimed, error) {
	body, _, err := s.bucket.Get(ctx, what.key)
	if errors.Is(err, oss.ErrNotFound) {
		return Claimed{}, nil
	}
	c := Claimed{length: int64(len(body))}
	if err == nil {
		line := bytes.TrimSuffix(body, []byte("\n"))
		err = json.Unmarshal(line[bytes.LastIndexByte(line, '\n')+1:], &c.Claim)
	}
	if err != nil {
		return Claimed{}, fmt.Errorf("read claim %s: %w", what.key, err)
	}
	return c, nil
}

// SetClaim makes the next claim after the one given. It returns ErrLost if somebody
// else made it first. The claim must differ from the one before: where the answer
// is lost, it tells who won.
func (s *Store) SetClaim(ctx context.Context, what Claimable, last Claimed, next Claim) (Claimed, error) {
	next.At = next.At.UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(next)
	if err != nil {
		return Claimed{}, fmt.Errorf("claim %s: %w", what.key, err)
	}
	line = append(line, '\n')
	made := Claimed{Claim: next, length: last.length + int64(len(line))}
	const tries = 3
	for try := 1; ; try++ {
		_, err := s.bucket.Append(ctx, what.key, last.length, line)
		if err == nil {
			return made, nil
		}
		if !errors.Is(err, oss.ErrPosition) && !errors.Is(err, oss.ErrUnsettled) {
			return Claimed{}, fmt.Errorf("claim %s: %w", what.key, err)
		}
		current, readErr := s.Claim(ctx, what)
		switch {
		case readErr != nil:
			return Claimed{}, fmt.Errorf("claim %s: %w", what.key, errors.Join(err, readErr))
		case current == made:
			return made, nil
		case current.length != last.length:
			return Claimed{}, fmt.Errorf("claim %s: %w", what.key, ErrLost)
		case try == tries:
			return Claimed{}, fmt.Errorf("claim %s: %w", what.key, err)
		}
		// It has not arrived. If it still does, it takes the place of this try.
	}
}
