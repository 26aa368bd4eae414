package blockstest

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks"
)

// Hostile are the limits for files that nobody vouches for.
var Hostile = disk.Limits{Size: 1 << 40, Memory: 1 << 20}

// memory is what reading a hostile file may take: tables, bitmaps of blocks up
// to a few MiB that must be in the file, buffers.
func memory(file []byte) uint64 {
	return uint64(Hostile.Memory) + 4<<20 + 32*uint64(len(file))
}

// Survive reads a file that may be anything. What both readers read must be the
// same; errors must be those of package disk.
func (f Format) Survive(t *testing.T, file []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	image, err := f.Open(bytes.NewReader(file), int64(len(file)), Hostile)
	known(t, err)
	if err == nil {
		look(t, image)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > memory(file) {
		t.Errorf("Open and Extents: %d bytes of memory for a file of %d", got, len(file))
	}
	before = after
	s, err := f.NewStream(bytes.NewReader(file), Hostile)
	known(t, err)
	if err == nil {
		drain(t, s, image)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > memory(file) {
		t.Errorf("stream: %d bytes of memory for a file of %d", got, len(file))
	}
}

func known(t *testing.T, err error) {
	if err == nil || errors.Is(err, disk.ErrFormat) || errors.Is(err, disk.ErrUnsupported) ||
		errors.Is(err, disk.ErrLimit) || errors.Is(err, disk.ErrOrder) {
		return
	}
	t.Errorf("error of an unknown kind: %v", err)
}

// look reads the ends of each extent.
func look(t *testing.T, i disk.Image) {
	if i.Size() < 0 || i.Size() > Hostile.Size {
		t.Fatalf("virtual size %d", i.Size())
	}
	var at int64
	n := 0
	p := make([]byte, 1500)
	for e, err := range i.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Offset != at || e.Length <= 0 {
			t.Fatalf("extent %+v at %d", e, at)
		}
		at += e.Length
		if n++; n > 100 {
			continue
		}
		for _, off := range []int64{e.Offset, max(e.Offset, at-700)} {
			_, err := i.ReadAt(p, off)
			if !errors.Is(err, io.EOF) {
				known(t, err)
			}
			part := p[:min(int64(len(p)), at-off)]
			if e.Kind != disk.Data && !blocks.IsZero(part) {
				t.Fatalf("extent %+v has content at %d", e, off)
			}
		}
	}
	if at != i.Size() {
		t.Fatalf("extents end at %d of %d", at, i.Size())
	}
}

// drain reads a stream and compares it with the image, if there is one. There must
// be one if the stream comes to its end, and then all its data came.
func drain(t *testing.T, s disk.Stream, image disk.Image) {
	var at int64
	var buffer []byte
	var read []disk.Extent // the pieces, neighbours merged
	for {
		p, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			known(t, err)
			return
		}
		if len(p.Data) == 0 || p.Offset < at || p.Offset+int64(len(p.Data)) > s.Size() {
			t.Fatalf("piece of %d bytes at %d after %d of %d", len(p.Data), p.Offset, at, s.Size())
		}
		if n := len(read); n > 0 && p.Offset == at {
			read[n-1].Length += int64(len(p.Data))
		} else {
			read = append(read, disk.Extent{Offset: p.Offset, Length: int64(len(p.Data)), Kind: disk.Data})
		}
		at = p.Offset + int64(len(p.Data))
		if image == nil {
			continue
		}
		if len(buffer) < len(p.Data) {
			buffer = make([]byte, len(p.Data))
		}
		b := buffer[:len(p.Data)]
		if _, err := image.ReadAt(b, p.Offset); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if !bytes.Equal(b, p.Data) {
			t.Fatalf("piece at %d is not what ReadAt reads", p.Offset)
		}
	}
	if image == nil {
		t.Fatal("a stream reads what Open refuses")
	}
	for e, err := range image.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != disk.Data {
			continue
		}
		if len(read) == 0 || read[0] != e {
			t.Fatalf("the stream does not have the extent %+v: %+v", e, read)
		}
		read = read[1:]
	}
	if len(read) > 0 {
		t.Fatalf("the stream has more than there are extents: %+v", read)
	}
}
