package sample

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"ecs-image-export/local/ecs/image"
)

// Small makes n images in dir and returns their ids. Each has a system disk
// file of 1 MiB, and every second one a data disk file of 256 KiB; both are much
// smaller than the disk's size, which is 1 GiB. Their bytes depend on the
// number of the image alone. Images that dir has already are left as they are.
func Small(dir string, n int) ([]string, error) {
	if err := os.MkdirAll(filepath.Join(dir, "small"), 0o755); err != nil {
		return nil, fmt.Errorf("make small images: %w", err)
	}
	var ids []string
	for i := range n {
		id := fmt.Sprintf("m-bp1load%013d", i)
		ids = append(ids, id)
		if _, err := os.Stat(filepath.Join(dir, id+".json")); err == nil {
			continue
		}
		if err := makeSmall(dir, id, i); err != nil {
			return nil, fmt.Errorf("make small image %s: %w", id, err)
		}
	}
	return ids, nil
}

func makeSmall(dir, id string, i int) error {
	img := image.Image{
		ImageID: id, ImageName: fmt.Sprintf("load-%04d", i), OSName: "Debian 12.10 64-bit", Platform: "Debian", BootMode: "BIOS",
		ImageOwnerAlias: "self", OSType: "linux", Architecture: "x86_64", Status: "Available", Progress: "100%", Usage: "none",
		CreationTime: made.Add(time.Duration(i) * time.Minute).Format("2006-01-02T15:04:05Z"),
	}
	add := func(kind, device string, size int64) error {
		file := "small/" + id + "_" + device + ".raw"
		img.DiskDeviceMappings.DiskDeviceMapping = append(img.DiskDeviceMappings.DiskDeviceMapping,
			image.Mapping{Type: kind, Device: "/dev/" + device, Size: "1", SnapshotID: "s-" + id[2:] + device[3:], Progress: "100%", File: file})
		return noisy(filepath.Join(dir, filepath.FromSlash(file)), size, uint64(i)<<8|uint64(device[3]))
	}
	if err := add("system", "xvda", 1<<20); err != nil {
		return err
	}
	if i%2 == 1 {
		if err := add("data", "xvdb", 256<<10); err != nil {
			return err
		}
	}
	return image.Write(dir, img)
}

// noisy writes a file of size bytes: 32 KiB of noise, then zeros.
func noisy(path string, size int64, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, newNoise(seed), 32<<10)
	return errors.Join(err, f.Truncate(size), f.Close())
}
