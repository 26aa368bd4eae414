package vmdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// The judge is qemu-img. Where it is missing, tests fail.
func qemu(t testing.TB, arg ...string) []byte {
	t.Helper()
	var out, stderr bytes.Buffer
	c := exec.Command("qemu-img", arg...)
	c.Stdout, c.Stderr = &out, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("qemu-img %q: %v\n%s%s", arg, err, out.Bytes(), stderr.Bytes())
	}
	return out.Bytes()
}

// memory is a sink that keeps parts as they come.
type memory struct {
	mu    sync.Mutex
	parts map[int][]byte
	order []int
}

func (m *memory) Part(n int, content []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parts == nil {
		m.parts = map[int][]byte{}
	}
	if m.parts[n] != nil {
		return fmt.Errorf("part %d comes twice", n)
	}
	m.parts[n] = bytes.Clone(content)
	m.order = append(m.order, n)
	return nil
}

// file puts the parts together, and checks what is promised of them.
func (m *memory) file(t testing.TB) []byte {
	t.Helper()
	var all []byte
	for i := 1; i <= len(m.parts); i++ {
		if m.parts[i] == nil {
			t.Fatalf("part %d of %d is missing", i, len(m.parts))
		}
		if i < len(m.parts) && len(m.parts[i]) < disk.MinPart {
			t.Fatalf("part %d has %d bytes", i, len(m.parts[i]))
		}
		all = append(all, m.parts[i]...)
	}
	return all
}

// piece is some content of a test's disk; the rest is zeros.
type piece struct {
	at      int64
	content []byte
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		// Four bits a byte, so that there is something to compress.
		b[i] = byte(r.Uint32()) | 0x11
	}
	return b
}

// write makes an image of pieces in ascending order.
func write(t testing.TB, size int64, pieces []piece, o Options) []byte {
	t.Helper()
	var m memory
	w, err := NewWriter(size, &m, o)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for _, p := range pieces {
		if err := w.Skip(p.at - at); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p.content); err != nil {
			t.Fatal(err)
		}
		at = p.at + int64(len(p.content))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return m.file(t)
}

// rawFile makes the same content a raw file, with holes.
func rawFile(t testing.TB, dir string, size int64, pieces []piece) string {
	t.Helper()
	name := filepath.Join(dir, "disk.raw")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range pieces {
		if _, err := f.WriteAt(p.content, p.at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return name
}

func save(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, content []byte) disk.Image {
	t.Helper()
	m, err := Open(bytes.NewReader(content), int64(len(content)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// judge lets qemu-img check an image, and compare it with a raw file.
func judge(t testing.TB, image, raw string, size int64) {
	t.Helper()
	qemu(t, "check", "-q", "-f", "vmdk", image)
	qemu(t, "compare", "-q", "-f", "vmdk", "-F", "raw", image, raw)
	var info struct {
		Size int64 `json:"virtual-size"`
	}
	if err := json.Unmarshal(qemu(t, "info", "--output=json", "-f", "vmdk", image), &info); err != nil {
		t.Fatal(err)
	}
	if want := sectors(size) * sectorSize; info.Size != want {
		t.Errorf("qemu-img shows a virtual size of %d, want %d", info.Size, want)
	}
}

// qemuMap is what qemu-img says of allocation, in our terms.
func qemuMap(t testing.TB, image string) []disk.Extent {
	t.Helper()
	var entries []struct {
		Start, Length       int64
		Present, Zero, Data bool
	}
	if err := json.Unmarshal(qemu(t, "map", "--output=json", "-f", "vmdk", image), &entries); err != nil {
		t.Fatal(err)
	}
	var all []disk.Extent
	for _, e := range entries {
		kind := disk.Absent
		switch {
		case e.Data:
			kind = disk.Data
		case e.Zero && e.Present:
			kind = disk.Zero
		}
		if n := len(all); n > 0 && all[n-1].Kind == kind {
			all[n-1].Length += e.Length
			continue
		}
		all = append(all, disk.Extent{Offset: e.Start, Length: e.Length, Kind: kind})
	}
	return all
}

func extents(t testing.TB, m disk.Image) []disk.Extent {
	t.Helper()
	var all []disk.Extent
	for e, err := range m.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// reading checks that an image has the content of a raw file: where the file has
// data, and all around.
func reading(t testing.TB, m disk.Image, size int64, pieces []piece) {
	t.Helper()
	if want := sectors(size) * sectorSize; m.Size() != want {
		t.Fatalf("Size is %d, want %d", m.Size(), want)
	}
	for _, p := range pieces {
		got := make([]byte, len(p.content))
		if n, err := m.ReadAt(got, p.at); n != len(got) || err != nil && err != io.EOF {
			t.Fatalf("ReadAt %d bytes at %d: %d, %v", len(got), p.at, n, err)
		}
		if !bytes.Equal(got, p.content) {
			t.Fatalf("content at %d differs", p.at)
		}
	}
	if err := sameZeros(m, pieces); err != nil {
		t.Fatal(err)
	}
}

// sameZeros reads what Extents call data outside of pieces.
func sameZeros(m disk.Image, pieces []piece) error {
	b := make([]byte, 1<<20)
	for e, err := range m.Extents() {
		if err != nil {
			return err
		}
		if e.Kind != disk.Data {
			continue
		}
		for at := e.Offset; at < e.Offset+e.Length; {
			part := b[:min(int64(len(b)), e.Offset+e.Length-at)]
			if _, err := m.ReadAt(part, at); err != nil && err != io.EOF {
				return err
			}
			cut(part, at, pieces)
			if !zero(part) {
				return fmt.Errorf("content between %d and %d that nobody wrote", at, at+int64(len(part)))
			}
			at += int64(len(part))
		}
	}
	return nil
}

// cut makes those bytes zero that are the same in pieces.
func cut(b []byte, at int64, pieces []piece) {
	for _, p := range pieces {
		from, to := max(p.at, at), min(p.at+int64(len(p.content)), at+int64(len(b)))
		if from < to && bytes.Equal(b[from-at:to-at], p.content[from-p.at:to-p.at]) {
			clear(b[from-at : to-at])
		}
	}
}

// streaming reads a stream to its end, and checks it against pieces.
func streaming(t testing.TB, r io.Reader, size int64, pieces []piece) {
	t.Helper()
	s, err := NewStream(r, disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := sectors(size) * sectorSize; s.Size() != want {
		t.Fatalf("Size is %d, want %d", s.Size(), want)
	}
	total, last := 0, int64(0)
	var sum int
	for _, p := range pieces {
		for _, c := range p.content {
			sum += int(c)
		}
	}
	for {
		p, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Offset < last || p.Offset+int64(len(p.Data)) > s.Size() || len(p.Data) == 0 {
			t.Fatalf("piece of %d bytes at %d after %d of %d", len(p.Data), p.Offset, last, s.Size())
		}
		last = p.Offset + int64(len(p.Data))
		got := bytes.Clone(p.Data)
		for _, c := range got {
			total += int(c)
		}
		cut(got, p.Offset, pieces)
		if !zero(got) {
			t.Fatalf("piece at %d differs", p.Offset)
		}
	}
	if total != sum {
		t.Fatalf("the stream has other content: sum %d, want %d", total, sum)
	}
}
