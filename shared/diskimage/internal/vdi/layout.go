// Package vdi reads and writes disk images in the format VDI, version 1.1, of
// VirtualBox. The layout is that of VirtualBox's VDICore.h and the forum post
// "All about VDIs" (forums.virtualbox.org, topic 8046).
//
// It reads dynamic and static images, and refuses undo and differencing ones.
// Memory is the block map, 4 bytes for each block, and a bit for each while an
// image is opened. It writes dynamic images in one pass; memory is the map and
// one part.
package vdi

import (
	"encoding/binary"
	"fmt"

	"ecs-image-export/shared/diskimage/disk"
)

const (
	signature  = 0xBEDA107F
	version    = 0x00010001
	sectorSize = 512

	typeDynamic      = 1
	typeStatic       = 2
	typeUndo         = 3
	typeDifferencing = 4

	// Entries of the block map that are no numbers of blocks.
	blockFree = 0xFFFFFFFF // never written
	blockZero = 0xFFFFFFFE // discarded: zeros

	// What every image begins with: the pre-header and a header of version 1.1.
	// cbHeader says how much of the latter there is: VirtualBox writes 400 bytes,
	// qemu 384, without the logical geometry at the end.
	signatureAt = 64
	headerAt    = 72
	headerSize  = 384
	headSize    = sectorSize

	// maxBlock keeps products of block numbers and sizes in 64 bits. VirtualBox
	// writes blocks of 1 MiB unless told otherwise.
	maxBlock = 256 << 20
)

// header is what the reader needs. All numbers are little-endian.
//
//	  0  szFileInfo         text
//	 64  u32Signature
//	 68  u32Version
//	 72  cbHeader
//	 76  u32Type
//	 80  fFlags
//	 84  szComment          256 bytes
//	340  offBlocks          of the block map
//	344  offData            of block 0
//	348  LegacyGeometry     cylinders, heads, sectors, bytes of a sector
//	364  u32Dummy
//	368  cbDisk             virtual size, in bytes (8)
//	376  cbBlock
//	380  cbBlockExtra       bytes before each block
//	384  cBlocks            entries of the block map
//	388  cBlocksAllocated   blocks in the file
//	392  uuidCreate
//	408  uuidModify
//	424  uuidLinkage        of the parent
//	440  uuidParentModify
//	456  LCHSGeometry
type header struct {
	kind      uint32
	mapAt     int64
	dataAt    int64
	size      int64
	block     int64
	blocks    uint32 // entries of the map
	allocated uint32
}

// Match says whether a file begins like a VDI.
func Match(head, _ []byte) bool {
	return len(head) >= headerAt && binary.LittleEndian.Uint32(head[signatureAt:]) == signature
}

// parseHeader checks everything that can be checked without the file's length.
func parseHeader(b []byte, l disk.Limits) (header, error) {
	le := binary.LittleEndian
	if !Match(b, nil) {
		return header{}, fmt.Errorf("no signature: %w", disk.ErrFormat)
	}
	if v := le.Uint32(b[68:]); v != version {
		return header{}, fmt.Errorf("version %d.%d: %w", v>>16, v&0xFFFF, disk.ErrUnsupported)
	}
	if n := le.Uint32(b[72:]); n < headerSize {
		return header{}, fmt.Errorf("header of %d bytes: %w", n, disk.ErrFormat)
	}
	h := header{
		kind:      le.Uint32(b[76:]),
		mapAt:     int64(le.Uint32(b[340:])),
		dataAt:    int64(le.Uint32(b[344:])),
		block:     int64(le.Uint32(b[376:])),
		blocks:    le.Uint32(b[384:]),
		allocated: le.Uint32(b[388:]),
	}
	switch h.kind {
	case typeDynamic, typeStatic:
	case typeUndo, typeDifferencing:
		return header{}, fmt.Errorf("undo or differencing image, which needs a parent: %w", disk.ErrUnsupported)
	default:
		return header{}, fmt.Errorf("image type %d: %w", h.kind, disk.ErrUnsupported)
	}
	if [16]byte(b[424:]) != [16]byte{} || [16]byte(b[440:]) != [16]byte{} {
		return header{}, fmt.Errorf("image with a parent: %w", disk.ErrUnsupported)
	}
	if n := le.Uint32(b[360:]); n != sectorSize {
		return header{}, fmt.Errorf("sectors of %d bytes: %w", n, disk.ErrUnsupported)
	}
	if n := le.Uint32(b[380:]); n != 0 {
		return header{}, fmt.Errorf("%d extra bytes for each block: %w", n, disk.ErrUnsupported)
	}
	if h.block < sectorSize || h.block&(h.block-1) != 0 {
		return header{}, fmt.Errorf("block size %d is no power of two of sectors: %w", h.block, disk.ErrFormat)
	}
	if h.block > maxBlock {
		return header{}, fmt.Errorf("blocks of %d bytes: %w", h.block, disk.ErrUnsupported)
	}
	return h, h.place(le.Uint64(b[368:]), l)
}

