package cloud_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/sample"
	"ecs-image-export/shared/diskimage"
)

// TestFormats sends one image in each format through the functions as they are
// built, and reads the disk back by the link of the API.
func TestFormats(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	images := filepath.Join(dir, "images")
	formats := map[string]diskimage.Format{
		"raw": diskimage.TarGz, "vhd": diskimage.VHD, "QCOW2": diskimage.QCOW2, "vdi": diskimage.VDI, "vmdk": diskimage.VMDK,
	}
	ids, err := sample.Small(images, len(formats))
	if err != nil {
		t.Fatal(err)
	}
	source, err := cloud.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := cloud.Build(t.Context(), source, root); err != nil {
		t.Fatal(err)
	}
	wiring, err := os.ReadFile(filepath.Join(source, "s.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "s.yaml"), wiring, 0o600); err != nil {
		t.Fatal(err)
	}
	// The disks are raw; half of them become qcow2.
	want := map[string][]byte{}
	for i, id := range ids {
		path := filepath.Join(images, "small", id+"_xvda.raw")
		if want[id], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			if out, err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", path, path+".new").CombinedOutput(); err != nil {
				t.Fatalf("qemu-img convert: %v: %s", err, out)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := cloudtest.Start(t, cloud.Options{Images: images, Speed: 1000})
	if err := c.Deploy(root); err != nil {
		t.Fatal(err)
	}
	api := api{cloudtest.Environment(c)}
	for asked, format := range formats {
		id := ids[0]
		ids = ids[1:]
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			var e struct{ ID string }
			if status, body := api.call(t, http.MethodPost, "/exports", map[string]string{"imageId": id, "format": asked}, &e); status != http.StatusAccepted {
				t.Fatalf("status %d: %s", status, body)
			}
			for deadline, state := time.Now().Add(2*time.Minute), ""; state != "completed"; wait(t, 100*time.Millisecond) {
				var now struct {
					State, Format string
					Failure       any
					Disks         []struct{ Key string }
				}
				api.call(t, http.MethodGet, "/exports/"+e.ID, nil, &now)
				if state = now.State; state == "failed" || time.Now().After(deadline) {
					t.Fatalf("%+v", now)
				}
				if state == "completed" && (now.Format != strings.ToLower(asked) || !strings.HasSuffix(now.Disks[0].Key, "_system."+string(format))) {
					t.Errorf("%+v", now)
				}
			}
			got := new(content)
			s, err := diskimage.NewStream(bytes.NewReader(api.get(t, "/exports/"+e.ID+"/disks/xvda/download")), diskimage.Limits{})
			if err == nil {
				err = diskimage.Copy(got, s)
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Format() != format || !bytes.Equal(got.Bytes(), want[id]) {
				t.Errorf("%s with %d bytes that are not the disk", s.Format(), got.Len())
			}
		})
	}
}

// content is a diskimage.Writer in memory.
type content struct{ bytes.Buffer }

func (c *content) Skip(n int64) error {
	_, err := c.Write(make([]byte, n))
	return err
}

func (c *content) Close() error { return nil }
func (c *content) Abort(error)  {}

// get follows a redirect of the API, to a place that must not see its token.
func (a api) get(t *testing.T, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.environment["API_URL"]+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.environment["API_TOKEN"])
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp, err = http.Get(resp.Header.Get("Location")); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return body
}
