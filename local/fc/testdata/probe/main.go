// Command probe is a function that does what its event asks for.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
	"github.com/aliyun/fc-runtime-go-sdk/fccontext"
)

type event struct {
	Do string `json:"do"`
	MS int    `json:"ms"`
	At string `json:"at"`

	// Of an HTTP trigger.
	RawPath  string `json:"rawPath"`
	Body     string `json:"body"`
	IsBase64 bool   `json:"isBase64Encoded"`

	// Of a timer.
	TriggerName string `json:"triggerName"`
}

func main() {
	fc.RegisterInitializerFunction(func(context.Context) {
		fmt.Println("initialized")
		if os.Getenv("INITIALIZER") == "panic" {
			panic("not today")
		}
	})
	fc.Start(handle)
}

func handle(ctx context.Context, raw []byte) (json.RawMessage, error) {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	if e.RawPath != "" {
		return web(e, raw)
	}
	if e.TriggerName != "" {
		return raw, note(os.Getenv("TICKS"), raw)
	}
	switch do := os.Getenv("DO"); {
	case e.Do == "" && do != "":
		e.Do, e.At = do, os.Getenv("AT")
	}
	fctx, _ := fccontext.FromContext(ctx)
	switch e.Do {
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Duration(e.MS) * time.Millisecond)
	case "panic":
		panic("boom")
	case "exit":
		fmt.Println("last words")
		os.Exit(3)
	case "error":
		return nil, errors.New("no")
	case "environment":
		return json.Marshal(os.Environ())
	case "pid":
		return json.Marshal(os.Getpid())
	case "context":
		deadline, _ := ctx.Deadline()
		return json.Marshal(map[string]any{"context": fctx, "left": time.Until(deadline).Seconds()})
	case "note":
		return raw, note(e.At, raw)
	case "fail": // until the third try
		if err := note(e.At, fmt.Appendf(nil, "%s %d", fctx.RequestID, fctx.RetryCount)); err != nil {
			return nil, err
		}
		if fctx.RetryCount < 2 {
			return nil, errors.New("not yet")
		}
	case "never":
		return nil, errors.Join(note(e.At, fmt.Appendf(nil, "%d", fctx.RetryCount)), errors.New("never"))
	}
	return raw, nil
}

// web gives the request's body back as the whole response below /response, and
// otherwise the event as the body of one.
func web(e event, raw []byte) (json.RawMessage, error) {
	body := []byte(e.Body)
	if e.IsBase64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, err
		}
	}
	switch {
	case strings.HasPrefix(e.RawPath, "/response"):
		return body, nil
	case e.RawPath == "/error":
		return nil, errors.New("no")
	case e.RawPath == "/exit":
		os.Exit(1)
	}
	return json.Marshal(map[string]any{"statusCode": 200, "body": string(raw),
		"headers": map[string]string{"Content-Type": "application/json"}})
}

// note appends a line to a file.
func note(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s\n", line)
	return errors.Join(err, f.Close())
}
