package targz

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"ecs-image-export/shared/diskimage/disk"

	"pgregory.net/rapid"
)

// file is a Sink that keeps the parts.
type file map[int][]byte

func (f file) Part(number int, content []byte) error {
	if _, twice := f[number]; twice || number < 1 {
		return fmt.Errorf("part %d came twice or cannot be", number)
	}
	f[number] = bytes.Clone(content)
	return nil
}

func (f file) bytes(t testing.TB) []byte {
	t.Helper()
	var all []byte
	for n := 1; n <= len(f); n++ {
		if n < len(f) && len(f[n]) < disk.MinPart {
			t.Errorf("part %d of %d has %d bytes", n, len(f), len(f[n]))
		}
		all = append(all, f[n]...)
	}
	return all
}

// content returns n bytes as a disk has them: runs of zeros, of text, of noise.
func content(n int, seed uint64) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed)})
	r := rand.New(source)
	out := make([]byte, n)
	for at := 0; at < n; {
		run := min(1+r.IntN(300<<10), n-at)
		switch r.IntN(3) {
		case 0:
		case 1:
			copy(out[at:at+run], bytes.Repeat([]byte("the quick brown fox "), run/20+1))
		default:
			_, _ = source.Read(out[at : at+run]) // never returns an error
		}
		at += run
	}
	return out
}

func pack(t testing.TB, b []byte, o Options) []byte {
	t.Helper()
	f := file{}
	w, err := NewWriter(int64(len(b)), f, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return f.bytes(t)
}

// unpack reads an archive to its end.
func unpack(r io.Reader, l disk.Limits) ([]byte, error) {
	s, err := NewStream(r, l)
	if err != nil {
		return nil, err
	}
	out := make([]byte, s.Size())
	var at int64
	for {
		p, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if p.Offset < at || len(p.Data) == 0 || p.Offset+int64(len(p.Data)) > s.Size() {
			return nil, fmt.Errorf("a piece of %d bytes at %d, after %d of %d", len(p.Data), p.Offset, at, s.Size())
		}
		at = p.Offset + int64(copy(out[p.Offset:], p.Data))
	}
}

// The disks that every format is tried with.
func disks() map[string][]byte {
	end := make([]byte, 5<<20)
	end[len(end)-1] = 1
	return map[string][]byte{
		"empty":           {},
		"a byte":          {7},
		"a sector":        bytes.Repeat([]byte{9}, 512),
		"all zero":        make([]byte, 3<<20),
		"all data":        bytes.ReplaceAll(content(2<<20, 1), []byte{0}, []byte{1}),
		"last byte":       end,
		"odd size":        content(3<<20+7, 2),
		"hole in the end": append(content(1<<20, 3), make([]byte, 2<<20+3)...),
		"mixed":           content(9<<20, 4),
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range disks() {
		for _, sparse := range []bool{false, true} {
			packed := pack(t, want, Options{Sparse: sparse})
			if !Match(packed[:min(len(packed), 64<<10)], nil) {
				t.Errorf("%s, sparse %v: not matched", name, sparse)
			}
			got, err := unpack(bytes.NewReader(packed), disk.Limits{})
			if err != nil {
				t.Errorf("%s, sparse %v: %v", name, sparse, err)
			} else if !bytes.Equal(got, want) {
				t.Errorf("%s, sparse %v: content differs", name, sparse)
			}
		}
	}
}

// What comes out depends on the content alone: not on how it is cut into calls,
// nor on whether zeros are written or skipped.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		o := Options{Sparse: rapid.Bool().Draw(rt, "sparse"), Level: rapid.SampledFrom([]int{1, 6}).Draw(rt, "level")}
		type run struct {
			n    int
			fill byte
		}
		runs := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) run {
			return run{
				rapid.OneOf(rapid.IntRange(0, 3000), rapid.Just(64<<10), rapid.IntRange(0, 1<<20)).Draw(rt, "n"),
				rapid.SampledFrom([]byte{0, 0, 1, 2}).Draw(rt, "fill"),
			}
		}), 0, 4).Draw(rt, "runs")
		var whole []byte
		for _, r := range runs {
			whole = append(whole, bytes.Repeat([]byte{r.fill}, r.n)...)
		}
		want := pack(t, whole, o)

		f := file{}
		w, err := NewWriter(int64(len(whole)), f, o)
		if err != nil {
			rt.Fatal(err)
		}
		for _, r := range runs {
			if r.fill == 0 && rapid.Bool().Draw(rt, "skip") {
				err = w.Skip(int64(r.n))
			} else {
				_, err = w.Write(bytes.Repeat([]byte{r.fill}, r.n))
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
		if got := f.bytes(t); !bytes.Equal(got, want) {
			rt.Fatal("other bytes")
		}
		got, err := unpack(bytes.NewReader(want), disk.Limits{})
		if err != nil || !bytes.Equal(got, whole) {
			rt.Fatalf("read back: %v, same %v", err, bytes.Equal(got, whole))
		}
	})
}

