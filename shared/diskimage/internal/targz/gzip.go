package targz

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

// packSize is how much is compressed at a time, on a core of its own. Each block
// ends on a byte boundary (an empty stored block, as zlib's Z_SYNC_FLUSH leaves
// it), so that blocks made side by side join into one deflate stream. It may
// refer to the windowSize bytes before it, as pigz does it.
const (
	packSize   = 1 << 20
	windowSize = 32 << 10
)

// zeros is a block of zeros, and zeroBlock the same compressed: a disk has so
// many of them that compressing each would be most of the work.
var (
	zeros     = make([]byte, packSize)
	zeroBlock = sync.OnceValue(func() []byte {
		var out bytes.Buffer
		w := newDeflater(flate.BestCompression)
		w.Reset(&out)
		if _, err := w.Write(zeros); err != nil {
			panic(err) // a constant into memory
		}
		if err := w.Flush(); err != nil {
			panic(err)
		}
		return out.Bytes()
	})
)

// deflaters keeps the state of compressors, more than a MiB each, by level.
var deflaters [flate.BestCompression + 1]sync.Pool

func deflater(level int) *flate.Writer {
	if d, ok := deflaters[level].Get().(*flate.Writer); ok {
		return d
	}
	return newDeflater(level)
}

func newDeflater(level int) *flate.Writer {
	w, err := flate.NewWriter(io.Discard, level)
	if err != nil {
		panic(err) // NewWriter has checked the level
	}
	return w
}

// gzipWriter compresses what is written to it as one gzip member, on all cores.
// The bytes depend on the input and the level alone, not on the number of cores
// or on how the input was cut. It has no goroutine but one for each block that is
// being compressed, so it can be dropped at any time.
type gzipWriter struct {
	w      io.Writer
	level  int
	raw    []byte // the window, if it has one, and the block that is being filled
	window int    // bytes of raw that belong to the block before
	crc    uint32
	size   uint32

	queue  []*packing // being compressed, in order
	spare  []*packing
	begun  bool
	failed error
}

// packing is a block on its way: packed is there once ready has been received.
type packing struct {
	raw    []byte
	window int
	out    bytes.Buffer
	packed []byte
	err    error
	ready  chan struct{}
}

func newGzipWriter(w io.Writer, level int) *gzipWriter {
	return &gzipWriter{w: w, level: level, raw: make([]byte, 0, windowSize+packSize)}
}

func (z *gzipWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && z.failed == nil {
		k := min(len(p), z.room())
		z.raw = append(z.raw, p[:k]...)
		z.sum(p[:k])
		p = p[k:]
		z.sendFull()
	}
	return n - len(p), z.failed
}

// zeros writes n zeros without touching them.
func (z *gzipWriter) zeros(n int64) error {
	for n > 0 && z.failed == nil {
		if len(z.raw) == z.window && n >= packSize {
			z.crc = crcOfZeros.append(z.crc)
			z.size += packSize
			z.sendZeros()
			n -= packSize
			continue
		}
		k := min(n, int64(z.room()))
		z.raw = append(z.raw, zeros[:k]...)
		z.sum(zeros[:k])
		n -= k
		z.sendFull()
	}
	return z.failed
}

// room is what the block can take.
func (z *gzipWriter) room() int { return packSize - (len(z.raw) - z.window) }

func (z *gzipWriter) sum(p []byte) {
	z.crc = crc32.Update(z.crc, crc32.IEEETable, p)
	z.size += uint32(len(p))
}

// Close writes what is left and the end of the member.
func (z *gzipWriter) Close() error {
	z.send()
	for len(z.queue) > 0 && z.failed == nil {
		z.drain()
	}
	z.begin()
	end := []byte{0x03, 0x00} // an empty last block
	end = binary.LittleEndian.AppendUint32(end, z.crc)
	end = binary.LittleEndian.AppendUint32(end, z.size)
	z.put(end)
	return z.failed
}

func (z *gzipWriter) sendFull() {
	if z.room() == 0 {
		z.send()
	}
}

// send hands the block to a core.
func (z *gzipWriter) send() {
	block := z.raw[z.window:]
	if len(block) == 0 {
		return
	}
	if len(block) == packSize && bytes.Equal(block, zeros) {
		z.sendZeros()
		return
	}
	p := z.next()
	p.raw, z.raw = z.raw, p.raw[:0]
	p.window = z.window
	tail := block[max(0, len(block)-windowSize):]
	z.raw = append(z.raw, tail...)
	z.window = len(tail)
	go p.deflate(z.level)
	z.enqueue(p)
}

func (z *gzipWriter) sendZeros() {
	p := z.next()
	p.packed = zeroBlock()
	p.ready <- struct{}{}
	z.raw, z.window = z.raw[:0], 0
	z.enqueue(p)
}

// next makes a packing, or uses one again.
func (z *gzipWriter) next() *packing {
	if last := len(z.spare) - 1; last >= 0 {
		p := z.spare[last]
		z.spare = z.spare[:last]
		return p
	}
	return &packing{raw: make([]byte, 0, windowSize+packSize), ready: make(chan struct{}, 1)}
}

func (z *gzipWriter) enqueue(p *packing) {
	z.queue = append(z.queue, p)
	for len(z.queue) > 2*runtime.GOMAXPROCS(0) && z.failed == nil {
		z.drain()
	}
}

// drain writes the oldest block.
func (z *gzipWriter) drain() {
	p := z.queue[0]
	z.queue = append(z.queue[:0], z.queue[1:]...)
	<-p.ready
	if p.err != nil {
		z.failed = p.err
		return
	}
	z.begin()
	z.put(p.packed)
	z.spare = append(z.spare, p)
}

// begin writes the header: no name and no time, so that the stream depends on
// the input alone.
func (z *gzipWriter) begin() {
	if !z.begun {
		z.begun = true
		z.put([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3})
	}
}

func (z *gzipWriter) put(b []byte) {
	if z.failed == nil {
		_, z.failed = z.w.Write(b)
	}
}

func (p *packing) deflate(level int) {
	d := deflater(level)
	defer deflaters[level].Put(d)
	p.out.Reset()
	d.ResetDict(&p.out, p.raw[:p.window])
	if _, p.err = d.Write(p.raw[p.window:]); p.err == nil {
		p.err = d.Flush()
	}
	p.packed = p.out.Bytes()
	p.ready <- struct{}{}
}
