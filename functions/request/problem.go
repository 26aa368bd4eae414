package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/rpc"
)

// What a problem's code can be.
const (
	codeMalformed     = "MalformedRequest"
	codeInvalid       = "InvalidRequest"
	codeTooLarge      = "BodyTooLarge"
	codeMediaType     = "UnsupportedMediaType"
	codeUnauthorized  = "Unauthorized"
	codeForbidden     = "Forbidden"
	codeKeyReused     = "IdempotencyKeyReused"
	codeTooMany       = "TooManyRequests"
	codeTooManyOpen   = "TooManyOpenExports"
	codeNoPath        = "PathNotFound"
	codeNoMethod      = "MethodNotAllowed"
	codeNoExport      = "ExportNotFound"
	codeNoDisk        = "DiskNotFound"
	codeNotCompleted  = "ExportNotCompleted"
	codeNotLanded     = "DiskNotLanded"
	codeEnded         = "ExportEnded"
	codeNotEnded      = "ExportNotEnded"
	codeTaskRuns      = "TaskStillRuns"
	codeBadToken      = "InvalidPageToken"
	codeUnreadable    = "UnreadableRecord"
	codeUnavailable   = "ServiceUnavailable"
	codeRefused       = "ServiceRefused"
	codeInternalError = "InternalError"
)

// problem is an RFC 9457 problem. It is also the error that handlers return.
type problem struct {
	Type   string    `json:"type" format:"uri-reference" example:"about:blank" doc:"Always about:blank: code tells problems apart."`
	Code   string    `json:"code" example:"InvalidRequest" doc:"Which problem it is. Does not change between versions. ServiceUnavailable (503): a service of the cloud did not do its part, and the call may be made again. ServiceRefused (500): it will say the same until whoever runs this deployment mends what detail names."`
	Title  string    `json:"title" example:"Unprocessable Entity" doc:"What the HTTP status means."`
	Status int       `json:"status" example:"422" doc:"The HTTP status."`
	Detail string    `json:"detail" doc:"What is wrong this time, for a person, and what to do about it."`
	Errors []finding `json:"errors,omitempty" doc:"Everything that was found wrong with the call."`

	headers http.Header
}

// finding is one thing that is wrong with a call.
type finding struct {
	Location string `json:"location" example:"body.imageId" doc:"Where: body, query, path or header, and the field's name behind a full stop."`
	Message  string `json:"message" doc:"What is wrong there, and the remedy."`
	Code     string `json:"code,omitempty" example:"InvalidImageId.NotFound" doc:"The code that the cloud's own API has for this, if it has one."`
	Rule     string `json:"rule,omitempty" example:"image-exists" doc:"The rule that the order breaks, if it is one."`
	Severity string `json:"severity,omitempty" enum:"error,wait,warning,notice" doc:"Of the rule. There is at least one error; the others are told on this occasion."`
	Limit    string `json:"limit,omitempty" doc:"What should be, by the rule."`
	Remedy   string `json:"remedy,omitempty" doc:"What to do about it; message ends with it too."`
	Page     string `json:"page,omitempty" doc:"The vendor's page that the rule is from."`
	Inferred string `json:"inferred,omitempty" doc:"What of the rule is a conclusion of this system's rather than documented."`
	Value    any    `json:"value,omitempty" doc:"What was found there, shortened."`
}

func newProblem(status int, code, detail string, findings ...finding) *problem {
	return &problem{Type: "about:blank", Code: code, Title: http.StatusText(status), Status: status, Detail: detail, Errors: findings}
}

// Error is what the log says.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus is part of huma.StatusError.
func (p *problem) GetStatus() int { return p.Status }

// GetHeaders is part of huma.HeadersError.
func (p *problem) GetHeaders() http.Header { return p.headers }

// ContentType is part of huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

// findingOf makes a finding about a call of one about an order.
func findingOf(f export.Finding) finding {
	return finding{
		Location: "body." + f.Field, Message: f.Found + " " + f.Remedy, Code: f.Code, Rule: f.Rule, Severity: string(f.Severity),
		Limit: f.Limit, Remedy: f.Remedy, Page: f.Page, Inferred: f.Inferred,
	}
}

// Error makes a finding an error that a huma.Resolver can return.
func (f finding) Error() string { return f.Location + " " + f.Message }

// refuse answers with a problem, outside of huma.
func refuse(w http.ResponseWriter, p *problem) {
	for name, values := range p.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(p) // into memory
}

