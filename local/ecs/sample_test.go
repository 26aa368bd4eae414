package ecs_test

import (
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ecs-image-export/local/ecs/sample"
)

// The sample image survives an export: e2fsck and GNU tar are the judges.
func TestExportOfTheSample(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	imageID, err := sample.Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := newCloud(t, dir, nil)
	start := time.Now()
	if got := c.await(c.export(params{"ImageId": imageID}), "Finished", "Failed"); got["TaskStatus"] != "Finished" {
		t.Fatalf("task: %v", got)
	}
	t.Logf("exported in %v", time.Since(start).Round(time.Millisecond))
	var work sync.WaitGroup
	for _, d := range []struct{ object, file, format, system string }{
		{"system", "xvda.raw", "raw", "?offset=2097152"}, {"data_xvdb", "xvdb.qcow2", "qcow2", ""},
	} {
		object := c.download(imageID + "_" + d.object + ".raw.tar.gz")
		work.Go(func() {
			disk := unpackRaw(t, object)
			run(t, "qemu-img", "compare", "-f", d.format, "-F", "raw", filepath.Join(dir, imageID, d.file), disk)
			fsck(t, disk+d.system)
		})
	}
	work.Wait()
}

func fsck(t *testing.T, disk string) {
	e2fsck, err := exec.LookPath("e2fsck")
	if err != nil {
		e2fsck = "/usr/sbin/e2fsck"
	}
	if msg, err := exec.Command(e2fsck, "-fn", disk).CombinedOutput(); err != nil {
		t.Errorf("e2fsck of %s: %v: %s", disk, err, msg)
	}
}
