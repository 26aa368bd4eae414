// Package vhd reads and writes disk images in the format VHD, which qemu calls
// vpc, as described in Microsoft's "Virtual Hard Disk Image Format
// Specification" of October 2006.
//
// It reads fixed and dynamic images, and refuses differencing ones. Memory is
// the block allocation table, 4 bytes for each block, twice that while an image
// is opened whose blocks are not in order, and at most 16 sector bitmaps.
// It writes both kinds in one pass; memory is the table and one part.
package vhd

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"ecs-image-export/shared/diskimage/disk"
)

const (
	sectorSize = 512
	footerSize = 512
	headerSize = 1024

	footerCookie = "conectix"
	headerCookie = "cxsparse"
	version      = 0x00010000 // "File Format Version" and "Header Version"

	typeFixed        = 2
	typeDynamic      = 3
	typeDifferencing = 4

	unused = 0xFFFFFFFF // in the block allocation table
)

// The largest "Disk Geometry". A disk that is at least as large has it, so with
// it only "Current Size" can be meant.
const (
	maxCylinders = 65535
	maxHeads     = 16
	maxSectors   = 255
)

// maxSize is 2040 GiB, where qemu and Hyper-V end; the table's 32 bits count
// sectors and end at 2 TiB.
const maxSize = 0xFF000000 * sectorSize

// footer is the "Hard Disk Footer": 512 bytes at the end of the file, and for a
// dynamic disk a copy of them at its start. All numbers are big-endian.
//
//	 0  Cookie                "conectix"
//	 8  Features              2: reserved, always set
//	12  File Format Version
//	16  Data Offset           of the dynamic disk header; all ones: fixed
//	24  Time Stamp            seconds since 2000-01-01 00:00 UTC
//	28  Creator Application
//	32  Creator Version
//	36  Creator Host OS
//	40  Original Size
//	48  Current Size
//	56  Disk Geometry         cylinders (2), heads (1), sectors (1)
//	60  Disk Type
//	64  Checksum              ones' complement of the sum of the other bytes
//	68  Unique Id
//	84  Saved State
//	85  Reserved
type footer struct {
	dataOffset  uint64
	creator     [4]byte
	currentSize uint64
	cylinders   uint16
	heads       uint8
	sectors     uint8
	kind        uint32
}

// parseFooter checks cookie and checksum.
func parseFooter(b []byte) (footer, error) {
	var f footer
	if !hasCookie(b, footerCookie) {
		return f, fmt.Errorf("no footer: %w", disk.ErrFormat)
	}
	if got, want := binary.BigEndian.Uint32(b[64:]), checksum(b, 64); got != want {
		return f, fmt.Errorf("checksum of the footer is %#x, its content gives %#x: %w", got, want, disk.ErrFormat)
	}
	f = footer{
		dataOffset:  binary.BigEndian.Uint64(b[16:]),
		creator:     [4]byte(b[28:32]),
		currentSize: binary.BigEndian.Uint64(b[48:]),
		cylinders:   binary.BigEndian.Uint16(b[56:]),
		heads:       b[58],
		sectors:     b[59],
		kind:        binary.BigEndian.Uint32(b[60:]),
	}
	if v := binary.BigEndian.Uint32(b[12:]); v>>16 != version>>16 {
		return f, fmt.Errorf("format version %#x: %w", v, disk.ErrUnsupported)
	}
	return f, nil
}

// size is the virtual size in bytes. Virtual PC takes it from the geometry, and
// may have a larger Current Size; Hyper-V, and those who follow it, take Current
// Size, which the geometry does not reach. Who wrote the image decides, by
// qemu's list; with the largest geometry it can only be Current Size.
func (f footer) size(l disk.Limits) (int64, error) {
	sectors := uint64(f.cylinders) * uint64(f.heads) * uint64(f.sectors)
	if f.exact() || sectors == maxCylinders*maxHeads*maxSectors {
		sectors = f.currentSize / sectorSize
	}
	if sectors > uint64(l.Size)/sectorSize {
		return 0, fmt.Errorf("virtual size of %d sectors, at most %d bytes are allowed: %w", sectors, l.Size, disk.ErrLimit)
	}
	return int64(sectors) * sectorSize, nil
}

// exact says whether the application that wrote the image means Current Size:
// Hyper-V, qemu with force_size, Disk2vhd, XenConverter, XenServer.
func (f footer) exact() bool {
	switch string(f.creator[:]) {
	case "win ", "qem2", "d2v ", "CTXS":
		return true
	}
	return string(f.creator[:3]) == "tap"
}

// header is the "Dynamic Disk Header".
//
//	  0  Cookie             "cxsparse"
//	  8  Data Offset        all ones
//	 16  Table Offset       of the block allocation table
//	 24  Header Version
//	 28  Max Table Entries
//	 32  Block Size         without the sector bitmap before each block
//	 36  Checksum
//	 40  Parent Unique ID, time stamp, name and locators
//	768  Reserved
type header struct {
	tableOffset uint64
	entries     uint32
	blockSize   uint32
}

func parseHeader(b []byte) (header, error) {
	var h header
	if !hasCookie(b, headerCookie) {
		return h, fmt.Errorf("no dynamic disk header: %w", disk.ErrFormat)
	}
	if got, want := binary.BigEndian.Uint32(b[36:]), checksum(b, 36); got != want {
		return h, fmt.Errorf("checksum of the dynamic disk header is %#x, its content gives %#x: %w", got, want, disk.ErrFormat)
	}
	h = header{
		tableOffset: binary.BigEndian.Uint64(b[16:]),
		entries:     binary.BigEndian.Uint32(b[28:]),
		blockSize:   binary.BigEndian.Uint32(b[32:]),
	}
	if v := binary.BigEndian.Uint32(b[24:]); v>>16 != version>>16 {
		return h, fmt.Errorf("version %#x of the dynamic disk header: %w", v, disk.ErrUnsupported)
	}
	if h.blockSize < sectorSize || h.blockSize&(h.blockSize-1) != 0 {
		return h, fmt.Errorf("block size %d is no power of two of sectors: %w", h.blockSize, disk.ErrFormat)
	}
	// Qemu reckons with no bitmap at all then, so what the file means is unclear.
	if h.blockSize < 8*sectorSize {
		return h, fmt.Errorf("block size %d, whose bitmap fills no byte: %w", h.blockSize, disk.ErrUnsupported)
	}
	return h, nil
}

// bitmapSize is the length of the sector bitmap before each block: a bit for
// each sector, the first one the highest, padded to a sector. A clear bit means
// that the sector was never written and reads as zeros.
func (h header) bitmapSize() int64 {
	return roundUp(int64(h.blockSize)/sectorSize/8, sectorSize)
}

// Match says whether the first bytes of a file, or the last 512, are those of a
// VHD. A fixed one is recognised by its end alone.
func Match(head, tail []byte) bool {
	return hasCookie(head, footerCookie) || len(tail) == footerSize && hasCookie(tail, footerCookie)
}

func hasCookie(b []byte, cookie string) bool {
	return bytes.HasPrefix(b, []byte(cookie))
}

// checksum sums up all bytes but the four of the checksum itself.
func checksum(b []byte, at int) uint32 {
	var sum uint32
	for i, c := range b {
		if i < at || i >= at+4 {
			sum += uint32(c)
		}
	}
	return ^sum
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
