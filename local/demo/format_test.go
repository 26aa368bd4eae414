package main

import (
	"bytes"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/image"
)

// TestFormats exports an image in each format as the demo does, with the
// functions as they are built, and compares it with its source. Then a byte of an
// object is flipped, and the comparison has to see it.
func TestFormats(t *testing.T) {
	c, folder, images := formatsCloud(t)
	environment := cloudtest.Environment(c)
	subscriber, err := subscribe(environment)
	if err != nil {
		t.Fatal(err)
	}
	api := api{environment["API_URL"], environment["API_TOKEN"]}
	client, err := oss.New(environment["OSS_ENDPOINT"], environment["ACCESS_KEY_ID"], environment["ACCESS_KEY_SECRET"],
		oss.AuthVersion(oss.AuthV4), oss.Region(environment["REGION"]), oss.ForcePathStyle(true))
	if err != nil {
		t.Fatal(err)
	}
	_, err = show(t.Context(), api, subscriber, folder.Images()[0], "iso")
	if want := "POST /exports: 422 Unprocessable Entity\n   error: \"iso\" is no format of ExportImage."; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("no format: got %v, want %s", err, want)
	}
	for _, f := range []struct{ asked, suffix, found string }{
		{"raw", ".raw.tar.gz", "/dev/xvda"},
		{"VHD", ".vhd", "different content: /dev/xvda"},
		{"qcow2", ".qcow2", "different content: /dev/xvda"},
		{"vdi", ".vdi", "different content: /dev/xvda"},
		{"vmdk", ".vmdk", "disk /dev/xvda: vmdk: not a valid disk image"},
	} {
		t.Run(f.asked, func(t *testing.T) {
			e, err := show(t.Context(), api, subscriber, folder.Images()[0], f.asked)
			if err != nil {
				t.Fatal(err)
			}
			compare := comparison{api, e, folder.Images()[0], folder, images, t.TempDir()}
			if err := compare.run(t.Context()); err != nil {
				t.Fatalf("as exported: %v", err)
			}
			system := &e.Disks[0]
			if system.Device != "/dev/xvda" || !strings.HasSuffix(system.Key, "_system"+f.suffix) {
				t.Fatalf("the first disk is %+v", system)
			}
			bucket, err := client.Bucket(e.Bucket)
			if err != nil {
				t.Fatal(err)
			}
			rightly := system.CRC64
			system.CRC64 = "1"
			if err := compare.run(t.Context()); err == nil || !strings.Contains(err.Error(), "CRC-64 is "+rightly+", the catalog says 1") {
				t.Errorf("with another checksum in the catalog: %v", err)
			}

			object := get(t, bucket, system.Key)
			object[len(object)/2] ^= 1
			// What the catalog says is no help.
			system.CRC64 = strconv.FormatUint(crc64.Checksum(object, crc64.MakeTable(crc64.ECMA)), 10)
			if err := bucket.PutObject(system.Key, bytes.NewReader(object)); err != nil {
				t.Fatal(err)
			}
			if err := compare.run(t.Context()); err == nil || !strings.Contains(err.Error(), f.found) {
				t.Errorf("with a byte flipped: %v, want %q", err, f.found)
			}
			// Our own comparison sees it too, not qemu-img alone.
			if _, verdict, _ := compare.disk(t.Context(), *system); strings.HasPrefix(f.found, "different") && !strings.HasPrefix(verdict, "DIFFERENT: byte ") {
				t.Errorf("the verdict is %q", verdict)
			}
		})
	}
}

func get(t *testing.T, bucket *oss.Bucket, key string) []byte {
	t.Helper()
	body, err := bucket.GetObject(key)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	object, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// formatsCloud starts a cloud with the functions, and an image of a raw and a
// qcow2 disk with holes, whose sizes are no whole number of anything.
func formatsCloud(t *testing.T) (*cloud.Cloud, *image.Folder, string) {
	t.Helper()
	images := t.TempDir()
	noise := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never returns an error
	for name, at := range map[string]int64{"a.raw": 0, "b.raw": 1 << 20} {
		f, err := os.Create(filepath.Join(images, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt(noise, at); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("at the end"), at+9<<20+90); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c",
		filepath.Join(images, "b.raw"), filepath.Join(images, "b.qcow2")).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, out)
	}
	err := image.Write(images, image.Image{ImageID: "m-1", DiskDeviceMappings: image.Mappings{DiskDeviceMapping: []image.Mapping{
		{Type: "system", Device: "/dev/xvda", Size: "1", File: "a.raw"}, {Type: "data", Device: "/dev/xvdb", Size: "1", File: "b.qcow2"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := image.Load(images, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })

	source, err := cloud.Root()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
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
	c := cloudtest.Start(t, cloud.Options{Images: images, Speed: 200})
	if err := c.Deploy(root); err != nil {
		t.Fatal(err)
	}
	return c, folder, images
}
