// Command bench measures what the functions cost, beside something that one can
// judge it by: the size and the start of each executable beside a hello-world on
// the same runtime SDK, and the API calls of one export.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/syaml"
)

// starts is how often each executable is started.
const starts = 40

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	root, err := cloud.Root()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := cloud.Build(ctx, root, root); err != nil {
		return err
	}
	if err := executables(ctx, root, dir); err != nil {
		return err
	}
	return calls(ctx, root, dir)
}

type measured struct {
	name     string
	bytes    int64
	p50, p90 time.Duration
}

// executables compares each function with the hello-world, in the same run.
func executables(ctx context.Context, root, dir string) error {
	hello := filepath.Join(dir, "hello")
	if err := cloud.BuildOne(ctx, root, hello, "./local/bench/hello"); err != nil {
		return err
	}
	project, err := syaml.Load(filepath.Join(root, "s.yaml"), syaml.Options{
		Env: func(name string) (string, bool) {
			v, ok := map[string]string{"JWT_ISSUER": "bench", "JWKS_URL": "http://127.0.0.1/keys"}[name]
			return v, ok
		},
	})
	if err != nil {
		return err
	}
	base, err := measure(ctx, "hello-world", hello, nil)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "executable\tMB\tof hello\tstart to first next, p50\tp90\tp50 of hello\t")
	row := func(m measured) {
		fmt.Fprintf(w, "%s\t%.1f\t%.2fx\t%.1f ms\t%.1f ms\t%.2fx\t\n", m.name, float64(m.bytes)/1e6, float64(m.bytes)/float64(base.bytes),
			m.p50.Seconds()*1e3, m.p90.Seconds()*1e3, m.p50.Seconds()/base.p50.Seconds())
	}
	row(base)
	for _, f := range project.Functions {
		var environment []string
		for k, v := range f.Environment {
			environment = append(environment, k+"="+v)
		}
		m, err := measure(ctx, f.Name, filepath.Join(root, f.Code, f.Handler), environment)
		if err != nil {
			return err
		}
		row(m)
	}
	return w.Flush()
}

// measure starts an executable again and again, and takes the time from there to
// its first request for an event.
func measure(ctx context.Context, name, path string, environment []string) (measured, error) {
	info, err := os.Stat(path)
	if err != nil {
		return measured{}, err
	}
	next := make(chan time.Time, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return measured{}, err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case next <- time.Now():
		default:
		}
		<-r.Context().Done()
	})}
	go server.Serve(l)
	defer server.Close()
	var took []time.Duration
	for range starts {
		cmd := exec.CommandContext(ctx, path)
		cmd.Env = append(environment, "FC_RUNTIME_API="+l.Addr().String())
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			return measured{}, err
		}
		select {
		case t := <-next:
			took = append(took, t.Sub(begin))
		case <-time.After(10 * time.Second):
			err = fmt.Errorf("%s asked for no event", name)
		case <-ctx.Done():
			err = ctx.Err()
		}
		cmd.Process.Kill()
		cmd.Wait()
		if err != nil {
			return measured{}, err
		}
	}
	slices.Sort(took)
	return measured{name, info.Size(), took[len(took)/2], took[len(took)*9/10]}, nil
}
