package cloud_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/sample"
	"ecs-image-export/local/faults"
)

var update = flag.Bool("update", false, "write the captured trigger events to events/samples")

// TestCapture captures what each kind of trigger hands to a function, through
// the whole way that an event takes, and compares its shape with the samples.
func TestCapture(t *testing.T) {
	t.Parallel()
	source, err := cloud.Root()
	if err != nil {
		t.Fatal(err)
	}
	root, images := t.TempDir(), t.TempDir()
	for _, f := range []string{"request", "poller", "catalog"} {
		if err := cloud.BuildOne(t.Context(), source, filepath.Join(root, "build", f, "main"), "./local/cloud/testdata/recorder"); err != nil {
			t.Fatal(err)
		}
	}
	wiring, err := os.ReadFile(filepath.Join(source, "s.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "s.yaml"), wiring, 0o600); err != nil {
		t.Fatal(err)
	}
	ids, err := sample.Small(images, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := cloudtest.Start(t, cloud.Options{Images: images, Speed: 60})
	// It never strikes: it counts the events that could fail.
	if _, err := c.Faults().Add(faults.Fault{Service: faults.FC, Action: faults.OSS, When: faults.When{Nth: 1e6}, What: faults.What{Lose: true}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Deploy(root); err != nil {
		t.Fatal(err)
	}
	environment := cloudtest.Environment(c)

	call, err := http.NewRequest(http.MethodPost, environment["API_URL"]+"/exports", strings.NewReader(`{"imageId":"m-bp1demo7k2h9x4c0qw3z","prefix":"Demo"}`))
	if err != nil {
		t.Fatal(err)
	}
	call.Host = "image-exports-abcdefghij.cn-hangzhou.fcapp.run"
	call.Header.Set("Authorization", "Bearer sample-token")
	call.Header.Set("Content-Type", "application/json")
	call.Header.Set("Accept", "application/json, application/problem+json")
	call.Header.Set("User-Agent", "curl/8.5.0")
	resp, err := http.DefaultClient.Do(call)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	exportImage(t, environment, ids[0])

	for f, name := range map[string]string{"request": "http-request", "poller": "timer", "catalog": "object-created"} {
		path := filepath.Join(source, "events", "samples", name+".json")
		got := captured(t, filepath.Join(root, "build", f, "event.json"))
		if *update {
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(pretty.Bytes(), '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(shape(t, want), shape(t, got)); diff != "" {
			t.Errorf("%s (-sample +captured):\n%s", name, diff)
		}
	}
	if got := c.Faults().List()[0]; got.Calls == 0 {
		t.Error("faults see no events")
	}
}

// exportImage starts an export by hand, as somebody in the console would.
func exportImage(t *testing.T, environment map[string]string, imageID string) {
	t.Helper()
	client, err := sdk.NewClientWithOptions(environment["REGION"], sdk.NewConfig(),
		credentials.NewStaticAKCredentialsProvider(environment["ACCESS_KEY_ID"], environment["ACCESS_KEY_SECRET"]))
	if err != nil {
		t.Fatal(err)
	}
	r := requests.NewCommonRequest()
	r.Scheme, r.Domain = "http", strings.TrimPrefix(environment["ECS_ENDPOINT"], "http://")
	r.Product, r.Version, r.ApiName = "Ecs", "2014-05-26", "ExportImage"
	r.QueryParams["ImageId"], r.QueryParams["OSSBucket"] = imageID, environment["EXPORT_BUCKET"]
	if _, err := client.ProcessCommonRequest(r); err != nil {
		t.Fatal(err)
	}
}

// captured waits for the recorder to be invoked.
func captured(t *testing.T, path string) []byte {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		event, err := os.ReadFile(path)
		if err == nil {
			return event
		}
		if time.Now().After(deadline) {
			t.Fatalf("no event arrived: %v", err)
		}
		wait(t, 50*time.Millisecond)
	}
}

// shape lists the paths of a JSON document with their types. Which headers a
// call has is the caller's business.
func shape(t *testing.T, document []byte) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal(document, &v); err != nil {
		t.Fatal(err)
	}
	var paths []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			paths = append(paths, path+" object")
			for k, e := range v {
				if path != ".headers" {
					walk(path+"."+k, e)
				}
			}
		case []any:
			paths = append(paths, path+" array")
			for _, e := range v {
				walk(path+"[]", e)
			}
		default:
			paths = append(paths, fmt.Sprintf("%s %T", path, v))
		}
	}
	walk("", v)
	slices.Sort(paths)
	return slices.Compact(paths)
}
