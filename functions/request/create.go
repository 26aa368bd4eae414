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
	IdempotencyKey string `header:"Idempotency-Key" example:"\"8e03978e-40d5-43dd-bc93-6894a57f9324\"" doc:"A string of the caller's choice, up to 255 characters in double quotes, by which the order can be sent again: it then answers with the export that it made the first time, and a key that came with another order is refused. Keys are the caller's own and expire, after a day unless the deployment says otherwise."`
	Body           exportOrder

	once    *idempotent    // with the key, if one was sent
	first   *export.Export // that was made for the key
	request export.Request // what was made of the order
	failed  error          // why it could not be checked

	findings []export.Finding // that don't refuse it
}

// createdExport is an export as its order is answered.
type createdExport struct {
	ExportSummary
	Findings []brokenRule `json:"findings,omitempty" doc:"Rules that the order breaks without being refused for it: what somebody should know."`
}

func (s *server) createOperation(api huma.API) {
	type output struct {
		Location string `header:"Location" example:"/exports/7kq3m9x2q4r8w" doc:"Path of the export."`
		Body     createdExport
	}
	huma.Register(api, huma.Operation{
		OperationID: "create-export", Method: http.MethodPost, Path: "/exports", Tags: []string{"exports"},
		Summary: "Export an image",
		Description: "Records the export and submits it. From then on it reaches an end by itself: " +
			"an export that ECS refuses is answered too, in state failed, with the code of ECS.",
		DefaultStatus: http.StatusAccepted, MaxBodyBytes: maxBody + 1, Security: mayWrite,
		Errors: []int{
			http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType, http.StatusServiceUnavailable,
		},
	}, func(ctx context.Context, in *createInput) (*output, error) {
		var p *problem
		switch {
		case errors.As(in.failed, &p):
			return nil, p
		case in.failed != nil:
			return nil, unavailable(ctx, "The order could not be checked, and nothing was submitted.", "Send it again"+withKey(in.once)+".", in.failed)
		}
		x, err := s.create(ctx, in)
		if err != nil {
			return nil, err
		}
		return &output{"/exports/" + x.ID, createdExport{s.summary(ctx, x), brokenRules(in.findings)}}, nil
	})
}

// Resolve checks the order against the cloud, so that what is wrong there is
// reported together with what the schema finds wrong. It is a huma.Resolver.
func (in *createInput) Resolve(ctx huma.Context) []error {
	s := ctx.Context().Value(serverKey{}).(*server)
	if in.once, in.failed = idempotentOrder(ctx, in.Body); in.once != nil {
		// An order that was accepted is not judged again.
		in.first, in.failed = s.first(ctx.Context(), in.once)
	}
	if in.first != nil || in.failed != nil {
		return nil
	}
	var subject export.Subject
	subject, in.request, in.failed = s.lookAt(ctx.Context(), in.Body)
	if in.failed == nil {
		subject.Account = s.waits(ctx.Context(), in.Body.ImageID)
	}
	findings := export.Check(subject, s.config.limits())
	if export.Judge(findings) != export.Refused {
		in.findings = findings
		return nil
	}
	errs := make([]error, len(findings))
	for i, f := range findings {
		errs[i] = findingOf(f)
	}
	return errs
}

// create makes the export of an order that passed the checks. Once it is on record
// the caller gets it: what its first step can't do, the next one does.
func (s *server) create(ctx context.Context, in *createInput) (export.Export, error) {
	in.request.RequestedBy = callerOf(ctx).subject
	switch {
	case in.first != nil:
		return s.again(ctx, *in.first)
	case in.once != nil:
		return s.once(ctx, in.once, in.Body.Prefix, in.request)
	}
	taken, err := s.admit(ctx, export.NewID(s.tracker.Now()), "")
	if err != nil {
		return export.Export{}, err
	}
	f, err := s.tracker.BeginAs(ctx, taken.ID, in.Body.Prefix, in.request)
	if err != nil {
		if !errors.Is(err, oss.ErrUnsettled) {
			s.giveBack(ctx, taken)
		}
		return export.Export{}, unrecorded(ctx, in.request, err)
	}
	return s.begun(ctx, f), nil
}

// unrecorded is the answer where the first line of an export could not be written,
// or may have been.
func unrecorded(ctx context.Context, r export.Request, err error) *problem {
	unknown, key := errors.Is(err, oss.ErrUnsettled), r.Claim != ""
	switch {
	case unknown && key:
		return unavailable(ctx, "It is not known whether the export was recorded.", "Send the order again with the same Idempotency-Key, which is safe: it makes one export at most.", err)
	case unknown:
		p := unavailable(ctx, "It is not known whether the export was recorded.", fmt.Sprintf(
			"Look at GET /exports?imageId=%s in some minutes before you send the order again; with an Idempotency-Key it could be sent again at once.", r.ImageID), err)
		p.headers = nil // no Retry-After: the order sent again could be a second export
		return p
	case key:
		return unavailable(ctx, "The export could not be recorded, and nothing was submitted.", "Send the order again with the same Idempotency-Key.", err)
	}
	return unavailable(ctx, "The export could not be recorded, and nothing was submitted.", "Send the order again.", err)
}

// begun takes the first step of an export that is on record.
func (s *server) begun(ctx context.Context, f *tracker.Followed) export.Export {
	function.Note(ctx, slog.String("export", f.ID))
	if f.Ended() { // begun by another call for the same key, and quick
		return f.Export
	}
	return s.step(ctx, f)
}

// step takes a step of an export that is on record, and returns what came of it.
func (s *server) step(ctx context.Context, f *tracker.Followed) export.Export {
	if err := s.tracker.Step(ctx, f, tracker.Known{}); err != nil {
		slog.WarnContext(ctx, "first step", "export", f.ID, "error", err)
		return f.Export
	}
	if err := s.tracker.PlanSooner(ctx, f); err != nil {
		slog.WarnContext(ctx, "plan", "export", f.ID, "error", err)
	}
	return f.Export
}
