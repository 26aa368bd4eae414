package vhd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks/blockstest"
)

// The largest disk, with a byte here and there.
func TestLargest(t *testing.T) {
	t.Parallel()
	places := []int64{0, 1<<40 + 12345, maxSize - 1}
	file := blockstest.Sparse(t, format(false), maxSize, places)
	path := blockstest.Save(t, "image", file)
	if got := blockstest.VirtualSize(t, "vpc", path); got != maxSize {
		t.Errorf("qemu-img sees %d bytes, want %d", got, int64(maxSize))
	}
	i, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := blockstest.Extents(t, i)
	if want := blockstest.Map(t, "vpc", path); !reflect.DeepEqual(got, want) {
		t.Errorf("extents are %v, qemu-img has %v", got, want)
	}
	blockstest.SparseRaw(t, "vpc", path, maxSize, places)
	if _, err := NewWriter(maxSize+1, &blockstest.Sink{}, Options{}); !errors.Is(err, disk.ErrLimit) {
		t.Errorf("a larger disk: %v", err)
	}
	if _, err := NewWriter(-1, &blockstest.Sink{}, Options{}); err == nil {
		t.Error("a disk of -1 bytes was taken")
	}
}

// How the content comes in pieces leaves no trace.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	content := append(make([]byte, 3<<20), blockstest.Noise(5<<20+77)...)
	for _, fixed := range []bool{false, true} {
		f := format(fixed)
		if !bytes.Equal(f.Write(t, content, 1), f.Write(t, content, 2)) {
			t.Errorf("fixed %v: two files of one content differ", fixed)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	var sink blockstest.Sink
	o := Options{UUID: [16]byte{1, 2, 3}, Created: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	w, err := NewWriter(0, &sink, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := sink.File(t, true)
	if got := [16]byte(file[68:]); got != o.UUID {
		t.Errorf("UUID %x", got)
	}
	if got := time.Duration(binary.BigEndian.Uint32(file[24:])) * time.Second; !time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(got).Equal(o.Created) {
		t.Errorf("time stamp %v after the start of 2000", got)
	}
	if _, err := NewWriter(0, &sink, Options{Created: time.Unix(0, 0)}); err == nil {
		t.Error("a time before 2000 was taken")
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
	path := blockstest.Save(t, "image", format(false).Write(t, content, 1))
	more := blockstest.Noise(6 << 20)
	raw := blockstest.Save(t, "raw", more)
	blockstest.Qemu(t, "convert", "-n", "-f", "raw", "-O", "vpc", raw, path)
	file, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	format(false).Reads(t, file, more, false)
}
