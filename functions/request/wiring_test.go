package main

import (
	"strings"
	"testing"

	"ecs-image-export/shared/function/functiontest"
)

func TestWiring(t *testing.T) {
	t.Parallel()
	functiontest.Wiring[Config](t, "ecs-image-export-request", map[string]string{
		"API_TOKENS_SHA256": strings.Repeat("0", 64), // has no default
	})
}
