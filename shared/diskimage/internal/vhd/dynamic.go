package vhd

import (
	"encoding/binary"
	"fmt"
	"slices"

	"ecs-image-export/shared/diskimage/disk"
)

// dynamic is what footer and headers of a dynamic disk say about the file.
type dynamic struct {
	size        int64 // virtual, in bytes
	block       int64 // bytes of a block, without its bitmap
	bitmap      int64 // bytes of a block's bitmap
	headerAt    int64
	tableAt     int64
	tableLength int64 // of the entries that the virtual size needs
	table       []uint32
}

// newDynamic checks what can be known before the table is read.
func newDynamic(f footer, h header, l disk.Limits) (*dynamic, error) {
	size, err := f.size(l)
	if err != nil {
		return nil, err
	}
	d := &dynamic{
		size:     size,
		block:    int64(h.blockSize),
		bitmap:   h.bitmapSize(),
		headerAt: int64(f.dataOffset),
	}
	// Not more than the virtual size needs: there are writers that round the
	// table up, and what it holds beyond the end of the disk cannot be read.
	if size > int64(h.entries)*d.block {
		return nil, fmt.Errorf("block allocation table of %d entries for a disk of %d bytes: %w", h.entries, size, disk.ErrFormat)
	}
	blocks := roundUp(size, d.block) / d.block
	if blocks > l.Memory/8 {
		return nil, fmt.Errorf("block allocation table of %d entries needs more than %d bytes of memory: %w", blocks, l.Memory, disk.ErrLimit)
	}
	if h.tableOffset > 1<<62 || h.tableOffset < footerSize {
		return nil, fmt.Errorf("block allocation table at offset %#x: %w", h.tableOffset, disk.ErrFormat)
	}
	d.tableAt, d.tableLength = int64(h.tableOffset), 4*blocks
	if overlap(d.tableAt, d.tableLength, d.headerAt, headerSize) {
		return nil, fmt.Errorf("block allocation table at offset %#x overlaps the header: %w", d.tableAt, disk.ErrFormat)
	}
	return d, nil
}

// headerOffset is where the dynamic disk header is said to be.
func headerOffset(f footer) (int64, error) {
	if f.dataOffset < footerSize || f.dataOffset > 1<<62 {
		return 0, fmt.Errorf("dynamic disk header at offset %#x: %w", f.dataOffset, disk.ErrFormat)
	}
	return int64(f.dataOffset), nil
}

func (d *dynamic) decode(raw []byte) {
	d.table = make([]uint32, len(raw)/4)
	for i := range d.table {
		d.table[i] = binary.BigEndian.Uint32(raw[4*i:])
	}
}

// stride is the room of a block and its bitmap in the file.
func (d *dynamic) stride() int64 { return d.bitmap + d.block }

// at is where the bitmap of block i lies, or -1.
func (d *dynamic) at(i int64) int64 {
	if e := d.table[i]; e != unused {
		return int64(e) * sectorSize
	}
	return -1
}

// check finds blocks that lie outside the file's first end bytes, in its headers
// or in one another.
func (d *dynamic) check(end int64) error {
	last, ordered := int64(-1), true
	for i := range d.table {
		at := d.at(int64(i))
		if at < 0 {
			continue
		}
		if at > end-d.stride() {
			return fmt.Errorf("block %d at offset %#x lies outside the file: %w", i, at, disk.ErrFormat)
		}
		if err := d.clash(int64(i), at); err != nil {
			return err
		}
		if at < last {
			ordered = false
		} else if last >= 0 && at < last+d.stride() {
			return fmt.Errorf("block %d at offset %#x overlaps another: %w", i, at, disk.ErrFormat)
		}
		last = at
	}
	if ordered {
		return nil
	}
	sorted := slices.Clone(d.table)
	slices.Sort(sorted)
	for i := 1; i < len(sorted) && sorted[i] != unused; i++ {
		if at := int64(sorted[i]) * sectorSize; at < int64(sorted[i-1])*sectorSize+d.stride() {
			return fmt.Errorf("two blocks overlap at offset %#x: %w", at, disk.ErrFormat)
		}
	}
	return nil
}

// clash finds a block that lies in what comes before the blocks.
func (d *dynamic) clash(i, at int64) error {
	if overlap(at, d.stride(), 0, footerSize) || overlap(at, d.stride(), d.headerAt, headerSize) ||
		overlap(at, d.stride(), d.tableAt, d.tableLength) {
		return fmt.Errorf("block %d at offset %#x overlaps the headers: %w", i, at, disk.ErrFormat)
	}
	return nil
}

func overlap(a, aLength, b, bLength int64) bool {
	return a < b+bLength && b < a+aLength
}

// blank zeroes the sectors of p that the bitmap does not mark as written. P
// begins within bytes after the start of the block, anywhere in a sector.
func blank(p, bitmap []byte, within int64) {
	for len(p) > 0 {
		sector := within / sectorSize
		n := min(int64(len(p)), sectorSize-within%sectorSize)
		if bitmap[sector/8]&(0x80>>(sector%8)) == 0 {
			clear(p[:n])
		}
		p = p[n:]
		within += n
	}
}

// full says whether the bitmap marks all of the block's sectors.
func (d *dynamic) full(bitmap []byte) bool {
	for _, b := range bitmap[:d.block/sectorSize/8] {
		if b != 0xFF {
			return false
		}
	}
	return true
}
