package ecs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"ecs-image-export/local/ecs"

	"github.com/google/go-cmp/cmp"
)

// formats are what callers write, what ECS makes of it, and what qemu-img calls
// it.
var formats = []struct{ asked, format, suffix, qemu string }{
	{"RAW", "raw", ".raw.tar.gz", ""},
	{"Vhd", "vhd", ".vhd", "vpc"},
	{"QCOW2", "qcow2", ".qcow2", "qcow2"},
	{"vdi", "vdi", ".vdi", "vdi"},
	{"vmdk", "vmdk", ".vmdk", "vmdk"},
}

// run runs a program that makes or judges something. A machine without it cannot
// run these tests.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// sparseFile writes content to a file of size bytes, where there is any.
func sparseFile(t *testing.T, path string, size int64, content map[int64][]byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at, b := range content {
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
}

// unpackRaw lets GNU tar unpack a disk, into a file with holes.
func unpackRaw(t *testing.T, object string) (raw string) {
	t.Helper()
	raw = filepath.Join(t.TempDir(), "raw")
	run(t, "sh", "-c", `set -e; [ "$(tar -tzf "$1" | wc -l)" = 1 ]; tar -xzOf "$1" | dd of="$2" bs=1M iflag=fullblock conv=sparse status=none`, "sh", object, raw)
	return raw
}

// judge wants an object to hold a disk.
func judge(t *testing.T, object, format, source, sourceFormat string) {
	t.Helper()
	size := func(format, path string) int64 {
		var info struct {
			Format string
			Size   int64 `json:"virtual-size"`
		}
		if err := json.Unmarshal(run(t, "qemu-img", "info", "--output=json", "-f", format, path), &info); err != nil || info.Format != format {
			t.Errorf("%s is %s: %v", path, info.Format, err)
		}
		return info.Size
	}
	switch format {
	case "": // packed
		object, format = unpackRaw(t, object), "raw"
	case "vpc": // qemu-img has no check for it
	default:
		run(t, "qemu-img", "check", "-f", format, object)
	}
	if got, want := size(format, object), size(sourceFormat, source); got != want {
		t.Errorf("%s: %d bytes, the source has %d", filepath.Base(object), got, want)
	}
	run(t, "qemu-img", "compare", "-f", sourceFormat, "-F", format, source, object)
}

// source is a disk of an image: how its objects are called, its file and what
// qemu-img calls its format.
type source struct{ object, file, format string }

// varied is a folder with the image m-1.
func varied(t *testing.T) (dir string, disks []source) {
	t.Helper()
	dir = folder(t, nil, with("m-1", disk("system", "xvda", "1", "a.raw"), disk("data", "xvdb", "1", "b.raw"),
		disk("data", "xvdc", "1", "c.qcow2"), disk("data", "xvdd", "1", "d.img"), disk("data", "xvde", "1", "e.raw")))
	at := func(name string) string { return filepath.Join(dir, name) }
	sparseFile(t, at("a.raw"), 30<<20, map[int64][]byte{
		0: noise(9<<20, 1), 15<<20 + 512: bytes.Repeat([]byte("some text "), 300_000), 30<<20 - 1: {1},
	})
	sparseFile(t, at("b.raw"), 100<<20, map[int64][]byte{70 << 20: noise(70_000, 2)})
	run(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", at("a.raw"), at("c.qcow2"))
	run(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "compat=0.10,cluster_size=4096", at("b.raw"), at("d.img"))
	sparseFile(t, at("e.raw"), 1<<20, nil)
	return dir, []source{
		{"system", "a.raw", "raw"}, {"data_xvdb", "b.raw", "raw"}, {"data_xvdc", "c.qcow2", "qcow2"}, {"data_xvdd", "d.img", "qcow2"}, {"data_xvde", "e.raw", "raw"},
	}
}

// TestFormats exports raw and qcow2 disks in each format, with qemu-img and GNU
// tar as judges, and looks at the order in which the parts come.
func TestFormats(t *testing.T) {
	t.Parallel()
	dir, disks := varied(t)
	c := newCloud(t, dir, nil)
	var mu sync.Mutex
	parts := map[string][]int{} // by path, in their order
	c.through(func(_ http.ResponseWriter, r *http.Request) bool {
		if n, err := strconv.Atoi(r.URL.Query().Get("partNumber")); err == nil {
			mu.Lock()
			defer mu.Unlock()
			parts[r.URL.Path] = append(parts[r.URL.Path], n)
		}
		return false
	})
	for i, f := range formats {
		t.Run(fmt.Sprintf("%q", f.asked), func(t *testing.T) {
			prefix := fmt.Sprint("x", i)
			got := c.await(c.export(params{"ImageId": "m-1", "OSSPrefix": prefix, "ImageFormat": f.asked}), "Finished", "Failed")
			progress := got["OperationProgressSet"].(map[string]any)["OperationProgress"].([]any)
			if got["TaskStatus"] != "Finished" || len(progress) != len(disks) {
				t.Fatalf("task: %v", got)
			}
			for i, d := range disks {
				object := prefix + "_m-1_" + d.object + f.suffix
				item := func(k, v string) any { return map[string]any{"Name": k, "Value": v} }
				want := []any{item("OSSBucket", bucket), item("OSSObject", object), item("ImageFormat", f.format)}
				if diff := cmp.Diff(want, progress[i].(map[string]any)["RelatedItemSet"].(map[string]any)["RelatedItem"]); diff != "" {
					t.Errorf("disk (-want +got):\n%s", diff)
					continue
				}
				judge(t, c.download(object), f.qemu, filepath.Join(dir, d.file), d.format)
				mu.Lock()
				checkOrder(t, f.format, d.file, parts["/"+bucket+"/"+object])
				mu.Unlock()
			}
		})
	}
	if got := c.uploads(); len(got) != 0 {
		t.Errorf("uploads left: %v", got)
	}
}

// checkOrder wants the parts of formats with a head to end with the head, and
// each to come once.
func checkOrder(t *testing.T, format, file string, parts []int) {
	t.Helper()
	if len(parts) == 0 {
		t.Errorf("%s of %s: no parts", format, file)
		return
	}
	head := 0
	if slices.Contains([]string{"vhd", "qcow2", "vdi"}, format) {
		head = 1
	}
	var want []int
	for n := range parts {
		want = append(want, (n+head)%len(parts)+1)
	}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("%s of %s: order of the parts (-want +got):\n%s", format, file, diff)
	}
}

// TestLargeHoles wants a disk of 40 GiB without content to cost next to nothing
// where the format has a word for that.
func TestLargeHoles(t *testing.T) {
	t.Parallel()
	dir := folder(t, nil, with("m-1", disk("system", "xvda", "40", "a.raw")))
	source := filepath.Join(dir, "a.raw")
	sparseFile(t, source, 40<<30, map[int64][]byte{30 << 30: noise(1000, 1), 40<<30 - 1: {7}})
	c := newCloud(t, dir, nil)
	for _, f := range formats {
		if f.qemu == "" {
			continue // zeros are packed one MiB after the other
		}
		c.await(c.export(params{"ImageId": "m-1", "ImageFormat": f.asked}), "Finished")
		object := c.download("m-1_system" + f.suffix)
		if info, err := os.Stat(object); err != nil || info.Size() > 16<<20 {
			t.Errorf("%s: %v, %v", f.format, info, err)
		}
		judge(t, object, f.qemu, source, "raw")
	}
}

// TestCancelBeforeTheHead wants nothing to stay of an object whose last part is
// missing, and the disks before it to stay.
func TestCancelBeforeTheHead(t *testing.T) {
	t.Parallel()
	c := newCloud(t, twoDisks(t), nil)
	reached, release := c.hold(func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "xvdb") && r.URL.Query().Get("partNumber") == "1"
	})
	defer close(release)
	id := c.export(params{"ImageId": "m-1", "ImageFormat": "qcow2"})
	<-reached
	if got := c.uploads(); !cmp.Equal(got, []string{"m-1_data_xvdb.qcow2"}) {
		t.Errorf("uploads while it runs: %v", got)
	}
	c.must("CancelTask", params{"TaskId": id})
	eventually(t, func() bool { return len(c.uploads()) == 0 }, func() string { return "the upload stays" })
	if diff := cmp.Diff([]string{"m-1_system.qcow2"}, c.keys()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// TestProgressFollowsTheBytes holds an export in its middle.
func TestProgressFollowsTheBytes(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"raw", "qcow2"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string][]byte{"a.raw": noise(60<<20, 1)}, with("m-1", disk("system", "xvda", "1", "a.raw")))
			c := newCloud(t, dir, nil)
			reached, release := c.hold(func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "3" })
			id := c.export(params{"ImageId": "m-1", "ImageFormat": format})
			<-reached
			percent, err := strconv.Atoi(strings.TrimSuffix(c.task(id)["TaskProcess"].(string), "%"))
			if err != nil || percent < 20 || percent > 80 {
				t.Errorf("with the third of 8 parts on its way: %d%%, %v", percent, err)
			}
			close(release)
			if got := c.await(id, "Finished", "Failed"); got["TaskProcess"] != "100%" {
				t.Errorf("at the end: %v", got)
			}
		})
	}
}

