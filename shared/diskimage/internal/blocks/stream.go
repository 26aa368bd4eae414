package blocks

import (
	"errors"
	"fmt"
	"io"

	"ecs-image-export/shared/diskimage/disk"
)

// Source is a file that is read once. It knows how far it is, and what it read
// last.
type Source struct {
	R    io.Reader
	At   int64
	last []byte // at most tailSize bytes before At
}

// tailSize is the most that Tail gives.
const tailSize = 512

func (s *Source) remember(p []byte) {
	if len(p) < tailSize {
		old := min(len(s.last), tailSize-len(p))
		s.last = append(s.last[:0], s.last[len(s.last)-old:]...)
	} else {
		s.last, p = s.last[:0], p[len(p)-tailSize:]
	}
	s.last = append(s.last, p...)
}

// ReadFull fills p. A file that ends earlier is ErrFormat.
func (s *Source) ReadFull(p []byte) error {
	n, err := io.ReadFull(s.R, p)
	s.At += int64(n)
	s.remember(p[:n])
	return s.missing(err)
}

// Forward goes forward to off.
func (s *Source) Forward(off int64) error {
	if off < s.At {
		return fmt.Errorf("offset %#x is needed after %#x was read: %w", off, s.At, disk.ErrOrder)
	}
	if skip := off - s.At - tailSize; skip > 0 {
		n, err := io.CopyN(io.Discard, s.R, skip)
		s.At += n
		if err != nil {
			s.last = s.last[:0] // it is not what comes before At any more
			return s.missing(err)
		}
	}
	var scratch [tailSize]byte
	return s.ReadFull(scratch[:off-s.At])
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

// Tail reads to the end of the file and returns its last 512 bytes, or all that
// there are.
func (s *Source) Tail() ([]byte, error) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := s.R.Read(buffer)
		s.At += int64(n)
		s.remember(buffer[:n])
		if errors.Is(err, io.EOF) {
			return s.last, nil
		} else if err != nil {
			return nil, err
		}
	}
}
