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

// longRun is how long a work takes that is not run again.
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
	var first result
	for i, e := range g.works {
		command := strings.Fields(e.command)[0]
		if command != "SELF" {
			if _, err := exec.LookPath(command); err != nil {
				fmt.Fprintf(t, "  %s\tnot installed\n", e.name)
				continue
			}
		}
		var best result
		for run := range b.runs {
			if best.wall > longRun {
				break
			}
			r, err := b.run(ctx, e)
			if err != nil {
				return errors.Join(t.Flush(), fmt.Errorf("%s: %w", e.name, err))
			}
			if run == 0 || r.wall < best.wall {
				best = r
			}
		}
		ratio, size := "", ""
		if i == 0 {
			first = best
		} else {
			ratio = fmt.Sprintf("%.2f times as fast", best.wall.Seconds()/first.wall.Seconds())
			if best.size > 0 && first.size > 0 {
				size = fmt.Sprintf("%.3f", float64(first.size)/float64(best.size))
			}
		}
		fmt.Fprintf(t, "  %s\t%.2f\t%.0f\t%.2f\t%d\t%.0f\t%s\t%s\n", e.name, best.wall.Seconds(), float64(virtual)/1e6/best.wall.Seconds(),
			best.cpu.Seconds(), best.memory>>20, float64(best.size)/1e6, ratio, size)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Println()
	return nil
}

func (b *bench) run(ctx context.Context, e entry) (result, error) {
	out := filepath.Join(b.dir, "out")
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return result{}, err
	}
	defer os.Remove(out)
	command := strings.NewReplacer("SELF", "'"+b.self+"'", "OUT", "out").Replace(e.command)
	if !strings.ContainsAny(e.command, "|;") {
		command = "exec " + command
	}
	c := exec.CommandContext(ctx, "sh", "-c", command)
	c.Dir = b.dir
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
	}
	return r, nil
}
