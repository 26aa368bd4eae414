// Package diskimage reads and writes disk images of virtual machines: RAW,
// QCOW2, VHD, VDI, VMDK, and RAW inside a .tar.gz as ECS exports it. It is pure
// Go and starts no other program.
//
// # Reading
//
// An image can be read in two ways. [Open] takes an io.ReaderAt and gives random
// access. [NewStream] takes an io.Reader and gives the disk's content in one
// pass, for objects that are too large to be kept anywhere. The format is found
// from the content, never from a name.
//
//	            Open                                  NewStream
//	RAW         any                                   NewRAWStream, which is told the size
//	QCOW2       v2, v3; zlib, zstd; subclusters       where the tables come before the clusters
//	VHD         dynamic, fixed                        dynamic
//	VDI         dynamic, static                       where the blocks are in order
//	VMDK        monolithicSparse, streamOptimized     where the grains are in order
//	raw.tar.gz  no                                    plain, GNU sparse in all its forms
//
// Extents of RAW are the holes of the file, if it is an *os.File on Linux; else
// all of it is data.
//
// RAW has no mark of its own: what is nothing else is RAW. The owner of a
// virtual machine can write what looks like another format to the start of its
// disk, so an image that is known to be RAW should be opened with [OpenAs].
//
// # Writing
//
// A [Writer] makes an image in one pass over its content, and hands its file out
// in numbered parts to a [Sink], of which the first, with headers and tables,
// may come last: that is what a multipart upload takes. Zeros are not stored.
// The file depends on content and options alone. [Copy] and [CopyImage] convert.
//
// # Hostile files
//
// Files are not trusted. Every size, offset and count in them is checked against
// [Limits] and the file's length; what is wrong is an error, never a panic, and
// memory is bounded by the tables of a disk of Limits.Size plus a few clusters.
// Images that refer to other files (backing files, external data, parents,
// split extents) and encrypted ones are refused. Errors wrap [ErrFormat],
// [ErrUnsupported], [ErrLimit] or [ErrOrder] and say where in the file; an error
// of the reader or the sink is kept in the chain. Tables are checked when they are
// read; [Check] reads them all.
package diskimage

import "ecs-image-export/shared/diskimage/disk"

// The terms that the packages of the formats share. Package disk says what each
// has and promises.
type (
	// Format is the format of a disk image.
	Format = disk.Format
	// Limits bound what a file may ask for: Size, the largest virtual size, and
	// Memory, for its tables.
	Limits = disk.Limits
	// Kind says what an extent holds.
	Kind = disk.Kind
	// Extent is a range of a disk: Offset, Length and Kind.
	Extent = disk.Extent
	// Image is a disk with random access: Format, Size, ReadAt and Extents, which
	// goes through the ranges with data and without.
	Image = disk.Image
	// Stream is a disk that is read once, from its first byte to its last: Format,
	// Size, Next and Close.
	Stream = disk.Stream
	// Piece is some content of a disk, from Next: Offset and Data.
	Piece = disk.Piece
	// Writer makes an image: Write and Skip in the order of the disk, then Close,
	// or Abort when the source fails.
	Writer = disk.Writer
	// Sink takes the parts of an image file, by their numbers: Part.
	Sink = disk.Sink
)

// The formats. TarGz is RAW in an archive of one member.
const (
	RAW   = disk.RAW
	QCOW2 = disk.QCOW2
	VHD   = disk.VHD
	VDI   = disk.VDI
	VMDK  = disk.VMDK
	TarGz = disk.TarGz
)

// The kinds of extents. An absent range is stored nowhere, a zero range is
// marked as zero; both read as zeros.
const (
	Data   = disk.Data
	Zero   = disk.Zero
	Absent = disk.Absent
)

// MinPart is the least size of a part that is not the last, in bytes.
const MinPart = disk.MinPart

// What is wrong with an image.
var (
	// ErrFormat means that the content is not of the format, or damaged.
	ErrFormat = disk.ErrFormat
	// ErrUnsupported means that the image is of a kind that this package does
	// not read: encrypted, with a backing file, split over files.
	ErrUnsupported = disk.ErrUnsupported
	// ErrLimit means that the image is larger than Limits allow.
	ErrLimit = disk.ErrLimit
	// ErrOrder means that one pass cannot read the image; Open can.
	ErrOrder = disk.ErrOrder
)
