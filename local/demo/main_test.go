package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnknownImage(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	err := run(t.Context(), "", "m-bp1unknown", 60)
	if err == nil || !strings.Contains(err.Error(), "which image?") {
		t.Errorf("an image that the sample does not have: %v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// TestSumStops wants Ctrl-C to end the reading of a disk, however large.
func TestSumStops(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if got, err := sum(ctx, path); err != nil || !strings.HasPrefix(got, "ed7002b439e9ac84") {
		t.Errorf("got %s, %v", got, err)
	}
	stop()
	if _, err := sum(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, it ends with %v", err)
	}
}
