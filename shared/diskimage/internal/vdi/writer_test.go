package vdi

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks/blockstest"
)

// A disk of 2 TiB, with a byte here and there.
func TestLarge(t *testing.T) {
	t.Parallel()
	const size = 2 << 40
	places := []int64{0, 1<<40 + 12345, size - 1}
	file := blockstest.Sparse(t, format, size, places)
	path := blockstest.Save(t, "image", file)
	blockstest.Qemu(t, "check", "-f", "vdi", path)
	i, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := blockstest.Extents(t, i)
	if want := blockstest.Map(t, "vdi", path); !reflect.DeepEqual(got, want) {
		t.Errorf("extents are %v, qemu-img has %v", got, want)
	}
	for _, at := range []int64{0, 7, 1<<40 + 12345, 1 << 41 / 3, size - 2, size - 1} {
		want := byte(0)
		if slices.Contains(places, at) {
			want = 1
		}
		got := make([]byte, 1)
		if _, err := i.ReadAt(got, at); err != nil || got[0] != want {
			t.Errorf("byte %d is %d, want %d (%v)", at, got[0], want, err)
		}
	}
}

// Comparing 2 TiB takes qemu-img 10 seconds.
func TestSparse(t *testing.T) {
	t.Parallel()
	const size = 100 << 30
	places := []int64{0, 50<<30 + 12345, size - 1}
	path := blockstest.Save(t, "image", blockstest.Sparse(t, format, size, places))
	blockstest.SparseRaw(t, "vdi", path, size, places)
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{-1, maxSize + 1} {
		if _, err := NewWriter(size, &blockstest.Sink{}, Options{}); !errors.Is(err, disk.ErrLimit) {
			t.Errorf("a disk of %d bytes: %v", size, err)
		}
	}
}

// How the content comes in pieces leaves no trace.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	content := append(make([]byte, 3<<20), blockstest.Noise(5<<20+77)...)
	if !bytes.Equal(format.Write(t, content, 1), format.Write(t, content, 2)) {
		t.Error("two files of one content differ")
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	var sink blockstest.Sink
	o := Options{UUID: [16]byte{1, 2, 3}, Modified: [16]byte{4, 5}}
	w, err := NewWriter(0, &sink, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := sink.File(t, true)
	if got := [16]byte(file[392:]); got != o.UUID {
		t.Errorf("uuidCreate is %x", got)
	}
	if got := [16]byte(file[408:]); got != o.Modified {
		t.Errorf("uuidModify is %x", got)
	}
}

// A part that the sink refuses ends the image.
func TestSinkFails(t *testing.T) {
	t.Parallel()
	for _, fail := range []int{1, 2, 3} {
		blockstest.SinkFails(t, fail, func(s disk.Sink) (disk.Writer, error) { return NewWriter(20<<20, s, Options{}) })
	}
}

// What qemu-img writes into our file afterwards does no harm to it.
func TestWrittenOnByQemu(t *testing.T) {
	t.Parallel()
	content := make([]byte, 6<<20)
	copy(content[3<<20:], blockstest.Noise(100))
	path := blockstest.Save(t, "image", format.Write(t, content, 1))
	more := blockstest.Noise(6 << 20)
	raw := blockstest.Save(t, "raw", more)
	blockstest.Qemu(t, "convert", "-n", "-f", "raw", "-O", "vdi", raw, path)
	blockstest.Qemu(t, "check", "-f", "vdi", path)
	file, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	format.Reads(t, file, more, false)
}
