// Command poller is the function behind the timer: every minute it takes the
// nudges that are due from the queue and follows their exports, and sweeps a
// page of the open exports for those whose nudge was lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/tracker"
)

func main() { function.Main(New) }

// Config is the function's environment.
type Config struct {
	tracker.Config
	// Batches is how many times a poll receives messages at most, 16 at a time.
	// The poll's time bounds it too: see reserve.
	Batches int `env:"POLL_BATCHES" envDefault:"128"`
	// SweepPage is how many open exports a poll looks over.
	SweepPage int `env:"SWEEP_PAGE" envDefault:"500"`
	// SweepAfter is how long an export may go without a look before its nudge
	// is taken for lost, and an entry without a log for abandoned. No request
	// may take so long.
	SweepAfter time.Duration `env:"SWEEP_AFTER" envDefault:"10m"`
}

// Validate says what does not fit together.
func (c Config) Validate() error {
	problems := []error{c.Config.Validate()}
	if c.Batches < 1 {
		problems = append(problems, fmt.Errorf("POLL_BATCHES is %d: it must be at least 1", c.Batches))
	}
	if c.SweepPage < 1 || c.SweepPage > 1000 {
		problems = append(problems, fmt.Errorf("SWEEP_PAGE is %d: OSS lists 1 to 1000 objects a call", c.SweepPage))
	}
	if c.SweepAfter <= c.LookMax {
		problems = append(problems, fmt.Errorf("SWEEP_AFTER is %v: it must be above LOOK_MAX, %v, or exports are swept that only wait", c.SweepAfter, c.LookMax))
	}
	return errors.Join(problems...)
}

// New builds the handler.
func New(_ context.Context, c Config) (function.Handler[events.TimerEvent, struct{}], error) {
	t, err := tracker.New(c.Config, function.Credentials)
	if err != nil {
		return nil, err
	}
	return poller{t, c}.handle, nil
}

type poller struct {
	tracker *tracker.Tracker
	config  Config
}

// handle polls once. The next tick does what this one could not, so that nothing
// is gained by repeating it: an error is only logged.
func (p poller) handle(ctx context.Context, _ events.TimerEvent) (none struct{}, err error) {
	defer p.tracker.Rest()
	// Side by side, so that neither is kept from its work by exports that take
	// the other all the time.
	var swept int
	var sweepErr, queueErr error
	var others sync.WaitGroup
	others.Go(func() {
		var q export.Queue
		if q, queueErr = p.tracker.Records.Queue(ctx); queueErr == nil {
			others.Go(func() { queueErr = p.advance(ctx, q) })
		}
		swept, sweepErr = p.sweep(ctx, p.patience(q))
	})
	nudged, err := p.drain(ctx)
	others.Wait()
	function.Note(ctx, slog.Int("nudged", nudged), slog.Int("swept", swept))
	if err := errors.Join(err, sweepErr, queueErr); err != nil {
		return none, function.Permanent(err)
	}
	return none, nil
}
