package vmdk

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// fuzzLimits keep a run short. What a file of some KiB can make us allocate, in
// all, is then bounded by fuzzMemory: tables, grains of 4 MiB, and decompressors.
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

// FuzzStream holds a stream to random access: what comes to its end,
// Open and Extents find right, and its content and extents are those.
func FuzzStream(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		image, openErr := Open(bytes.NewReader(b), int64(len(b)), fuzzLimits)
		var pieces []disk.Extent
		var streamErr error
		bounded(t, func() { pieces, streamErr = readPieces(t, b, image) })
		var data []disk.Extent
		if openErr == nil {
			data, openErr = readData(t, image)
		}
		if streamErr != nil {
			allowed(t, streamErr)
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
func readPieces(t *testing.T, b []byte, image disk.Image) ([]disk.Extent, error) {
	s, err := NewStream(bytes.NewReader(b), fuzzLimits)
	if err != nil {
		return nil, err
	}
	var all []disk.Extent
	last := int64(0)
	var got []byte
	other := int64(-1)
	for {
		p, err := s.Next()
		if err == io.EOF {
			if other >= 0 {
				t.Fatalf("at %d, ReadAt reads other content than the stream", other)
			}
			return all, nil
		} else if err != nil {
			return all, err
		}
		n := int64(len(p.Data))
		if p.Offset < last || n == 0 || p.Offset+n > s.Size() {
			t.Fatalf("piece of %d bytes at %d after %d of %d", n, p.Offset, last, s.Size())
		}
		if len(all) > 0 && p.Offset == last {
			all[len(all)-1].Length += n
		} else {
			all = append(all, disk.Extent{Offset: p.Offset, Length: n, Kind: disk.Data})
		}
		last = p.Offset + n
		if image == nil {
			continue
		}
		if int64(len(got)) < n {
			got = make([]byte, n)
		}
		// Both ways lead to the same content, where both lead anywhere: a stream with
		// markers gets to know the tables at the end, and ends there if they are of
		// other grains.
		if _, err := image.ReadAt(got[:n], p.Offset); (err == nil || err == io.EOF) && !bytes.Equal(got[:n], p.Data) {
			other = p.Offset
		}
	}
}

// readData reads all data of an image, and says where it is.
func readData(t *testing.T, image disk.Image) ([]disk.Extent, error) {
	var all []disk.Extent
	b := make([]byte, 1<<20)
	for e, err := range image.Extents() {
		if err != nil {
			allowed(t, err)
			return all, err
		}
		if e.Kind != disk.Data {
			continue
		}
		all = append(all, e)
		for at := e.Offset; at < e.Offset+e.Length; at += int64(len(b)) {
			if _, err := image.ReadAt(b[:min(int64(len(b)), e.Offset+e.Length-at)], at); err != nil && err != io.EOF {
				allowed(t, err)
				return all, err
			}
		}
	}
	return all, nil
}
