package cloud

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// SetUpProgram is where Build puts the set-up program, below the root.
const SetUpProgram = "build/setup"

// Build compiles the functions and the set-up program below root/build, with the
// same flags as for a deployment. Flags are added to those of go build ("-race").
func Build(ctx context.Context, source, root string, flags ...string) error {
	for _, p := range []struct{ out, pkg string }{
		{"build/request/main", "./functions/request"},
		{"build/poller/main", "./functions/poller"},
		{"build/catalog/main", "./functions/catalog"},
		{SetUpProgram, "./setup"},
	} {
		if err := BuildOne(ctx, source, filepath.Join(root, p.out), p.pkg, flags...); err != nil {
			return err
		}
	}
	return nil
}

// BuildOne compiles one program of the module in source.
func BuildOne(ctx context.Context, source, out, pkg string, flags ...string) error {
	// go leaves its temporary folder behind when it is stopped.
	temp, err := os.MkdirTemp("", "ecs-image-export-build-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", out}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOTMPDIR="+temp)
	if !slices.Contains(flags, "-race") { // the race detector needs cgo
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", pkg, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

// Root finds the folder of s.yaml in the working folder or above it.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "s.yaml")); err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("no s.yaml here or above: run this inside the project")
	}
}
