// Package blocks holds what the formats VHD and VDI have in common: the disk is
// cut into blocks of one size, and a table says where each is stored, if it is.
package blocks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"ecs-image-export/shared/diskimage/disk"
)

// zeros is what blocks are compared with and padded from. 64 KiB stay in the
// processor's second cache.
var zeros [64 << 10]byte

// IsZero says whether all bytes are 0. bytes.Equal compares at memory speed and
// stops at the first difference.
func IsZero(p []byte) bool {
	for len(p) > len(zeros) {
		if !bytes.Equal(p[:len(zeros)], zeros[:]) {
			return false
		}
		p = p[len(zeros):]
	}
	return bytes.Equal(p, zeros[:len(p)])
}

// Zeros writes n zeros.
func Zeros(w io.Writer, n int64) error {
	for n > 0 {
		m := min(n, int64(len(zeros)))
		if _, err := w.Write(zeros[:m]); err != nil {
			return err
		}
		n -= m
	}
	return nil
}

// ReadFull fills p from off on. A file that ends earlier is ErrFormat; what else
// goes wrong is the reader's own error.
func ReadFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("file ends at offset %#x, %d bytes are missing: %w", off+int64(n), len(p)-n, disk.ErrFormat)
	}
	return err
}

// Map is random access to a disk of blocks.
type Map struct {
	Size  int64 // of the disk, in bytes
	Block int64 // bytes of a block
	// Kind says how block i is stored. It reads no file.
	Kind func(i int64) disk.Kind
	// Read reads from block i, whose Kind is Data. The bytes lie in the block.
	Read func(p []byte, i, within int64) error
}

// ReadAt is that of io.ReaderAt.
func (m *Map) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	var end error
	if off >= m.Size {
		p, end = nil, io.EOF
	} else if int64(len(p)) > m.Size-off {
		p, end = p[:m.Size-off], io.EOF
	}
	n := 0
	for n < len(p) {
		i, within := off/m.Block, off%m.Block
		part := p[n:]
		if int64(len(part)) > m.Block-within {
			part = part[:m.Block-within]
		}
		if m.Kind(i) != disk.Data {
			clear(part)
		} else if err := m.Read(part, i, within); err != nil {
			return n, err
		}
		n += len(part)
		off += int64(len(part))
	}
	return n, end
}

// Extents is that of disk.Image.
func (m *Map) Extents() iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		var e disk.Extent
		for i, at := int64(0), int64(0); at < m.Size; i++ {
			n := min(m.Block, m.Size-at)
			if k := m.Kind(i); k != e.Kind {
				if e.Length > 0 && !yield(e, nil) {
					return
				}
				e = disk.Extent{Offset: at, Kind: k}
			}
			e.Length += n
			at += n
		}
		if e.Length > 0 {
			yield(e, nil)
		}
	}
}