// TestFormatRegions wants other formats than RAW where the region has them.
func TestFormatRegions(t *testing.T) {
	t.Parallel()
	dir := twoDisks(t)
	for name, test := range map[string]struct {
		regions []string
		want    string
	}{
		"by default":       {nil, "400 DryRunOperation"},
		"as documented":    {ecs.DocumentedFormatRegions, "400 InvalidImageFormat.RegionNotSupported"},
		"none":             {[]string{}, "400 InvalidImageFormat.RegionNotSupported"},
		"as one was told":  {[]string{"cn-other", region}, "400 DryRunOperation"},
		"elsewhere, alone": {[]string{"cn-other"}, "400 InvalidImageFormat.RegionNotSupported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t, dir, func(c *ecs.Config) { c.FormatRegions = test.regions })
			for format, want := range map[string]string{
				"": "400 DryRunOperation", "raw": "400 DryRunOperation", "RAW": "400 DryRunOperation",
				"vhd": test.want, "VHD": test.want, "qcow2": test.want, "Qcow2": test.want, "vdi": test.want, "vmdk": test.want,
				"iso": "400 InvalidImageFormat.Malformed", "raw.tar.gz": "400 InvalidImageFormat.Malformed", "vhdx": "400 InvalidImageFormat.Malformed",
			} {
				_, err := c.call("ExportImage", params{"ImageId": "m-1", "OSSBucket": bucket, "ImageFormat": format, "DryRun": "true"})
				if refused(err) != want {
					t.Errorf("%q: got %q, want %q", format, refused(err), want)
				}
			}
		})
	}
}
