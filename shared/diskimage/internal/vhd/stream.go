package vhd

import (
	"fmt"
	"io"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks"
)

// piece is how much a stream hands out at a time: it stays in the processor's
// cache while it is hashed and copied.
const piece = 256 << 10

// stream reads a dynamic disk whose blocks lie in the file in their order.
type stream struct {
	d      *dynamic
	source blocks.Source
	footer footer
	block  int64 // that is being read, or is looked at next
	within int64 // bytes of the block that have been read; 0: not even its bitmap
	end    int64 // of tables and blocks in the file, as far as they were read
	bits   []byte
	full   bool
	buffer []byte
	err    error
}

// NewStream reads a dynamic disk in one pass. A fixed disk has nothing but its
// content before its last 512 bytes, so that in one pass it cannot be told from
// RAW: it is ErrOrder, as is everything that does not begin like a VHD.
func NewStream(r io.Reader, l disk.Limits) (disk.Stream, error) {
	s, err := newStream(r, l.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("vhd: %w", err)
	}
	return s, nil
}

func newStream(r io.Reader, l disk.Limits) (*stream, error) {
	s := &stream{source: blocks.Source{R: r}}
	b := make([]byte, headerSize)
	if err := s.source.ReadFull(b[:footerSize]); err != nil {
		return nil, err
	}
	if !hasCookie(b, footerCookie) {
		return nil, fmt.Errorf("no footer at the start, so this is a fixed disk or no VHD: %w", disk.ErrOrder)
	}
	f, err := parseFooter(b[:footerSize])
	if err != nil {
		return nil, err
	}
	if f.kind == typeFixed {
		return nil, fmt.Errorf("a fixed disk: %w", disk.ErrOrder)
	} else if f.kind != typeDynamic {
		return nil, kindError(f)
	}
	s.footer = f
	at, err := headerOffset(f)
	if err != nil {
		return nil, err
	}
	if err := s.source.Forward(at); err != nil {
		return nil, fmt.Errorf("dynamic disk header: %w", err)
	}
	if err := s.source.ReadFull(b); err != nil {
		return nil, fmt.Errorf("dynamic disk header: %w", err)
	}
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	if s.d, err = newDynamic(f, h, l); err != nil {
		return nil, err
	}
	if err := s.source.Forward(s.d.tableAt); err != nil {
		return nil, fmt.Errorf("block allocation table: %w", err)
	}
	raw, err := s.source.Table(s.d.tableLength)
	if err != nil {
		return nil, fmt.Errorf("block allocation table: %w", err)
	}
	s.d.decode(raw)
	if err := s.checkOrder(); err != nil {
		return nil, err
	}
	s.end = s.source.At
	s.buffer = make([]byte, min(piece, s.d.block))
	return s, nil
}

// checkOrder finds blocks that are not in order, and what check finds as far as
// it can be known before the file has ended.
func (s *stream) checkOrder() error {
	last := int64(-1)
	for i := range s.d.table {
		at := s.d.at(int64(i))
		if at < 0 {
			continue
		}
		if err := s.d.clash(int64(i), at); err != nil {
			return err
		}
		switch {
		case at < s.source.At || at < last:
			return fmt.Errorf("block %d at offset %#x comes too late: %w", i, at, disk.ErrOrder)
		case last >= 0 && at < last+s.d.stride():
			return fmt.Errorf("block %d at offset %#x overlaps another: %w", i, at, disk.ErrFormat)
		}
		last = at
	}
	return nil
}

func (*stream) Format() disk.Format { return disk.VHD }

func (s *stream) Size() int64 { return s.d.size }

// Close has nothing to end: the file is read in Next.
func (s *stream) Close() {}

func (s *stream) Next() (disk.Piece, error) {
	if s.err != nil {
		return disk.Piece{}, s.err
	}
	p, err := s.next()
	if err == io.EOF {
		s.err = err
	} else if err != nil {
		s.err = fmt.Errorf("vhd: %w", err)
	}
	return p, s.err
}

func (s *stream) next() (disk.Piece, error) {
	if s.within == 0 {
		for s.block < int64(len(s.d.table)) && s.d.table[s.block] == unused {
			s.block++
		}
		if s.block == int64(len(s.d.table)) {
			return disk.Piece{}, s.finish()
		}
		if err := s.open(); err != nil {
			return disk.Piece{}, fmt.Errorf("block %d: %w", s.block, err)
		}
	}
	b := s.buffer[:min(int64(len(s.buffer)), s.d.block-s.within)]
	if err := s.source.ReadFull(b); err != nil {
		return disk.Piece{}, fmt.Errorf("block %d: %w", s.block, err)
	}
	if !s.full {
		blank(b, s.bits, s.within)
	}
	p := disk.Piece{Offset: s.block*s.d.block + s.within, Data: b}
	s.within += int64(len(b))
	if left := s.d.size - p.Offset; left <= int64(len(b)) || s.within == s.d.block {
		// What is left of the last block lies beyond the end of the disk.
		p.Data = b[:min(left, int64(len(b)))]
		s.within = 0
		s.block++
	}
	return p, nil
}

// open reads the bitmap of the next block.
func (s *stream) open() error {
	at := s.d.at(s.block)
	if err := s.source.Forward(at); err != nil {
		return err
	}
	s.end = at + s.d.stride()
	if s.bits == nil {
		s.bits = make([]byte, s.d.bitmap)
	}
	if err := s.source.ReadFull(s.bits); err != nil {
		return err
	}
	s.full = s.d.full(s.bits)
	return nil
}

// finish reads to the end. As in Open, a damaged footer does not matter; a sound
// one must agree with its copy, and nothing else may lie on it.
func (s *stream) finish() error {
	if err := s.source.Forward(max(s.source.At, s.end)); err != nil {
		return fmt.Errorf("last block: %w", err)
	}
	tail, err := s.source.Tail()
	if err != nil {
		return err
	}
	if len(tail) == footerSize {
		if f, err := parseFooter(tail); err != nil {
			return io.EOF
		} else if f != s.footer {
			return fmt.Errorf("footer and its copy differ: %w", disk.ErrFormat)
		} else if s.end > s.source.At-footerSize {
			return fmt.Errorf("last block or table overlaps the footer at offset %#x: %w", s.source.At-footerSize, disk.ErrFormat)
		}
	}
	return io.EOF
}
