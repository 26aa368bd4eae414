package vhd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks/blockstest"
)

// small has blocks of 8 sectors, of which the last is cut off by the disk's end.
func small() layout {
	return layout{size: 9*4096 + 1024, block: 4096, order: []int{0, 3, 4, 9}}
}

func TestLayoutsOfOthers(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]func(*layout){
		"as it is":         func(*layout) {},
		"no blocks":        func(l *layout) { l.order = nil },
		"blocks of 8 KiB":  func(l *layout) { l.block = 8192; l.order = []int{1, 2, 4} },
		"blocks of 16 MiB": func(l *layout) { l.block = 16 << 20; l.order = []int{0} },
		"space at the end": func(l *layout) { l.tail = 512 },
		"much at the end":  func(l *layout) { l.tail = 200 << 10 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := small()
			l(&s)
			file, content := s.build()
			i := format(false).Reads(t, file, content, true)
			format(false).Judge(t, file, content)
			format(false).SameMap(t, file, i)
		})
	}
}

func TestBlocksOutOfOrder(t *testing.T) {
	t.Parallel()
	l := small()
	l.order = []int{4, 9, 0, 3}
	file, content := l.build()
	i := format(false).Reads(t, file, content, false)
	format(false).Judge(t, file, content)
	format(false).SameMap(t, file, i)
}

// A sector whose bit is clear was never written: it reads as zeros, whatever is
// there. Qemu does not look at the bits, so it cannot judge.
func TestSectorBitmap(t *testing.T) {
	t.Parallel()
	l := small()
	l.bitmaps = map[int][]byte{0: {0b10110001}, 3: {0}, 9: {0b01000000}}
	file, content := l.build()
	i := format(false).Reads(t, file, content, true)
	for off := int64(0); off < i.Size(); off += 97 {
		p := make([]byte, 613)
		n, _ := i.ReadAt(p, off)
		if !bytes.Equal(p[:n], content[off:off+int64(n)]) {
			t.Fatalf("%d bytes at %d differ", n, off)
		}
	}
}

// Which of Current Size and geometry counts is judged by qemu.
func TestVirtualSize(t *testing.T) {
	t.Parallel()
	for _, creator := range []string{"vpc ", "qemu", "qem2", "win ", "d2v ", "tap\x00", "CTXS", "vbox", "\x00\x00\x00\x00"} {
		for _, chs := range [][3]int{{2, 3, 5}, {maxCylinders, maxHeads, maxSectors}, {0, 1, 1}} {
			t.Run(fmt.Sprintf("%q %v", creator, chs), func(t *testing.T) {
				t.Parallel()
				l := small()
				l.creator, l.chs = creator, chs
				file, content := l.build()
				size := blockstest.VirtualSize(t, "vpc", blockstest.Save(t, "image", file))
				format(false).Reads(t, file, content[:size], true)
			})
		}
	}
}

func TestDamagedFooter(t *testing.T) {
	t.Parallel()
	good, content := small().build()
	end := len(good) - footerSize
	for name, damage := range map[string]func([]byte) []byte{
		"footer's checksum": func(b []byte) []byte { b[end+200] ^= 1; return b },
		"footer's cookie":   func(b []byte) []byte { b[end] = 0; return b },
		"footer cut off":    func(b []byte) []byte { return b[:end] },
		"footer cut short":  func(b []byte) []byte { return b[:end+100] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			format(false).Reads(t, damage(bytes.Clone(good)), content, true)
		})
	}
	t.Run("copy", func(t *testing.T) {
		t.Parallel()
		b := bytes.Clone(good)
		b[200] ^= 1
		i, err := Open(bytes.NewReader(b), int64(len(b)), disk.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(blockstest.ReadAll(t, i), content) {
			t.Error("content differs")
		}
	})
}

