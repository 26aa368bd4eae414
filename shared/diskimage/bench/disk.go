package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
)

// makeDisk makes a disk with an ext4 file system, three fifths full of files of
// this machine, and its archive. The disk has no holes as a file: an object
// store has none, and qemu-img would skip them. Disks that are there are kept.
func makeDisk(ctx context.Context, path string, size int64) error {
	archive := path + ".tar.gz"
	if info, err := os.Stat(archive); err == nil && info.Size() > 0 {
		if info, err := os.Stat(path); err == nil && info.Size() == size {
			return nil
		}
	}
	tree := filepath.Join(filepath.Dir(path), "tree")
	defer os.RemoveAll(tree)
	if err := link(tree, size*3/5); err != nil {
		return err
	}
	sparse := path + ".sparse"
	defer os.Remove(sparse)
	f, err := os.Create(sparse)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	c := exec.CommandContext(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, sparse)
	c.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	if err := dense(sparse, path); err != nil {
		return err
	}
	// As ECS does it, as far as is known: one member, gzip at its usual level.
	compress := "gzip"
	if _, err := exec.LookPath("pigz"); err == nil {
		compress = "pigz"
	}
	c = exec.CommandContext(ctx, "tar", "-I", compress, "-cf", archive, "-C", filepath.Dir(path), filepath.Base(path))
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	return nil
}

// link fills a folder with files of /usr, up to about size bytes.
func link(tree string, size int64) error {
	type file struct {
		path string
		size int64
	}
	var files []file
	err := filepath.WalkDir("/usr", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what cannot be read is left out
		}
		if info, err := d.Info(); err == nil && info.Size() < 64<<20 {
			files = append(files, file{path, info.Size()})
		}
		return nil
	})
	if err != nil {
		return err
	}
	sort.Slice(files, func(i, j int) bool { return files[i].path < files[j].path })
	var total int64
	for _, f := range files {
		total += (f.size + 4095) &^ 4095
	}
	var taken, seen int64
	for _, f := range files {
		// Evenly over /usr, so that it is not all of one kind.
		seen += (f.size + 4095) &^ 4095
		if float64(taken) > float64(seen)/float64(total)*float64(size) {
			continue
		}
		taken += (f.size + 4095) &^ 4095
		if err := copyFile(f.path, filepath.Join(tree, f.path)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// dense copies a file without its holes.
func dense(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	// Plain reads and writes: the kernel's own copy would keep the holes.
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, 1<<20))
	return errors.Join(err, out.Close())
}
