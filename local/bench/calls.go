package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/ecs/sample"
)

// counter counts calls by service and operation.
type counter struct {
	mu    sync.Mutex
	on    bool
	calls map[string]map[string]int
}

func (c *counter) wrap(service string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if op := operation(service, r); op != "" {
			c.mu.Lock()
			if c.on {
				if c.calls[service] == nil {
					c.calls[service] = map[string]int{}
				}
				c.calls[service][op]++
			}
			c.mu.Unlock()
		}
		h.ServeHTTP(w, r)
	})
}

// operation names a call of the functions, "" one that is not theirs: ECS writes
// into the export bucket too, and only it with multipart uploads. That it looks at
// the bucket and once for each object before cannot be told from what they do.
func operation(service string, r *http.Request) string {
	query := r.URL.Query()
	switch service {
	case "oss":
		bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if query.Has("uploadId") || query.Has("uploads") && r.Method == http.MethodPost {
			return ""
		}
		if r.Method == http.MethodHead && bucket == cloud.RecordsBucket {
			return "" // our own waiting; see wait
		}
		switch {
		case query.Has("append"):
			return "AppendObject " + bucket
		case key == "" && query.Has("bucketInfo"):
			return "GetBucketInfo " + bucket
		case bucket == cloud.RecordsBucket && key == "":
			return "List " + bucket + "/" + query.Get("prefix")
		case bucket == cloud.RecordsBucket:
			folder, _, _ := strings.Cut(key, "/")
			return r.Method + " " + bucket + "/" + folder
		case key == "":
			return "List " + bucket
		}
		return r.Method + " " + bucket
	case "ecs", "sts", "ram":
		return query.Get("Action")
	case "mns":
		what := "queue"
		if strings.Contains(r.URL.Path, "/topics/") {
			what = "topic"
		}
		return r.Method + " " + what
	}
	return ""
}

// calls runs one export of three disks, about three minutes at the speed of the
// cloud, and counts what it took. Nobody asks for its progress meanwhile.
func calls(ctx context.Context, root, dir string) error {
	const speed = 20
	images := filepath.Join(dir, "images")
	id, err := sample.Make(images)
	if err != nil {
		return err
	}
	count := &counter{calls: map[string]map[string]int{}}
	c, err := cloud.Start(cloud.Options{Dir: filepath.Join(dir, "cloud"), Images: images, Speed: speed, TaskPerGiB: time.Minute, Wrap: count.wrap})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetUp(ctx, filepath.Join(root, cloud.SetUpProgram), root); err != nil {
		return err
	}
	if err := c.Deploy(root); err != nil {
		return err
	}
	environment := map[string]string{}
	for _, line := range c.Environment() {
		k, v, _ := strings.Cut(line, "=")
		environment[k] = v
	}
	count.mu.Lock()
	count.on = true
	count.mu.Unlock()
	begin := time.Now()
	if err := export(ctx, environment, id); err != nil {
		return err
	}
	count.mu.Lock()
	defer count.mu.Unlock()
	fmt.Printf("\nAPI calls of one export of three disks in %.0f s at %dx, by service (polls without work included)\n", time.Since(begin).Seconds(), speed)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, service := range slices.Sorted(maps.Keys(count.calls)) {
		total := 0
		for _, n := range count.calls[service] {
			total += n
		}
		fmt.Fprintf(w, "%s\t%d\n", service, total)
		for _, op := range slices.Sorted(maps.Keys(count.calls[service])) {
			fmt.Fprintf(w, "  %s\t%d\n", op, count.calls[service][op])
		}
	}
	return w.Flush()
}

// export submits an export and waits for its end in the bucket: asking the API
// would add calls.
func export(ctx context.Context, environment map[string]string, imageID string) error {
	body, _ := json.Marshal(map[string]string{"imageId": imageID})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, environment["API_URL"]+"/exports", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+environment["API_TOKEN"])
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var e struct {
		ID    string `json:"id"`
		State string `json:"state"`
	}
	if err := json.Unmarshal(answer, &e); err != nil || resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("POST /exports: %s: %s", resp.Status, answer)
	}
	return wait(ctx, environment, e.ID)
}
