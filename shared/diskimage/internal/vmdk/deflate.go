package vmdk

import (
	"encoding/binary"
	"hash/adler32"

	"github.com/klauspost/compress/flate"
)

// batchGrains are compressed by one worker at a time: enough that handing them
// over costs nothing, and few enough for little memory.
const batchGrains = 16

// batch is some grains of the disk on their way to the file.
type batch struct {
	grains []int64
	in     []byte // their content
	out    []byte // markers and compressed data, in whole sectors
	ends   []int  // of each grain in out
	done   chan struct{}
}

func newBatch() *batch {
	return &batch{
		grains: make([]int64, 0, batchGrains),
		in:     make([]byte, 0, batchGrains*grainSize),
		done:   make(chan struct{}, 1),
	}
}

func (b *batch) reset() {
	b.grains, b.in, b.out, b.ends = b.grains[:0], b.in[:0], b.out[:0], b.ends[:0]
}

// add copies a grain. It returns true if the batch is full.
func (b *batch) add(g int64, content []byte) bool {
	b.grains = append(b.grains, g)
	b.in = append(b.in, content...)
	return len(b.grains) == batchGrains
}

// compressed is what grain i of the batch has become.
func (b *batch) compressed(i int) []byte {
	start := 0
	if i > 0 {
		start = b.ends[i-1]
	}
	return b.out[start:b.ends[i]]
}

// compress works with one of the deflaters, when one is free.
func (b *batch) compress(deflaters chan *deflater) {
	d := <-deflaters
	for i, g := range b.grains {
		b.out = d.append(b.out, g, b.in[i*grainSize:(i+1)*grainSize])
		b.ends = append(b.ends, len(b.out))
	}
	deflaters <- d
	b.done <- struct{}{}
}

// deflater compresses grains, each by itself.
type deflater struct {
	level int
	w     *flate.Writer
	out   []byte
}

// Write takes what flate makes.
func (d *deflater) Write(b []byte) (int, error) {
	d.out = append(d.out, b...)
	return len(b), nil
}

// append adds grain g with its marker, as zlib (RFC 1950), padded to a sector.
func (d *deflater) append(out []byte, g int64, content []byte) []byte {
	start := len(out)
	var m [grainMarker]byte
	binary.LittleEndian.PutUint64(m[:], uint64(g*grainSectors))
	out = append(out, m[:]...)
	// CMF: deflate with a window of 32 KiB. FLG: the default level, which only
	// tells of the effort; the header is the same for all levels.
	d.out = append(out, 0x78, 0x9c)
	if d.w == nil {
		// It fails for levels only, which were checked.
		d.w, _ = flate.NewWriter(d, d.level)
	} else {
		d.w.Reset(d)
	}
	// d.Write does not fail, so neither do these.
	_, _ = d.w.Write(content)
	_ = d.w.Close()
	out = binary.BigEndian.AppendUint32(d.out, adler32.Checksum(content))
	d.out = nil
	binary.LittleEndian.PutUint32(out[start+8:], uint32(len(out)-start-grainMarker))
	return append(out, zeros[:-(len(out)-start)&(sectorSize-1)]...)
}
