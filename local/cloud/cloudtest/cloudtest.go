// Package cloudtest starts a stand-in cloud for a test.
package cloudtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ecs-image-export/local/cloud"
)

// Start starts a stand-in with an account that is set up, and ends it with the
// test. Options.Dir is filled in where it is blank; Images must be given.
func Start(t testing.TB, o cloud.Options) *cloud.Cloud {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	c, err := cloud.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the stand-in: %v", err)
		}
	})
	root, err := cloud.Root()
	if err != nil {
		t.Fatal(err)
	}
	content, err := setUpProgram()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "setup")
	// A child that is forked meanwhile would hold the file open for writing, and
	// running it would fail with "text file busy".
	syscall.ForkLock.RLock()
	err = os.WriteFile(program, content, 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetUp(t.Context(), program, root); err != nil {
		t.Fatal(err)
	}
	return c
}

// setUpProgram builds the set-up program once for all tests of a process, and
// keeps it in memory: no test knows when it is the last one.
var setUpProgram = sync.OnceValues(func() ([]byte, error) {
	root, err := cloud.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "set-up-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "setup")
	if err := cloud.BuildOne(context.Background(), root, program, "./setup"); err != nil {
		return nil, err
	}
	return os.ReadFile(program)
})

// Environment is the stand-in's environment by name.
func Environment(c *cloud.Cloud) map[string]string {
	environment := map[string]string{}
	for _, line := range c.Environment() {
		name, value, _ := strings.Cut(line, "=")
		environment[name] = value
	}
	return environment
}
