// Package vmdk reads and writes VMware's virtual disks.
//
// # What is read
//
// Files that hold a whole disk: monolithicSparse and streamOptimized. Of the
// latter there are two shapes. VMware's has the grain directory at the end
// (gdOffset is GD_AT_END), named by a footer; qemu's has all tables in front of
// the grains and neither footer nor end-of-stream marker. Compressed grains may
// be zlib (what everybody writes) or bare deflate (what the text says).
//
// Everything that needs another file is refused with an error that says what it
// is: flat and split extents, vmfs, delta links, descriptors without data, and
// ESX's own COWD and SESparse extents.
//
// Open reads the header, the descriptor and the grain directory, and grain
// tables when they are needed. Grains that overlap one another, or a table, are
// refused as soon as the tables are read that have them, and compressed ones
// that differ only in length when they are read. Extents reads all grain tables.
// NewStream reads the shape of VMware as it comes, and the
// shapes with tables in front if their grains ascend.
//
// # What is written
//
// NewWriter makes streamOptimized, in VMware's shape, or monolithicSparse with
// both grain directories. The same content gives the same file, whatever the
// number of workers and however it was cut into calls of Write.
//
// # Memory
//
// Open keeps the grain directories (4 bytes each for 32 MiB of disk, and as much
// again for tables among the grains), up to 1,024 grain tables (2 KiB each) and
// up to 8 grains. Of what was read it remembers the places, which takes at most
// one byte for 2 KiB of a compressed file, or for 32 KiB of another, less where
// the file has no grains. NewStream keeps the grain tables if they come first (4 bytes for
// each stored grain of 64 KiB), or else the directory, and about 1 MiB of content
// for each core. All of this is bounded by Limits.Memory. A Writer of
// streamOptimized keeps the grain directory, a part, and about 4 MiB for each
// worker; one of monolithicSparse the tables (8 bytes for 64 KiB of disk), and
// a part.
//
// # Source
//
// VMware, "Virtual Disk Format 5.0" (vmdk_50_technote.pdf), whose field names are
// used here. Numbers are little-endian, and places are counted in sectors of 512
// bytes.
package vmdk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"ecs-image-export/shared/diskimage/disk"
)

const (
	sectorSize = 512

	// What the first bytes of files of the family are.
	sparseMagic   = "KDMV" // hosted sparse extent: what this package reads
	cowdMagic     = "COWD" // ESX server sparse extent
	seSparseMagic = "\xbe\xba\xfe\xca\x00\x00\x00\x00"
	descriptor    = "# disk descriptorfile" // in lower case
)

// Match says whether a file that begins with head belongs to the family, also if
// it is one that Open refuses. The end of the file tells nothing.
func Match(head, _ []byte) bool {
	return bytes.HasPrefix(head, []byte(sparseMagic)) || family(head) != ""
}

// family names members of the family that are never readable.
func family(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte(cowdMagic)):
		return "an ESX COWD extent (vmfsSparse)"
	case bytes.HasPrefix(head, []byte(seSparseMagic)):
		return "an ESX SESparse extent"
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head[:min(len(head), 512)], []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(text) >= len(descriptor) && bytes.EqualFold(text[:len(descriptor)], []byte(descriptor)) {
		return "a descriptor without data"
	}
	return ""
}

// formatError tells of content that is wrong.
func formatError(format string, a ...any) error {
	return fmt.Errorf("vmdk: %w: %s", disk.ErrFormat, fmt.Sprintf(format, a...))
}

// unsupported tells of content that is right, but not read here.
func unsupported(format string, a ...any) error {
	return fmt.Errorf("vmdk: %w: %s", disk.ErrUnsupported, fmt.Sprintf(format, a...))
}

func limitError(format string, a ...any) error {
	return fmt.Errorf("vmdk: %w: %s", disk.ErrLimit, fmt.Sprintf(format, a...))
}

func orderError(format string, a ...any) error {
	return fmt.Errorf("vmdk: %w: %s", disk.ErrOrder, fmt.Sprintf(format, a...))
}

// readError tells of content that could not be read. A file that is too short is
// a matter of format, anything else is the reader's.
func readError(err error, format string, a ...any) error {
	what := fmt.Sprintf(format, a...)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return formatError("the file ends within %s", what)
	}
	return fmt.Errorf("vmdk: read %s: %w", what, err)
}

// readAt fills b from a place of the file.
func readAt(r io.ReaderAt, b []byte, offset int64, what string) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return readError(err, "%s at offset %#x", what, offset)
}

// zero says whether b is all zeros. It compares b with itself, 16 bytes later,
// which runs at the speed of memory.
func zero(b []byte) bool {
	if len(b) < 16 {
		for _, c := range b {
			if c != 0 {
				return false
			}
		}
		return true
	}
	return binary.LittleEndian.Uint64(b) == 0 && binary.LittleEndian.Uint64(b[8:]) == 0 &&
		bytes.Equal(b[16:], b[:len(b)-16])
}
