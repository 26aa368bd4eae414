package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
)

// parallel is how many logs of a page are read at a time.
const parallel = 16

type listInput struct {
	State     stateName `query:"state" doc:"List exports in this state only."`
	ImageID   string    `query:"imageId" pattern:"^m-[0-9a-z]{1,64}$" patternDescription:"the id of a custom image, such as m-bp1g7004ksh0oeuco4ng" doc:"List exports of this image only."`
	PageSize  int       `query:"pageSize" minimum:"1" maximum:"100" default:"20" doc:"How many exports are looked at for a page."`
	PageToken string    `query:"pageToken" doc:"nextPageToken of the page before, with the same state and imageId."`
}

type exportPage struct {
	Exports []ExportSummary `json:"exports" doc:"The newest first. There may be fewer than pageSize, even none, on a page that others follow."`
	// Unreadable keeps one broken log from hiding all others, without hiding it.
	Unreadable    []string `json:"unreadable,omitempty" doc:"Exports of this page whose record could not be read."`
	NextPageToken string   `json:"nextPageToken,omitempty" doc:"Where the next page begins; there is none without it."`
}

func (s *server) listOperation(api huma.API) {
	type output struct{ Body exportPage }
	huma.Register(api, huma.Operation{
		OperationID: "list-exports", Method: http.MethodGet, Path: "/exports", Tags: []string{"exports"},
		Summary: "List exports, the newest first", Security: mayRead,
		Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *listInput) (*output, error) {
		page, err := s.list(ctx, in)
		return &output{page}, err
	})
}

// list makes one page with one listing and at most PageSize reads, however many
// exports there are.
func (s *server) list(ctx context.Context, in *listInput) (exportPage, error) {
	filter := pageFilter{state: export.State(in.State), imageID: in.ImageID}
	after, err := filter.parse(in.PageToken)
	if err != nil {
		return exportPage{}, newProblem(http.StatusBadRequest, codeBadToken,
			"The page token is not one of this list. Use nextPageToken as it came, with the same state and imageId, or leave it out to begin anew.",
			finding{Location: "query.pageToken", Message: err.Error(), Value: shorten(in.PageToken)})
	}
	entries, more, err := s.tracker.Records.List(ctx, filter.scope(), after, in.PageSize)
	if err != nil {
		return exportPage{}, unavailable(ctx, "The exports can't be listed.", "Try again.", err)
	}
	page := exportPage{Exports: []ExportSummary{}}
	if more {
		page.NextPageToken = filter.token(entries[len(entries)-1].ID)
	}
	logs, errs := s.loadAll(ctx, entries)
	read := 0
	var taken []export.Export
	var failed []error
	for i, e := range entries {
		switch {
		case errs[i] == nil:
			read++
			if filter.takes(logs[i]) {
				page.Exports = append(page.Exports, summarize(logs[i]))
				taken = append(taken, logs[i])
			}
		case errors.Is(errs[i], record.ErrNotFound): // not begun yet, or no export at all
		default:
			slog.WarnContext(ctx, "list", "export", e.ID, "error", errs[i])
			page.Unreadable = append(page.Unreadable, e.ID)
			failed = append(failed, errs[i])
		}
	}
	if read == 0 && len(failed) > 0 && unanswered(failed[0]) {
		return exportPage{}, unavailable(ctx, "The records of exports can't be read.", "Try again.", failed[0])
	}
	s.queued(ctx, taken, page.Exports)
	return page, nil
}

// loadAll reads the logs of a page, some at a time.
func (s *server) loadAll(ctx context.Context, entries []record.Entry) ([]export.Export, []error) {
	logs, errs := make([]export.Export, len(entries)), make([]error, len(entries))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, e := range entries {
		group.Go(func() error {
			if _, err := export.ParseID(e.ID); err != nil {
				errs[i] = fmt.Errorf("%w: %w", record.ErrNotFound, err)
				return nil
			}
			log, err := s.tracker.Records.Load(ctx, e.ID)
			logs[i], errs[i] = log.Export, err
			return nil
		})
	}
	_ = group.Wait()
	return logs, errs
}
