// Package raw reads and writes RAW images: the content of the disk and nothing
// else. There is nothing in them to detect, to check or to be wrong but the
// length.
package raw

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/ahead"
	"ecs-image-export/shared/diskimage/internal/holes"
	"ecs-image-export/shared/diskimage/internal/parts"
)

// Image is a RAW image.
type Image struct {
	io.ReaderAt
	file io.ReaderAt
	size int64
}

// Open opens an image of size bytes.
func Open(r io.ReaderAt, size int64, l disk.Limits) (disk.Image, error) {
	if err := check(size, l); err != nil {
		return nil, err
	}
	return &Image{io.NewSectionReader(r, 0, size), r, size}, nil
}

func check(size int64, l disk.Limits) error {
	if size < 0 {
		return fmt.Errorf("%w: raw: a disk of %d bytes", disk.ErrFormat, size)
	}
	if most := l.WithDefaults().Size; size > most {
		return fmt.Errorf("%w: raw: a disk of %d bytes, more than %d", disk.ErrLimit, size, most)
	}
	return nil
}

// Format is disk.RAW.
func (i *Image) Format() disk.Format { return disk.RAW }

// Size is the length of the file.
func (i *Image) Size() int64 { return i.size }

// Extents tells the holes of an *os.File. Anything else is one extent of data.
func (i *Image) Extents() iter.Seq2[disk.Extent, error] { return holes.Extents(i.file, i.size) }

// stream is a RAW image that is read once.
type stream struct {
	r      io.Reader
	size   int64
	at     int64
	pieces *ahead.Reader
}

// NewStream reads a disk of size bytes. The reader must end there.
func NewStream(r io.Reader, size int64, l disk.Limits) (disk.Stream, error) {
	if err := check(size, l); err != nil {
		return nil, err
	}
	s := &stream{r: r, size: size}
	s.pieces = ahead.New(s.fill)
	return s, nil
}

func (s *stream) Format() disk.Format       { return disk.RAW }
func (s *stream) Size() int64               { return s.size }
func (s *stream) Next() (disk.Piece, error) { return s.pieces.Next() }

// Close is that of disk.Stream.
func (s *stream) Close() { s.pieces.Stop() }

func (s *stream) fill(buffer []byte) (disk.Piece, error) {
	if s.at == s.size {
		if n, err := io.ReadFull(s.r, buffer[:1]); n > 0 {
			return disk.Piece{}, fmt.Errorf("%w: raw: more than %d bytes", disk.ErrFormat, s.size)
		} else if err != nil {
			return disk.Piece{}, err // io.EOF: the end
		}
	}
	p := disk.Piece{Offset: s.at, Data: buffer[:min(int64(len(buffer)), s.size-s.at)]}
	n, err := io.ReadFull(s.r, p.Data)
	s.at += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: raw: %d bytes of %d: %w", disk.ErrFormat, s.at, s.size, io.ErrUnexpectedEOF)
	}
	return p, err
}

// writer hands out the content as it comes.
type writer struct {
	parts *parts.Writer
	size  int64
	err   error
}

var zeros = make([]byte, 1<<20)

// NewWriter begins an image of size bytes. Zeros are written out: the format has
// no other way to say them.
func NewWriter(size int64, sink disk.Sink) (disk.Writer, error) {
	if err := check(size, disk.Limits{Size: 1<<63 - 1}); err != nil {
		return nil, err
	}
	return &writer{parts: parts.New(sink, 0, size), size: size}, nil
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.check(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := w.parts.Write(p)
	w.err = err
	return n, err
}

func (w *writer) Skip(n int64) error {
	if err := w.check(n); err != nil {
		return err
	}
	for n > 0 && w.err == nil {
		k := min(n, int64(len(zeros)))
		_, w.err = w.parts.Write(zeros[:k])
		n -= k
	}
	return w.err
}

func (w *writer) check(n int64) error {
	if at := w.parts.Size(); w.err == nil && (n < 0 || n > w.size-at) {
		w.err = fmt.Errorf("raw: %d bytes at %d do not fit a disk of %d", n, at, w.size)
	}
	return w.err
}

// Abort is that of disk.Writer.
func (w *writer) Abort(err error) {
	if w.err == nil {
		w.err = err
	}
	_ = w.parts.Stop() // err says what is wrong
}

func (w *writer) Close() error {
	defer w.parts.Stop()
	if w.err != nil {
		return w.err
	}
	if err := w.Skip(w.size - w.parts.Size()); err != nil {
		return err
	}
	if w.err = w.parts.Close(nil); w.err != nil {
		return w.err
	}
	w.err = errors.New("raw: the image is closed")
	return nil
}
