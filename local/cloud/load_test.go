package cloud_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/sample"
)

// TestTwoHundredAtOnce submits 200 exports of 200 images at the same moment to
// functions that are built with the race detector. More requests come than there
// are instances, and more tasks than ECS runs.
func TestTwoHundredAtOnce(t *testing.T) {
	const exports = 200
	root, dir := t.TempDir(), t.TempDir()
	images := filepath.Join(dir, "images")
	ids, err := sample.Small(images, exports)
	if err != nil {
		t.Fatal(err)
	}
	source, err := cloud.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Build(t.Context(), source, root, "-race"); err != nil {
		t.Fatal(err)
	}
	wiring, err := os.ReadFile(filepath.Join(source, "s.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "s.yaml"), wiring, 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "cloud")
	c := cloudtest.Start(t, cloud.Options{Dir: data, Images: images, Speed: 60, Instances: 8, Tasks: 10, TaskLeast: time.Second})
	if err := c.Deploy(root); err != nil {
		t.Fatal(err)
	}
	api := api{cloudtest.Environment(c)}

	var group sync.WaitGroup
	exportIDs := make([]string, exports)
	for i, image := range ids {
		group.Go(func() {
			var e struct{ ID string }
			if status, body := api.call(t, http.MethodPost, "/exports", map[string]string{"imageId": image}, &e); status != http.StatusAccepted {
				t.Errorf("image %s: status %d: %s", image, status, body)
			}
			exportIDs[i] = e.ID
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	deadline := time.Now().Add(4 * time.Minute)
	for _, id := range exportIDs {
		for state := ""; state != "completed"; {
			var e struct {
				State   string
				Failure any
			}
			if status, body := api.call(t, http.MethodGet, "/exports/"+id, nil, &e); status != http.StatusOK {
				t.Fatalf("export %s: status %d: %s", id, status, body)
			}
			if state = e.State; state == "failed" || time.Now().After(deadline) {
				t.Fatalf("export %s: state %s, failure %v", id, state, e.Failure)
			}
			if state != "completed" {
				wait(t, 200*time.Millisecond)
			}
		}
	}
	err = filepath.WalkDir(filepath.Join(data, "fc", "logs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if i := bytes.Index(text, []byte("DATA RACE")); i >= 0 {
			t.Errorf("%s: %.3000s", d.Name(), text[i:])
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// api calls the request function.
type api struct{ environment map[string]string }

func (a api) call(t *testing.T, method, path string, in, out any) (status int, answer string) {
	t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.environment["API_URL"]+path, body)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Authorization", "Bearer "+a.environment["API_TOKEN"])
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	if out != nil && strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(text, out); err != nil {
			t.Error(fmt.Errorf("%s %s: %w in %s", method, path, err, text))
		}
	}
	return resp.StatusCode, string(text)
}

// wait lets a poll's time go by.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test was ended")
	}
}
