package vhd

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks"
	"ecs-image-export/shared/diskimage/internal/parts"
)

// blockSize is the specification's default, and all that some readers know.
const blockSize = 2 << 20

// Options say how an image is written. The zero value is a dynamic disk.
type Options struct {
	// Fixed stores all content, zeros too.
	Fixed bool
	// UUID is the image's identity. Without it, it is derived from the size, so
	// that the same content gives the same file.
	UUID [16]byte
	// Created is the footer's time stamp; without it, the start of the year 2000.
	Created time.Time
}

// NewWriter writes a disk of size bytes, at most 2040 GiB. A size that is no
// multiple of 512 is rounded up with zeros, as qemu-img does; otherwise it is
// exactly what readers show, as with qemu-img's force_size.
//
// The file of a dynamic disk is the copy of the footer, the dynamic disk header
// and the block allocation table (part 1, delivered last), then the blocks that
// are not zero, then the footer. The file of a fixed disk is its content and
// then the footer.
func NewWriter(size int64, sink disk.Sink, o Options) (disk.Writer, error) {
	if size < 0 || size > maxSize {
		return nil, fmt.Errorf("vhd: a disk of %d bytes, at most %d are possible: %w", size, int64(maxSize), disk.ErrLimit)
	}
	kind := uint32(typeDynamic)
	if o.Fixed {
		kind = typeFixed
	}
	f, err := makeFooter(size, kind, o)
	if err != nil {
		return nil, err
	}
	w := &writer{footer: f}
	if o.Fixed {
		w.parts = parts.New(sink, 0, size)
		// One block, which is stored whatever it holds.
		w.Writer = blocks.NewWriter(w.parts, size, roundUp(max(size, 1), sectorSize), nil)
		if size > 0 {
			w.Store()
		}
		return w, nil
	}
	w.head = makeHead(size, f)
	w.parts = parts.New(sink, int64(len(w.head)), size)
	w.Writer = blocks.NewWriter(w.parts, size, blockSize, w.begin)
	return w, nil
}

// writer takes a disk. Head is nil for a fixed one.
type writer struct {
	*blocks.Writer
	parts  *parts.Writer
	footer []byte
	head   []byte
}

// fullBitmap marks all sectors of a block as written.
var fullBitmap = bytes.Repeat([]byte{0xFF}, blockSize/sectorSize/8)

// begin notes where block i is going to be, and writes its bitmap.
func (w *writer) begin(i int64) error {
	binary.BigEndian.PutUint32(w.head[tableOffset+4*i:], uint32(w.parts.Size()/sectorSize))
	_, err := w.parts.Write(fullBitmap)
	return err
}

// Abort is that of disk.Writer.
func (w *writer) Abort(err error) {
	w.Fail(err)
	_ = w.parts.Stop() // err says what is wrong
}

// Close is that of disk.Writer.
func (w *writer) Close() error {
	defer w.parts.Stop()
	if err := w.Writer.Close(); err != nil {
		return err
	}
	if _, err := w.parts.Write(w.footer); err != nil {
		return err
	}
	return w.parts.Close(w.head)
}

func makeFooter(size int64, kind uint32, o Options) ([]byte, error) {
	var created int64
	if !o.Created.IsZero() {
		created = o.Created.Unix() - time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		if created < 0 || created > math.MaxUint32 {
			return nil, fmt.Errorf("vhd: time stamp %v lies outside the years 2000 to 2136", o.Created)
		}
	}
	f := make([]byte, footerSize)
	copy(f, footerCookie)
	binary.BigEndian.PutUint32(f[8:], 2)
	binary.BigEndian.PutUint32(f[12:], version)
	binary.BigEndian.PutUint64(f[16:], math.MaxUint64)
	if kind == typeDynamic {
		binary.BigEndian.PutUint64(f[16:], footerSize)
	}
	binary.BigEndian.PutUint32(f[24:], uint32(created))
	// Creator and geometry are those of force_size: each of them makes readers
	// take the size and not the geometry.
	copy(f[28:], "qem2")
	binary.BigEndian.PutUint32(f[32:], 0x00050003) // Virtual PC 2007
	copy(f[36:], "Wi2k")
	binary.BigEndian.PutUint64(f[40:], uint64(roundUp(size, sectorSize)))
	binary.BigEndian.PutUint64(f[48:], uint64(roundUp(size, sectorSize)))
	binary.BigEndian.PutUint16(f[56:], maxCylinders)
	f[58], f[59] = maxHeads, maxSectors
	binary.BigEndian.PutUint32(f[60:], kind)
	if o.UUID == [16]byte{} {
		o.UUID = deriveUUID(size)
	}
	copy(f[68:], o.UUID[:])
	binary.BigEndian.PutUint32(f[64:], checksum(f, 64))
	return f, nil
}

// deriveUUID gives a UUID of version 8 (RFC 9562: what an application makes up).
func deriveUUID(size int64) [16]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "ecs-image-export vhd %d", size))
	u := [16]byte(sum[:16])
	u[6] = u[6]&0x0F | 0x80
	u[8] = u[8]&0x3F | 0x80
	return u
}

// tableOffset is where everyone has the block allocation table.
const tableOffset = footerSize + headerSize

// makeHead is what comes before the first block, with an empty table. It is
// padded to the size that a part must have.
func makeHead(size int64, footer []byte) []byte {
	entries := (size + blockSize - 1) / blockSize
	head := make([]byte, max(tableOffset+roundUp(4*entries, sectorSize), disk.MinPart))
	copy(head, footer)
	h := head[footerSize:tableOffset]
	copy(h, headerCookie)
	binary.BigEndian.PutUint64(h[8:], math.MaxUint64)
	binary.BigEndian.PutUint64(h[16:], tableOffset)
	binary.BigEndian.PutUint32(h[24:], version)
	binary.BigEndian.PutUint32(h[28:], uint32(entries))
	binary.BigEndian.PutUint32(h[32:], blockSize)
	binary.BigEndian.PutUint32(h[36:], checksum(h, 36))
	for i := tableOffset; i < tableOffset+int(roundUp(4*entries, sectorSize)); i++ {
		head[i] = 0xFF
	}
	return head
}
