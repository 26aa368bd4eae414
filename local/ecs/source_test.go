package ecs_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ecs-image-export/local/ecs"

	"github.com/google/go-cmp/cmp"
)

// TestSourceThatChanges wants an export to fail whose source is not what it was
// when it began. What is missing must not become zeros.
func TestSourceThatChanges(t *testing.T) {
	t.Parallel()
	// More than what is read before the first part has been taken.
	data := int64(24+2*runtime.GOMAXPROCS(0)) << 20
	hole, more := int64(16<<20), int64(1<<20)
	truncate := func(size int64) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.Truncate(path, size); err != nil {
				t.Error(err)
			}
		}
	}
	for name, c := range map[string]struct {
		file   string
		change func(t *testing.T, path string)
		reason string
	}{
		"cut in its data":  {"a.raw", truncate(data - 100), "unexpected EOF"},
		"cut in its hole":  {"a.raw", truncate(data + hole/2), "unexpected EOF"},
		"a qcow2 file cut": {"a.qcow2", truncate(data), "unexpected EOF"},
		"cut and filled up": {"a.raw", func(t *testing.T, path string) {
			truncate(data)(t, path)
			truncate(2*data+hole)(t, path)
		}, "a.raw was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, nil, with("m-1", disk("system", "xvda", "1", c.file)))
			path := filepath.Join(dir, c.file)
			sparseFile(t, filepath.Join(dir, "a.raw"), data+hole+more, map[int64][]byte{0: noise(int(data), 1), data + hole: noise(int(more), 2)})
			if c.file != "a.raw" {
				run(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", filepath.Join(dir, "a.raw"), path)
			}
			var log bytes.Buffer // its handler locks it
			cloud := newCloud(t, dir, func(c *ecs.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			reached, release := cloud.hold(partUpload)
			id := cloud.export(params{"ImageId": "m-1", "ImageFormat": "vhd"})
			<-reached
			c.change(t, path)
			close(release)
			got := cloud.await(id, "Finished", "Failed")
			progress := got["OperationProgressSet"].(map[string]any)["OperationProgress"].([]any)[0].(map[string]any)
			if got["TaskStatus"] != "Failed" || progress["ErrorCode"] != "ExportImageFailed" || progress["ErrorMsg"] == "" {
				t.Errorf("the task: %v", got)
			}
			// What is not aborted when the service closes is aborted after the next Open.
			eventually(t, func() bool { return len(cloud.uploads()) == 0 }, func() string { return "the upload stays" })
			cloud.closeECS()
			if !strings.Contains(log.String(), c.reason) {
				t.Errorf("the log does not say %q:\n%s", c.reason, &log)
			}
			if diff := cmp.Diff([]string{}, cloud.keys()); diff != "" {
				t.Errorf("left behind (-want +got):\n%s", diff)
			}
		})
	}
}
