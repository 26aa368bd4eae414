package diskimage_test

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"ecs-image-export/shared/diskimage"
)

var errSource = errors.New("the source is gone")

// A disk that could not be read to its end never becomes an image: its rest would
// be zeros.
func TestSourceFails(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	for _, k := range kinds {
		for _, good := range []int{0, 2 << 20} {
			for name, copy := range map[string]func(diskimage.Writer) error{
				"Copy": func(w diskimage.Writer) error {
					r := io.MultiReader(bytes.NewReader(noise(1, good)), iotest.ErrReader(errSource))
					s, err := diskimage.NewRAWStream(r, size, diskimage.Limits{})
					if err != nil {
						t.Fatal(err)
					}
					return diskimage.Copy(w, s)
				},
				"CopyImage": func(w diskimage.Writer) error {
					return diskimage.CopyImage(w, failingImage{good: noise(1, good), size: size})
				},
			} {
				parts := 0
				w, err := diskimage.NewWriter(k.format, size, partFunc(func(int, []byte) error { parts++; return nil }), k.options)
				if err != nil {
					t.Fatal(err)
				}
				if err := copy(w); !errors.Is(err, errSource) {
					t.Errorf("%s, %s: %v", k.name, name, err)
				}
				for range 2 {
					if err := w.Close(); !errors.Is(err, errSource) {
						t.Errorf("%s, %s, after %d bytes: Close: %v", k.name, name, good, err)
					}
				}
				if err := w.Skip(1); !errors.Is(err, errSource) {
					t.Errorf("%s, %s: Skip: %v", k.name, name, err)
				}
				if parts > 0 {
					t.Errorf("%s, %s: %d parts", k.name, name, parts)
				}
			}
		}
	}
}

type partFunc func(number int, content []byte) error

func (f partFunc) Part(number int, content []byte) error { return f(number, content) }

// failingImage cannot be read behind its good part.
type failingImage struct {
	good []byte
	size int64
}

func (i failingImage) Format() diskimage.Format { return diskimage.RAW }
func (i failingImage) Size() int64              { return i.size }

func (i failingImage) ReadAt(b []byte, offset int64) (int, error) {
	if offset+int64(len(b)) > int64(len(i.good)) {
		return 0, errSource
	}
	return copy(b, i.good[offset:]), nil
}

func (i failingImage) Extents() iter.Seq2[diskimage.Extent, error] {
	return func(yield func(diskimage.Extent, error) bool) {
		yield(diskimage.Extent{Length: i.size, Kind: diskimage.Data}, nil)
	}
}

// When Copy fails, the caller has its reader back. The race detector sees a Read
// that is still under way.
func TestCopyGivesReaderBack(t *testing.T) {
	t.Parallel()
	archive := map[int][]byte{}
	w, err := diskimage.NewWriter(diskimage.TarGz, 16<<20, partFunc(func(n int, b []byte) error { archive[n] = bytes.Clone(b); return nil }), diskimage.Options{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(1, 16<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var file []byte
	for n := 1; n <= len(archive); n++ {
		file = append(file, archive[n]...)
	}
	for name, open := range map[string]func(io.Reader) (diskimage.Stream, error){
		"raw": func(r io.Reader) (diskimage.Stream, error) {
			return diskimage.NewRAWStream(r, 16<<20, diskimage.Limits{})
		},
		"tar.gz": func(r io.Reader) (diskimage.Stream, error) { return diskimage.NewStream(r, diskimage.Limits{}) },
	} {
		r := &slow{r: bytes.NewReader(file)}
		s, err := open(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := diskimage.Copy(full{}, s); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
		before := r.reads
		for range 10 {
			r.Read(make([]byte, 1))
			time.Sleep(2 * time.Millisecond)
		}
		if r.reads != before+10 {
			t.Errorf("%s: %d reads of others", name, r.reads-before-10)
		}
		if _, err := s.Next(); err == nil {
			t.Errorf("%s: a piece after Close", name)
		}
	}
}

// slow is a reader whose Reads take a while, and are counted without a lock.
type slow struct {
	r     io.Reader
	reads int
}

func (s *slow) Read(p []byte) (int, error) {
	s.reads++
	time.Sleep(time.Millisecond)
	n, err := s.r.Read(p[:min(len(p), 64<<10)])
	return n, err
}

var errFull = errors.New("full")

// full is a Writer that takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
func (full) Skip(int64) error          { return errFull }
func (full) Close() error              { return errFull }
func (full) Abort(error)               {}

// blocking is a Sink whose Parts last until it is released.
type blocking struct {
	started chan struct{} // of the first Part
	release chan struct{}
	running atomic.Int32
	most    atomic.Int32
	parts   atomic.Int32
}

func (b *blocking) Part(int, []byte) error {
	if n := b.running.Add(1); n > 1 {
		b.most.Store(n)
	}
	defer b.running.Add(-1)
	if b.parts.Add(1) == 1 {
		close(b.started)
	}
	<-b.release
	time.Sleep(10 * time.Millisecond)
	return nil
}

// When Close returns, no part is on its way, whatever Close returns, and none
// follows; there are never two.
func TestCloseWaitsForPart(t *testing.T) {
	t.Parallel()
	const size = 256 << 20
	piece := noise(3, 1<<20)
	for _, k := range kinds {
		for name, end := range map[string]func(diskimage.Writer) error{
			"Close": func(w diskimage.Writer) error { return w.Close() },
			"Close of a writer that got too much": func(w diskimage.Writer) error {
				_ = w.Skip(size) // an error, which some keep
				return w.Close()
			},
			"Abort": func(w diskimage.Writer) error { w.Abort(errSource); return nil },
		} {
			b := &blocking{started: make(chan struct{}), release: make(chan struct{})}
			w, err := diskimage.NewWriter(k.format, size, b, k.options)
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; b.parts.Load() == 0; n++ {
				if n == size>>20 {
					t.Fatalf("%s: no part", k.name)
				}
				if _, err := w.Write(piece); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond) // the part's goroutine begins before the next part is full
			}
			<-b.started
			ended := make(chan error, 1)
			var left int32
			go func() {
				err := end(w)
				left = b.running.Load()
				ended <- err
			}()
			select {
			case err := <-ended:
				t.Errorf("%s: %s returned %v while a part was on its way", k.name, name, err)
				close(b.release)
				continue
			case <-time.After(20 * time.Millisecond):
			}
			close(b.release)
			<-ended
			parts := b.parts.Load()
			if name == "Abort" {
				if err := w.Close(); !errors.Is(err, errSource) || parts != 1 {
					t.Errorf("%s: %d parts, Close after Abort: %v", k.name, parts, err)
				}
			}
			time.Sleep(5 * time.Millisecond)
			if left != 0 || b.most.Load() > 1 || b.parts.Load() != parts {
				t.Errorf("%s: %s: %d parts on their way, %d at once, %d more", k.name, name, left, b.most.Load(), b.parts.Load()-parts)
			}
		}
	}
}
