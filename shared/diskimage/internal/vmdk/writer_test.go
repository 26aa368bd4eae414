package vmdk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ecs-image-export/shared/diskimage/disk"

	"pgregory.net/rapid"
)

// The file does not depend on the number of workers, nor on how content comes.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	pieces := []piece{{0, random(31, 3<<20)}, {70 << 20, bytes.Repeat([]byte("the same again; "), 60000)}}
	for _, format := range []Subformat{StreamOptimized, MonolithicSparse} {
		want := write(t, 100<<20, pieces, Options{Subformat: format, Workers: 1})
		for workers := range 4 {
			for _, cut := range []int{1000, 100000} {
				var small []piece
				for _, p := range pieces {
					for at := 0; at < len(p.content); at += cut {
						small = append(small, piece{p.at + int64(at), p.content[at:min(at+cut, len(p.content))]})
					}
				}
				if got := write(t, 100<<20, small, Options{Subformat: format, Workers: workers}); !bytes.Equal(got, want) {
					t.Fatalf("subformat %d, %d workers, pieces of %d: another file", format, workers, cut)
				}
			}
		}
	}
}

// Zeros that are written are stored as little as those that are skipped.
func TestZerosAreNotStored(t *testing.T) {
	t.Parallel()
	for _, format := range []Subformat{StreamOptimized, MonolithicSparse} {
		o := Options{Subformat: format}
		content := append(make([]byte, 3<<20), random(32, 1000)...)
		skipped := write(t, 10<<20, []piece{{3 << 20, random(32, 1000)}}, o)
		if written := write(t, 10<<20, []piece{{0, content}, {5 << 20, make([]byte, 5<<20)}}, o); !bytes.Equal(skipped, written) {
			t.Errorf("subformat %d: %d bytes with zeros written, %d with zeros skipped", format, len(written), len(skipped))
		}
	}
}

func writeAll(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

// A stream keeps the redundant tables only where there is memory for them.
func TestStreamWithLittleMemory(t *testing.T) {
	t.Parallel()
	pieces := []piece{{1 << 30, random(33, 300000)}, {63 << 30, random(34, 300000)}}
	b := write(t, 64<<30, pieces, Options{Subformat: MonolithicSparse})
	l := disk.Limits{Memory: 1 << 20}
	if err := streamAll(b, l); err != nil {
		t.Error(err)
	}
	h, err := parseHeader(b, "header", disk.Limits{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	clear(b[h.gdOffset*sectorSize:][:h.directorySectors()*sectorSize])
	if err := streamAll(b, l); !errors.Is(err, disk.ErrOrder) {
		t.Errorf("without the directory: %v, want ErrOrder", err)
	}
	streaming(t, bytes.NewReader(b), 64<<30, pieces)
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size int64
		o    Options
		want error
	}{
		{0, Options{}, disk.ErrUnsupported},
		{-1, Options{}, disk.ErrUnsupported},
		{MaxStream + 1, Options{}, disk.ErrLimit},
		{MaxSparse + 1, Options{Subformat: MonolithicSparse}, disk.ErrLimit},
		{512, Options{Subformat: 7}, nil},
		{512, Options{Level: 10}, nil},
		{512, Options{Workers: -1}, nil},
		{512, Options{Name: "a/b"}, nil},
	} {
		if _, err := NewWriter(c.size, new(memory), c.o); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("NewWriter(%d, %+v): %v, want %v", c.size, c.o, err, c.want)
		}
	}
	w, err := NewWriter(1000, new(memory), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1001)); err == nil {
		t.Error("more was written than the disk has")
	}
	if err := w.Skip(1001); err == nil {
		t.Error("more was skipped than the disk has")
	}
	if err := w.Skip(-1); err == nil {
		t.Error("less than nothing was skipped")
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte{1}); err == nil {
		t.Error("written after Close")
	}
}

type brokenSink struct{ after int }

func (s *brokenSink) Part(int, []byte) error {
	if s.after--; s.after < 0 {
		return io.ErrClosedPipe
	}
	return nil
}

