package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
)

type exportPath struct {
	ID string `path:"id" example:"7kq3m9x2q4r8w" doc:"The export's id."`
}

func (s *server) readOperation(api huma.API) {
	type output struct{ Body exportDetail }
	huma.Register(api, huma.Operation{
		OperationID: "get-export", Method: http.MethodGet, Path: "/exports/{id}", Tags: []string{"exports"},
		Summary: "Show an export", Security: mayRead,
		Errors: []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *exportPath) (*output, error) {
		x, err := s.load(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &output{describe(x, s.summary(ctx, x), s.progress(ctx, x))}, nil
	})
}

func (s *server) manifestOperation(api huma.API) {
	registry := api.OpenAPI().Components.Schemas
	manifest := registry.Schema(reflect.TypeFor[export.Manifest](), true, "")
	huma.Register(api, huma.Operation{
		OperationID: "get-manifest", Method: http.MethodGet, Path: "/exports/{id}/manifest", Tags: []string{"exports"},
		Summary:     "Show the manifest of a completed export",
		Description: "The same bytes lie beside the disk objects.", Security: mayRead,
		Responses: answers("The manifest", "application/json", manifest),
		Errors:    []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *exportPath) (*document, error) {
		x, err := s.load(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if x.State != export.Completed {
			return nil, newProblem(http.StatusConflict, codeNotCompleted, notCompleted(x))
		}
		return &document{"application/json", x.Manifest().JSON()}, nil
	})
}

func notCompleted(x export.Export) string {
	if x.State.Terminal() {
		return fmt.Sprintf("The export is %s, and only a completed one has a manifest. GET /exports/%s says why.", x.State, x.ID)
	}
	return fmt.Sprintf("The export is %s, and %d of its %d disks have landed. The manifest is there when it is completed.",
		x.State, len(x.Request.Disks)-len(x.Missing()), len(x.Request.Disks))
}

// load reads an export. Its errors are problems.
func (s *server) load(ctx context.Context, id string) (x export.Export, err error) {
	err = s.read(ctx, id, func() error {
		log, err := s.tracker.Records.Load(ctx, id)
		x = log.Export
		return err
	})
	return x, err
}

// follow reads an export to change it. Its errors are problems.
func (s *server) follow(ctx context.Context, id string) (f *tracker.Followed, err error) {
	err = s.read(ctx, id, func() (err error) {
		f, _, err = s.tracker.Load(ctx, id)
		return err
	})
	return f, err
}

// read makes a problem of what load returns.
func (s *server) read(ctx context.Context, id string, load func() error) error {
	unknown := newProblem(http.StatusNotFound, codeNoExport, "There is no export of this id. GET /exports lists those that there are.",
		finding{Location: "path.id", Message: "is not the id of an export", Value: shorten(id)})
	if _, err := export.ParseID(id); err != nil {
		return unknown
	}
	function.Note(ctx, slog.String("export", id))
	err := load()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, record.ErrNotFound):
		return unknown
	case unanswered(err):
		return unavailable(ctx, "The records of exports can't be read.", "Try again.", err)
	}
	return unreadable(ctx, err)
}

// unreadable is the answer where what is on record can't be.
func unreadable(ctx context.Context, err error) *problem {
	function.Note(ctx, slog.String("error", err.Error()))
	return newProblem(http.StatusInternalServerError, codeUnreadable,
		"The record of this export makes no sense. The log of the function says where; somebody must look at it.")
}

// unanswered says that it was the service that failed, not what it returned.
func unanswered(err error) bool {
	var call *oss.Error
	return errors.As(err, &call)
}
