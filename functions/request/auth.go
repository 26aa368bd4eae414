package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"ecs-image-export/shared/function"
)

// open are the paths that need no token: how to ask, and whether anybody is there.
var open = map[string]bool{"/healthz": true, "/openapi.json": true}

// realm names what the tokens are for, as RFC 6750 wants it.
const realm = `Bearer realm="ecs-image-export"`

// The scopes. None has another in it.
const (
	readScope  = "exports:read"
	writeScope = "exports:write"
	adminScope = "exports:admin"
)

// The scope that an operation needs, which its Security says.
var (
	unsecured = []map[string][]string{}
	mayRead   = []map[string][]string{{bearer: {readScope}}}
	mayWrite  = []map[string][]string{{bearer: {writeScope}}}
	mayAdmin  = []map[string][]string{{bearer: {adminScope}}}
)

// bearer is what the document calls our tokens.
const bearer = "bearer"

var bearerScheme = &huma.SecurityScheme{
	Type: "http", Scheme: "bearer", BearerFormat: "JWT",
	Description: "A JWT of this deployment's issuer. Its scope says what it is good for: exports:read looks and checks, exports:write makes and cancels exports and lets an order with any role be checked, exports:admin removes them, changes permissions and asks about other roles. None of them has another in it.",
}

type callerKey struct{}

// callerOf is who makes a call.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// authenticate lets callers through who bring an accepted bearer token.
func (s *server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			// RFC 6750 3.1: no error code for a call that brings no token at all.
			refuse(w, unauthorized(realm, "The call has no bearer token. Send the header Authorization: Bearer <token>.", "is missing"))
			return
		}
		who, err := s.tokens.verify(r.Context(), strings.TrimSpace(token))
		var refused refusedToken
		switch {
		case errors.As(err, &refused):
			challenge := fmt.Sprintf(`%s, error="invalid_token", error_description="%s"`, realm, quotable(refused.Error()))
			refuse(w, unauthorized(challenge, fmt.Sprintf("The bearer token is not accepted. %s. Get another from the issuer of this deployment.", refused), refused.Error()))
			return
		case err != nil:
			p := unavailable(r.Context(), "Tokens can't be checked, because the issuer's keys can't be fetched.", "Try again.", err)
			p.headers.Set("Retry-After", fmt.Sprint(int(keysPause.Seconds())))
			refuse(w, p)
			return
		}
		function.Note(r.Context(), slog.String("caller", who.subject))
		if wait, ok := s.rate.take(who); !ok {
			refuse(w, s.rate.tooMany(wait))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}

func unauthorized(challenge, detail, message string) *problem {
	p := newProblem(http.StatusUnauthorized, codeUnauthorized, detail, finding{Location: "header.Authorization", Message: message})
	p.headers = http.Header{"Www-Authenticate": {challenge}}
	return p
}

// quotable leaves out what RFC 6750 allows in no error_description.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}

// authorize lets callers through whose token has the scope that the operation
// needs. It is huma middleware.
func authorize(ctx huma.Context, next func(huma.Context)) {
	for _, scheme := range ctx.Operation().Security {
		for _, scope := range scheme[bearer] {
			if !callerOf(ctx.Context()).may(scope) {
				_, w := humago.Unwrap(ctx)
				refuse(w, forbidden(scope, scope))
				return
			}
		}
	}
	next(ctx)
}

// forbidden is the answer where a token lacks one of the scopes that a call needs.
func forbidden(lacks string, needs ...string) *problem {
	p := newProblem(http.StatusForbidden, codeForbidden,
		fmt.Sprintf("The token lacks the scope %s, which this call needs. Get one with it from the issuer of this deployment.", lacks),
		finding{Location: "header.Authorization", Message: "must have the scope " + lacks})
	p.headers = http.Header{"Www-Authenticate": {fmt.Sprintf(`%s, error="insufficient_scope", error_description="The token lacks the scope %s", scope="%s"`, realm, lacks, strings.Join(needs, " "))}}
	return p
}

// describeRefusals adds to the document what every operation that needs a token may
// answer, so that none can forget it.
func describeRefusals(op *huma.Operation) {
	if len(op.Security) == 0 {
		return
	}
	statuses := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable}
	if op.Method == http.MethodPost { // what is sent with one is read
		statuses = append(statuses, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	for _, status := range statuses {
		// The answer to any problem, under either of the names that huma has for it.
		response := *cmp.Or(op.Responses["500"], op.Responses["default"])
		response.Description = http.StatusText(status)
		op.Responses[fmt.Sprint(status)] = &response
	}
}
