package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage"
)

// sourceDisk is a file with a hole between two MiB of data.
func sourceDisk(t *testing.T, size int) (diskimage.Image, []byte) {
	t.Helper()
	content := make([]byte, size)
	copy(content, bytes.Repeat([]byte("first "), 1<<20/6))
	copy(content[size-1000:], bytes.Repeat([]byte("last "), 200))
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(int64(size)); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, size - 1000} {
		if _, err := f.WriteAt(content[at:min(at+1<<20, size)], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	img, err := diskimage.OpenAs(diskimage.RAW, f, int64(size), diskimage.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return img, content
}

// pieces hands out content as a stream does, zeros left out.
func pieces(b *beside, content []byte) error {
	for at := 0; at < len(content); {
		p := content[at:min(at+100_000, len(content))]
		at += len(p)
		var err error
		if bytes.Count(p, []byte{0}) == len(p) {
			err = b.Skip(int64(len(p)))
		} else {
			_, err = b.Write(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func TestBeside(t *testing.T) {
	t.Parallel()
	source, content := sourceDisk(t, 5<<20+100)
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"same":                      {func(b []byte) []byte { return b }, ""},
		"filled up to a sector":     {func(b []byte) []byte { return append(b, make([]byte, 412)...) }, ""},
		"one byte":                  {func(b []byte) []byte { b[3] ^= 1; return b }, "byte 3 is 0x72, in the source 0x73"},
		"the last byte":             {func(b []byte) []byte { b[len(b)-1] = 0; return b }, "byte 5242979 is 0x00, in the source 0x20"},
		"data in the hole":          {func(b []byte) []byte { b[3<<20] = 1; return b }, "byte 3145728 is 0x01, in the source 0x00"},
		"a hole in the data":        {func(b []byte) []byte { clear(b[:200_000]); return b }, "byte 0 is 0x00"},
		"a sector of something":     {func(b []byte) []byte { return append(b, bytes.Repeat([]byte{9}, 412)...) }, "byte 5242980 is 0x09"},
		"a byte less":               {func(b []byte) []byte { return b[:len(b)-1] }, "5242979 bytes, the source has 5242980"},
		"a sector more than needed": {func(b []byte) []byte { return append(b, make([]byte, 512)...) }, "5243492 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.change(bytes.Clone(content))
			b, err := newBeside(t.Context(), source, int64(len(got)))
			if err == nil {
				err = pieces(b, got)
			}
			if c.want == "" {
				sum := sha256.Sum256(got)
				if err != nil || b.hex() != hex.EncodeToString(sum[:]) {
					t.Errorf("%v, or another sum", err)
				}
				return
			}
			if !errors.As(err, new(difference)) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestBesideStops wants Ctrl-C to end the comparison of a disk, however large.
func TestBesideStops(t *testing.T) {
	t.Parallel()
	source, content := sourceDisk(t, 2<<20)
	ctx, stop := context.WithCancel(t.Context())
	b, err := newBeside(ctx, source, source.Size())
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := b.Write(content[:10]); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, Write ends with %v", err)
	}
	if err := b.Skip(1 << 20); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped, Skip ends with %v", err)
	}
}
