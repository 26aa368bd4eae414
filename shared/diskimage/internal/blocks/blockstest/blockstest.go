// Package blockstest has what the tests of VHD and VDI share: disks, a sink that
// holds writers to its contract, and qemu-img as the judge.
package blockstest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// Sink keeps the parts of a file that has a head.
type Sink struct {
	Parts map[int][]byte
	last  int // delivered last
	Fail  int // the part that is refused, if any
}

// ErrSink is what a Sink says of the part that it refuses.
var ErrSink = errors.New("part refused")

// Part is that of disk.Sink.
func (s *Sink) Part(number int, content []byte) error {
	if number == s.Fail {
		return ErrSink
	}
	if s.Parts == nil {
		s.Parts = map[int][]byte{}
	}
	if _, twice := s.Parts[number]; twice {
		return errors.New("a part comes twice")
	}
	s.Parts[number] = bytes.Clone(content)
	s.last = number
	return nil
}

// File is the file made of the parts; head says whether it has one, which must
// come last.
func (s *Sink) File(t testing.TB, head bool) []byte {
	t.Helper()
	if head && s.last != 1 {
		t.Errorf("part %d was delivered last, want the head", s.last)
	}
	var file []byte
	for n := 1; n <= len(s.Parts); n++ {
		p, ok := s.Parts[n]
		if !ok {
			t.Fatalf("part %d of %d is missing", n, len(s.Parts))
		}
		if n < len(s.Parts) && len(p) < disk.MinPart {
			t.Errorf("part %d of %d has %d bytes", n, len(s.Parts), len(p))
		}
		file = append(file, p...)
	}
	return file
}

// Save writes a file into the test's directory.
func Save(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Qemu runs qemu-img, which must succeed.
func Qemu(t testing.TB, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("qemu-img", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, exit.Stderr...)
		}
		t.Fatalf("qemu-img %q: %v\n%s", args, err, out)
	}
	return out
}

// VirtualSize is what qemu-img info shows.
func VirtualSize(t testing.TB, format, path string) int64 {
	t.Helper()
	var info struct {
		Size int64 `json:"virtual-size"`
	}
	if err := json.Unmarshal(Qemu(t, "info", "--output=json", "-f", format, path), &info); err != nil {
		t.Fatal(err)
	}
	return info.Size
}

// Map is what qemu-img map shows: ranges with data and without, neighbours
// merged.
func Map(t testing.TB, format, path string) []disk.Extent {
	t.Helper()
	var ranges []struct {
		Start, Length int64
		Data          bool
	}
	if err := json.Unmarshal(Qemu(t, "map", "--output=json", "-f", format, path), &ranges); err != nil {
		t.Fatal(err)
	}
	var extents []disk.Extent
	for _, r := range ranges {
		k := disk.Absent
		if r.Data {
			k = disk.Data
		}
		extents = merge(extents, disk.Extent{Offset: r.Start, Length: r.Length, Kind: k})
	}
	return extents
}

func merge(extents []disk.Extent, e disk.Extent) []disk.Extent {
	if n := len(extents); n > 0 && extents[n-1].Kind == e.Kind {
		extents[n-1].Length += e.Length
		return extents
	}
	return append(extents, e)
}

// Extents collects the extents of an image as Map does, and holds them to the
// contract of disk.Image.
func Extents(t testing.TB, i disk.Image) []disk.Extent {
	t.Helper()
	var extents []disk.Extent
	var at int64
	var last disk.Kind
	for e, err := range i.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Offset != at || e.Length <= 0 || e.Kind == last {
			t.Fatalf("extent %+v after %d bytes of kind %v", e, at, last)
		}
		at += e.Length
		last = e.Kind
		if e.Kind == disk.Zero {
			e.Kind = disk.Absent
		}
		extents = merge(extents, e)
	}
	if at != i.Size() {
		t.Fatalf("extents end at %d, the disk at %d", at, i.Size())
	}
	return extents
}

// Content reads all of a stream into memory.
func Content(s disk.Stream) ([]byte, error) {
	content := make([]byte, s.Size())
	var at int64
	for {
		p, err := s.Next()
		if errors.Is(err, io.EOF) {
			return content, nil
		} else if err != nil {
			return nil, err
		}
		if p.Offset < at || p.Offset+int64(len(p.Data)) > s.Size() || len(p.Data) == 0 {
			return nil, errors.New("a piece that is empty, out of order or beyond the end")
		}
		copy(content[p.Offset:], p.Data)
		at = p.Offset + int64(len(p.Data))
	}
}

// ReadAll reads an image through ReadAt, in steps that fit no block.
func ReadAll(t testing.TB, i disk.Image) []byte {
	t.Helper()
	content := make([]byte, i.Size())
	const step = 100_003
	for at := 0; at < len(content); at += step {
		p := content[at:min(len(content), at+step)]
		if n, err := i.ReadAt(p, int64(at)); n != len(p) || err != nil {
			t.Fatalf("ReadAt of %d bytes at %d: %d, %v", len(p), at, n, err)
		}
	}
	if n, err := i.ReadAt(make([]byte, 2), max(0, i.Size()-1)); n > 1 || err != io.EOF {
		t.Fatalf("ReadAt beyond the end: %d, %v", n, err)
	}
	return content
}

// Pad fills up to whole sectors.
func Pad(content []byte) []byte {
	if len(content)%512 == 0 {
		return content
	}
	return append(bytes.Clone(content), make([]byte, -len(content)&511)...)
}
