package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage"

	"github.com/google/go-cmp/cmp"
)

const account = 1234567890123456

// folder makes a folder with one image file and some disks.
func folder(t *testing.T, json string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"web.json": json, "a.raw": "disk", "empty.raw": "", "v.raw": "KDMV\x01\x00\x00\x00", "x.raw": "vhdxfile",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	qemu := func(args ...string) {
		t.Helper()
		cmd := exec.Command("qemu-img", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %v: %v: %s", args, err, out)
		}
	}
	qemu("create", "-f", "qcow2", "large.qcow2", "1073742336")
	qemu("create", "-f", "qcow2", "whole.qcow2", "1G")
	qemu("create", "-f", "qcow2", "-b", "whole.qcow2", "-F", "qcow2", "overlay.qcow2")
	if err := os.WriteFile(filepath.Join(dir, "broken.qcow2"), []byte("QFI\xfb\x00\x00\x00\x03"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link.raw")); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "large.raw"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1<<30 + 1); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// one is an image with one disk.
func one(file string) string {
	return fmt.Sprintf(`{"ImageId": "m-1", "DiskDeviceMappings": {"DiskDeviceMapping": [
		{"Type": "system", "Device": "/dev/xvda", "Size": "1", "File": %q}]}}`, file)
}

func TestLoadCompletes(t *testing.T) {
	t.Parallel()
	f, err := Load(folder(t, one("a.raw")), account)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, ok := f.Image("m-1")
	if !ok || got.CreationTime == "" {
		t.Fatalf("got %+v", got)
	}
	got.CreationTime = ""
	if got.Disks()[0].SnapshotID == "" {
		t.Error("a disk has no snapshot")
	}
	got.DiskDeviceMappings.DiskDeviceMapping[0].SnapshotID = ""
	want := Image{
		ImageID: "m-1", ImageName: "m-1", ImageOwnerAlias: "self", ImageOwnerID: account, OSType: "linux", OSName: "Others Linux",
		OSNameEn: "Others Linux", Platform: "Others Linux", Architecture: "x86_64", Size: 1, Status: "Available", Progress: "100%",
		Usage: "none", Tags: Tags{Tag: []Tag{}},
		DiskDeviceMappings: Mappings{[]Mapping{{Type: "system", Device: "/dev/xvda", Size: "1", File: "a.raw"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
	file, err := f.Open(got.Disks()[0])
	if err != nil {
		t.Fatal(err)
	}
	if file.Format() != diskimage.RAW || file.Size() != 4 || file.Modified.IsZero() {
		t.Errorf("%s of %d bytes, modified %v", file.Format(), file.Size(), file.Modified)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// TestLoadQCOW2 wants a disk's format to be found from its content.
func TestLoadQCOW2(t *testing.T) {
	t.Parallel()
	dir := folder(t, one("a.raw"))
	if err := os.Rename(filepath.Join(dir, "whole.qcow2"), filepath.Join(dir, "a.raw")); err != nil {
		t.Fatal(err)
	}
	f, err := Load(dir, account)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _ := f.Image("m-1")
	d, err := f.Open(img.Disks()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Format() != diskimage.QCOW2 || d.Size() != 1<<30 {
		t.Errorf("%s of %d bytes", d.Format(), d.Size())
	}
}

// Each mistake is named with the file and what to do.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ json, want string }{
		"not JSON":             {"{\n\"ImageId\": \n,}", "web.json: line 3: invalid character"},
		"unknown field":        {`{"ImageId": "m-1", "ImageNmae": "x"}`, `web.json: json: unknown field "ImageNmae"`},
		"unknown disk field":   {`{"ImageId": "m-1", "DiskDeviceMappings": {"DiskDeviceMapping": [{"Path": "x"}]}}`, `unknown field "Path"`},
		"size as a number":     {`{"ImageId": "m-1", "DiskDeviceMappings": {"DiskDeviceMapping": [{"Size": 40}]}}`, "line 1: json: cannot unmarshal number"},
		"two values":           {`{} {}`, "more than one JSON value"},
		"no id":                {`{}`, `ImageId ""`},
		"status":               {`{"ImageId": "m-1", "Status": "Ready"}`, `Status "Ready" is not one of Creating`},
		"owner":                {`{"ImageId": "m-1", "ImageOwnerAlias": "me"}`, `ImageOwnerAlias "me"`},
		"time":                 {`{"ImageId": "m-1", "CreationTime": "today"}`, `CreationTime "today"`},
		"disk type":            {strings.Replace(one("a.raw"), "system", "root", 1), `Type "root"`},
		"device":               {strings.Replace(one("a.raw"), "/dev/xvda", "xvda", 1), `Device "xvda"`},
		"size":                 {strings.Replace(one("a.raw"), `"1"`, `"0"`, 1), `Size "0"`},
		"size with a unit":     {strings.Replace(one("a.raw"), `"1"`, `"1G"`, 1), `Size "1G"`},
		"missing file":         {one("none.raw"), "disk /dev/xvda: open File:"},
		"file elsewhere":       {one("../a.raw"), "leaves the images folder"},
		"absolute file":        {one("/etc/hostname"), "leaves the images folder"},
		"link to elsewhere":    {one("link.raw"), "a link must stay in the folder"},
		"empty file":           {one("empty.raw"), "truncate -s 1G empty.raw"},
		"folder as file":       {one("."), "not a regular file"},
		"file above its size":  {one("large.raw"), "raise Size to at least 2"},
		"broken qcow2":         {one("broken.qcow2"), "broken.qcow2 is neither raw nor a qcow2 of one file: qcow2:"},
		"qcow2 on a backing":   {one("overlay.qcow2"), "backing file"},
		"qcow2 above its Size": {one("large.qcow2"), "large.qcow2 is a disk of 1073742336 bytes, more than Size 1 GiB (1073741824 bytes); raise Size to at least 2"},
		"VMDK":                 {one("v.raw"), "unsupported disk image: vmdk; convert it: qemu-img convert -O raw v.raw v.disk"},
		"VHDX":                 {one("x.raw"), "VHDX; convert it"},
		"two system disks": {`{"ImageId": "m-1", "DiskDeviceMappings": {"DiskDeviceMapping": [
			{"Type": "system", "Device": "/dev/xvda", "Size": "1"}, {"Type": "system", "Device": "/dev/xvda", "Size": "1"}]}}`, "used twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(folder(t, test.json), account)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestLoadFolders(t *testing.T) {
	t.Parallel()
	if _, err := Load(filepath.Join(t.TempDir(), "none"), account); err == nil || !strings.Contains(err.Error(), "make it, or name another") {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Load(t.TempDir(), account); err == nil || !strings.Contains(err.Error(), "no *.json") {
		t.Errorf("empty folder: %v", err)
	}
	dir := folder(t, one("a.raw"))
	if err := os.WriteFile(filepath.Join(dir, "again.json"), []byte(one("a.raw")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, account); err == nil || !strings.Contains(err.Error(), "ImageId m-1 is also in again.json") {
		t.Errorf("same id twice: %v", err)
	}
}

// What Write writes, Load reads.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "odd [name]*")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d.raw"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	usable := true
	want := Image{
		ImageID: "m-2", ImageName: "n", ImageFamily: "f", ImageVersion: "1", ImageOwnerAlias: "others", ImageOwnerID: 7, OSType: "windows",
		OSName: "o", OSNameEn: "e", Platform: "p", Architecture: "arm64", Size: 3, Status: "Deprecated", Progress: "9%", ProductCode: "c",
		IsSubscribed: true, IsCopied: true, IsSelfShared: "True", IsPublic: true, IsSupportIoOptimized: true, IsSupportCloudinit: true,
		LoginAsNonRoot: true, Usage: "instance", CreationTime: "2026-01-02T03:04:05Z", ResourceGroupID: "rg", BootMode: "UEFI",
		SupplierName: "s", Description: "d", LicenseType: "BYOL", Usable: &usable, Features: &Features{NvmeSupport: "supported"},
		DetectionOptions:  &DetectionOptions{Status: "Finished", Items: DetectionItems{Item: []DetectionItem{{Name: "n"}}}},
		SecureBootOptions: &SecureBootOptions{SecureBootStatus: "x"}, Tags: Tags{Tag: []Tag{{TagKey: "k", TagValue: "v"}}},
		DiskDeviceMappings: Mappings{[]Mapping{{Type: "data", Device: "/dev/xvdb", Size: "3", SnapshotID: "s-1", Format: "raw", Encrypted: true,
			ImportOSSBucket: "b", ImportOSSObject: "o", Progress: "1%", RemainTime: 5, File: "d.raw"}}},
	}
	if err := Write(dir, want); err != nil {
		t.Fatal(err)
	}
	f, err := Load(dir, account)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if diff := cmp.Diff([]Image{want}, f.Images()); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}
