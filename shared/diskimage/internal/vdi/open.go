package vdi

import (
	"fmt"
	"io"
	"iter"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks"
)

// image is a dynamic or static image; the latter has all blocks in its map.
type image struct {
	header header
	table  []uint32
	m      blocks.Map
	r      io.ReaderAt
}

// Open reads an image of size bytes in the file.
func Open(r io.ReaderAt, size int64, l disk.Limits) (disk.Image, error) {
	i, err := open(r, size, l.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("vdi: %w", err)
	}
	return i, nil
}

func open(r io.ReaderAt, size int64, l disk.Limits) (*image, error) {
	b := make([]byte, headSize)
	if err := blocks.ReadFull(r, b, 0); err != nil {
		return nil, err
	}
	h, err := parseHeader(b, l)
	if err != nil {
		return nil, err
	}
	if h.mapAt > size-h.mapLength() {
		return nil, fmt.Errorf("block map of %d bytes at offset %#x lies outside the file: %w", h.mapLength(), h.mapAt, disk.ErrFormat)
	}
	raw := make([]byte, h.mapLength())
	if err := blocks.ReadFull(r, raw, h.mapAt); err != nil {
		return nil, fmt.Errorf("block map: %w", err)
	}
	table, err := h.decode(raw)
	if err != nil {
		return nil, err
	}
	for i, n := range table {
		if at := h.at(n); n < blockZero && at > size-h.used(int64(i)) {
			return nil, fmt.Errorf("block %d at offset %#x lies outside the file: %w", i, at, disk.ErrFormat)
		}
	}
	m := &image{header: h, table: table, r: r}
	m.m = blocks.Map{Size: h.size, Block: h.block, Kind: m.kind, Read: m.read}
	return m, nil
}

func (*image) Format() disk.Format { return disk.VDI }

func (i *image) Size() int64 { return i.m.Size }

func (i *image) ReadAt(p []byte, off int64) (int, error) { return i.m.ReadAt(p, off) }

func (i *image) Extents() iter.Seq2[disk.Extent, error] { return i.m.Extents() }

func (i *image) kind(block int64) disk.Kind {
	switch i.table[block] {
	case blockFree:
		return disk.Absent
	case blockZero:
		return disk.Zero
	}
	return disk.Data
}

func (i *image) read(p []byte, block, within int64) error {
	if err := blocks.ReadFull(i.r, p, i.header.at(i.table[block])+within); err != nil {
		return fmt.Errorf("vdi: block %d: %w", block, err)
	}
	return nil
}
