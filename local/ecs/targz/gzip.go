package targz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

// blockSize is how much is compressed by itself. Each block ends on a byte
// boundary (an empty stored block, as zlib's Z_SYNC_FLUSH leaves it), so blocks
// made side by side join into one deflate stream.
const blockSize = 1 << 20

// level trades size for speed: the objects stay on one machine.
const level = flate.BestSpeed

var errAbandoned = errors.New("gzip stream abandoned")

// zeros is a block of zeros, and zeroBlock the same compressed.
var (
	zeros     = make([]byte, blockSize)
	zeroBlock = sync.OnceValue(func() []byte {
		var out bytes.Buffer
		w, err := flate.NewWriter(&out, flate.BestCompression)
		if err == nil {
			_, err = w.Write(zeros)
		}
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			panic(err) // a constant into memory
		}
		return out.Bytes()
	})
	deflaters = sync.Pool{New: func() any {
		w, err := flate.NewWriter(io.Discard, level)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}}
)

// writer compresses what is written to it as one gzip member. It must be
// closed or abandoned.
type writer struct {
	w     io.Writer
	block []byte
	crc   uint32
	size  uint32

	blocks chan *block   // in order, also the bound on memory
	ended  chan struct{} // closed when everything in blocks was written
	failed chan struct{} // closed at the first error, which is in err
	err    error
	once   sync.Once
}

// block is a piece on its way: packed holds it once ready is closed.
type block struct {
	raw    []byte
	packed []byte
	out    bytes.Buffer
	err    error
	ready  chan struct{}
}

func newWriter(w io.Writer) *writer {
	z := &writer{
		w:      w,
		block:  make([]byte, 0, blockSize),
		blocks: make(chan *block, runtime.GOMAXPROCS(0)),
		ended:  make(chan struct{}),
		failed: make(chan struct{}),
	}
	go z.drain()
	return z
}

func (z *writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := copy(z.block[len(z.block):cap(z.block)], p)
		z.block = z.block[:len(z.block)+k]
		p = p[k:]
		if len(z.block) == cap(z.block) {
			if err := z.send(); err != nil {
				return n - len(p), err
			}
		}
	}
	return n, nil
}

// Close writes what is left and the end of the stream.
func (z *writer) Close() error {
	err := z.send()
	close(z.blocks)
	<-z.ended
	if err != nil {
		return err
	}
	select {
	case <-z.failed:
		return z.err
	default:
	}
	end := []byte{0x03, 0x00} // an empty last block
	end = binary.LittleEndian.AppendUint32(end, z.crc)
	end = binary.LittleEndian.AppendUint32(end, z.size)
	_, err = z.w.Write(end)
	return err
}

// abandon ends the goroutines and leaves the stream without its end.
func (z *writer) abandon() {
	z.fail(errAbandoned)
	close(z.blocks)
	<-z.ended
}

func (z *writer) fail(err error) {
	z.once.Do(func() {
		z.err = err
		close(z.failed)
	})
}

// send hands the current block to a core of its own.
func (z *writer) send() error {
	if len(z.block) == 0 {
		return nil
	}
	z.crc = crc32.Update(z.crc, crc32.IEEETable, z.block)
	z.size += uint32(len(z.block))
	b := &block{ready: make(chan struct{})}
	if bytes.Equal(z.block, zeros) {
		b.packed = zeroBlock()
		close(b.ready)
		z.block = z.block[:0]
	} else {
		b.raw = z.block
		z.block = make([]byte, 0, blockSize)
	}
	select {
	case z.blocks <- b:
	case <-z.failed:
		return z.err
	}
	if b.raw != nil {
		go b.deflate()
	}
	return nil
}

func (b *block) deflate() {
	defer close(b.ready)
	d := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(d)
	d.Reset(&b.out)
	_, b.err = d.Write(b.raw)
	b.err = errors.Join(b.err, d.Flush())
	b.packed = b.out.Bytes()
}

// drain writes the blocks in their order. After an error it only empties the
// channel, so that send never waits for ever.
func (z *writer) drain() {
	defer close(z.ended)
	// No name and no time: the stream depends on the input alone.
	if _, err := z.w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3}); err != nil {
		z.fail(err)
	}
	for b := range z.blocks {
		<-b.ready
		select {
		case <-z.failed:
			continue
		default:
		}
		err := b.err
		if err == nil {
			_, err = z.w.Write(b.packed)
		}
		if err != nil {
			z.fail(err)
		}
	}
}
