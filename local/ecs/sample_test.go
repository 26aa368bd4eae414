package ecs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ecs-image-export/local/ecs/sample"
	"ecs-image-export/local/ecs/sparse"
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
	for name, source := range map[string]string{"system": "xvda", "data_xvdb": "xvdb"} {
		object := c.download(imageID + "_" + name + ".raw.tar.gz")
		work.Go(func() {
			raw := filepath.Join(t.TempDir(), "raw")
			if err := compare(object, filepath.Join(dir, imageID, source+".raw"), raw); err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			switch source {
			case "xvda":
				fsck(t, raw+"?offset=2097152")
			case "xvdb":
				fsck(t, raw)
			}
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

// compare lets GNU tar unpack an object, compares the bytes with the source and
// keeps them in raw, with holes for zeros.
func compare(object, source, raw string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	want, err := sparse.NewReader(f)
	if err != nil {
		return err
	}
	out, err := os.Create(raw)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Truncate(want.Size()); err != nil {
		return err
	}
	tar := exec.Command("tar", "xzOf", object)
	got, err := tar.StdoutPipe()
	if err != nil {
		return err
	}
	if err := tar.Start(); err != nil {
		return err
	}
	const block = 1 << 20
	a, b, zero := make([]byte, block), make([]byte, block), make([]byte, block)
	for at := int64(0); ; {
		n, errA := io.ReadFull(want, a)
		m, errB := io.ReadFull(got, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return errors.Join(fmt.Errorf("differs after %d bytes", at), got.Close(), tar.Wait())
		}
		if n > 0 && !bytes.Equal(b[:m], zero[:m]) {
			if _, err := out.WriteAt(b[:m], at); err != nil {
				return errors.Join(err, got.Close(), tar.Wait())
			}
		}
		at += int64(n)
		if errA != nil || errB != nil {
			return tar.Wait()
		}
	}
}