func TestRefused(t *testing.T) {
	// Not parallel: memory is counted for the whole process.
	file, _ := small().build()
	end := len(file) - footerSize
	set := func(at int, value uint32) func([]byte) {
		return func(b []byte) { binary.BigEndian.PutUint32(b[at:], value) }
	}
	both := func(at int, value uint32) func([]byte) {
		return func(b []byte) { set(at, value)(b); set(end+at, value)(b) }
	}
	const h = footerSize
	for _, test := range []struct {
		name   string
		change func([]byte)
		want   error
	}{
		{"differencing", both(60, typeDifferencing), disk.ErrUnsupported},
		{"another type", both(60, 6), disk.ErrUnsupported},
		{"another version", both(12, 0x20000), disk.ErrUnsupported},
		{"footers of different size", set(52, 512), disk.ErrFormat},
		{"size beyond the limit", both(48, 1<<20), disk.ErrLimit},
		{"size beyond the table", both(52, 11*4096), disk.ErrFormat},
		{"header before the start", both(20, 8), disk.ErrFormat},
		{"header beyond the end", both(20, 1<<30), disk.ErrFormat},
		{"header far beyond the end", both(16, 1<<31), disk.ErrFormat},
		{"header without cookie", set(h, 0), disk.ErrFormat},
		{"header of another version", set(h+24, 0x20000), disk.ErrUnsupported},
		{"table in the footer", set(h+20, 16), disk.ErrFormat},
		{"table in the header", set(h+20, 1024), disk.ErrFormat},
		{"table beyond the end", set(h+20, 1<<30), disk.ErrFormat},
		{"table far beyond the end", set(h+16, 1<<31), disk.ErrFormat},
		{"no entries", set(h+28, 0), disk.ErrFormat},
		{"block size 0", set(h+32, 0), disk.ErrFormat},
		{"block size 3 sectors", set(h+32, 1536), disk.ErrFormat},
		{"block size 2048", set(h+32, 2048), disk.ErrUnsupported},
		{"block size 256", set(h+32, 256), disk.ErrFormat},
		{"blocks larger than the file", set(h+32, 1<<31), disk.ErrFormat},
		{"block in the footer", set(buildTable, 0), disk.ErrFormat},
		{"block in the table", set(buildTable, buildTable/512), disk.ErrFormat},
		{"block beyond the end", set(buildTable+9*4, 1<<20), disk.ErrFormat},
		{"block in the last footer", set(buildTable+9*4, uint32(end/512-8)), disk.ErrFormat},
		{"block twice", func(b []byte) { copy(b[buildTable+4:], b[buildTable:buildTable+4]) }, disk.ErrFormat},
		{"block half in another", func(b []byte) {
			set(buildTable+4, binary.BigEndian.Uint32(b[buildTable:])+3)(b)
		}, disk.ErrFormat},
		{"block half in another that is earlier", func(b []byte) {
			set(buildTable+5*4, binary.BigEndian.Uint32(b[buildTable:])+3)(b)
		}, disk.ErrFormat},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := bytes.Clone(file)
			test.change(b)
			b = resign(b)
			if _, err := Open(bytes.NewReader(b), int64(len(b)), disk.Limits{}); !errors.Is(err, test.want) {
				t.Errorf("Open: %v, want %v", err, test.want)
			}
			format(false).Survive(t, b)
		})
	}
	for _, at := range []int{footerSize + 100, 30, end + 30} {
		b := bytes.Clone(file)
		b[at] ^= 1
		if at != footerSize+100 {
			b[end+30-at+30] ^= 2 // the other footer too
		}
		if _, err := Open(bytes.NewReader(b), int64(len(b)), disk.Limits{}); !errors.Is(err, disk.ErrFormat) {
			t.Errorf("wrong checksum of what has byte %d: %v", at, err)
		}
	}
}

func TestFixedRefused(t *testing.T) {
	t.Parallel()
	file := format(true).Write(t, blockstest.Noise(4096), 0)
	short := file[512:]
	if _, err := Open(bytes.NewReader(short), int64(len(short)), disk.Limits{}); !errors.Is(err, disk.ErrFormat) {
		t.Errorf("fixed disk that is cut off: %v", err)
	}
	if _, err := NewStream(bytes.NewReader(file), disk.Limits{}); !errors.Is(err, disk.ErrOrder) {
		t.Errorf("stream of a fixed disk: %v", err)
	}
	moved := append(bytes.Clone(file[4096:]), file[:4096]...)
	if _, err := Open(bytes.NewReader(moved), int64(len(moved)), disk.Limits{}); !errors.Is(err, disk.ErrFormat) {
		t.Errorf("fixed disk with the footer first: %v", err)
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

// A file that is cut off somewhere is an error of the format, or all its
// content is there.
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

func FuzzVHD(f *testing.F) {
	l := small()
	file, _ := l.build()
	f.Add(file)
	l.bitmaps = map[int][]byte{0: {0b10110001}}
	l.creator, l.order = "vpc ", []int{9, 0}
	l.chs = [3]int{9, 4, 2}
	file, _ = l.build()
	f.Add(file)
	f.Fuzz(func(t *testing.T, file []byte) {
		format(false).Survive(t, file)
		format(false).Survive(t, resign(file))
	})
}
