package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aliyun/fc-runtime-go-sdk/fccontext"
)

type event struct {
	Name string `json:"name"`
}

// TestServe wants one line per event, and the outcome that the error asks for.
func TestServe(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(contextHandler{slog.NewJSONHandler(&log, nil)}))
	defer slog.SetDefault(before)
	for name, c := range map[string]struct {
		event   string
		handler Handler[event, string]
		out     string
		retried bool
		logged  map[string]string
	}{
		"done": {
			event: `{"name": "x"}`,
			handler: func(ctx context.Context, e event) (string, error) {
				Note(ctx, slog.String("export", e.Name))
				return "<ok>", nil
			},
			out:    `"\u003cok\u003e"`,
			logged: map[string]string{"outcome": "done", "level": "INFO", "export": "x", "requestId": "r-1", "function": "f"},
		},
		"retry": {
			event:   `{}`,
			handler: func(context.Context, event) (string, error) { return "", errors.New("later") },
			retried: true, logged: map[string]string{"outcome": "retry", "level": "ERROR", "error": "later"},
		},
		"drop": {
			event: `{}`,
			handler: func(context.Context, event) (string, error) {
				return "", fmt.Errorf("outer: %w", Permanent(errors.New("never")))
			},
			logged: map[string]string{"outcome": "drop", "level": "WARN", "error": "outer: never"},
		},
		"garbled event": {
			event:   `{"name": 7}`,
			handler: func(context.Context, event) (string, error) { panic("must not be called") },
			logged:  map[string]string{"outcome": "drop"},
		},
		"no JSON": {
			event:   "\x00hello",
			handler: func(context.Context, event) (string, error) { panic("must not be called") },
			logged:  map[string]string{"outcome": "drop"},
		},
		"panic": {
			event:   `{}`,
			handler: func(context.Context, event) (string, error) { panic("boom") },
			retried: true, logged: map[string]string{"outcome": "retry"},
		},
	} {
		log.Reset()
		fctx := &fccontext.FcContext{RequestID: "r-1"}
		fctx.Function.Name = "f"
		out, err := serve(fccontext.NewContext(t.Context(), fctx), []byte(c.event), c.handler)
		if string(out) != c.out || (err != nil) != c.retried {
			t.Errorf("%s: got %q and %v", name, out, err)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		var line map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &line); err != nil || len(lines) != 1 {
			t.Fatalf("%s: logged %q (%v)", name, lines, err)
		}
		for k, want := range c.logged {
			if line[k] != want {
				t.Errorf("%s: logged %s %v, want %s", name, k, line[k], want)
			}
		}
		if name == "panic" && !strings.Contains(line["error"].(string), "function_test.go") {
			t.Errorf("the line about a panic does not say where it was: %s", line["error"])
		}
	}
}

// TestDeadline wants a handler to be told to end before the platform kills it.
func TestDeadline(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	defer cancel()
	_, err := serve(ctx, []byte(`{}`), func(ctx context.Context, _ event) (string, error) {
		deadline, _ := ctx.Deadline()
		platform, _ := context.WithoutCancel(ctx).Deadline()
		if left := time.Until(deadline); left > time.Hour-margin || !platform.IsZero() {
			t.Errorf("the handler has %v", left)
		}
		return "", nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestCredentials takes those of the invocation, from many goroutines at once:
// the SDK's own accessor is a data race.
func TestCredentials(t *testing.T) {
	t.Parallel()
	fctx := &fccontext.FcContext{Credentials: fccontext.Credentials{AccessKeyId: "id", AccessKeySecret: "secret", SecurityToken: "token"}}
	_, err := serve(fccontext.NewContext(t.Context(), fctx), []byte(`{}`), func(ctx context.Context, _ event) (string, error) {
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				c, err := Credentials(ctx)
				if err != nil || c.ID != "id" || c.Secret != "secret" || c.Token != "token" {
					t.Errorf("got %+v, %v", c, err)
				}
				slog.DebugContext(ctx, "log lines read it too")
			})
		}
		group.Wait()
		return "", nil
	})
	if err != nil {
		t.Error(err)
	}
}

type config struct {
	Name   string        `env:"NAME,notEmpty"`
	Period time.Duration `env:"PERIOD" envDefault:"1s"`
	Count  int           `env:"COUNT,required"`
}

func (c config) Validate() error {
	if c.Period < 0 {
		return errors.New("PERIOD is below zero")
	}
	return nil
}

func TestDecode(t *testing.T) {
	t.Parallel()
	got, err := Decode[config](map[string]string{"NAME": "x", "COUNT": "3"})
	if want := (config{"x", time.Second, 3}); err != nil || got != want {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	_, err = Decode[config](map[string]string{"PERIOD": "-1s", "COUNT": "many"})
	for _, name := range []string{"NAME", "COUNT", "PERIOD"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	names, err := Variables[config]()
	if err != nil || !slices.Equal(names, []string{"COUNT", "NAME", "PERIOD"}) {
		t.Errorf("variables %v, %v", names, err)
	}
}
