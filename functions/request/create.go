package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/tracker"
)

// exportOrder is what a caller asks for.
type exportOrder struct {
	ImageID  string `json:"imageId" pattern:"^m-[0-9a-z]{1,64}$" patternDescription:"the id of a custom image, such as m-bp1g7004ksh0oeuco4ng" example:"m-bp1g7004ksh0oeuco4ng" doc:"The custom image, in the region of this deployment."`
	Bucket   string `json:"bucket,omitempty" example:"image-exports" doc:"One of the buckets of this deployment, in the region of the image; the first of them by default."`
	Prefix   string `json:"prefix,omitempty" pattern:"^[0-9A-Za-z]{0,17}$" patternDescription:"at most 17 letters and digits and nothing else" example:"Demo" doc:"What the names of the disk objects begin with. The export's id comes behind it."`
	Format   string `json:"format,omitempty" example:"raw" doc:"raw, vhd, qcow2, vdi or vmdk, in capitals or not; the deployment's choice by default. Not every region offers all of them."`
	RoleName string `json:"roleName,omitempty" pattern:"^[A-Za-z0-9.@-]{0,64}$" patternDescription:"the name of a RAM role: at most 64 letters, digits, full stops, hyphens and @" example:"AliyunECSImageExportDefaultRole" doc:"The role that ECS writes to the bucket as; the deployment's choice by default."`
}

type createInput struct {
	Body exportOrder

	request export.Request // what was made of the order
	failed  error          // why it could not be checked
}

func (s *server) createOperation(api huma.API) {
	type output struct {
		Location string `header:"Location" example:"/exports/7kq3m9x2q4r8w" doc:"Path of the export."`
		Body     ExportSummary
	}
	huma.Register(api, huma.Operation{
		OperationID: "create-export", Method: http.MethodPost, Path: "/exports", Tags: []string{"exports"},
		Summary: "Export an image",
		Description: "Records the export and submits it. From then on it reaches an end by itself: " +
			"an export that ECS refuses is answered too, in state failed, with the code of ECS.",
		DefaultStatus: http.StatusAccepted, MaxBodyBytes: maxBody + 1, Security: secured,
		Errors: []int{
			http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusServiceUnavailable,
		},
	}, func(ctx context.Context, in *createInput) (*output, error) {
		if in.failed != nil {
			return nil, unavailable(ctx, "The order could not be checked, and nothing was recorded. Send it again.", in.failed)
		}
		x, err := s.create(ctx, in.Body.Prefix, in.request)
		if err != nil {
			return nil, err
		}
		return &output{"/exports/" + x.ID, summarize(x)}, nil
	})
}

// Resolve checks the order against the cloud, so that what is wrong there is
// reported together with what the schema finds wrong. It is a huma.Resolver.
func (in *createInput) Resolve(ctx huma.Context) []error {
	s := ctx.Context().Value(serverKey{}).(*server)
	var findings []finding
	in.request, findings, in.failed = s.check(ctx.Context(), in.Body)
	errs := make([]error, len(findings))
	for i, f := range findings {
		errs[i] = f
	}
	return errs
}

// create records an export and takes its first step. Once it is on record the
// caller gets it: what this step can't do, the next one does.
func (s *server) create(ctx context.Context, prefix string, r export.Request) (export.Export, error) {
	f, err := s.tracker.Begin(ctx, prefix, r)
	if errors.Is(err, oss.ErrUnsettled) {
		p := unavailable(ctx, fmt.Sprintf(
			"It is not known whether the export was recorded. Look at GET /exports?imageId=%s in some minutes before you send the order again.", r.ImageID), err)
		p.headers = nil // no Retry-After: the order sent again could be a second export
		return export.Export{}, p
	}
	if err != nil {
		return export.Export{}, unavailable(ctx, "The export could not be recorded, and nothing was submitted. Send the order again.", err)
	}
	function.Note(ctx, slog.String("export", f.ID))
	if err := s.tracker.Step(ctx, f, tracker.Known{}); err != nil {
		slog.WarnContext(ctx, "first step", "export", f.ID, "error", err)
		return f.Export, nil
	}
	if err := s.tracker.PlanSooner(ctx, f); err != nil {
		slog.WarnContext(ctx, "plan", "export", f.ID, "error", err)
	}
	return f.Export, nil
}
