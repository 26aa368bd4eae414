package qcow2

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

var (
	disksOnce sync.Once
	disksMade map[string][]byte
)

// disks are the contents that every test of a whole image goes through.
func disks(t testing.TB) map[string][]byte {
	t.Helper()
	disksOnce.Do(func() { disksMade = makeDisks(t) })
	if disksMade == nil {
		t.Fatal("the disks were not made")
	}
	return disksMade
}

func makeDisks(t testing.TB) map[string][]byte {
	t.Helper()
	random, source := rand.New(rand.NewPCG(1, 2)), rand.NewChaCha8([32]byte{1})
	noise := func(n int) []byte {
		b := make([]byte, n)
		_, _ = source.Read(b)
		return b
	}
	text := func(n int) []byte {
		var b []byte
		for len(b) < n {
			b = append(b, noise(3)...)
			b = append(b, "something that is said again and again\n"...)
		}
		return b[:n]
	}
	end := make([]byte, 5<<20)
	end[len(end)-1] = 1
	mixed := make([]byte, 5<<20+512)
	for at := 0; at < len(mixed); {
		n := min(len(mixed)-at, random.IntN(300<<10))
		switch random.IntN(3) {
		case 1:
			copy(mixed[at:], noise(n))
		case 2:
			copy(mixed[at:], text(n))
		}
		at += n
	}
	return map[string][]byte{
		"nothing":    {},
		"one sector": text(512),
		"zeros":      make([]byte, 3<<20),
		"data":       text(3 << 20),
		"noise":      noise(2 << 20),
		"end":        end,
		"odd size":   text(1<<20 + 300<<10 + 77),
		"mixed":      mixed,
		"ext4":       ext4(t),
	}
}

func ext4(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8<<20); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", ".", path).CombinedOutput()
	if err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// padded is a disk as other programs know it, in whole sectors.
func padded(b []byte) []byte {
	return append(slices.Clone(b), make([]byte, -len(b)&511)...)
}

func readImage(t tb, file []byte) ([]byte, *Image) {
	t.Helper()
	m, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	b := make([]byte, m.Size())
	if _, err := io.ReadFull(io.NewSectionReader(m, 0, m.Size()), b); err != nil {
		t.Fatalf("ReadAt: %v", err)
	}
	return b, m
}

func readStream(file io.Reader) ([]byte, error) {
	s, err := NewStream(file, disk.Limits{})
	if err != nil {
		return nil, err
	}
	b := make([]byte, s.Size())
	last := int64(0)
	for {
		p, err := s.Next()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if p.Offset < last || p.Offset+int64(len(p.Data)) > s.Size() {
			return nil, errors.New("a piece lies wrong")
		}
		last = p.Offset + int64(copy(b[p.Offset:], p.Data))
	}
}

// mapped is the disk as qemu-img map sees it: 'd' for data, 'z' for zeros, ' ' for
// nothing, one letter for each 512 bytes.
func mapped(t tb, path string, size int64) []byte {
	t.Helper()
	var entries []struct {
		Start, Length       int64
		Data, Zero, Present bool
	}
	if err := json.Unmarshal([]byte(qemuImg(t, "map", "--output=json", "-f", "qcow2", path)), &entries); err != nil {
		t.Fatal(err)
	}
	m := make([]byte, size/512)
	for _, e := range entries {
		letter := byte(' ')
		switch {
		case e.Data:
			letter = 'd'
		case e.Present:
			letter = 'z'
		}
		fillSectors(m, e.Start, e.Length, letter)
	}
	return m
}

func fillSectors(m []byte, start, length int64, letter byte) {
	for i := start / 512; i < (start+length)/512; i++ {
		m[i] = letter
	}
}

// extents is the same as mapped, as we see it.
func extents(t tb, m *Image) []byte {
	t.Helper()
	sectors := make([]byte, m.Size()/512)
	next, kind := int64(0), disk.Kind(0)
	for e, err := range m.Extents() {
		if err != nil {
			t.Fatalf("Extents: %v", err)
		}
		if e.Offset != next || e.Length <= 0 || e.Kind == kind {
			t.Fatalf("extent %+v after %d (%v)", e, next, kind)
		}
		next, kind = e.Offset+e.Length, e.Kind
		fillSectors(sectors, e.Offset, e.Length, map[disk.Kind]byte{disk.Data: 'd', disk.Zero: 'z', disk.Absent: ' '}[e.Kind])
	}
	if next != m.Size() {
		t.Fatalf("the extents end at %d of %d", next, m.Size())
	}
	return sectors
}

func mustEqual(t tb, what string, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: byte %#x is %#x, want %#x", what, i, got[i], want[i])
		}
	}
	t.Fatalf("%s: %d bytes, want %d", what, len(got), len(want))
}
