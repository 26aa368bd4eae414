package function

import (
	"context"
	"log/slog"
	"sync"
)

// contextHandler adds the function's name and the invocation's request id to
// every record, so that code below needs no logger of its own.
type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if i, ok := ctx.Value(invocationKey{}).(invocation); ok {
		r.AddAttrs(slog.String("function", i.function), slog.String("requestId", i.requestID))
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}

type notesKey struct{}

// notes collects what handlers want to see in the line about their event.
type notes struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

func withNotes(ctx context.Context) (context.Context, *notes) {
	n := &notes{}
	return context.WithValue(ctx, notesKey{}, n), n
}

func (n *notes) all() []slog.Attr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]slog.Attr(nil), n.attrs...)
}

// Note adds attributes to the line that is logged about the current event, such
// as the id of the export that it concerns. Outside an event it does nothing.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.attrs = append(n.attrs, attrs...)
	}
}
