package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/tracker"
)

func (s *server) cancelOperation(api huma.API) {
	type output struct{ Body ExportSummary }
	huma.Register(api, huma.Operation{
		OperationID: "cancel-export", Method: http.MethodPost, Path: "/exports/{id}/cancel", Tags: []string{"exports"},
		Summary: "Cancel an export",
		Description: "From the answer on the export ends as canceled and not otherwise: its task is canceled in ECS, and its objects and unfinished uploads are removed. " +
			"That takes a few minutes, until it is certain that nothing more arrives, and a quarter of an hour where a call to ECS was never answered and may have begun a task; one that was never submitted is canceled at once. " +
			"Cancelling twice is the same as once. A body has to be JSON; nothing in it is looked at.",
		DefaultStatus: http.StatusAccepted, Security: mayWrite,
		Errors: []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *exportPath) (*output, error) {
		x, err := s.cancel(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &output{summarize(x)}, nil
	})
}

func (s *server) cancel(ctx context.Context, id string) (export.Export, error) {
	f, err := s.follow(ctx, id)
	if err != nil {
		return export.Export{}, err
	}
	err = s.tracker.Cancel(ctx, f, byCaller(ctx, "canceled"))
	if errors.Is(err, tracker.ErrEnded) {
		return export.Export{}, newProblem(http.StatusConflict, codeEnded, fmt.Sprintf(
			"The export is %s already and can't be canceled. %s", f.State, afterEnd(f.Export)))
	}
	if err != nil {
		return export.Export{}, unavailable(ctx, "The cancel could not be recorded, or it is not known whether it was.", "Send it again: twice is the same as once.", err)
	}
	if f.State == export.Canceling {
		return s.step(ctx, f), nil
	}
	return f.Export, nil
}

// byCaller is the reason of a change that a caller wants. It goes into the record and
// into the event.
func byCaller(ctx context.Context, what string) string { return what + " by " + callerOf(ctx).subject }

// afterEnd says what can still be done about an export that has ended.
func afterEnd(x export.Export) string {
	switch {
	case x.Abandoned():
		return "It never had an object."
	case x.State == export.Deleted:
		return fmt.Sprintf("There is nothing left of it, unless something landed since: DELETE /exports/%s removes that too.", x.ID)
	}
	return fmt.Sprintf("DELETE /exports/%s removes its objects.", x.ID)
}
