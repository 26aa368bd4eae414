package vdi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks/blockstest"
)

// small has blocks of 4 KiB, of which the last is cut off by the disk's end.
func small() layout {
	return layout{size: 9*4096 + 1024, block: 4096, order: []int{0, 3, 4, 9}, zero: []int{1, 5}}
}

func TestLayoutsOfOthers(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]func(*layout){
		"as it is":           func(*layout) {},
		"no blocks":          func(l *layout) { l.order = nil },
		"blocks of 1 sector": func(l *layout) { l.block = 512; l.order = []int{0, 1, 2, 70, 73} },
		"blocks of 1 MiB":    func(l *layout) { l.block = 1 << 20; l.order = []int{0}; l.zero = nil },
		"blocks of 16 MiB":   func(l *layout) { l.block = 16 << 20; l.order = []int{0}; l.zero = nil },
		"something after":    func(l *layout) { l.tail = 200 << 10 },
		"last block short":   func(l *layout) { l.short = true },
		"discarded at the end": func(l *layout) {
			l.block, l.size = 1<<20, 9<<20
			l.order, l.zero = []int{1, 4}, []int{0, 7, 8}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := small()
			l(&s)
			file, content := s.build()
			i := format.Reads(t, file, content, true)
			if s.block == 1<<20 { // qemu knows no other
				format.Judge(t, file, content)
				format.SameMap(t, file, i)
			}
		})
	}
}

func TestBlocksOutOfOrder(t *testing.T) {
	t.Parallel()
	for _, l := range []layout{
		{size: 9*4096 + 1024, block: 4096, order: []int{4, 9, 0, 3}},
		{size: 9<<20 + 1024, block: 1 << 20, order: []int{4, 9, 0, 3}, zero: []int{1}},
	} {
		file, content := l.build()
		i := format.Reads(t, file, content, false)
		if l.block == 1<<20 {
			format.Judge(t, file, content)
			format.SameMap(t, file, i)
		}
	}
}

// Discarded blocks are zeros, those never written are absent.
func TestKinds(t *testing.T) {
	t.Parallel()
	file, _ := small().build()
	i, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []disk.Kind
	for e, err := range i.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Kind)
	}
	want := []disk.Kind{disk.Data, disk.Zero, disk.Absent, disk.Data, disk.Zero, disk.Absent, disk.Data}
	if !bytes.Equal(kinds(got), kinds(want)) {
		t.Errorf("kinds are %v, want %v", got, want)
	}
}

func kinds(k []disk.Kind) []byte {
	var b []byte
	for _, k := range k {
		b = append(b, byte(k))
	}
	return b
}

func TestRefused(t *testing.T) {
	// Not parallel: memory is counted for the whole process.
	file, _ := small().build()
	set := func(at int, value uint32) func([]byte) {
		return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], value) }
	}
	const m = 1024 // the block map
	for _, test := range []struct {
		name   string
		change func([]byte)
		want   error
	}{
		{"signature", set(64, 1), disk.ErrFormat},
		{"version 1.0", set(68, 0x10000), disk.ErrUnsupported},
		{"version 2.1", set(68, 0x20001), disk.ErrUnsupported},
		{"header too short", set(72, 100), disk.ErrFormat},
		{"undo", set(76, typeUndo), disk.ErrUnsupported},
		{"differencing", set(76, typeDifferencing), disk.ErrUnsupported},
		{"another type", set(76, 5), disk.ErrUnsupported},
		{"map in the header", set(340, 0), disk.ErrFormat},
		{"map not at a sector", set(340, 1000), disk.ErrFormat},
		{"map beyond the end", set(340, 1<<30), disk.ErrFormat},
		{"data in the header", set(344, 0), disk.ErrFormat},
		{"data in the map", set(344, m), disk.ErrFormat},
		{"data before the map", set(344, 512), disk.ErrFormat},
		{"data not at a sector", set(344, dataOffset+1), disk.ErrFormat},
		{"data beyond the end", set(344, 1<<30), disk.ErrFormat},
		{"large sectors", set(360, 4096), disk.ErrUnsupported},
		{"size beyond the map", set(368, 11*4096), disk.ErrFormat},
		{"size beyond the limit", set(372, 1<<20), disk.ErrLimit},
		{"size beyond all", set(372, 1<<31), disk.ErrLimit},
		{"block size 0", set(376, 0), disk.ErrFormat},
		{"block size 3 sectors", set(376, 1536), disk.ErrFormat},
		{"block size 2 GiB", set(376, 1<<31), disk.ErrUnsupported},
		{"blocks larger than the file", set(376, 1<<20), disk.ErrFormat},
		{"extra bytes", set(380, 512), disk.ErrUnsupported},
		{"no blocks", set(384, 0), disk.ErrFormat},
		{"more blocks than the limit", set(384, 1<<31), disk.ErrLimit},
		{"more blocks than the file has room for", set(384, 1<<20), disk.ErrFormat},
		{"fewer allocated", set(388, 3), disk.ErrFormat},
		{"more allocated", set(388, 5), disk.ErrFormat},
		{"more allocated than there are", set(388, 50), disk.ErrFormat},
		{"linkage", set(424, 1), disk.ErrUnsupported},
		{"parent", set(452, 1), disk.ErrUnsupported},
		{"block beyond the map", set(m, 10), disk.ErrFormat},
		{"block beyond the end", set(m, 5), disk.ErrFormat},
		{"block twice", set(m, 1), disk.ErrFormat},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := bytes.Clone(file)
			test.change(b)
			if _, err := Open(bytes.NewReader(b), int64(len(b)), disk.Limits{}); !errors.Is(err, test.want) {
				t.Errorf("Open: %v, want %v", err, test.want)
			}
			format.Survive(t, b)
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	file, _ := small().build()
	for _, l := range []disk.Limits{{Size: 4096}, {Memory: 64}} {
		if _, err := Open(bytes.NewReader(file), int64(len(file)), l); !errors.Is(err, disk.ErrLimit) {
			t.Errorf("Open within %+v: %v", l, err)
		}
		if _, err := NewStream(bytes.NewReader(file), l); !errors.Is(err, disk.ErrLimit) {
			t.Errorf("NewStream within %+v: %v", l, err)
		}
	}
}

// A file that is cut off somewhere is an error, or all its content is there.
func TestCutOff(t *testing.T) {
	t.Parallel()
	file, content := small().build()
	for n := 0; n < len(file); n += 61 {
		s, err := NewStream(bytes.NewReader(file[:n]), disk.Limits{})
		if err == nil {
			var got []byte
			if got, err = blockstest.Content(s); err == nil && !bytes.Equal(got, content) {
				t.Fatalf("the first %d bytes: content is lost", n)
			}
		}
		if err != nil && !errors.Is(err, disk.ErrFormat) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
}

func FuzzVDI(f *testing.F) {
	l := small()
	file, _ := l.build()
	f.Add(file)
	l.order, l.zero, l.block, l.size = []int{70, 0, 73}, nil, 512, 74*512
	file, _ = l.build()
	f.Add(file)
	f.Fuzz(format.Survive)
}
