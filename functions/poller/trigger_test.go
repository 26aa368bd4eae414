package main

import (
	"slices"
	"testing"

	"ecs-image-export/local/syaml"
)

// TestTrigger wants ticks that come every minute and never pile up.
func TestTrigger(t *testing.T) {
	t.Parallel()
	project, err := syaml.Load("../../s.yaml", syaml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(project.Functions, func(f syaml.Function) bool { return f.Name == "ecs-image-export-poller" })
	f := project.Functions[i]
	if len(f.Triggers) != 1 || f.Triggers[0].Timer == nil || f.Triggers[0].Timer.Cron != "@every 1m" {
		t.Errorf("triggers %+v", f.Triggers)
	}
	if f.Async.Retries != 0 || f.Async.EventAge.Seconds() != 60 {
		t.Errorf("asynchronous settings %+v", f.Async)
	}
}
