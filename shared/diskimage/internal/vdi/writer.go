package vdi

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks"
	"ecs-image-export/shared/diskimage/internal/parts"
)

const (
	// blockSize is the only one that qemu knows.
	blockSize = 1 << 20
	// dataAlign is where VirtualBox puts the blocks, and more than a part needs.
	dataAlign = 1 << 20

	// maxSize is 64 TiB, as far as readers go by default (disk.Limits). The format
	// ends near 1 PiB, where the map is 4 GiB.
	maxSize = 64 << 40
)

// Options say how an image is written. The zero value is fit for use.
type Options struct {
	// UUID and Modified are the identities of the image and of its content.
	// Without them, they are derived from the size, so that the same content
	// gives the same file.
	UUID, Modified [16]byte
}

// NewWriter writes a dynamic image of size bytes. A size that is no multiple of
// 512 is rounded up with zeros, as qemu-img does.
//
// The file is the header and the block map (part 1, delivered last), padded to
// 1 MiB, then the blocks that are not zero.
func NewWriter(size int64, sink disk.Sink, o Options) (disk.Writer, error) {
	if size < 0 || size > maxSize {
		return nil, fmt.Errorf("vdi: a disk of %d bytes, at most %d are possible: %w", size, int64(maxSize), disk.ErrLimit)
	}
	w := &writer{head: makeHead(size, o)}
	w.parts = parts.New(sink, int64(len(w.head)), size)
	w.Writer = blocks.NewWriter(w.parts, size, blockSize, w.begin)
	return w, nil
}

type writer struct {
	*blocks.Writer
	parts     *parts.Writer
	head      []byte
	allocated uint32
}

// begin notes where block i is going to be.
func (w *writer) begin(i int64) error {
	binary.LittleEndian.PutUint32(w.head[headSize+4*i:], w.allocated)
	w.allocated++
	return nil
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
	binary.LittleEndian.PutUint32(w.head[388:], w.allocated)
	return w.parts.Close(w.head)
}

// makeHead is what comes before the first block, with an empty map.
func makeHead(size int64, o Options) []byte {
	le := binary.LittleEndian
	n := (size + blockSize - 1) / blockSize
	head := make([]byte, roundUp(headSize+4*n, dataAlign))
	copy(head, "<<< ecs-image-export Virtual Disk Image >>>\n")
	le.PutUint32(head[64:], signature)
	le.PutUint32(head[68:], version)
	le.PutUint32(head[72:], 400)
	le.PutUint32(head[76:], typeDynamic)
	le.PutUint32(head[340:], headSize)
	le.PutUint32(head[344:], uint32(len(head)))
	le.PutUint32(head[360:], sectorSize)
	le.PutUint64(head[368:], uint64(roundUp(size, sectorSize)))
	le.PutUint32(head[376:], blockSize)
	le.PutUint32(head[384:], uint32(n))
	if o.UUID == [16]byte{} {
		o.UUID = deriveUUID("create", size)
	}
	if o.Modified == [16]byte{} {
		o.Modified = deriveUUID("modify", size)
	}
	copy(head[392:], o.UUID[:])
	copy(head[408:], o.Modified[:])
	le.PutUint32(head[468:], sectorSize) // LCHSGeometry, otherwise unknown
	for i := range n {
		le.PutUint32(head[headSize+4*i:], math.MaxUint32)
	}
	return head
}

// deriveUUID gives a UUID of version 8 (RFC 9562: what an application makes up),
// in VirtualBox's order of bytes, in which the version is in the eighth.
func deriveUUID(of string, size int64) [16]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "ecs-image-export vdi %s %d", of, size))
	u := [16]byte(sum[:16])
	u[7] = u[7]&0x0F | 0x80
	u[8] = u[8]&0x3F | 0x80
	return u
}
