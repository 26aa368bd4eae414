package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
)

// maxIdempotencyExpiry is less than the lifecycle rule of the records bucket gives
// to the claims of keys, 30 days.
const maxIdempotencyExpiry = 28 * 24 * time.Hour

const maxKey = 255 // characters

// Two forms of a key: the string of RFC 9651 that the draft asks for
// (draft-ietf-httpapi-idempotency-key-header-07), and the bare one that many
// clients send. Both stand for the same key.
var (
	quotedKey = regexp.MustCompile(`^"((?:[ !#-\[\]-~]|\\["\\])*)"$`)
	bareKey   = regexp.MustCompile(`^[0-9A-Za-z._~:+/=@-]+$`)
)

// parseIdempotencyKey reads the header. Two headers come joined with a comma, which
// no bare key has, and which ends no quoted one.
func parseIdempotencyKey(value string) (string, error) {
	value = strings.Trim(value, " \t")
	key := value
	if m := quotedKey.FindStringSubmatch(value); m != nil {
		key = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[1])
	} else if !bareKey.MatchString(value) {
		return "", errors.New(`must be one string in double quotes, such as "8e03978e-40d5-43dd-bc93-6894a57f9324"`)
	}
	if key == "" || len(key) > maxKey {
		return "", fmt.Errorf("must have 1 to %d characters", maxKey)
	}
	return key, nil
}

// idempotent is an order that is sent with a key.
type idempotent struct {
	key    record.Claimable
	digest string         // of caller and key
	body   string         // digest of the order
	claim  record.Claimed // the latest of the key
	stands bool           // the claim has not expired, and its export was not abandoned
}

// idempotentOrder reads the key of an order, nil if it has none. The error is a
// problem.
func idempotentOrder(ctx huma.Context, o exportOrder) (*idempotent, error) {
	r, _ := humago.Unwrap(ctx)
	sent := r.Header.Values("Idempotency-Key")
	if len(sent) == 0 {
		return nil, nil
	}
	key, err := parseIdempotencyKey(strings.Join(sent, ", "))
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, codeMalformed, "The header Idempotency-Key can't be read.",
			finding{Location: "header.Idempotency-Key", Message: err.Error(), Value: shorten(strings.Join(sent, ", "))})
	}
	// The order as it was understood: neither spaces nor the order of its fields
	// make it another.
	body, err := json.Marshal(o)
	if err != nil {
		return nil, internal(ctx.Context(), err)
	}
	who := callerOf(ctx.Context())
	digest := record.Digest(who.issuer, who.subject, key)
	return &idempotent{key: record.IdempotencyKey(digest), digest: digest, body: record.Digest(string(body))}, nil
}

// first looks up the export that was made for a key; nil if none was. A key that
// was used for another order is a problem.
func (s *server) first(ctx context.Context, i *idempotent) (x *export.Export, err error) {
	if i.claim, err = s.tracker.Records.Claim(ctx, i.key); err != nil {
		return nil, err
	}
	i.stands = i.claim.ID != "" && s.tracker.Now().Sub(i.claim.At) < s.config.IdempotencyExpiry
	if !i.stands {
		return nil, nil
	}
	log, err := s.tracker.Records.Load(ctx, i.claim.ID)
	begun := err == nil
	switch {
	case err != nil && !errors.Is(err, record.ErrNotFound):
		if unanswered(err) {
			return nil, err
		}
		return nil, unreadable(ctx, err)
	case begun && log.Abandoned():
		// Its caller never got an answer, and nothing was exported.
		i.stands = false
		return nil, nil
	case i.claim.Body != i.body:
		return nil, newProblem(http.StatusUnprocessableEntity, codeKeyReused,
			fmt.Sprintf("This Idempotency-Key came with another order at %s. Take a new key for a new order.", i.claim.At.Format(time.RFC3339)),
			finding{Location: "header.Idempotency-Key", Message: "stands for another order; send a new one"})
	case begun && log.Request.Claim != i.digest:
		return nil, unreadable(ctx, fmt.Errorf("export %s was not begun for claim %s", log.ID, i.digest))
	case begun:
		return &log.Export, nil
	}
	return nil, nil
}

