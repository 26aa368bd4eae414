// Command demo runs the main job once and shows it: one image is exported over
// HTTP on a stand-in cloud of its own, a subscriber receives the events, and the
// disks are downloaded and compared with their sources, whatever their format.
//
// It is a user of the system like any other: it knows the HTTP API, the queue
// that it subscribed, and the links that the API hands out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/ecs/sample"
)

func main() {
	images := flag.String("images", "", "folder with images of your own (default: a sample image is made)")
	imageID := flag.String("image", "", "id of the image to export (default: the only one of the folder)")
	format := flag.String("format", "raw", "format of the export: raw, vhd, qcow2, vdi or vmdk")
	speed := flag.Float64("speed", 60, "how much faster timers and export tasks run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, *images, *imageID, *format, *speed)
	if ctx.Err() != nil {
		err = errors.New("stopped") // whatever that broke is no news
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, images, imageID, format string, speed float64) (err error) {
	dir, err := os.MkdirTemp("", "ecs-image-export-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	if images == "" {
		step("making a sample image")
		images = filepath.Join(dir, "images")
		if _, err = sample.Make(images); err != nil {
			return err
		}
	}
	folder, err := image.Load(images, 0)
	if err != nil {
		return err
	}
	defer folder.Close()
	source, err := pick(folder, imageID)
	if err != nil {
		return fmt.Errorf("%w in %s", err, images)
	}

	c, err := start(ctx, cloud.Options{Dir: filepath.Join(dir, "cloud"), Images: images, Speed: speed, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	environment := map[string]string{}
	for _, line := range c.Environment() {
		name, value, _ := strings.Cut(line, "=")
		environment[name] = value
	}

	step("subscribing a queue to the topic %s", environment["EVENT_TOPIC"])
	subscriber, err := subscribe(environment)
	if err != nil {
		return err
	}
	api := api{environment["API_URL"], environment["API_TOKEN"]}
	export, err := show(ctx, api, subscriber, source, format)
	if err != nil {
		return err
	}
	step("each disk, downloaded, beside its source")
	return comparison{api, export, source, folder, images, dir}.run(ctx)
}

// show exports an image and prints what one sees of it.
func show(ctx context.Context, a api, s subscriber, source image.Image, format string) (export, error) {
	step("POST /exports  %s (%s) as %s", source.ImageID, source.ImageName, format)
	e, err := a.submit(ctx, source.ImageID, format)
	if err != nil {
		return e, err
	}
	fmt.Printf("   202, export %s, task %s\n", e.ID, e.TaskID)
	if e, err = a.follow(ctx, e.ID); err != nil {
		return e, err
	}
	step("the catalog")
	printCatalog(e)
	step("the events that the subscriber received")
	if err := s.print(ctx, e.ID); err != nil {
		return e, err
	}
	if e.State != "completed" {
		return e, fmt.Errorf("export %s ended as %s: %s: %s", e.ID, e.State, e.Failure.Code, e.Failure.Message)
	}
	return e, nil
}

// start brings up a cloud with the functions deployed.
func start(ctx context.Context, o cloud.Options) (*cloud.Cloud, error) {
	root, err := cloud.Root()
	if err != nil {
		return nil, err
	}
	step("building the functions")
	if err := cloud.Build(ctx, root, root); err != nil {
		return nil, err
	}
	step("starting the stand-in cloud, %gx as fast", o.Speed)
	c, err := cloud.Start(o)
	if err != nil {
		return nil, err
	}
	if err := c.SetUp(ctx, filepath.Join(root, cloud.SetUpProgram), root); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.Deploy(root); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// pick finds the image to export.
func pick(folder *image.Folder, id string) (image.Image, error) {
	all := folder.Images()
	if id == "" && len(all) == 1 {
		return all[0], nil
	}
	var ids []string
	for _, i := range all {
		if i.ImageID == id {
			return i, nil
		}
		ids = append(ids, i.ImageID)
	}
	return image.Image{}, fmt.Errorf("which image? name one with IMAGE=; there are: %s", strings.Join(ids, ", "))
}

var began = time.Now()

// step tells what comes next, and when that was.
func step(format string, args ...any) {
	fmt.Printf("%5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