// place checks size and offsets.
func (h *header) place(size uint64, l disk.Limits) error {
	if size > min(uint64(l.Size), 1<<62) {
		return fmt.Errorf("virtual size of %d bytes, at most %d are allowed: %w", size, l.Size, disk.ErrLimit)
	}
	// VBoxManage convertfromraw makes images of odd size; qemu rounds up.
	h.size = roundUp(int64(size), sectorSize)
	if h.size > h.block*int64(h.blocks) {
		return fmt.Errorf("disk of %d bytes, block map for %d: %w", h.size, h.block*int64(h.blocks), disk.ErrFormat)
	}
	if h.allocated > h.blocks {
		return fmt.Errorf("%d blocks of %d are allocated: %w", h.allocated, h.blocks, disk.ErrFormat)
	}
	if int64(h.blocks) > l.Memory/8 {
		return fmt.Errorf("block map of %d entries needs more than %d bytes of memory: %w", h.blocks, l.Memory, disk.ErrLimit)
	}
	if h.mapAt%sectorSize != 0 || h.mapAt < headSize {
		return fmt.Errorf("block map at offset %#x: %w", h.mapAt, disk.ErrFormat)
	}
	if h.dataAt%sectorSize != 0 || h.dataAt < headSize {
		return fmt.Errorf("data at offset %#x: %w", h.dataAt, disk.ErrFormat)
	}
	if h.dataAt < h.mapAt+h.mapLength() {
		return fmt.Errorf("data at offset %#x, in or before the block map at %#x: %w", h.dataAt, h.mapAt, disk.ErrFormat)
	}
	return nil
}

func (h header) mapLength() int64 { return 4 * int64(h.blocks) }

// at is where the block with a number lies in the file.
func (h header) at(number uint32) int64 { return h.dataAt + int64(number)*h.block }

// used is how many bytes of block i are in the disk.
func (h header) used(i int64) int64 {
	return max(0, min(h.block, h.size-i*h.block))
}

// decode reads the block map and checks it as far as it can be checked without
// the file's length: numbers lie in the image, none comes twice, and as many
// blocks are allocated as the header says.
func (h header) decode(raw []byte) ([]uint32, error) {
	table := make([]uint32, h.blocks)
	seen := make([]uint64, (int64(h.blocks)+63)/64)
	var allocated uint32
	for i := range table {
		n := binary.LittleEndian.Uint32(raw[4*i:])
		table[i] = n
		if n >= blockZero {
			continue
		}
		if n >= h.blocks {
			return nil, fmt.Errorf("block %d is number %d of %d: %w", i, n, h.blocks, disk.ErrFormat)
		}
		if seen[n/64]&(1<<(n%64)) != 0 {
			return nil, fmt.Errorf("block %d is number %d, which another is too: %w", i, n, disk.ErrFormat)
		}
		seen[n/64] |= 1 << (n % 64)
		allocated++
	}
	if allocated != h.allocated {
		return nil, fmt.Errorf("%d blocks are in the map, %d in the header: %w", allocated, h.allocated, disk.ErrFormat)
	}
	return table, nil
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
