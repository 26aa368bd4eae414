package vmdk

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"ecs-image-export/shared/diskimage/internal/disk"
)

// fuzzLimits keep a run short. Memory that a file of some KiB can make us use is
// then bounded by fuzzMemory: tables, some grains, and decompressors.
var fuzzLimits = disk.Limits{Size: 64 << 20, Memory: 4 << 20}

const fuzzMemory = 96 << 20

func seeds(f *testing.F) {
	for _, b := range shapes() {
		f.Add(b)
	}
	y := newTiny()
	y.order = []int64{4, 0, 1}
	f.Add(y.tablesFirst(false))
	f.Add(y.markers())
	y = newTiny()
	y.h.unclean, y.h.flags, y.h.version = true, flagNewLines|flagZeroed, versionZeroed
	f.Add(y.tablesFirst(false))
}

// allowed are the errors that a file may cause.
func allowed(t *testing.T, err error) {
	t.Helper()
	for _, known := range []error{disk.ErrFormat, disk.ErrUnsupported, disk.ErrLimit, disk.ErrOrder} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("an error without a kind: %v", err)
}

func bounded(t *testing.T, do func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > fuzzMemory {
		t.Fatalf("%d bytes allocated", n)
	}
}

func FuzzOpen(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, func() {
			m, err := Open(bytes.NewReader(b), int64(len(b)), fuzzLimits)
			if err != nil {
				allowed(t, err)
				return
			}
			at := int64(0)
			last := disk.Kind(0)
			for e, err := range m.Extents() {
				if err != nil {
					allowed(t, err)
					at = m.Size()
					break
				}
				if e.Offset != at || e.Length <= 0 || e.Kind == last {
					t.Fatalf("extent %+v at %d after a %v one", e, at, last)
				}
				at, last = at+e.Length, e.Kind
			}
			if at != m.Size() {
				t.Fatalf("extents end at %d of %d", at, m.Size())
			}
			p := make([]byte, 100_000)
			for _, at := range []int64{0, 1, m.Size() / 2, m.Size() - 1000} {
				n, err := m.ReadAt(p, max(at, 0))
				if err != nil && err != io.EOF {
					allowed(t, err)
				} else if want := min(int64(len(p)), m.Size()-max(at, 0)); int64(n) != want {
					t.Fatalf("ReadAt %d: %d bytes, want %d", at, n, want)
				}
			}
		})
	})
}

func FuzzStream(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, func() {
			s, err := NewStream(bytes.NewReader(b), fuzzLimits)
			if err != nil {
				allowed(t, err)
				return
			}
			image, opened := Open(bytes.NewReader(b), int64(len(b)), fuzzLimits)
			last := int64(0)
			for {
				p, err := s.Next()
				if err == io.EOF {
					break
				} else if err != nil {
					allowed(t, err)
					return
				}
				if p.Offset < last || len(p.Data) == 0 || p.Offset+int64(len(p.Data)) > s.Size() {
					t.Fatalf("piece of %d bytes at %d after %d of %d", len(p.Data), p.Offset, last, s.Size())
				}
				last = p.Offset + int64(len(p.Data))
				if opened != nil {
					continue
				}
				// Both ways lead to the same content, where both lead anywhere.
				got := make([]byte, len(p.Data))
				if _, err := image.ReadAt(got, p.Offset); (err == nil || err == io.EOF) && !bytes.Equal(got, p.Data) {
					t.Fatalf("at %d, ReadAt reads other content than the stream", p.Offset)
				}
			}
		})
	})
}
