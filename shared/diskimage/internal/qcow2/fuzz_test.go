package qcow2

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage/internal/disk"
)

// fuzzLimits keep a single run short.
var fuzzLimits = disk.Limits{Size: 64 << 20, Memory: 4 << 20}

// known fails when an error is not one of those that callers can tell apart.
func known(t *testing.T, err error) {
	t.Helper()
	for _, e := range []error{disk.ErrFormat, disk.ErrUnsupported, disk.ErrLimit, disk.ErrOrder} {
		if errors.Is(err, e) {
			return
		}
	}
	t.Errorf("an error of no kind: %v", err)
}

// allocated is how much f allocates, in bytes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzOpen(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		var m *Image
		var err error
		got := allocated(func() { m, err = Open(bytes.NewReader(file), int64(len(file)), fuzzLimits) })
		if got > 8<<20 { // tables, and what the zstd decoder begins with
			t.Errorf("Open allocates %d bytes", got)
		}
		if err != nil {
			known(t, err)
			return
		}
		next := int64(0)
		b := make([]byte, 100<<10)
		for e, err := range m.Extents() {
			if err != nil {
				known(t, err)
				break
			}
			if e.Offset != next || e.Length <= 0 {
				t.Fatalf("extent %+v after %d", e, next)
			}
			next += e.Length
			if _, err := m.ReadAt(b[:min(int64(len(b)), e.Length)], e.Offset); err != nil {
				known(t, err)
			}
		}
		if err := m.Check(); err != nil {
			known(t, err)
		}
	})
}

// FuzzStream also compares what a stream gives with random access.
func FuzzStream(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := NewStream(bytes.NewReader(file), fuzzLimits)
		if err != nil {
			known(t, err)
			return
		}
		m, err := Open(bytes.NewReader(file), int64(len(file)), fuzzLimits)
		last, refused := int64(0), error(nil)
		for {
			p, nextErr := s.Next()
			if errors.Is(nextErr, io.EOF) {
				// A stream does not know where the refcount blocks are.
				if refused != nil && !strings.Contains(refused.Error(), "lies on a table") {
					t.Fatalf("only the stream can read it: %v", refused)
				}
				return
			}
			if nextErr != nil {
				known(t, nextErr)
				return
			}
			if p.Offset < last || p.Offset+int64(len(p.Data)) > s.Size() || len(p.Data) == 0 {
				t.Fatalf("a piece of %d bytes at %d after %d", len(p.Data), p.Offset, last)
			}
			last = p.Offset + int64(len(p.Data))
			if err != nil {
				continue // the refcounts are wrong, which a stream does not see
			}
			b := make([]byte, len(p.Data))
			if n, readErr := m.ReadAt(b, p.Offset); n < len(b) {
				refused = readErr // the stream sees it later
				continue
			}
			mustEqual(t, "stream", p.Data, b)
		}
	})
}
