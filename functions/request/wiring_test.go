package main

import (
	"testing"

	"ecs-image-export/shared/function/functiontest"
)

func TestWiring(t *testing.T) {
	t.Parallel()
	functiontest.Wiring[Config](t, "ecs-image-export-request", map[string]string{
		"JWT_ISSUER": testIssuer, "JWKS": keysOf(issuer), // have no default
	})
}
