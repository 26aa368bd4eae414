package vhd

import (
	"fmt"
	"io"
	"iter"
	"sync/atomic"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks"
)

// Open reads an image of size bytes in the file.
//
// The footer at the end of the file counts; where it is damaged, the copy at the
// start of a dynamic disk does. Two that disagree are an error.
func Open(r io.ReaderAt, size int64, l disk.Limits) (disk.Image, error) {
	m, err := open(r, size, l.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("vhd: %w", err)
	}
	return m, nil
}

func open(r io.ReaderAt, size int64, l disk.Limits) (disk.Image, error) {
	f, end, err := findFooter(r, size)
	if err != nil {
		return nil, err
	}
	switch f.kind {
	case typeFixed:
		return openFixed(r, f, end, l)
	case typeDynamic:
		return openDynamic(r, f, end, l)
	}
	return nil, kindError(f)
}

func kindError(f footer) error {
	if f.kind == typeDifferencing {
		return fmt.Errorf("differencing disk, which needs a parent: %w", disk.ErrUnsupported)
	}
	return fmt.Errorf("disk type %d: %w", f.kind, disk.ErrUnsupported)
}

// findFooter returns the footer and where the file's content ends.
func findFooter(r io.ReaderAt, size int64) (footer, int64, error) {
	if size < footerSize {
		return footer{}, 0, fmt.Errorf("file of %d bytes: %w", size, disk.ErrFormat)
	}
	b := make([]byte, footerSize)
	if err := blocks.ReadFull(r, b, size-footerSize); err != nil {
		return footer{}, 0, err
	}
	f, problem := parseFooter(b)
	if err := blocks.ReadFull(r, b, 0); err != nil {
		return footer{}, 0, err
	}
	start, noCopy := parseFooter(b)
	switch {
	case problem == nil && noCopy == nil && start != f:
		return footer{}, 0, fmt.Errorf("footer and its copy differ: %w", disk.ErrFormat)
	case problem == nil:
		return f, size - footerSize, nil
	case noCopy == nil && start.kind == typeFixed:
		return footer{}, 0, fmt.Errorf("a fixed disk with its footer at the start: %w", disk.ErrFormat)
	case noCopy == nil:
		return start, size, nil
	case hasCookie(b, footerCookie):
		return footer{}, 0, fmt.Errorf("copy of the footer: %w", noCopy)
	}
	return footer{}, 0, problem
}

// fixed is a fixed disk: its content, then the footer.
type fixed struct {
	blocks.Map
}

func (*fixed) Format() disk.Format { return disk.VHD }

// Size is that of disk.Image.
func (f *fixed) Size() int64 { return f.Map.Size }

func openFixed(r io.ReaderAt, f footer, end int64, l disk.Limits) (disk.Image, error) {
	size, err := f.size(l)
	if err != nil {
		return nil, err
	}
	if size > end {
		return nil, fmt.Errorf("fixed disk of %d bytes in a file with %d: %w", size, end, disk.ErrFormat)
	}
	// One block; Map keeps reads inside the disk.
	return &fixed{blocks.Map{
		Size:  size,
		Block: max(size, 1),
		Kind:  func(int64) disk.Kind { return disk.Data },
		Read: func(p []byte, _, within int64) error {
			return wrap(blocks.ReadFull(r, p, within))
		},
	}}, nil
}

// image is a dynamic disk.
type image struct {
	dynamic *dynamic
	m       blocks.Map
	r       io.ReaderAt
	// The bitmaps of blocks read lately, so that small reads in order do not
	// read each twice. An entry never changes.
	recent [16]atomic.Pointer[blockBitmap]
}

type blockBitmap struct {
	block int64
	bits  []byte // nil: all sectors were written
}

func openDynamic(r io.ReaderAt, f footer, end int64, l disk.Limits) (disk.Image, error) {
	at, err := headerOffset(f)
	if err != nil {
		return nil, err
	}
	b := make([]byte, headerSize)
	if err := blocks.ReadFull(r, b, at); err != nil {
		return nil, fmt.Errorf("dynamic disk header: %w", err)
	}
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	d, err := newDynamic(f, h, l)
	if err != nil {
		return nil, err
	}
	if d.tableAt > end-d.tableLength {
		return nil, fmt.Errorf("block allocation table of %d bytes at offset %#x lies outside the file: %w", d.tableLength, d.tableAt, disk.ErrFormat)
	}
	raw := make([]byte, d.tableLength)
	if err := blocks.ReadFull(r, raw, d.tableAt); err != nil {
		return nil, fmt.Errorf("block allocation table: %w", err)
	}
	d.decode(raw)
	if err := d.check(end); err != nil {
		return nil, err
	}
	i := &image{dynamic: d, r: r}
	i.m = blocks.Map{Size: d.size, Block: d.block, Kind: i.kind, Read: i.read}
	return i, nil
}

func (*image) Format() disk.Format { return disk.VHD }

func (i *image) Size() int64 { return i.m.Size }

func (i *image) ReadAt(p []byte, off int64) (int, error) { return i.m.ReadAt(p, off) }

// Extents goes by the table, as qemu-img map does. Sectors of a stored block that
// its bitmap leaves out are not looked for: that would be a read for each block.
func (i *image) Extents() iter.Seq2[disk.Extent, error] { return i.m.Extents() }

func (i *image) kind(block int64) disk.Kind {
	if i.dynamic.table[block] == unused {
		return disk.Absent
	}
	return disk.Data
}

func (i *image) read(p []byte, block, within int64) error {
	at := i.dynamic.at(block)
	bitmap, err := i.bitmap(block, at)
	if err == nil {
		err = blocks.ReadFull(i.r, p, at+i.dynamic.bitmap+within)
	}
	if err != nil {
		return wrap(fmt.Errorf("block %d: %w", block, err))
	}
	if bitmap.bits != nil {
		blank(p, bitmap.bits, within)
	}
	return nil
}

func (i *image) bitmap(block, at int64) (*blockBitmap, error) {
	slot := &i.recent[block%int64(len(i.recent))]
	if b := slot.Load(); b != nil && b.block == block {
		return b, nil
	}
	b := &blockBitmap{block: block, bits: make([]byte, i.dynamic.bitmap)}
	if err := blocks.ReadFull(i.r, b.bits, at); err != nil {
		return nil, err
	}
	if i.dynamic.full(b.bits) {
		b.bits = nil
	}
	slot.Store(b)
	return b, nil
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("vhd: %w", err)
}
