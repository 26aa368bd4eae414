package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"ecs-image-export/shared/diskimage"

	kgzip "github.com/klauspost/compress/gzip"
)

// workCommand makes this program do one piece of work, as a child of itself.
const workCommand = "work"

func work(ctx context.Context, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "disk":
		size, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			return err
		}
		return makeDisk(ctx, args[1], size)
	case len(args) == 4 && args[0] == "convert":
		return convert(args[1], args[2], args[3])
	case len(args) == 4 && args[0] == "sparse":
		return sparse(args[1], args[2], args[3])
	case len(args) == 2 && strings.HasPrefix(args[0], "inflate"):
		return inflate(args[0], args[1])
	}
	return fmt.Errorf("no such work: %q", args)
}

// target begins an image in a file. The format may have an option after a colon.
func target(format, path string, size int64) (diskimage.Writer, *os.File, error) {
	name, option, _ := strings.Cut(format, ":")
	var o diskimage.Options
	if level, ok := strings.CutPrefix(option, "level"); ok {
		n, err := strconv.Atoi(level)
		if err != nil {
			return nil, nil, err
		}
		o.Level = n
	} else if name == string(diskimage.QCOW2) {
		o.Compression = option
	} else {
		o.Subformat = option
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, nil, err
	}
	w, err := diskimage.NewWriter(diskimage.Format(name), size, diskimage.NewFile(f), o)
	return w, f, err
}

func convert(from, format, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	f, err := diskimage.Detect(in, info.Size())
	if err != nil {
		return err
	}
	if f == diskimage.TarGz {
		s, err := diskimage.NewStream(in, diskimage.Limits{})
		if err != nil {
			return err
		}
		w, out, err := target(format, to, s.Size())
		if err != nil {
			return err
		}
		return errors.Join(diskimage.Copy(w, s), w.Close(), out.Close())
	}
	img, err := diskimage.OpenAs(f, in, info.Size(), diskimage.Limits{})
	if err != nil {
		return err
	}
	w, out, err := target(format, to, img.Size())
	if err != nil {
		return err
	}
	return errors.Join(diskimage.CopyImage(w, img), w.Close(), out.Close())
}

// sparse writes a disk with 1 MiB of noise in each GiB.
func sparse(size, format, to string) error {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	w, out, err := target(format, to, n)
	if err != nil {
		return err
	}
	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{})
	for ; n > 0; n -= 1 << 30 {
		_, _ = source.Read(noise) // never returns an error
		if _, err := w.Write(noise); err != nil {
			return err
		}
		if err := w.Skip(1<<30 - int64(len(noise))); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), out.Close())
}

// inflate reads an archive to its end and throws everything away.
func inflate(with, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	switch with {
	case "inflate":
		s, err := diskimage.NewStream(in, diskimage.Limits{})
		for err == nil {
			_, err = s.Next()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	case "inflate-std":
		z, err := gzip.NewReader(in)
		if err == nil {
			_, err = io.Copy(io.Discard, z)
		}
		return err
	case "inflate-klauspost":
		z, err := kgzip.NewReader(in)
		if err == nil {
			_, err = io.Copy(io.Discard, z)
		}
		return err
	}
	return fmt.Errorf("no such work: %s", with)
}
