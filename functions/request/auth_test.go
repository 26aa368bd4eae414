package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// scoped is a token with some scopes.
func scoped(scopes ...string) string {
	return issuer.token(with(map[string]any{"scope": strings.Join(scopes, " ")}))
}

// TestEveryOperationNeedsItsScope calls whatever the document lists with tokens of
// every scope: an operation that is open by mistake, or needs another scope than
// it says, answers otherwise.
func TestEveryOperationNeedsItsScope(t *testing.T) {
	t.Parallel()
	api := lone(t)
	var document struct {
		Paths map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]json.RawMessage
		}
	}
	api.do(t, "GET", "/openapi.json", "").into(t, &document)
	all := []string{"exports:read", "exports:write", "exports:admin"}
	operations := 0
	for path, methods := range document.Paths {
		for method, operation := range methods {
			if open[path] {
				continue
			}
			operations++
			if len(operation.Security) != 1 || len(operation.Security[0][bearer]) != 1 {
				t.Errorf("%s %s: security %v, want one scope", method, path, operation.Security)
				continue
			}
			needs := operation.Security[0][bearer][0]
			if method == "get" && needs != "exports:read" || method == "delete" && needs != "exports:admin" {
				t.Errorf("%s %s needs %s", method, path, needs)
			}
			for _, status := range []string{"401", "403"} {
				if operation.Responses[status] == nil {
					t.Errorf("%s %s: answer %s is not described", method, path, status)
				}
			}
			target := regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(path, "x")
			for _, scope := range all {
				a := api.do(t, strings.ToUpper(method), target, "", "Authorization", "Bearer "+scoped(scope))
				lacks := a.status == http.StatusForbidden && strings.Contains(a.header["Www-Authenticate"], `error="insufficient_scope"`)
				if lacks != (scope != needs) {
					t.Errorf("%s %s, which needs %s, with %s: %d %s", method, path, needs, scope, a.status, a.body)
				}
			}
			without := api.do(t, strings.ToUpper(method), target, "", "Authorization", "Bearer "+scoped(strings.Split(strings.Join(all, " ")+" openid", " ")[3]))
			if p := without.problem(t); p.Status != http.StatusForbidden || p.Code != codeForbidden || !strings.Contains(p.Detail, needs) {
				t.Errorf("%s %s without a scope: %+v", method, path, p)
			}
		}
	}
	if operations < 5 {
		t.Errorf("the document lists %d operations", operations)
	}
}

// TestChallenge wants nothing of a caller's in the challenge, whose grammar has no
// place for all of it.
func TestChallenge(t *testing.T) {
	t.Parallel()
	api := lone(t)
	grammar := regexp.MustCompile(`^Bearer realm="ecs-image-export"(, error="(invalid_token|insufficient_scope)", error_description="[^"\\]*"(, scope="[a-z: ]+")?)?$`)
	for name, bad := range map[string]string{
		"none":        "",
		"quotes":      `Bearer a"b\c`,
		"other":       "Digest x",
		"expired":     "Bearer " + issuer.token(with(map[string]any{"exp": 1})),
		"bad subject": "Bearer " + issuer.token(with(map[string]any{"sub": "\"\r\nX: y"})),
		"no scope":    "Bearer " + scoped("openid"),
	} {
		a := api.do(t, "GET", "/exports", "", "Authorization", bad)
		a.problem(t)
		if !grammar.MatchString(a.header["Www-Authenticate"]) || a.header["Cache-Control"] != "no-store" {
			t.Errorf("%s: %v", name, a.header)
		}
	}
}

// TestNoKeys wants a token that can't be judged to be answered as that, and not as
// a wrong one, which a caller would throw away.
func TestNoKeys(t *testing.T) {
	t.Parallel()
	c := validConfig()
	server := serveKeys(t, keysOf(issuer))
	server.Close()
	c.JWKS, c.JWKSURL = "", server.URL
	h, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	a := (&instance{handler: h}).do(t, "GET", "/exports", "")
	if p := a.problem(t); p.Status != http.StatusServiceUnavailable || a.header["Retry-After"] != fmt.Sprint(keysPause.Seconds()) || strings.Contains(a.body, server.URL) {
		t.Errorf("%v %s", a.header, a.body)
	}
	if a := (&instance{handler: h}).do(t, "GET", "/healthz", ""); a.status != http.StatusOK {
		t.Errorf("/healthz: %d", a.status)
	}
}
