package blockstest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// Sparse makes an image of a disk of zeros with a 1 at some places.
func Sparse(t testing.TB, f Format, size int64, places []int64) []byte {
	t.Helper()
	var sink Sink
	w, err := f.NewWriter(size, &sink)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for _, p := range places {
		if err := w.Skip(p - at); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		at = p + 1
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sink.File(t, f.Head)
}

// SparseRaw has qemu-img compare such an image with a file with holes.
func SparseRaw(t testing.TB, format, path string, size int64, places []int64) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw")
	file, err := os.Create(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, p := range places {
		if _, err := file.WriteAt([]byte{1}, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	Qemu(t, "compare", "-f", "raw", "-F", format, raw, path)
}

// SinkFails has the sink refuse a part of a disk of 20 MiB: the image must fail
// at once or when it is closed, with the sink's error, and nothing mends it.
func SinkFails(t testing.TB, fail int, open func(disk.Sink) (disk.Writer, error)) {
	t.Helper()
	w, err := open(&Sink{Fail: fail})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(Noise(20 << 20))
	if err != nil && !errors.Is(err, ErrSink) {
		t.Errorf("part %d refused: Write: %v", fail, err)
	}
	if fail == 2 && err == nil {
		t.Errorf("part %d refused: Write knows nothing", fail)
	}
	if err := w.Close(); !errors.Is(err, ErrSink) {
		t.Errorf("part %d refused: Close: %v", fail, err)
	}
	if err := w.Close(); err == nil {
		t.Errorf("part %d refused: closed again without an error", fail)
	}
	if _, err := w.Write([]byte{1}); err == nil {
		t.Errorf("part %d refused: written after Close", fail)
	}
}