// The map never overflows its place, whatever the holes are, and its memory is
// bounded.
func TestMapFits(t *testing.T) {
	t.Parallel()
	block := bytes.Repeat([]byte{1}, chunk)
	const used = 60 << 20
	for _, size := range []int64{used, 1 << 40} {
		f := file{}
		w, err := NewWriter(size, f, Options{Sparse: true, Level: 1})
		if err != nil {
			t.Fatal(err)
		}
		w.(*Writer).holes.most = 300
		for range used / chunk / 2 {
			if _, err := w.Write(block); err != nil {
				t.Fatal(err)
			}
			if err := w.Skip(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := NewStream(bytes.NewReader(f.bytes(t)), disk.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Size() != size {
			t.Errorf("size %d, want %d", s.Size(), size)
		}
		next, holes := int64(0), 0
		for {
			p, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Offset > next {
				holes++
			}
			next = p.Offset + int64(len(p.Data))
			for at := p.Offset; at < next; at += chunk {
				if got, want := p.Data[at-p.Offset], byte(1-at/chunk%2); got != want {
					t.Fatalf("byte %d is %d", at, got)
				}
			}
		}
		t.Logf("%d bytes: %d holes", size, holes)
		if size < 1<<30 && holes < 200 {
			t.Errorf("%d holes", holes)
		}
	}
}

// A size over 8 GiB does not fit an octal field; zeros cost next to nothing.
func TestLargeMember(t *testing.T) {
	t.Parallel()
	const size = 9<<30 + 5
	for _, o := range []Options{{}, {Sparse: true}, {Name: string(bytes.Repeat([]byte("n"), 120))}} {
		f := file{}
		w, err := NewWriter(size, f, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Skip(size-1), second(w.Write([]byte{1})), w.Close()); err != nil {
			t.Fatal(err)
		}
		packed := f.bytes(t)
		s, err := NewStream(bytes.NewReader(packed), disk.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Size() != size {
			t.Errorf("%+v: size %d", o, s.Size())
		}
		if !o.Sparse {
			continue // reading 9 GiB back is done once, by the test of GNU tar
		}
		p, err := s.Next()
		if err != nil || p.Offset != size-1-(size-1)%chunk || p.Data[len(p.Data)-1] != 1 {
			t.Errorf("%+v: piece at %d, %v", o, p.Offset, err)
		}
		if _, err := s.Next(); err != io.EOF {
			t.Errorf("%+v: end: %v", o, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestTooMuchContent(t *testing.T) {
	t.Parallel()
	w, err := NewWriter(10, file{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 11)); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("close: %v", err)
	}
}

type failing struct{ left int }

var errSink = errors.New("sink is full")

func (f *failing) Part(int, []byte) error {
	if f.left--; f.left < 0 {
		return errSink
	}
	return nil
}

func TestSinkFails(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 17<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, o := range []Options{{Level: 1}, {Level: 1, Sparse: true}} {
		for left := range 2 {
			w, err := NewWriter(int64(len(noise)), &failing{left}, o)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Write(noise)
			if closed := w.Close(); !errors.Is(errors.Join(err, closed), errSink) {
				t.Errorf("%v, %d parts: %v, %v", o, left, err, closed)
			}
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Level: 10}, {Level: -2}, {Name: "a\x00"}, {Name: "dir/"}} {
		if _, err := NewWriter(512, file{}, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	if _, err := NewWriter(-1, file{}, Options{}); err == nil {
		t.Error("size -1: no error")
	}
}

func TestCRCOfZeros(t *testing.T) {
	t.Parallel()
	z := &gzipWriter{w: io.Discard}
	z.sum([]byte("before"))
	want := &gzipWriter{crc: z.crc, size: z.size}
	want.sum(zeros)
	if got := crcOfZeros.append(z.crc); got != want.crc {
		t.Errorf("got %08x, want %08x", got, want.crc)
	}
	if slices.Max(zeros) != 0 {
		t.Error("zeros were written to")
	}
}
