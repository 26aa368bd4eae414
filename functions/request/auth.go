package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

type digest = [sha256.Size]byte

// open are the paths that need no token: how to ask, and whether anybody is there.
var open = map[string]bool{"/healthz": true, "/openapi.json": true}

// realm names what the tokens are for, as RFC 6750 wants it.
const realm = `Bearer realm="ecs-image-export"`

// authorize lets callers through who bring an accepted bearer token.
func (s *server) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open[r.URL.Path] {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			// RFC 6750 3.1: no error code for a call that brings no token at all.
			refuseToken(w, realm, "The call has no bearer token. Send the header Authorization: Bearer <token>.", "is missing")
			return
		}
		if !s.accepts(strings.TrimSpace(token)) {
			refuseToken(w, realm+`, error="invalid_token", error_description="The token is not accepted"`,
				"The bearer token is not accepted. Ask whoever runs this deployment for one that is.", "is not accepted")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuseToken(w http.ResponseWriter, challenge, detail, message string) {
	p := newProblem(http.StatusUnauthorized, codeUnauthorized, detail, finding{Location: "header.Authorization", Message: message})
	p.headers = http.Header{"Www-Authenticate": {challenge}}
	refuse(w, p)
}

// accepts takes the same time whichever token it is: it compares digests, and
// all of them.
func (s *server) accepts(token string) bool {
	sum := sha256.Sum256([]byte(token))
	match := 0
	for _, accepted := range s.tokens {
		match |= subtle.ConstantTimeCompare(sum[:], accepted[:])
	}
	return match == 1
}
