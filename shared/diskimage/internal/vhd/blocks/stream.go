package blocks

import (
	"errors"
	"fmt"
	"io"

	"ecs-image-export/shared/diskimage/internal/disk"
)

// Source is a file that is read once. It knows how far it is.
type Source struct {
	R  io.Reader
	At int64
}

// ReadFull fills p. A file that ends earlier is ErrFormat.
func (s *Source) ReadFull(p []byte) error {
	n, err := io.ReadFull(s.R, p)
	s.At += int64(n)
	return s.missing(err)
}

// Forward goes forward to off.
func (s *Source) Forward(off int64) error {
	if off < s.At {
		return fmt.Errorf("offset %#x is needed after %#x was read: %w", off, s.At, disk.ErrOrder)
	}
	n, err := io.CopyN(io.Discard, s.R, off-s.At)
	s.At += n
	return s.missing(err)
}

func (s *Source) missing(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("file ends at offset %#x: %w", s.At, disk.ErrFormat)
	}
	return err
}

// Table reads n bytes. Memory grows with what comes, not with what a header
// promised.
func (s *Source) Table(n int64) ([]byte, error) {
	table := make([]byte, 0, min(n, 64<<10))
	for int64(len(table)) < n {
		if len(table) == cap(table) {
			grown := make([]byte, len(table), min(n, 2*int64(cap(table))))
			copy(grown, table)
			table = grown
		}
		from := len(table)
		table = table[:cap(table)]
		if err := s.ReadFull(table[from:]); err != nil {
			return nil, err
		}
	}
	return table, nil
}

// Tail reads to the end of the file and returns its last bytes, at most n of
// those that had not been read.
func (s *Source) Tail(n int) ([]byte, error) {
	buffer := make([]byte, 64<<10)
	have := 0
	for {
		if have == len(buffer) {
			copy(buffer, buffer[have-n:])
			have = n
		}
		m, err := s.R.Read(buffer[have:])
		have += m
		s.At += int64(m)
		if errors.Is(err, io.EOF) {
			return buffer[max(0, have-n):have], nil
		} else if err != nil {
			return nil, err
		}
	}
}
