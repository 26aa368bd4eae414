// Package sample makes folders of images for the stand-in's ECS: one realistic
// image to try an export with, and many tiny ones to load it with.
//
// The realistic image is made without root by mke2fs and debugfs of e2fsprogs,
// and is the same, byte for byte, wherever the same version of them is used.
package sample

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ecs-image-export/local/ecs/image"
	"ecs-image-export/shared/diskimage"
)

// ImageID is the id of the image that Make makes.
const ImageID = "m-bp1demo7k2h9x4c0qw3z"

const (
	gib = 1 << 30

	rootUUID = "6f1d0c52-9c1b-4a7e-8f55-0d3f0a4be101"
	dataUUID = "6f1d0c52-9c1b-4a7e-8f55-0d3f0a4be102"
)

// made is the time of everything on the sample disks.
var made = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Make makes an image with three disks in dir and returns its id:
//
//	/dev/xvda  1 GiB  GPT: a BIOS boot partition and the root, ext4
//	/dev/xvdb  1 GiB  ext4 on the whole disk, mounted at /data by /etc/fstab
//	/dev/xvdc  1 GiB  empty
//
// The first and the last are raw, the second is qcow2. The files are sparse and take some 60 MiB. If dir has the image already,
// nothing is done; the image appears in dir when it is complete and not before.
func Make(dir string) (imageID string, err error) {
	if _, err := os.Stat(filepath.Join(dir, ImageID+".json")); err == nil {
		return ImageID, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("make sample image: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make sample image: %w", err)
	}
	work, err := os.MkdirTemp(dir, ".making-*")
	if err != nil {
		return "", fmt.Errorf("make sample image: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	disks := filepath.Join(work, "disks")
	if err := makeDisks(disks, work); err != nil {
		return "", fmt.Errorf("make sample image in %s: %w", dir, err)
	}
	if err := place(disks, filepath.Join(dir, ImageID)); err != nil {
		return "", fmt.Errorf("make sample image in %s: %w", dir, err)
	}
	if err := image.Write(dir, describe()); err != nil {
		return "", err
	}
	return ImageID, nil
}

// place renames the finished disks to where the image names them. What lies
// there without the image's file is the rest of a run that was killed.
func place(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func makeDisks(disks, work string) error {
	if err := os.Mkdir(disks, 0o755); err != nil {
		return err
	}
	if err := makeSystem(filepath.Join(disks, "xvda.raw"), filepath.Join(work, "root")); err != nil {
		return fmt.Errorf("system disk: %w", err)
	}
	raw := filepath.Join(work, "data.raw")
	if err := makeData(raw, filepath.Join(work, "data")); err != nil {
		return fmt.Errorf("data disk: %w", err)
	}
	if err := convert(raw, filepath.Join(disks, "xvdb.qcow2")); err != nil {
		return fmt.Errorf("data disk: %w", err)
	}
	return blank(filepath.Join(disks, "xvdc.raw"), gib)
}

// The root partition: after the BIOS boot partition, to the last MiB.
const (
	sector    = 512
	bootFirst = 2048
	rootFirst = 4096
	rootLast  = gib/sector - 2048 - 1
)

func makeSystem(path, tree string) error {
	if err := blank(path, gib); err != nil {
		return err
	}
	if err := partition(path); err != nil {
		return err
	}
	t := newTree(tree)
	t.system()
	if t.err != nil {
		return t.err
	}
	return makeExt4(t, filesystem{
		path: path, offset: rootFirst * sector, size: (rootLast - rootFirst + 1) * sector, uuid: rootUUID, label: "root",
	})
}

func partition(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = writeGPT(f, gib/sector, "6F1D0C52-9C1B-4A7E-8F55-0D3F0A4BE103", []gptPartition{
		{kind: biosBoot, id: "6F1D0C52-9C1B-4A7E-8F55-0D3F0A4BE104", first: bootFirst, last: rootFirst - 1, name: "bios_grub"},
		{kind: linuxRoot, id: "6F1D0C52-9C1B-4A7E-8F55-0D3F0A4BE105", first: rootFirst, last: rootLast, name: "root"},
	})
	return errors.Join(err, f.Close())
}

func makeData(path, tree string) error {
	if err := blank(path, gib); err != nil {
		return err
	}
	t := newTree(tree)
	t.data()
	if t.err != nil {
		return t.err
	}
	return makeExt4(t, filesystem{path: path, size: gib, uuid: dataUUID, label: "data"})
}

// convert makes a qcow2 file of a raw one.
func convert(raw, qcow2 string) error {
	in, err := os.Open(raw)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	content, err := diskimage.OpenAs(diskimage.RAW, in, info.Size(), diskimage.Limits{})
	if err != nil {
		return err
	}
	out, err := os.OpenFile(qcow2, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	w, err := diskimage.NewWriter(diskimage.QCOW2, content.Size(), diskimage.NewFile(out), diskimage.Options{})
	if err == nil {
		err = errors.Join(diskimage.CopyImage(w, content), w.Close())
	}
	return errors.Join(err, out.Close(), os.Chtimes(qcow2, made, made))
}

// blank makes a sparse file of zeros.
func blank(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(size), f.Close())
	return errors.Join(err, os.Chtimes(path, made, made))
}

// describe returns the image as DescribeImages lists it.
func describe() image.Image {
	disk := func(kind, file, snapshot string) image.Mapping {
		return image.Mapping{
			Type: kind, Device: "/dev/" + file[:4], Size: "1", SnapshotID: snapshot, Progress: "100%",
			File: ImageID + "/" + file,
		}
	}
	return image.Image{
		ImageID: ImageID, ImageName: "demo-web-server", ImageFamily: "demo-web", ImageVersion: "1.0",
		ImageOwnerAlias: "self", OSType: "linux", OSName: "Debian 12.10 64-bit", OSNameEn: "Debian 12.10 64 bit",
		Platform: "Debian", Architecture: "x86_64", Size: 1, Status: "Available", Progress: "100%", Usage: "none",
		IsSupportIoOptimized: true, IsSupportCloudinit: true, BootMode: "BIOS", IsSelfShared: "",
		CreationTime: made.Format("2006-01-02T15:04:05Z"),
		Description:  "System disk, a data disk mounted at /data, and an empty data disk",
		Tags:         image.Tags{Tag: []image.Tag{{TagKey: "purpose", TagValue: "demo"}}},
		DiskDeviceMappings: image.Mappings{DiskDeviceMapping: []image.Mapping{
			disk("system", "xvda.raw", "s-bp1demo000000000000a"),
			disk("data", "xvdb.qcow2", "s-bp1demo000000000000b"),
			disk("data", "xvdc.raw", "s-bp1demo000000000000c"),
		}},
	}
}
