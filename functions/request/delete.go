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

func (s *server) deleteOperation(api huma.API) {
	type output struct{ Body ExportSummary }
	huma.Register(api, huma.Operation{
		OperationID: "delete-export", Method: http.MethodDelete, Path: "/exports/{id}", Tags: []string{"exports"},
		Summary: "Remove the objects of an export that has ended",
		Description: "Removes every object and unfinished upload of the export from the bucket, the manifest too. That is for good, unless the bucket keeps versions: those stay. " +
			"Its record stays, in state deleted. Doing it twice is the same as once.",
		Security: mayAdmin,
		Errors:   []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *exportPath) (*output, error) {
		x, err := s.delete(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &output{summarize(x)}, nil
	})
}

func (s *server) delete(ctx context.Context, id string) (export.Export, error) {
	f, err := s.follow(ctx, id)
	if err != nil {
		return export.Export{}, err
	}
	err = s.tracker.Delete(ctx, f, byCaller(ctx, "deleted"))
	switch {
	case errors.Is(err, tracker.ErrNotEnded):
		return export.Export{}, newProblem(http.StatusConflict, codeNotEnded, fmt.Sprintf(
			"The export is %s, and only one that has ended can be deleted. POST /exports/%s/cancel ends it and removes its objects.", f.State, id))
	case errors.Is(err, tracker.ErrTaskRuns):
		return export.Export{}, newProblem(http.StatusConflict, codeTaskRuns, fmt.Sprintf(
			"The export has ended, but its objects can't be removed yet: %v. Cancel the task on the Tasks page of the ECS console, or wait until it has ended; then delete the export.", err))
	case err != nil:
		return export.Export{}, unavailable(ctx, "The export may be deleted in part.", "Send the call again: twice is the same as once.", err)
	}
	return f.Export, nil
}
