package main

import (
	"os"
	"strings"
	"testing"
)

func TestUnknownImage(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	err := run(t.Context(), "", "m-bp1unknown", "raw", 60)
	if err == nil || !strings.Contains(err.Error(), "which image?") {
		t.Errorf("an image that the sample does not have: %v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
