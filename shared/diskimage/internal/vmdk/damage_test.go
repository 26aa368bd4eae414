package vmdk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// readAll opens an image and reads all that can be read.
func readAll(b []byte, l disk.Limits) error {
	m, err := Open(bytes.NewReader(b), int64(len(b)), l)
	if err != nil {
		return err
	}
	for _, err := range m.Extents() {
		if err != nil {
			return err
		}
	}
	_, err = m.ReadAt(make([]byte, m.Size()), 0)
	return err
}

func streamAll(b []byte, l disk.Limits) error {
	s, err := NewStream(bytes.NewReader(b), l)
	for err == nil {
		_, err = s.Next()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func put32(b []byte, at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
func put64(b []byte, at int, v uint64) { binary.LittleEndian.PutUint64(b[at:], v) }

// In the tiny files: sector 0 header, 1 descriptor; tablesFirst has the redundant
// directory at 2, its tables at 3 to 5, the directory at 6, its tables at 7 to 9,
// and grains from 10 on.
func TestDamage(t *testing.T) {
	t.Parallel()
	const sparse, qemuShape, markers = "sparse", "qemu", "markers"
	first := binary.LittleEndian.Uint32
	for _, c := range []struct {
		name, shape string
		do          func(b []byte) []byte
		open        error // nil: reads as if nothing were
		stream      error
		says        string // in the error of one of them
	}{
		{"cut in the header", sparse, func(b []byte) []byte { return b[:100] }, disk.ErrFormat, disk.ErrFormat, "100 bytes"},
		{"empty", sparse, func(b []byte) []byte { return nil }, disk.ErrFormat, disk.ErrFormat, ""},
		{"cut in the last grain", sparse, func(b []byte) []byte { return b[:len(b)-5*sectorSize] }, disk.ErrFormat, disk.ErrFormat, "grain 4"},
		{"version 4", sparse, func(b []byte) []byte { put32(b, 4, 4); return b }, disk.ErrUnsupported, disk.ErrUnsupported, "version 4"},
		{"unknown flag", sparse, func(b []byte) []byte { b[11] = 1; return b }, disk.ErrUnsupported, disk.ErrUnsupported, "flags"},
		{"text transfer", sparse, func(b []byte) []byte { b[75] = '\n'; return b }, disk.ErrFormat, disk.ErrFormat, "line ends"},
		{"no capacity", sparse, func(b []byte) []byte { put64(b, 12, 0); return b }, disk.ErrFormat, disk.ErrFormat, "capacity"},
		{"capacity", sparse, func(b []byte) []byte { put64(b, 12, 1<<40); return b }, disk.ErrLimit, disk.ErrLimit, ""},
		{"capacity overflow", sparse, func(b []byte) []byte { put64(b, 12, 1<<63); return b }, disk.ErrFormat, disk.ErrFormat, "capacity"},
		{"capacity differs", sparse, func(b []byte) []byte { put64(b, 12, 37); return b }, disk.ErrFormat, disk.ErrFormat, "37"},
		{"grain size", sparse, func(b []byte) []byte { put64(b, 20, 7); return b }, disk.ErrFormat, disk.ErrFormat, "grainSize 7"},
		{"large grains", sparse, func(b []byte) []byte { put64(b, 20, 1<<30); return b }, disk.ErrUnsupported, disk.ErrUnsupported, "grains"},
		{"entries", sparse, func(b []byte) []byte { put32(b, 44, 0); return b }, disk.ErrFormat, disk.ErrFormat, "numGTEsPerGT"},
		{"overhead", sparse, func(b []byte) []byte { put64(b, 64, 1<<31); return b }, disk.ErrFormat, disk.ErrFormat, ""},
		{"descriptor outside", sparse, func(b []byte) []byte { put64(b, 28, 1<<40); return b }, disk.ErrFormat, disk.ErrFormat, "descriptor"},
		{"no descriptor", sparse, func(b []byte) []byte { put64(b, 28, 0); return b }, disk.ErrUnsupported, disk.ErrUnsupported, "split"},
		{"directory outside", sparse, func(b []byte) []byte { put64(b, 56, 1<<31); put64(b, 48, 1<<31); return b }, disk.ErrFormat, disk.ErrOrder, "directory"},
		{"directory outside, redundant good", sparse, func(b []byte) []byte { put64(b, 56, 1); return b }, nil, nil, ""},
		{"directory lost", sparse, func(b []byte) []byte { clear(b[6*sectorSize : 7*sectorSize]); return b }, nil, nil, ""},
		{"directory bad", sparse, func(b []byte) []byte { put32(b, 6*sectorSize+8, 1<<30); return b }, nil, nil, ""},
		{"both directories bad", sparse, func(b []byte) []byte {
			put32(b, 6*sectorSize+8, 1<<30)
			put32(b, 2*sectorSize+8, 1<<30)
			return b
		}, disk.ErrFormat, disk.ErrFormat, "entry 2"},
		{"table bad", sparse, func(b []byte) []byte { put32(b, 9*sectorSize, 1<<30); return b }, nil, disk.ErrFormat, ""},
		{"tables overlap", sparse, func(b []byte) []byte { put32(b, 6*sectorSize+8, 7); return b }, disk.ErrFormat, disk.ErrFormat, "overlaps"},
		{"grain in the overhead", sparse, func(b []byte) []byte {
			put32(b, 7*sectorSize, 1)
			put32(b, 3*sectorSize, 1)
			return b
		}, disk.ErrFormat, disk.ErrFormat, "overhead"},
		{"grain twice", sparse, func(b []byte) []byte { put32(b, 7*sectorSize+4, 10); return b }, disk.ErrFormat, disk.ErrFormat, "overlaps"},
		{"grains overlap", sparse, func(b []byte) []byte { put32(b, 7*sectorSize+4, 11); return b }, disk.ErrFormat, disk.ErrFormat, "overlaps"},
		{"grains exchanged", sparse, func(b []byte) []byte { y := newTiny(); y.order = []int64{0, 4, 1}; return y.tablesFirst(false) }, nil, disk.ErrOrder, "grain 4"},
		{"grain on a table", sparse, func(b []byte) []byte {
			put64(b, 64, 1)
			put32(b, 7*sectorSize, 8)
			put32(b, 3*sectorSize, 8)
			return b
		}, disk.ErrFormat, disk.ErrOrder, "on a table"},
		{"grain ends on a directory", sparse, func(b []byte) []byte {
			put64(b, 64, 1)
			put32(b, 7*sectorSize, 1)
			put32(b, 3*sectorSize, 1)
			return b
		}, disk.ErrFormat, disk.ErrOrder, "on a table"},
		{"unclean, copies same", sparse, func(b []byte) []byte { b[72] = 1; return b }, nil, nil, ""},
		{"unclean, copies differ", sparse, func(b []byte) []byte { b[72] = 1; put32(b, 3*sectorSize+4, 0); return b }, disk.ErrFormat, disk.ErrFormat, "not closed"},
		{"unclean, a copy is empty", sparse, func(b []byte) []byte { b[72] = 1; clear(b[7*sectorSize : 8*sectorSize]); return b }, disk.ErrFormat, disk.ErrFormat, "not closed"},

		{"compression unknown", qemuShape, func(b []byte) []byte { b[77] = 2; return b }, disk.ErrUnsupported, disk.ErrUnsupported, "compressAlgorithm 2"},
		{"no markers", qemuShape, func(b []byte) []byte { b[10] = 1; return b }, disk.ErrUnsupported, disk.ErrUnsupported, "markers"},
		{"grain of another", qemuShape, func(b []byte) []byte { put64(b, 10*sectorSize, 8); return b }, disk.ErrFormat, disk.ErrFormat, "marker of grain 0"},
		{"grain of no length", qemuShape, func(b []byte) []byte { put32(b, 10*sectorSize+8, 0); return b }, disk.ErrFormat, disk.ErrFormat, "0 bytes"},
		{"grain too long", qemuShape, func(b []byte) []byte { put32(b, 10*sectorSize+8, 1<<31); return b }, disk.ErrFormat, disk.ErrFormat, "compressed data"},
		{"grain broken", qemuShape, func(b []byte) []byte { b[10*sectorSize+100] ^= 1; return b }, disk.ErrFormat, disk.ErrFormat, "grain 0"},
		{"grain cut", qemuShape, func(b []byte) []byte { put32(b, 10*sectorSize+8, 40); return b }, disk.ErrFormat, disk.ErrFormat, "grain 0"},
		{"compressed, exchanged", qemuShape, func(b []byte) []byte { y := newTiny(); y.order = []int64{4, 0, 1}; return y.tablesFirst(true) }, nil, disk.ErrOrder, "comes behind"},

		{"grain reaches into another", qemuShape, func(b []byte) []byte {
			// Grain 0 is as long as before, but begins two sectors late.
			second := int(first(b[7*sectorSize+4:]))
			b = append(b, make([]byte, tinyGrain)...)
			copy(b[(second-1)*sectorSize:], b[10*sectorSize:11*sectorSize])
			put32(b, 7*sectorSize, uint32(second-1))
			put32(b, 3*sectorSize, uint32(second-1))
			return b
		}, disk.ErrFormat, disk.ErrFormat, "overlaps"},

		{"no end of stream", markers, func(b []byte) []byte { return b[:len(b)-sectorSize] }, disk.ErrFormat, disk.ErrFormat, "marker"},
		{"something behind", markers, func(b []byte) []byte { return append(b, make([]byte, sectorSize)...) }, disk.ErrFormat, disk.ErrFormat, "follows"},
		{"footer differs", markers, func(b []byte) []byte { put64(b, len(b)-2*sectorSize+64, 4); return b }, disk.ErrFormat, disk.ErrFormat, "differs"},
		{"footer names another directory", markers, func(b []byte) []byte { put64(b, len(b)-2*sectorSize+56, 1<<31); return b }, disk.ErrFormat, disk.ErrFormat, ""},
		{"footer without directory", markers, func(b []byte) []byte { put64(b, len(b)-2*sectorSize+56, gdAtEnd); return b }, disk.ErrFormat, disk.ErrFormat, "footer does not say"},
		{"directory names another table", markers, func(b []byte) []byte {
			at := len(b) - 4*sectorSize
			put32(b, at, first(b[at+8:]))
			return b
		}, disk.ErrFormat, disk.ErrFormat, ""},
		{"grain's number", markers, func(b []byte) []byte { put64(b, 3*sectorSize, 3); return b }, disk.ErrFormat, disk.ErrFormat, ""},
		{"grain outside the disk", markers, func(b []byte) []byte { put64(b, 3*sectorSize, 1<<40); return b }, disk.ErrFormat, disk.ErrFormat, ""},
		{"markers, exchanged", markers, func(b []byte) []byte { y := newTiny(); y.order = []int64{4, 0, 1}; return y.markers() }, nil, disk.ErrOrder, "comes after"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := c.do(shapes()[c.shape])
			for _, r := range []struct {
				name string
				err  error
				want error
			}{{"Open", readAll(b, disk.Limits{}), c.open}, {"NewStream", streamAll(b, disk.Limits{}), c.stream}} {
				if r.want == nil && r.err != nil || r.want != nil && !errors.Is(r.err, r.want) {
					t.Errorf("%s: %v, want %v", r.name, r.err, r.want)
				}
			}
			if err := errors.Join(readAll(b, disk.Limits{}), streamAll(b, disk.Limits{})); err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q in it", err, c.says)
			}
		})
	}
}

// Grains that share a place are found by ReadAt, whichever is read first, if no
// Extents went before.
func TestReadAtFindsOverlaps(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][2]int{ // of grains 0, and 1 in its table or 4 in another
		"same table": {7 * sectorSize, 7*sectorSize + 4}, "other table": {7 * sectorSize, 9 * sectorSize},
	} {
		for _, shape := range []string{"sparse", "qemu"} {
			for shift := range uint32(2) { // the other begins at the same place, or a sector later
				b := shapes()[shape]
				place := binary.LittleEndian.Uint32(b[entries[0]:]) + shift
				grain := map[string]int64{"same table": 1, "other table": 4}[name] * tinyGrain
				if shape == "qemu" {
					if shift == 0 {
						put64(b, int(place)*sectorSize, 0)
					} else {
						// A second grain within the data of the first.
						data := (&tiny{}).compress(grain / tinyGrain)
						data = data[:min(len(data), sectorSize)]
						copy(b[int(place)*sectorSize:], data)
					}
				}
				put32(b, entries[1], place)
				for _, order := range [][2]int64{{0, grain}, {grain, 0}} {
					m, err := Open(bytes.NewReader(b), int64(len(b)), disk.Limits{})
					if err != nil {
						t.Fatal(err)
					}
					p := make([]byte, 100)
					_, first := m.ReadAt(p, order[0])
					_, second := m.ReadAt(p, order[1])
					if err := errors.Join(first, second); !errors.Is(err, disk.ErrFormat) {
						t.Errorf("%s, %s, %d sectors later, %d first: %v", shape, name, shift, order[0], err)
					}
				}
			}
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for name, b := range shapes() {
		for what, l := range map[string]disk.Limits{"size": {Size: tinySize - 1}, "memory": {Memory: 8}} {
			if err := readAll(b, l); !errors.Is(err, disk.ErrLimit) {
				t.Errorf("%s, %s: Open: %v", name, what, err)
			}
			if err := streamAll(b, l); !errors.Is(err, disk.ErrLimit) {
				t.Errorf("%s, %s: NewStream: %v", name, what, err)
			}
		}
	}
}

// What a reader says, that is not the end, reaches the caller.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, b := range shapes() {
		for n := 0; n < len(b); n += 300 {
			s, err := NewStream(io.MultiReader(bytes.NewReader(b[:n]), failing{broken}), disk.Limits{})
			for err == nil {
				_, err = s.Next()
			}
			// Behind the last grain of qemu's shape nobody reads.
			if !errors.Is(err, broken) && !(err == io.EOF && n > len(b)-2*tinyGrain) {
				t.Errorf("%s, after %d of %d bytes: %v", name, n, len(b), err)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
