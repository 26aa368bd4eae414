// Package function is the frame around each of our functions: environment to
// Config, Config to handler, handler to Function Compute.
//
//	func main() { function.Main(New) }
//
// It decodes the event, logs one line for it, and turns what the handler
// returns into done, retry or drop. It does not know what the functions do.
package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
)

// Handler handles one event. What it returns is the retry policy: nil is done,
// an error wrapped by Permanent is logged and dropped, any other error makes
// Function Compute try an asynchronous event again.
//
// Every handler may run twice for one event, at the same time as others, and
// may be killed half-way.
type Handler[In, Out any] func(ctx context.Context, event In) (Out, error)

// margin is kept back from the function's deadline, so that a handler that runs
// out of time still returns, logs and settles what it has begun.
const margin = time.Second

// Main decodes the environment into a Config, builds the handler with it and
// serves events until the platform ends the process. If the environment is
// wrong it says everything that is wrong with it and exits.
func Main[C, In, Out any](build func(context.Context, C) (Handler[In, Out], error)) {
	slog.SetDefault(slog.New(contextHandler{slog.NewJSONHandler(os.Stdout, nil)}))
	config, err := Decode[C](environ())
	if err != nil {
		slog.Error("configuration", "error", err)
		os.Exit(1)
	}
	handler, err := build(context.Background(), config)
	if err != nil {
		slog.Error("start", "error", err)
		os.Exit(1)
	}
	fc.Start(func(ctx context.Context, raw []byte) (json.RawMessage, error) {
		return serve(ctx, raw, handler)
	})
}

// serve runs the handler on one event and logs the one line about it.
func serve[In, Out any](ctx context.Context, raw []byte, handler Handler[In, Out]) (json.RawMessage, error) {
	start := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-margin))
		defer cancel()
	}
	ctx, notes := withNotes(withInvocation(ctx))

	out, err := decodeAndHandle(ctx, raw, handler)

	level, outcome := slog.LevelInfo, "done"
	if err != nil {
		level, outcome = slog.LevelError, "retry"
		if IsPermanent(err) {
			level, outcome = slog.LevelWarn, "drop"
		}
	}
	attrs := append(notes.all(), slog.String("outcome", outcome), slog.Int64("durationMs", time.Since(start).Milliseconds()))
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	slog.LogAttrs(ctx, level, "event", attrs...)
	if outcome == "drop" {
		err = nil
	}
	return out, err
}

func decodeAndHandle[In, Out any](ctx context.Context, raw []byte, handler Handler[In, Out]) (out json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	var event In
	if err := json.Unmarshal(raw, &event); err != nil {
		return nil, Permanent(fmt.Errorf("decode event %.200q: %w", raw, err))
	}
	result, err := handler(ctx, event)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// permanentError marks an error that no retry can mend.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks an error that no retry can mend: the event is logged and
// acknowledged.
func Permanent(err error) error { return permanentError{err} }

// IsPermanent says whether an error was marked by Permanent.
func IsPermanent(err error) bool { return errors.As(err, new(permanentError)) }