// unavailable is the answer where a service that the call needs did not do its
// part: what did not come of the call, and how to make it again. What the service
// said goes to the log; the caller gets its name, its code and the request id. A
// service that will say the same until somebody mends the deployment is no reason to
// make the call again: that is 500, with the remedy.
func unavailable(ctx context.Context, what, again string, err error) *problem {
	function.Note(ctx, slog.String("error", err.Error()))
	var call *rpc.Error
	var object *oss.Error
	switch {
	case errors.As(err, &call):
		what += answered(call.Action, call.Code, call.RequestID)
	case errors.Is(err, oss.ErrVersioned):
		return newProblem(http.StatusInternalServerError, codeRefused, what+" The bucket of the records keeps versions, so that nothing is certain there. "+
			"RECORDS_BUCKET of the deployment must name one that never did; then run the set-up again.")
	case errors.As(err, &object):
		what += answered("OSS", object.Code, object.RequestID)
	}
	if c, ok := export.Explain(err); ok && !c.Passes() {
		return newProblem(http.StatusInternalServerError, codeRefused, what+" "+c.Remedy)
	}
	p := newProblem(http.StatusServiceUnavailable, codeUnavailable, what+" "+again)
	p.headers = http.Header{"Retry-After": {"5"}}
	return p
}

func answered(who, code, requestID string) string {
	if code == "" {
		return fmt.Sprintf(" %s gave no answer that can be read.", who)
	}
	return fmt.Sprintf(" %s answered %s (request %s).", who, code, requestID)
}

// internal is the answer to what should not happen. The log has the reason.
func internal(ctx context.Context, err error) *problem {
	function.Note(ctx, slog.String("error", err.Error()))
	return newProblem(http.StatusInternalServerError, codeInternalError, "Something went wrong here, not with the call. The log of the function has the reason.")
}

// tuneHuma makes the library refuse in our form and in sentences with a remedy,
// and describe what we answer. It offers package variables for that and nothing
// else.
var tuneHuma = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false // our arrays are empty, never null
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return fromHuma(status, message, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		if status == http.StatusInternalServerError {
			return internal(ctx.Context(), errors.Join(append(errs, errors.New(message))...))
		}
		return fromHuma(status, message, errs)
	}
	validation.MsgExpectedBePattern = "must be %s"
	validation.MsgExpectedString = "must be a JSON string"
	validation.MsgExpectedObject = "must be a JSON object"
	validation.MsgExpectedOneOf = "must be one of: %s"
	validation.MsgExpectedMinLength = "must have a length of %d or more"
	validation.MsgExpectedMinimumNumber = "must be %v or more"
	validation.MsgExpectedMaximumNumber = "must be %v or less"
	validation.MsgUnexpectedProperty = "is not a known field; /openapi.json lists those that are"
	validation.MsgExpectedRequiredProperty = missing + "%s"
})

// invalid is what there is to say about a call whose findings say the rest.
const invalid = "The call is not valid; errors says where and what to do."

// missing and the field's name make the message about a field that is not there.
const missing = "missing: "

// fromHuma makes a problem of what the library found.
func fromHuma(status int, message string, errs []error) *problem {
	p := newProblem(status, codeInvalid, invalid)
	switch status {
	case http.StatusBadRequest: // no body where one is required; any other that can't be read does not get here
		p.Code, p.Detail = codeMalformed, "The call can't be read: "+message+"."
		p.Errors = append(p.Errors, finding{Location: "body", Message: "is required"})
	}
	for _, err := range errs {
		var detail huma.ErrorDetailer
		var found finding
		switch {
		case errors.As(err, &found):
		case errors.As(err, &detail):
			found = reword(*detail.ErrorDetail())
		default:
			found = finding{Message: err.Error()}
		}
		found.Value = shorten(found.Value)
		p.Errors = append(p.Errors, found)
	}
	// Where a rule says what is wrong with a field, the schema need not.
	p.Errors = slices.DeleteFunc(p.Errors, func(f finding) bool {
		return f.Rule == "" && slices.ContainsFunc(p.Errors, func(o finding) bool {
			return o.Location == f.Location && o.Severity == string(export.Error)
		})
	})
	return p
}

// reword puts the blame on the field, where the library reports the object around
// it.
func reword(d huma.ErrorDetail) finding {
	f := finding{Location: d.Location, Message: d.Message, Value: d.Value}
	object, _ := d.Value.(map[string]any)
	switch {
	case object != nil && strings.HasPrefix(d.Message, missing):
		f.Location += "." + strings.TrimPrefix(d.Message, missing)
		f.Message, f.Value = "is required", nil
	case object != nil && d.Message == validation.MsgUnexpectedProperty:
		// The library puts the name behind the location of the object.
		_, name, _ := strings.Cut(d.Location, ".")
		f.Value = object[name]
	case d.Message == "invalid integer":
		f.Message = "must be a whole number"
	case d.Message == "unknown query parameter":
		f.Message, f.Value = "is not a known parameter; /openapi.json lists those that are", nil
	}
	return f
}

// shorten keeps what a caller sent from filling the answer.
func shorten(v any) any {
	const longest = 100
	switch v := v.(type) {
	case string:
		if utf8.RuneCountInString(v) > longest {
			return string([]rune(v)[:longest]) + "…"
		}
	case map[string]any, []any:
		return nil
	}
	return v
}
