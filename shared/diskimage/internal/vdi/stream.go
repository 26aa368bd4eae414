package vdi

import (
	"fmt"
	"io"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks"
)

// piece is how much a stream hands out at a time: it stays in the processor's
// cache while it is hashed and copied.
const piece = 256 << 10

// stream reads an image whose blocks lie in the file in their order.
type stream struct {
	header header
	table  []uint32
	source blocks.Source
	block  int64 // that is being read, or is looked at next
	within int64 // bytes of it that have been read
	end    int64 // of the blocks in the file
	buffer []byte
	err    error
}

// NewStream reads an image in one pass.
func NewStream(r io.Reader, l disk.Limits) (disk.Stream, error) {
	s, err := newStream(r, l.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("vdi: %w", err)
	}
	return s, nil
}

func newStream(r io.Reader, l disk.Limits) (*stream, error) {
	s := &stream{source: blocks.Source{R: r}}
	b := make([]byte, headSize)
	if err := s.source.ReadFull(b); err != nil {
		return nil, err
	}
	var err error
	if s.header, err = parseHeader(b, l); err != nil {
		return nil, err
	}
	if err := s.source.Forward(s.header.mapAt); err != nil {
		return nil, fmt.Errorf("block map: %w", err)
	}
	raw, err := s.source.Table(s.header.mapLength())
	if err != nil {
		return nil, fmt.Errorf("block map: %w", err)
	}
	if s.table, err = s.header.decode(raw); err != nil {
		return nil, err
	}
	last := int64(-1)
	for i, n := range s.table {
		if n >= blockZero {
			continue
		}
		s.end = max(s.end, s.header.at(n)+s.header.used(int64(i)))
		if int64(n) < last {
			return nil, fmt.Errorf("block %d at offset %#x comes too late: %w", i, s.header.at(n), disk.ErrOrder)
		}
		last = int64(n)
	}
	s.buffer = make([]byte, min(piece, s.header.block))
	return s, nil
}

func (*stream) Format() disk.Format { return disk.VDI }

func (s *stream) Size() int64 { return s.header.size }

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
		s.err = fmt.Errorf("vdi: %w", err)
	}
	return p, s.err
}

func (s *stream) next() (disk.Piece, error) {
	if s.within == 0 {
		for s.block < int64(len(s.table)) && (s.table[s.block] >= blockZero || s.header.used(s.block) == 0) {
			s.block++
		}
		if s.block == int64(len(s.table)) {
			return disk.Piece{}, s.finish()
		}
		if err := s.source.Forward(s.header.at(s.table[s.block])); err != nil {
			return disk.Piece{}, fmt.Errorf("block %d: %w", s.block, err)
		}
	}
	used := s.header.used(s.block)
	b := s.buffer[:min(int64(len(s.buffer)), used-s.within)]
	if err := s.source.ReadFull(b); err != nil {
		return disk.Piece{}, fmt.Errorf("block %d: %w", s.block, err)
	}
	p := disk.Piece{Offset: s.block*s.header.block + s.within, Data: b}
	if s.within += int64(len(b)); s.within == used {
		s.within = 0
		s.block++
	}
	return p, nil
}

// finish reads to the end. Blocks behind the end of the disk are not read, but
// have to lie in the file.
func (s *stream) finish() error {
	if _, err := s.source.Tail(); err != nil {
		return err
	}
	if s.end > s.source.At {
		return fmt.Errorf("block that ends at offset %#x lies outside the file of %d bytes: %w", s.end, s.source.At, disk.ErrFormat)
	}
	return io.EOF
}
