package blockstest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks"
)

// Format is what the suite needs to know of a format.
type Format struct {
	Name      string // qemu's
	Check     bool   // qemu-img check knows it
	Head      bool   // the file has a head, which comes last
	Match     func(head, tail []byte) bool
	Open      func(io.ReaderAt, int64, disk.Limits) (disk.Image, error)
	NewStream func(io.Reader, disk.Limits) (disk.Stream, error) // nil: refused
	NewWriter func(int64, disk.Sink) (disk.Writer, error)
}

// Write makes an image of the content, in pieces of random size, zeros skipped
// now and then.
func (f Format) Write(t testing.TB, content []byte, seed uint64) []byte {
	t.Helper()
	var sink Sink
	w, err := f.NewWriter(int64(len(content)), &sink)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for rest := content; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(3<<20))
		switch zeros := leadingZeros(rest); {
		case zeros == len(rest) && r.IntN(2) == 0:
			n = len(rest) // left out
		case zeros > 0 && r.IntN(2) == 0:
			n = min(n, zeros)
			err = w.Skip(int64(n))
		default:
			_, err = w.Write(rest[:n])
		}
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Skip(int64(len(content)) + 1); err == nil {
		t.Error("more bytes than the disk has were taken")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sink.File(t, f.Head)
}

func leadingZeros(b []byte) int {
	n := 0
	for n < len(b) && blocks.IsZero(b[n:min(len(b), n+4096)]) {
		n += 4096
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return min(n, len(b))
}

// Judge has qemu-img compare an image with its content.
func (f Format) Judge(t testing.TB, file, content []byte) {
	t.Helper()
	content = Pad(content)
	path := Save(t, "image", file)
	if got := VirtualSize(t, f.Name, path); got != int64(len(content)) {
		t.Errorf("qemu-img sees %d bytes, want %d", got, len(content))
	}
	if f.Check {
		Qemu(t, "check", "-f", f.Name, path)
	}
	Qemu(t, "compare", "-f", "raw", "-F", f.Name, Save(t, "raw", content), path)
}

// Reads holds both readers to the content of a file. In order says whether a
// stream can be read.
func (f Format) Reads(t testing.TB, file, content []byte, inOrder bool) disk.Image {
	t.Helper()
	content = Pad(content)
	if !f.Match(file[:min(len(file), 64<<10)], file[max(0, len(file)-512):]) {
		t.Error("the file does not match")
	}
	i, err := f.Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if i.Size() != int64(len(content)) {
		t.Fatalf("virtual size is %d, want %d", i.Size(), len(content))
	}
	if !bytes.Equal(ReadAll(t, i), content) {
		t.Error("content read at random differs")
	}
	for _, e := range Extents(t, i) {
		if e.Kind != disk.Data && !blocks.IsZero(content[e.Offset:e.Offset+e.Length]) {
			t.Errorf("extent %+v has content", e)
		}
	}
	s, err := f.NewStream(bytes.NewReader(file), disk.Limits{})
	if !inOrder {
		if !errors.Is(err, disk.ErrOrder) {
			t.Errorf("NewStream: %v, want ErrOrder", err)
		}
		return i
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := Content(s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, content) {
		t.Error("content of the stream differs")
	}
	return i
}

// Empty holds Open to images without content that qemu-img makes of a disk's
// size.
func (f Format) Empty(t *testing.T, size, options string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	Qemu(t, "create", "-q", "-f", f.Name, "-o", options, path, size)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i, err := f.Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if want := VirtualSize(t, f.Name, path); i.Size() != want {
		t.Errorf("virtual size is %d, qemu-img has %d", i.Size(), want)
	}
	f.SameMap(t, file, i)
}

// Patterns are random disks of runs of data and zeros, judged by qemu-img.
func (f Format) Patterns(t *testing.T) {
	t.Helper()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			content := Noise(r.IntN(12 << 20))
			for at := 0; at < len(content); at += r.IntN(3 << 20) {
				n := min(r.IntN(4<<20), len(content)-at)
				clear(content[at : at+n])
				at += n
			}
			file := f.Write(t, content, seed)
			f.Judge(t, file, content)
			i := f.Reads(t, file, content, f.Head)
			if f.Head {
				f.SameMap(t, file, i)
			}
		})
	}
}

// Together reads an image from several goroutines.
func (f Format) Together(t *testing.T) {
	t.Helper()
	content := append(Noise(3<<20), make([]byte, 3<<20)...)
	file := f.Write(t, content, 0)
	i, err := f.Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for seed := range uint64(4) {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(seed, 2))
			p := make([]byte, 5000)
			for range 200 {
				off := r.IntN(len(content) - len(p))
				if _, err := i.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, content[off:off+len(p)]) {
					t.Errorf("ReadAt at %d: %v", off, err)
				}
			}
		})
	}
	wait.Wait()
}

// SameMap holds the extents to those of qemu-img.
func (f Format) SameMap(t testing.TB, file []byte, i disk.Image) {
	t.Helper()
	got, want := Extents(t, i), Map(t, f.Name, Save(t, "image", file))
	if i.Size() > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("extents are %v, qemu-img has %v", got, want)
	}
}
