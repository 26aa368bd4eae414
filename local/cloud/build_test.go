package cloud

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBuildStopped stops a build at work, which has to clean up behind it.
func TestBuildStopped(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("GOCACHE", t.TempDir()) // all is to be compiled
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- BuildOne(ctx, root, filepath.Join(t.TempDir(), "hello"), "./local/bench/hello") }()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if at, _ := filepath.Glob(filepath.Join(temp, "*", "go-build*", "b*")); len(at) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("go does not begin")
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a stopped build ends with %v", err)
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
