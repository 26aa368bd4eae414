package vmdk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
)

// A compressed grain begins with GrainMarker: the first sector of the disk that it
// has (lba, uint64), and the length of the compressed data behind it (size,
// uint32). It is padded to whole sectors.
const grainMarker = 12

// parseGrainMarker checks the marker of grain g, and returns the length of its
// data.
func parseGrainMarker(b []byte, h *header, g int64) (int64, error) {
	if lba := binary.LittleEndian.Uint64(b); lba != uint64(g*h.grainSize) {
		return 0, formatError("the marker of grain %d is that of sector %d", g, lba)
	}
	return grainData(b, h)
}

// grainData returns the length of a grain's data. Nobody keeps data that is
// twice as long as before it was compressed.
func grainData(b []byte, h *header) (int64, error) {
	n := int64(binary.LittleEndian.Uint32(b[8:]))
	if n == 0 || n > 2*h.grain() {
		return 0, formatError("the grain of sector %d has %d bytes of compressed data", binary.LittleEndian.Uint64(b), n)
	}
	return n, nil
}

// inflater decompresses grains.
type inflater struct {
	from bytes.Reader
	zlib io.ReadCloser
	bare io.ReadCloser
	room []byte // compressed data
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// inflate fills the front of b with grain g from its compressed data, and returns
// what there was. A grain at the end of the disk may have less than a grain.
// There is never more: b has the room of a whole grain.
func (z *inflater) inflate(b, data []byte, h *header, g int64) error {
	z.from.Reset(data)
	r, err := z.reader(data)
	if err != nil {
		return formatError("grain %d: %v", g, err)
	}
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		// The end shows that the check sum is right, and that the grain is no
		// larger than it may be.
		var more [1]byte
		if extra, err := r.Read(more[:]); extra != 0 {
			return formatError("grain %d has more than %d bytes", g, len(b))
		} else if !errors.Is(err, io.EOF) {
			return formatError("grain %d: %v", g, err)
		}
		return nil
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return formatError("grain %d: %v", g, err)
	case int64(n) < h.length(g):
		// Also where the data breaks off, which is the same error here.
		return formatError("grain %d has %d bytes, not %d", g, n, h.length(g))
	}
	clear(b[n:])
	return nil
}

// reader finds out whether data is zlib's, by its header, or bare deflate.
func (z *inflater) reader(data []byte) (io.Reader, error) {
	if len(data) >= 2 && data[0]&0x0f == 8 && binary.BigEndian.Uint16(data)%31 == 0 {
		if z.zlib != nil {
			return z.zlib, z.zlib.(zlib.Resetter).Reset(&z.from, nil)
		}
		r, err := zlib.NewReader(&z.from)
		if err == nil {
			z.zlib = r
		}
		return r, err
	}
	if z.bare != nil {
		return z.bare, z.bare.(flate.Resetter).Reset(&z.from, nil)
	}
	z.bare = flate.NewReader(&z.from)
	return z.bare, nil
}
