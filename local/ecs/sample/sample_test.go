package sample

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/local/ecs/image"

	"github.com/google/go-cmp/cmp"
)

// tool returns a program that judges the result; a machine without it cannot
// run these tests.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// same tells whether two raw files hold the same bytes, without reading holes.
func same(t *testing.T, a, b string) bool {
	t.Helper()
	err := exec.Command(tool(t, "qemu-img"), "compare", "-f", "raw", "-F", "raw", a, b).Run()
	if ended := new(exec.ExitError); err != nil && (!errors.As(err, &ended) || ended.ExitCode() != 1) {
		t.Fatalf("qemu-img compare %s %s: %v", a, b, err)
	}
	return err == nil
}

func TestMake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, err := Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	disk := func(file string) string { return filepath.Join(dir, id, file) }
	root := fmt.Sprintf("%s?offset=%d", disk("xvda.raw"), rootFirst*sector)
	data := filepath.Join(t.TempDir(), "data.raw")
	output(t, "qemu-img", "check", "-f", "qcow2", disk("xvdb.qcow2"))
	output(t, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk("xvdb.qcow2"), data)

	t.Run("loads", func(t *testing.T) {
		folder, err := image.Load(dir, 1234567890123456)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		img, ok := folder.Image(id)
		if !ok || len(img.Disks()) != 3 || img.ImageOwnerID != 1234567890123456 {
			t.Errorf("image: %+v", img)
		}
	})
	t.Run("file systems are clean", func(t *testing.T) {
		output(t, "e2fsck", "-fn", root)
		output(t, "e2fsck", "-fn", data)
	})
	t.Run("files are there", func(t *testing.T) {
		if got := output(t, "debugfs", "-R", "cat /etc/fstab", root); !strings.Contains(got, "UUID="+dataUUID+" /data ext4") {
			t.Errorf("fstab: %s", got)
		}
		if got := output(t, "debugfs", "-R", "stat /etc/os-release", root); !strings.Contains(got, `Fast link dest: "../usr/lib/os-release"`) {
			t.Errorf("os-release: %s", got)
		}
		got := output(t, "debugfs", "-R", "stat /var/lib/app/state.img", root)
		if !strings.Contains(got, fmt.Sprintf("Size: %d", 300<<20)) || !strings.Contains(got, "Blockcount: 48") {
			t.Errorf("the sparse file is not sparse: %s", got)
		}
		if got := output(t, "debugfs", "-R", "stat /tmp", root); !strings.Contains(got, "Mode:  01777") || !strings.Contains(got, "User:     0   Group:     0") {
			t.Errorf("/tmp: %s", got)
		}
		if got := output(t, "dumpe2fs", "-h", data); !strings.Contains(got, "Filesystem UUID:          "+dataUUID) {
			t.Errorf("data disk: %s", got)
		}
		// A file of the disk against the generator.
		dump := filepath.Join(t.TempDir(), "photo")
		output(t, "debugfs", "-R", "dump /uploads/photo-3.jpg "+dump, data)
		want := make([]byte, 1<<20)
		if _, err := newNoise(303).Read(want); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(dump); err != nil || !bytes.Equal(got, want) {
			t.Errorf("photo-3.jpg differs: %v", err)
		}
	})
	t.Run("partition table", func(t *testing.T) {
		want := " 1 2048 4095 bios_grub 21686148-6449-6e6f-744e-656564454649\n 2 4096 2095103 root 4f68bce3-e8cd-4db1-96e7-fbcaf984b709\n"
		show := func(path string) string {
			return strings.Join(strings.Fields(output(t, "partx", "-g", "-o", "NR,START,END,NAME,TYPE", path)), " ")
		}
		wanted := strings.Join(strings.Fields(want), " ")
		if diff := cmp.Diff(wanted, show(disk("xvda.raw"))); diff != "" {
			t.Errorf("primary table (-want +got):\n%s", diff)
		}
		// With the primary gone the backup must do.
		broken := filepath.Join(t.TempDir(), "broken.raw")
		output(t, "cp", "--sparse=always", disk("xvda.raw"), broken)
		f, err := os.OpenFile(broken, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(make([]byte, sector), sector); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, show(broken)); diff != "" {
			t.Errorf("backup table (-want +got):\n%s", diff)
		}
	})
	t.Run("third disk is empty", func(t *testing.T) {
		zeros := filepath.Join(t.TempDir(), "zeros")
		output(t, "truncate", "-s", "1G", zeros)
		if !same(t, disk("xvdc.raw"), zeros) {
			t.Error("not 1 GiB of zeros")
		}
	})
	t.Run("same again elsewhere", func(t *testing.T) {
		other := t.TempDir()
		// What a killed run leaves must not be in the way.
		if err := os.MkdirAll(filepath.Join(other, ImageID, "half"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Make(other); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"xvda.raw", "xvdb.qcow2"} {
			if !same(t, disk(file), filepath.Join(other, id, file)) {
				t.Errorf("%s differs from one run to the next", file)
			}
		}
		left, err := os.ReadDir(other)
		if err != nil || len(left) != 2 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	t.Run("twice is once", func(t *testing.T) {
		before, err := os.Stat(filepath.Join(dir, id+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Make(dir); err != nil || again != id {
			t.Fatalf("%s, %v", again, err)
		}
		after, err := os.Stat(filepath.Join(dir, id+".json"))
		if err != nil || !os.SameFile(before, after) {
			t.Errorf("made again: %v", err)
		}
	})
}

func TestMakeWithoutTools(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := find("no-such-program"); err == nil || !strings.Contains(err.Error(), "apt-get install e2fsprogs") {
		t.Errorf("got %v", err)
	}
}

func TestSmall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ids, err := Small(dir, 20)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Small(dir, 20); err != nil || !cmp.Equal(ids, again) {
		t.Errorf("second call: %v %v", again, err)
	}
	folder, err := image.Load(dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if len(folder.Images()) != 20 {
		t.Fatalf("%d images", len(folder.Images()))
	}
	for i, id := range ids {
		img, ok := folder.Image(id)
		if !ok || len(img.Disks()) != 1+i%2 || len(id) != len(ImageID) {
			t.Errorf("%s: %+v", id, img)
		}
	}
	body, err := os.ReadFile(filepath.Join(dir, ids[0]+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(body) {
		t.Errorf("not JSON: %s", body)
	}
}