// claim makes the order's key stand for an export that has one of its caller's
// places: an order that there is no place for leaves the key for any other. Where
// somebody else is faster, the key is theirs, and x is the export if it has begun.
// Who dies in between, or does not learn whether the key was claimed, leaves a place
// that the next try finds by the key.
func (s *server) claim(ctx context.Context, i *idempotent) (x *export.Export, err error) {
	const rounds = 5
	for range rounds {
		if i.stands {
			_, err = s.admit(ctx, i.claim.ID, "")
			return nil, err
		}
		now := s.tracker.Now()
		var taken place
		if taken, err = s.admit(ctx, export.NewID(now), i.digest); err == nil {
			i.claim, err = s.tracker.Records.SetClaim(ctx, i.key, i.claim, record.Claim{ID: taken.ID, Body: i.body, At: now})
		}
		full := isFull(err)
		switch {
		case err == nil:
			i.stands = true
			return nil, nil
		case !full && !errors.Is(err, record.ErrLost):
			return nil, err
		}
		// The same order came at the same time, and may have the last place.
		x, look := s.first(ctx, i)
		if i.claim.ID != "" && i.claim.ID != taken.ID {
			s.giveBack(ctx, taken)
		}
		if x != nil || look != nil {
			return x, look
		}
		if full && !i.stands {
			return nil, err
		}
	}
	return nil, err
}

// once makes the export of an order that has a key, or finds the one that was made.
// A claim without a log is of somebody who died, or is at work now: whoever comes
// goes on under its id, and the log lets one of them begin.
func (s *server) once(ctx context.Context, i *idempotent, prefix string, r export.Request) (export.Export, error) {
	r.Claim = i.digest
	const rounds = 3
	for range rounds {
		x, err := s.claim(ctx, i)
		var p *problem
		switch {
		case errors.As(err, &p):
			return export.Export{}, p
		case err != nil:
			return export.Export{}, unclaimed(ctx, err)
		case x != nil:
			return s.again(ctx, *x)
		}
		f, err := s.tracker.BeginAs(ctx, i.claim.ID, prefix, r)
		if err != nil {
			return export.Export{}, unrecorded(ctx, r, err)
		}
		if !f.Abandoned() {
			return s.begun(ctx, f), nil
		}
		i.stands = false // the sweep was faster
	}
	return export.Export{}, unavailable(ctx, "The export could not be recorded, and nothing was submitted.", "Send the order again with the same key.",
		fmt.Errorf("the exports of claim %s were abandoned", i.digest))
}

// unclaimed is the answer where a key could not be claimed, or may have been.
func unclaimed(ctx context.Context, err error) *problem {
	if errors.Is(err, oss.ErrUnsettled) {
		return unavailable(ctx, "It is not known whether the Idempotency-Key was recorded; nothing was submitted.", "Send the order again with the same key, which is safe: it makes one export at most.", err)
	}
	return unavailable(ctx, "The Idempotency-Key could not be recorded, and nothing was submitted.", "Send the order again with the same key.", err)
}

// withKey ends the advice to send an order again.
func withKey(i *idempotent) string {
	if i == nil {
		return ""
	}
	return " with the same Idempotency-Key"
}

// again answers an order with the export that was made for it. If whoever made it
// died before its first step, that is taken now.
func (s *server) again(ctx context.Context, x export.Export) (export.Export, error) {
	function.Note(ctx, slog.String("export", x.ID), slog.Bool("again", true))
	if x.State != export.Requested {
		return x, nil
	}
	f, _, err := s.tracker.Load(ctx, x.ID)
	if err != nil {
		return x, nil // the poller takes the step
	}
	return s.step(ctx, f), nil
}
