// Command bench measures package diskimage beside qemu-img and the shell
// pipeline, in one run on one machine: seconds, speed, CPU time, peak memory and
// the size of what comes out. Every work is a process of its own, ours too, so
// that all are measured in the same way.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 1 && os.Args[1] == workCommand {
		err = work(ctx, os.Args[2:])
	} else {
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	gib := flag.Int64("gib", 2, "size of the disk in GiB")
	runs := flag.Int("runs", 5, "runs of each work, in turns; the best counts, and what others take long for runs once")
	only := flag.String("only", "", "measure the works whose names match this regular expression")
	keep := flag.String("dir", "", "folder to work in; kept, with the disk (default: a temporary one)")
	flag.Parse()

	dir := *keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "bench-diskimage-*"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	names, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// A child makes the disk, so that this program stays small: Linux counts its
	// memory as the least that a child has.
	disk := exec.CommandContext(ctx, self, workCommand, "disk", filepath.Join(dir, "disk.raw"), strconv.FormatInt(*gib<<30, 10))
	if out, err := disk.CombinedOutput(); err != nil {
		return fmt.Errorf("make the disk: %w: %s", err, out)
	}
	versions(ctx)
	b := bench{dir: dir, self: self, virtual: *gib << 30, runs: *runs}
	for _, g := range groups() {
		if names.MatchString(g.name) {
			if err := b.measure(ctx, g); err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
		}
	}
	return nil
}

// versions prints what the figures depend on.
func versions(ctx context.Context) {
	for _, command := range []string{"go version", "qemu-img --version", "tar --version", "gzip --version", "pigz --version", "igzip --version", "libdeflate-gunzip -V"} {
		words := strings.Fields(command)
		out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput()
		if err == nil {
			first, _, _ := strings.Cut(string(out), "\n")
			fmt.Println(first)
		}
	}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				fmt.Println(strings.Trim(name, "\t :\n"))
				break
			}
		}
	}
	fmt.Println()
}
