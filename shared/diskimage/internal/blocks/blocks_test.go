package blocks

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"ecs-image-export/shared/diskimage/disk"
)

// A disk that is written in any pieces is read back in any, and only blocks with
// content are stored.
func TestWrittenAndRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.SampledFrom([]int64{1, 7, 512, 4096}).Draw(t, "block")
		size := rapid.Int64Range(0, 9*block).Draw(t, "size")
		var file bytes.Buffer
		at := map[int64]int64{}
		last := int64(-1)
		w := NewWriter(&file, size, block, func(i int64) error {
			if i <= last {
				t.Fatalf("block %d after %d", i, last)
			}
			last = i
			at[i] = int64(file.Len())
			return nil
		})
		var want []byte
		for int64(len(want)) < size && rapid.IntRange(0, 9).Draw(t, "go on") > 0 {
			n := rapid.Int64Range(0, size-int64(len(want))).Draw(t, "n")
			var err error
			switch piece := bytes.Repeat([]byte{rapid.Byte().Draw(t, "content")}, int(n)); rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				err = w.Skip(n)
				want = append(want, make([]byte, n)...)
			case 1:
				clear(piece[:n/2])
				fallthrough
			default:
				_, err = w.Write(piece)
				want = append(want, piece...)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want = append(want, make([]byte, size-int64(len(want)))...)
		if int64(file.Len()) != block*int64(len(at)) {
			t.Fatalf("%d blocks have %d bytes", len(at), file.Len())
		}
		for i := range at {
			if IsZero(want[i*block : min(size, (i+1)*block)]) {
				t.Fatalf("block %d is stored and is zero", i)
			}
		}
		content := bytes.NewReader(file.Bytes())
		m := &Map{
			Size: size, Block: block,
			Kind: func(i int64) disk.Kind {
				if _, ok := at[i]; ok {
					return disk.Data
				}
				return disk.Absent
			},
			Read: func(p []byte, i, within int64) error { return ReadFull(content, p, at[i]+within) },
		}
		if err := iotest.TestReader(io.NewSectionReader(struct{ io.ReaderAt }{m}, 0, size), want); err != nil {
			t.Fatal(err)
		}
		off := rapid.Int64Range(0, size+3).Draw(t, "off")
		p := make([]byte, rapid.IntRange(0, int(size)+3).Draw(t, "length"))
		n, err := m.ReadAt(p, off)
		if part := want[min(off, size):min(off+int64(len(p)), size)]; !bytes.Equal(p[:n], part) {
			t.Fatalf("ReadAt of %d bytes at %d: %d bytes, want %d", len(p), off, n, len(part))
		}
		if (n < len(p)) != (err == io.EOF) && off < size {
			t.Fatalf("ReadAt of %d bytes at %d of %d: %d, %v", len(p), off, size, n, err)
		}
	})
}

func TestIsZero(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 511, len(zeros), len(zeros) + 1, 3*len(zeros) - 1} {
		b := make([]byte, n)
		if !IsZero(b) {
			t.Errorf("%d zeros are not zero", n)
		}
		for _, at := range []int{0, n / 2, n - 1} {
			if at < 0 || n == 0 {
				continue
			}
			b[at] = 1
			if IsZero(b) {
				t.Errorf("%d bytes with a 1 at %d are zero", n, at)
			}
			b[at] = 0
		}
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef"), 20<<10)
	for _, wrapped := range []func(io.Reader) io.Reader{iotest.HalfReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return r }} {
		s := &Source{R: wrapped(bytes.NewReader(content))}
		if err := s.Forward(16); err != nil {
			t.Fatal(err)
		}
		if err := s.Forward(15); !errors.Is(err, disk.ErrOrder) {
			t.Errorf("backward: %v", err)
		}
		table, err := s.Table(200_000)
		if err != nil || !bytes.Equal(table, content[16:200_016]) {
			t.Errorf("table of %d bytes, %v", len(table), err)
		}
		for range 2 { // the second time, all has been read
			tail, err := s.Tail()
			if err != nil || !bytes.Equal(tail, content[len(content)-512:]) || s.At != int64(len(content)) {
				t.Errorf("tail %q at %d, %v", tail, s.At, err)
			}
		}
		if _, err := s.Table(1 << 40); !errors.Is(err, disk.ErrFormat) {
			t.Errorf("table beyond the end: %v", err)
		}
	}
}

// The tail is that of the file, however it was read before.
func TestTail(t *testing.T) {
	t.Parallel()
	content := make([]byte, 5000)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := content[:rapid.IntRange(0, len(content)).Draw(t, "length")]
		s := &Source{R: bytes.NewReader(want)}
		for rapid.Bool().Draw(t, "go on") {
			n := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 2000)).Draw(t, "n")
			n = min(n, len(want)-int(s.At))
			var err error
			if rapid.Bool().Draw(t, "read") {
				err = s.ReadFull(make([]byte, n))
			} else {
				err = s.Forward(s.At + int64(n))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		tail, err := s.Tail()
		if want := want[max(0, len(want)-512):]; err != nil || !bytes.Equal(tail, want) {
			t.Fatalf("tail of %d bytes, want %d: %v", len(tail), len(want), err)
		}
	})
}

// Trouble with the connection is not the image's fault.
func TestForeignErrors(t *testing.T) {
	t.Parallel()
	broken := &Source{R: iotest.ErrReader(iotest.ErrTimeout)}
	_, tail := broken.Tail()
	for name, err := range map[string]error{
		"ReadFull": broken.ReadFull(make([]byte, 1)),
		"Forward":  broken.Forward(1),
		"Tail":     tail,
		"at":       ReadFull(readerAt{}, make([]byte, 1), 0),
	} {
		if !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, disk.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type readerAt struct{}

func (readerAt) ReadAt([]byte, int64) (int, error) { return 0, iotest.ErrTimeout }
