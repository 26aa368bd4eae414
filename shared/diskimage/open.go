package diskimage

import (
	"bufio"
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

// NewStream reads an image in one pass. It detects the format as Open does, but
// from the start of the file alone. RAW and fixed VHD cannot be told there, and
// the size of their disk neither: use NewRAWStream.
//
// A Stream need not be closed. Some read ahead of Next on a goroutine, which
// ends when a few pieces are waiting.
func NewStream(r io.Reader, l Limits) (Stream, error) {
	b := bufio.NewReaderSize(r, headSize)
	head, err := b.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("detect format: %w", err)
	}
	f, err := detect(head, nil)
	if err != nil {
		return nil, err
	}
	switch f {
	case QCOW2:
		return stream(qcow2.NewStream(b, l))
	case VHD:
		return stream(vhd.NewStream(b, l))
	case VDI:
		return stream(vdi.NewStream(b, l))
	case VMDK:
		return stream(vmdk.NewStream(b, l))
	case TarGz:
		return stream(targz.NewStream(b, l))
	}
	return nil, fmt.Errorf("%w: no format found: a RAW image is read by NewRAWStream, which is told its size", ErrOrder)
}

func stream[S Stream](s S, err error) (Stream, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// NewRAWStream reads a RAW image of size bytes in one pass. Without its last 512
// bytes, a fixed VHD is one too.
func NewRAWStream(r io.Reader, size int64, l Limits) (Stream, error) {
	return raw.NewStream(r, size, l)
}
