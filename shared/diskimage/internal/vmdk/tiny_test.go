package vmdk

import (
	"bytes"
	"fmt"
	"testing"
)

// tiny is a builder of small files in every shape that is read, so that a test or
// the fuzzer can change all of it: 5 grains of 8 sectors, the last half a grain,
// in tables of 2 entries.
type tiny struct {
	h          header
	descriptor string // in the place of the right one
	order      []int64
	bare       bool // deflate without zlib around it
}

const (
	tinyGrain = 8 * sectorSize
	tinySize  = 4*tinyGrain + tinyGrain/2
)

func tinyDescriptor(kind string) string {
	return fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"%s\"\nRW %d SPARSE \"t.vmdk\"\n", kind, tinySize/sectorSize)
}

// tinyPieces is the content: grains 0, 1 and 4, so that table 1 has none.
func tinyPieces() []piece {
	return []piece{{0, random(21, 2*tinyGrain)}, {4 * tinyGrain, random(22, tinyGrain/2)}}
}

func tinyContent(g int64) []byte {
	b := make([]byte, tinyGrain)
	switch p := tinyPieces(); g {
	case 0, 1:
		copy(b, p[0].content[g*tinyGrain:])
	case 4:
		copy(b, p[1].content)
	}
	return b
}

func newTiny() *tiny {
	return &tiny{
		h: header{
			version: versionPlain, flags: flagNewLines, capacity: tinySize / sectorSize, grainSize: tinyGrain / sectorSize,
			descriptorOffset: 1, descriptorSize: 1, entries: 2,
		},
		order: []int64{0, 1, 4},
	}
}

// tablesFirst is monolithicSparse: header, descriptor, redundant directory and
// its three tables, directory and its three tables, grains. With compression it
// is the shape of qemu's streamOptimized.
func (y *tiny) tablesFirst(compressed bool) []byte {
	h := y.h
	kind := typeSparse
	h.flags |= flagRedundant
	h.rgdOffset, h.gdOffset, h.overHead = 2, 6, 10
	if compressed {
		kind = typeStream
		h.flags |= flagCompressed | flagMarkers
		h.version, h.compression = versionStream, compressionDeflate
	}
	var grains []byte
	places := make([]uint32, 6)
	for _, g := range y.order {
		places[g] = uint32(10 + len(grains)/sectorSize)
		if compressed {
			grains = append(grains, y.compress(g)...)
		} else {
			grains = append(grains, tinyContent(g)...)
		}
	}
	b := y.head(&h, kind)
	for _, first := range []uint32{3, 7} {
		b = sector(b, encodeEntries([]uint32{first, first + 1, first + 2}))
		for i := range 3 {
			b = sector(b, encodeEntries(places[2*i:2*i+2]))
		}
	}
	return append(b, grains...)
}

// markers is streamOptimized in VMware's shape.
func (y *tiny) markers() []byte {
	h := y.h
	h.flags |= flagCompressed | flagMarkers
	h.version, h.compression = versionStream, compressionDeflate
	h.gdOffset, h.overHead = gdAtEnd, 3
	b := sector(y.head(&h, typeStream), nil)
	directory := make([]uint32, 3)
	var table [2]uint32
	for k, g := range y.order {
		table[g%2] = uint32(len(b) / sectorSize)
		b = append(b, y.compress(g)...)
		if k == len(y.order)-1 || y.order[k+1]/2 != g/2 {
			b = sector(b, marker{value: 1, kind: markerTable}.encode())
			directory[g/2] = uint32(len(b) / sectorSize)
			b = sector(b, encodeEntries(table[:]))
			table = [2]uint32{}
		}
	}
	b = sector(b, marker{value: 1, kind: markerDirectory}.encode())
	h.gdOffset = uint64(len(b) / sectorSize)
	b = sector(b, encodeEntries(directory))
	b = sector(b, marker{value: 1, kind: markerFooter}.encode())
	b = sector(b, h.encode())
	return sector(b, nil)
}

func (y *tiny) head(h *header, kind string) []byte {
	text := y.descriptor
	if text == "" {
		text = tinyDescriptor(kind)
	}
	return sector(h.encode(), []byte(text))
}

func (y *tiny) compress(g int64) []byte {
	d := &deflater{level: 6}
	b := d.append(nil, g*tinyGrain/grainSize, tinyContent(g))
	// The deflater numbers grains of 64 KiB.
	copy(b, marker{value: uint64(g * tinyGrain / sectorSize)}.encode()[:8])
	if y.bare {
		n := len(b)
		copy(b[grainMarker:], b[grainMarker+2:])
		clear(b[n-2:])
	}
	return b
}

// sector appends content filled up to a sector.
func sector(b, content []byte) []byte {
	b = append(b, content...)
	return append(b, make([]byte, max(sectorSize-len(content), 0))...)
}

// shapes are all shapes of the same small disk.
func shapes() map[string][]byte {
	bare := newTiny()
	bare.bare = true
	return map[string][]byte{
		"sparse":  newTiny().tablesFirst(false),
		"qemu":    newTiny().tablesFirst(true),
		"markers": newTiny().markers(),
		"bare":    bare.markers(),
	}
}

func TestShapes(t *testing.T) {
	t.Parallel()
	for name, b := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if name != "bare" { // qemu-img reads zlib only
				judge(t, save(t, dir, "t.vmdk", b), rawFile(t, dir, tinySize, tinyPieces()), tinySize)
			}
			reading(t, open(t, b), tinySize, tinyPieces())
			streaming(t, bytes.NewReader(b), tinySize, tinyPieces())
		})
	}
}
