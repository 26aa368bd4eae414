// Package disk holds the terms that package diskimage and its packages for the
// formats share: what an image, a stream, a writer and a sink are. Use them by their
// names in diskimage.
package disk

import (
	"errors"
	"fmt"
	"io"
	"iter"
)

// Format is a disk image format.
type Format string

// The formats. TarGz is RAW in an archive of one member.
const (
	RAW   Format = "raw"
	QCOW2 Format = "qcow2"
	VHD   Format = "vhd"
	VDI   Format = "vdi"
	VMDK  Format = "vmdk"
	TarGz Format = "raw.tar.gz"
)

var (
	// ErrFormat means that the content is not of the format, or damaged. The
	// error says where and how.
	ErrFormat = errors.New("not a valid disk image")
	// ErrUnsupported means that the image is of a kind that this package does
	// not read: encrypted, with a backing file, split over files.
	ErrUnsupported = errors.New("unsupported disk image")
	// ErrLimit means that the image is larger than Limits allow.
	ErrLimit = errors.New("disk image exceeds a limit")
	// ErrOrder means that a stream has data in an order that one pass cannot
	// use; Open can read the image.
	ErrOrder = errors.New("disk image cannot be read in one pass")
)

// Limits bound what a file may ask for. The zero value is the default of each.
type Limits struct {
	// Size is the largest virtual size in bytes. Default 64 TiB.
	Size int64
	// Memory bounds the tables that are kept in memory, in bytes. Default
	// 256 MiB.
	Memory int64
}

// WithDefaults fills in what is zero.
func (l Limits) WithDefaults() Limits {
	if l.Size == 0 {
		l.Size = 64 << 40
	}
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	return l
}

// Kind says what an extent holds.
type Kind uint8

// The kinds of extents. An absent range is stored nowhere, a zero range is
// marked as zero; both read as zeros.
const (
	Data Kind = iota + 1
	Zero
	Absent
)

func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case Zero:
		return "zero"
	case Absent:
		return "absent"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Extent is a range of the disk, in bytes.
type Extent struct {
	Offset, Length int64
	Kind           Kind
}

// Image is a disk image with random access. Its methods are safe for concurrent
// use if those of the underlying io.ReaderAt are.
type Image interface {
	io.ReaderAt // of the disk's content
	Format() Format
	// Size is the virtual size in bytes.
	Size() int64
	// Extents covers the disk from 0 to Size in order, without gaps, neighbours
	// of one kind merged. It reads tables, never content. It ends with the first
	// error.
	Extents() iter.Seq2[Extent, error]
}

// Stream is a disk image that is read once, from its first byte to its last. Its
// reader is in use until Close returns, or until Next returns an error: some
// streams read ahead of Next on a goroutine.
type Stream interface {
	Format() Format
	// Size is the virtual size in bytes.
	Size() int64
	// Next returns the next piece of content; what no piece covers reads as
	// zeros. Pieces come in ascending order and do not overlap; an image whose
	// file has them otherwise ends with ErrOrder. Data is valid until the next
	// call. At the end of the image, when everything in it has been checked, it
	// returns io.EOF: before that, checksums and tables that come last may still
	// show that what was handed out is not the disk.
	Next() (Piece, error)
	// Close ends the use of the reader before the end of the image, and waits for
	// a Read that is under way. Next is of no use afterwards.
	Close()
}

// Piece is some content of a disk.
type Piece struct {
	Offset int64
	Data   []byte
}

// Writer makes a disk image. Content is written in order, from the first byte of
// the disk to its last; zeros, however they come, are not stored. It ends with
// Close, or with Abort when the source of the content fails: what is left out
// would be zeros otherwise, in an image that looks right.
type Writer interface {
	// Write writes the next bytes of the disk.
	io.Writer
	// Skip writes n zeros. What is left out at the end is zeros too.
	Skip(n int64) error
	// Close finishes the image and hands out the last parts. Without it there is
	// no image.
	Close() error
	// Abort gives the image up, because of err, which is not nil; Copy and
	// CopyImage call it. It waits for the part that is on its way. From then on
	// nothing is handed out, and every method, Close too, returns err, or the
	// error that it had before.
	Abort(err error)
}

// Sink takes the parts of an image file. Put in the order of their numbers they
// are the file.
type Sink interface {
	// Part takes one part. Numbers begin at 1 and none is missing at the end, but
	// they come in any order, each once. Every part but the one with the highest
	// number has at least MinPart bytes. The content must not be used after the
	// call returns. Calls come from a goroutine of the Writer, so that the next
	// part is made meanwhile; there is one at a time, and none after Close.
	//
	// A file of up to 2.27 TiB has at most 10,000 parts, which is what OSS takes.
	Part(number int, content []byte) error
}

// MinPart is the least size of a part that is not the last, in bytes: OSS wants
// 100 KiB.
const MinPart = 100 << 10
