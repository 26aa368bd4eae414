// Package targz writes one file as a .tar.gz, as ECS wraps an exported RAW
// disk: a tar with one member, compressed by gzip.
//
// It is made for disks: long runs of zeros cost next to nothing, and the rest
// is compressed on several cores. What comes out is one ordinary gzip stream
// that depends on the input alone, not on the number of cores. Memory is a few
// MiB however large the disk is.
package targz

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Write writes the size bytes of r to w as the only member, called name, of a
// gzip-compressed tar in GNU format, which has no limit on a member's size.
// After every block it calls read with the number of bytes of r taken so far.
// It stops at the next block once ctx is done, with the cause of ctx. When r
// has fewer bytes than size, the error is io.ErrUnexpectedEOF.
func Write(ctx context.Context, w io.Writer, name string, r io.Reader, size int64, modified time.Time, read func(int64)) error {
	z := newWriter(w)
	err := pack(ctx, z, name, r, size, modified, read)
	if err != nil {
		z.abandon()
		return fmt.Errorf("pack %s: %w", name, err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return nil
}

func pack(ctx context.Context, z *writer, name string, r io.Reader, size int64, modified time.Time, read func(int64)) error {
	t := tar.NewWriter(z)
	err := t.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     size,
		Mode:     0o644,
		ModTime:  modified.Truncate(time.Second),
		Uname:    "root",
		Gname:    "root",
		Format:   tar.FormatGNU,
	})
	if err != nil {
		return err
	}
	buf := make([]byte, blockSize)
	for done := int64(0); done < size; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(r, buf[:min(size-done, int64(len(buf)))])
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := t.Write(buf[:n]); err != nil {
			return err
		}
		done += int64(n)
		read(done)
	}
	return t.Close()
}
