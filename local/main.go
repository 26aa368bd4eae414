// Command local is the cloud on a laptop: it serves FC, OSS, MNS, ECS, RAM and
// STS on loopback ports, sets the account up, deploys the functions of s.yaml
// and writes where everything is into endpoints.env.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/ecs/sample"
)

func main() {
	var o cloud.Options
	flag.StringVar(&o.Listen, "listen", "127.0.0.1:9080", "address of FC; OSS, MNS, ECS, RAM and STS take the ports above it (port 0: free ones)")
	flag.StringVar(&o.Dir, "data", ".local", "folder of the cloud's state, which outlives a restart")
	flag.StringVar(&o.Images, "images", "", "folder of the images to export (default: a sample image that is made in the data folder)")
	flag.Float64Var(&o.Speed, "speed", 1, "how much faster timers and export tasks run")
	flag.IntVar(&o.Instances, "instances", 20, "instances that one function may have at most")
	flag.IntVar(&o.Tasks, "tasks", 2, "export tasks that ECS runs at once; others wait")
	flag.IntVar(&o.ConcurrentQuota, "concurrent", 0, "quota of export tasks that run or wait at once (0: none)")
	flag.IntVar(&o.WeeklyQuota, "weekly", 0, "quota of export tasks that are started from Monday to Sunday (0: none)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "local: %q is not a flag; see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	dieWithGoRun()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o.Log = os.Stderr
	if err := serve(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "local:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, o cloud.Options) (err error) {
	if !(o.Speed >= 1) {
		return fmt.Errorf("-speed is %v: it must be 1 or more, because the functions refuse intervals that last longer than in the cloud", o.Speed)
	}
	root, err := cloud.Root()
	if err != nil {
		return err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	unlock, err := cloud.Lock(o.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	// One of a stand-in that was killed would name ports that nobody serves.
	os.Remove(cloud.EnvironmentFile(o.Dir))
	if o.Images == "" {
		o.Images = filepath.Join(o.Dir, "images")
		if _, err := sample.Make(o.Images); err != nil {
			return err
		}
	}
	fmt.Println("building the functions")
	if err := cloud.Build(ctx, root, root); err != nil {
		return err
	}
	c, err := cloud.Start(o)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := c.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := c.SetUp(ctx, filepath.Join(root, cloud.SetUpProgram), root); err != nil {
		return err
	}
	if err := c.Deploy(root); err != nil {
		return err
	}
	if err := c.WriteEnvironment(); err != nil {
		return err
	}
	for _, line := range c.Environment() {
		fmt.Println(line)
	}
	fmt.Printf("\nready; the same is in %s. Stop with Ctrl-C.\n", cloud.EnvironmentFile(o.Dir))
	<-ctx.Done()
	fmt.Println("stopping")
	return nil
}
