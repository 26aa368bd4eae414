package diskimage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"ecs-image-export/shared/diskimage/internal/qcow2"
	"ecs-image-export/shared/diskimage/internal/raw"
	"ecs-image-export/shared/diskimage/internal/targz"
	"ecs-image-export/shared/diskimage/internal/vdi"
	"ecs-image-export/shared/diskimage/internal/vhd"
	"ecs-image-export/shared/diskimage/internal/vmdk"
)

// Open opens the image in the size bytes of r, of the format that Detect finds.
// r must not change while the image is used.
func Open(r io.ReaderAt, size int64, l Limits) (Image, error) {
	f, err := Detect(r, size)
	if err != nil {
		return nil, err
	}
	return OpenAs(f, r, size, l)
}

// OpenAs opens an image whose format is known. It is the safe way to open RAW:
// the disk's user can make its content look like any format.
func OpenAs(f Format, r io.ReaderAt, size int64, l Limits) (Image, error) {
	switch f {
	case RAW:
		return raw.Open(r, size, l)
	case QCOW2:
		return image(qcow2.Open(r, size, l))
	case VHD:
		return image(vhd.Open(r, size, l))
	case VDI:
		return image(vdi.Open(r, size, l))
	case VMDK:
		return image(vmdk.Open(r, size, l))
	case TarGz:
		return nil, fmt.Errorf("%w: raw.tar.gz has no random access, read it with NewStream", ErrUnsupported)
	}
	return nil, fmt.Errorf("%w: format %q", ErrUnsupported, f)
}

// image drops a pointer that came with an error.
func image[I Image](i I, err error) (Image, error) {
	if err != nil {
		return nil, err
	}
	return i, nil
}

// NewStream reads an image in one pass. It detects the format as Open does, from
// the start of the file; that its end is not that of another format is known only
// there, and is what the last call of Next may say. RAW and fixed VHD cannot be
// told at the start, and the size of their disk neither: use NewRAWStream.
//
// r is in use until the Stream is closed or has come to an end or an error. Some
// read ahead of Next on a goroutine, which ends when a few pieces are waiting: a
// Stream that nobody uses is only memory.
func NewStream(r io.Reader, l Limits) (Stream, error) {
	t := &tailReader{r: r}
	b := bufio.NewReaderSize(t, headSize)
	head, err := b.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("detect format: %w", err)
	}
	head = bytes.Clone(head) // the buffer is used again
	f, err := detect(head, nil)
	if err != nil {
		return nil, err
	}
	s, err := newStream(f, b, l)
	if err != nil {
		return nil, err
	}
	return &wholeStream{Stream: s, rest: b, head: head, tail: t}, nil
}

func newStream(f Format, r io.Reader, l Limits) (Stream, error) {
	switch f {
	case QCOW2:
		return stream(qcow2.NewStream(r, l))
	case VHD:
		return stream(vhd.NewStream(r, l))
	case VDI:
		return stream(vdi.NewStream(r, l))
	case VMDK:
		return stream(vmdk.NewStream(r, l))
	case TarGz:
		return stream(targz.NewStream(r, l))
	}
	return nil, fmt.Errorf("%w: no format found: a RAW image is read by NewRAWStream, which is told its size", ErrOrder)
}

func stream[S Stream](s S, err error) (Stream, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// wholeStream detects the format once more when the end of the file is known.
type wholeStream struct {
	Stream
	rest io.Reader
	head []byte
	tail *tailReader
}

func (s *wholeStream) Next() (Piece, error) {
	p, err := s.Stream.Next()
	if err != io.EOF {
		return p, err
	}
	if _, err := io.Copy(io.Discard, s.rest); err != nil {
		return Piece{}, err
	}
	tail := s.tail.last
	if len(tail) < tailSize {
		tail = nil
	}
	if _, err := detect(s.head, tail); err != nil {
		return Piece{}, err
	}
	return Piece{}, io.EOF
}

// tailReader keeps the last bytes that were read.
type tailReader struct {
	r    io.Reader
	last []byte
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if read := p[:n]; n >= tailSize {
		t.last = append(t.last[:0], read[n-tailSize:]...)
	} else {
		keep := min(len(t.last), tailSize-n)
		t.last = append(append(t.last[:0], t.last[len(t.last)-keep:]...), read...)
	}
	return n, err
}

// NewRAWStream reads a RAW image of size bytes in one pass. Without its last 512
// bytes, a fixed VHD is one too.
func NewRAWStream(r io.Reader, size int64, l Limits) (Stream, error) {
	return raw.NewStream(r, size, l)
}
