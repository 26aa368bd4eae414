package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

type bench struct {
	dir     string
	self    string
	virtual int64
	runs    int
}

// result is what a run took.
type result struct {
	wall, cpu time.Duration
	memory    int64 // peak of the largest process, in bytes
	size      int64 // of the output
}

// longRun is how long a work takes that is not run again, unless it is ours.
const longRun = 15 * time.Second

// measure prints the table of a group. Ratios are to the first row.
func (b *bench) measure(ctx context.Context, g group) error {
	virtual := g.virtual
	if virtual == 0 {
		virtual = b.virtual
	}
	fmt.Println(g.name)
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  \tseconds\tMB/s\tCPU s\tpeak MiB\tMB out\tdiskimage is\tits size is")
	best := make([]result, len(g.works))
	// In turns: what the machine does beside hits all of them.
	for turn := range b.runs {
		for i, e := range g.works {
			if i > 0 && best[i].wall > longRun || !installed(e) {
				continue
			}
			check := ""
			if turn == 0 {
				check = g.check
			}
			r, err := b.run(ctx, e, check)
			if err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
			if best[i].wall == 0 || r.wall < best[i].wall {
				best[i] = r
			}
		}
	}
	first := best[0]
	for i, e := range g.works {
		if !installed(e) {
			fmt.Fprintf(t, "  %s\tnot installed\n", e.name)
			continue
		}
		r, ratio, size := best[i], "", ""
		if i > 0 {
			ratio = fmt.Sprintf("%.2f times as fast", r.wall.Seconds()/first.wall.Seconds())
			if r.size > 0 && first.size > 0 {
				size = fmt.Sprintf("%.3f", float64(first.size)/float64(r.size))
			}
		}
		fmt.Fprintf(t, "  %s\t%.2f\t%.0f\t%.2f\t%d\t%.0f\t%s\t%s\n", e.name, r.wall.Seconds(), float64(virtual)/1e6/r.wall.Seconds(),
			r.cpu.Seconds(), r.memory>>20, float64(r.size)/1e6, ratio, size)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Println()
	return nil
}

// installed says whether the program of a work is there.
func installed(e entry) bool {
	program, _, _ := strings.Cut(e.command, " ")
	if program == "SELF" {
		return true
	}
	_, err := exec.LookPath(program)
	return err == nil
}

// run does a work once. What it made must pass the check, which is not measured.
func (b *bench) run(ctx context.Context, e entry, check string) (result, error) {
	out := filepath.Join(b.dir, "out")
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return result{}, err
	}
	defer os.Remove(out)
	c := b.shell(ctx, e.command)
	unix.Sync() // what others wrote does not slow this one down
	var stderr bytes.Buffer
	c.Stderr = &stderr
	begin := time.Now()
	if err := c.Run(); err != nil {
		return result{}, fmt.Errorf("%w: %s", err, stderr.Bytes())
	}
	r := result{wall: time.Since(begin), cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime()}
	if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.memory = usage.Maxrss << 10 // Linux counts KiB
	}
	if info, err := os.Stat(out); err == nil {
		r.size = info.Size()
		if check != "" {
			if out, err := b.shell(ctx, check).CombinedOutput(); err != nil {
				return result{}, fmt.Errorf("%s: %w: %s", check, err, out)
			}
		}
	}
	return r, nil
}

func (b *bench) shell(ctx context.Context, command string) *exec.Cmd {
	expanded := strings.NewReplacer("SELF", "'"+b.self+"'", "OUT", "out").Replace(command)
	if !strings.ContainsAny(command, "|;") {
		expanded = "exec " + expanded
	}
	c := exec.CommandContext(ctx, "sh", "-c", expanded)
	c.Dir = b.dir
	return c
}
