package qcow2

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
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

// bounded fails when f allocates more than the tables that fuzzLimits allow, the
// file's content read a few times, and fixed buffers.
func bounded(t *testing.T, what string, file []byte, fixed uint64, f func()) {
	t.Helper()
	if got := allocated(f); got > fixed+uint64(fuzzLimits.Memory)+4*uint64(len(file)) {
		t.Errorf("%s allocates %d bytes for a file of %d", what, got, len(file))
	}
}

func FuzzOpen(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		var m *Image
		var err error
		// The zstd decoder begins with some MiB.
		bounded(t, "Open", file, 4<<20, func() { m, err = Open(bytes.NewReader(file), int64(len(file)), fuzzLimits) })
		if err != nil {
			known(t, err)
			return
		}
		_, _ = readExtents(t, m, 100<<10)
		if err := m.Check(); err != nil {
			known(t, err)
		}
	})
}

// readExtents goes through the extents, reads at most so many bytes of each, and
// gives those of data.
func readExtents(t *testing.T, m *Image, most int64) ([]disk.Extent, error) {
	var all []disk.Extent
	next, last := int64(0), disk.Kind(0)
	var failed error
	for e, err := range m.Extents() {
		if err != nil {
			known(t, err)
			return all, err
		}
		if e.Offset != next || e.Length <= 0 || e.Kind == last {
			t.Fatalf("extent %+v after %d", e, next)
		}
		next, last = e.Offset+e.Length, e.Kind
		if e.Kind != disk.Data {
			continue
		}
		all = append(all, e)
		b := make([]byte, min(most, e.Length))
		if n, err := m.ReadAt(b, e.Offset); err != nil && err != io.EOF {
			known(t, err)
			failed = err
		} else if n < len(b) {
			t.Fatalf("ReadAt: %d bytes of %d", n, len(b))
		}
	}
	if next != m.Size() {
		t.Fatalf("the extents end at %d of %d", next, m.Size())
	}
	return all, failed
}

// FuzzStream holds a stream to random access: what comes is what ReadAt reads;
// what comes to its end, Open and Extents find right, and all data came; and what
// they find right fails for its order or its need of memory alone.
func FuzzStream(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		m, openErr := Open(bytes.NewReader(file), int64(len(file)), fuzzLimits)
		if openErr != nil {
			known(t, openErr)
		}
		var pieces []disk.Extent
		var streamErr error
		// A buffer that grows to 16 MiB, pieces, what the zstd decoder has.
		bounded(t, "Stream", file, 40<<20, func() { pieces, streamErr = readPieces(t, file, m) })
		var data []disk.Extent
		if openErr == nil {
			data, openErr = readExtents(t, m, fuzzLimits.Size)
		}
		if streamErr != nil {
			known(t, streamErr)
			if openErr == nil && !errors.Is(streamErr, disk.ErrOrder) && !errors.Is(streamErr, disk.ErrLimit) {
				t.Fatalf("only random access can read it: %v", streamErr)
			}
			return
		}
		if openErr != nil {
			t.Fatalf("only the stream can read it: %v", openErr)
		}
		if !slices.Equal(pieces, data) {
			t.Fatalf("the stream has %+v, extents are %+v", pieces, data)
		}
	})
}

// readPieces reads a stream, compares it with the image if there is one, and gives
// the pieces, neighbours merged.
func readPieces(t *testing.T, file []byte, m *Image) ([]disk.Extent, error) {
	s, err := NewStream(bytes.NewReader(file), fuzzLimits)
	if err != nil {
		return nil, err
	}
	var all []disk.Extent
	last := int64(0)
	b := make([]byte, pieceSize)
	for {
		p, err := s.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		n := int64(len(p.Data))
		if p.Offset < last || p.Offset+n > s.Size() || n == 0 || n > pieceSize {
			t.Fatalf("a piece of %d bytes at %d after %d", n, p.Offset, last)
		}
		if len(all) > 0 && p.Offset == last {
			all[len(all)-1].Length += n
		} else {
			all = append(all, disk.Extent{Offset: p.Offset, Length: n, Kind: disk.Data})
		}
		last = p.Offset + n
		if m == nil {
			continue
		}
		if _, err := m.ReadAt(b[:n], p.Offset); err == nil {
			mustEqual(t, "stream", p.Data, b[:n])
		}
	}
}