// An error of the sink ends the image, and nothing goes on running. Not parallel,
// for it counts goroutines.
func TestSinkErrors(t *testing.T) {
	before := runtime.NumGoroutine()
	content := random(35, 1<<20)
	for after := range 3 {
		for _, format := range []Subformat{StreamOptimized, MonolithicSparse} {
			w, err := NewWriter(64<<20, &brokenSink{after}, Options{Subformat: format})
			if err != nil {
				t.Fatal(err)
			}
			for range 24 {
				if err = writeAll(w, content); err != nil {
					break
				}
			}
			if err == nil {
				err = w.Close()
			}
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("subformat %d, after %d parts: %v", format, after, err)
			}
			if err := w.Close(); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("Close after an error: %v", err)
			}
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// Random disks, written, judged, and read.
func TestRandomDisks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.Int64Range(1, 80<<20).Draw(r, "size")
		var pieces []piece
		for at := int64(0); len(pieces) < 12; {
			at += rapid.Int64Range(0, size/3+1).Draw(r, "gap")
			n := min(rapid.Int64Range(1, 300000).Draw(r, "length"), size-at)
			if n <= 0 {
				break
			}
			pieces = append(pieces, piece{at, random(uint64(at), int(n))})
			at += n
		}
		o := Options{Subformat: Subformat(rapid.IntRange(0, 1).Draw(r, "subformat")), Level: rapid.SampledFrom([]int{0, 1, 3}).Draw(r, "level")}
		b := write(t, size, pieces, o)
		m := open(t, b)
		reading(t, m, size, pieces)
		streaming(t, bytes.NewReader(b), size, pieces)
		// The judge is slow.
		if runs++; runs%10 == 1 {
			image := save(t, dir, "disk.vmdk", b)
			raw := rawFile(t, dir, size, pieces)
			judge(t, image, raw, size)
			for _, format := range []string{typeStream, typeSparse} {
				qemu(t, "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat="+format, raw, image)
				theirs, err := os.ReadFile(image)
				if err != nil {
					t.Fatal(err)
				}
				reading(t, open(t, theirs), size, pieces)
				streaming(t, bytes.NewReader(theirs), size, pieces)
			}
			if err := errors.Join(os.Remove(raw), os.Remove(image)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What qemu-img makes that needs other files is refused with its name.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	for options, says := range map[string]string{
		"subformat=monolithicFlat":       "a descriptor without data",
		"subformat=twoGbMaxExtentSparse": "a descriptor without data",
		"subformat=twoGbMaxExtentFlat":   "a descriptor without data",
	} {
		dir := t.TempDir()
		name := filepath.Join(dir, "disk.vmdk")
		qemu(t, "create", "-f", "vmdk", "-o", options, name, "5M")
		refused(t, name, says)
		if strings.HasSuffix(options, "Sparse") {
			refused(t, filepath.Join(dir, "disk-s001.vmdk"), "a part of a split disk")
		}
	}
	dir := t.TempDir()
	qemu(t, "create", "-f", "vmdk", filepath.Join(dir, "parent.vmdk"), "5M")
	child := filepath.Join(dir, "child.vmdk")
	qemu(t, "create", "-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", child)
	refused(t, child, "parent.vmdk")
	refused(t, save(t, dir, "cowd", append([]byte("COWD"), make([]byte, 2000)...)), "COWD")
	refused(t, save(t, dir, "sesparse", append([]byte("\xbe\xba\xfe\xca\x00\x00\x00\x00"), make([]byte, 2000)...)), "SESparse")
}

func refused(t *testing.T, name, says string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !Match(b[:min(len(b), 64<<10)], nil) {
		t.Errorf("%s: no match", name)
	}
	for _, err := range []error{readAll(b, disk.Limits{}), streamAll(b, disk.Limits{})} {
		if !errors.Is(err, disk.ErrUnsupported) || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("%s: %v, want ErrUnsupported with %q", name, err, says)
		}
	}
}
