package rpc

import (
	"context"
	"math/rand/v2"
	"time"
)

const longestWait = 5 * time.Second

// wait waits before the try after this one. It returns false if the context ends
// first or would have ended by then.
func wait(ctx context.Context, backoff time.Duration, try int) bool {
	d := min(backoff<<(try-1), longestWait)
	// At least half, so that a throttled service gets some rest.
	d = d/2 + rand.N(d/2+1)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
