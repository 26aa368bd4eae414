package main

import (
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/issuer"
)

func TestIssue(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if _, err := issue(data, "ci", "exports:read", time.Hour); err == nil || !strings.Contains(err.Error(), "make run") {
		t.Errorf("in a folder of no stand-in: %v", err)
	}
	if _, err := issuer.Open(cloud.IssuerFile(data)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		subject, scope string
		life           time.Duration
		says           string
	}{
		"no subject":       {"", "exports:read", time.Hour, "-subject"},
		"no life":          {"ci", "exports:read", 0, "-life"},
		"an unknown scope": {"ci", "exports:read exports:all", time.Hour, `"exports:all"`},
	} {
		if _, err := issue(data, test.subject, test.scope, test.life); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	token, err := issue(data, "ci", "exports:read  exports:write", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	var granted struct {
		Scope string `json:"scope"`
	}
	if err := parsed.UnsafeClaimsWithoutVerification(&claims, &granted); err != nil || claims.Subject != "ci" || granted.Scope != "exports:read exports:write" {
		t.Errorf("%+v %+v: %v", claims, granted, err)
	}
}
