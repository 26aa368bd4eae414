package main

import (
	"testing"

	"ecs-image-export/shared/function/functiontest"
)

func TestWiring(t *testing.T) {
	t.Parallel()
	functiontest.Wiring[Config](t, "ecs-image-export-catalog", nil)
}
