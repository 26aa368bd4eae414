package vmdk

import (
	"bytes"
	"encoding/binary"

	"ecs-image-export/shared/diskimage/disk"
)

// Bits of SparseExtentHeader.flags.
const (
	flagNewLines   = 1 << 0  // the newline detection fields are valid
	flagRedundant  = 1 << 1  // there is a redundant grain directory
	flagZeroed     = 1 << 2  // the grain table entry 1 means zeros
	flagCompressed = 1 << 16 // grains are compressed
	flagMarkers    = 1 << 17 // metadata and grains have markers

	// Readers that do not know a bit of the upper half must not read the file.
	flagsIncompatible = 0xffff0000
)

const (
	versionPlain  = 1
	versionZeroed = 2 // zeroed grains
	versionStream = 3 // compressed grains and markers

	compressionNone    = 0
	compressionDeflate = 1

	gdAtEnd = 1<<64 - 1 // GD_AT_END: gdOffset is in the footer

	maxEntries = 512  // numGTEsPerGT is 512; a few writers have less
	maxGrain   = 8192 // sectors, 4 MiB. Everybody writes 128, 64 KiB.

	// A descriptor has 20 sectors, where it is written for the first time.
	maxDescriptor = 1 << 20
)

// header is SparseExtentHeader, the first sector of a sparse extent, in the order
// of the fields, without padding between them:
//
//	 0 magicNumber        uint32 "KDMV"
//	 4 version            uint32
//	 8 flags              uint32
//	12 capacity           uint64 sectors of the disk
//	20 grainSize          uint64 sectors of a grain
//	28 descriptorOffset   uint64 sector of the embedded descriptor, or 0
//	36 descriptorSize     uint64 sectors
//	44 numGTEsPerGT       uint32
//	48 rgdOffset          uint64 sector of the redundant grain directory
//	56 gdOffset           uint64 sector of the grain directory
//	64 overHead           uint64 sectors in front of the first grain
//	72 uncleanShutdown    uint8
//	73 singleEndLineChar  '\n', then nonEndLineChar ' ', doubleEndLineChar1 and 2
//	   "\r\n": they show that no transfer has "repaired" line ends
//	77 compressAlgorithm  uint16
//	79 pad
type header struct {
	version, flags                   uint32
	capacity, grainSize              int64
	descriptorOffset, descriptorSize int64
	entries                          int64 // numGTEsPerGT
	rgdOffset, gdOffset              uint64
	overHead                         int64
	unclean                          bool
	compression                      uint16
}

const lineEnds = "\n \r\n"

func (h *header) encode() []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(b, sparseMagic)
	le.PutUint32(b[4:], h.version)
	le.PutUint32(b[8:], h.flags)
	le.PutUint64(b[12:], uint64(h.capacity))
	le.PutUint64(b[20:], uint64(h.grainSize))
	le.PutUint64(b[28:], uint64(h.descriptorOffset))
	le.PutUint64(b[36:], uint64(h.descriptorSize))
	le.PutUint32(b[44:], uint32(h.entries))
	le.PutUint64(b[48:], h.rgdOffset)
	le.PutUint64(b[56:], h.gdOffset)
	le.PutUint64(b[64:], uint64(h.overHead))
	copy(b[73:], lineEnds)
	le.PutUint16(b[77:], h.compression)
	return b
}

// parseHeader reads a header or a footer, and checks all that can be checked
// without the length of the file. What names the sector in errors.
func parseHeader(b []byte, what string, l disk.Limits) (*header, error) {
	le := binary.LittleEndian
	if !bytes.HasPrefix(b, []byte(sparseMagic)) {
		return nil, formatError("the %s does not begin with %q", what, sparseMagic)
	}
	h := &header{
		version:     le.Uint32(b[4:]),
		flags:       le.Uint32(b[8:]),
		entries:     int64(le.Uint32(b[44:])),
		rgdOffset:   le.Uint64(b[48:]),
		gdOffset:    le.Uint64(b[56:]),
		unclean:     b[72] != 0,
		compression: le.Uint16(b[77:]),
	}
	if h.version < versionPlain || h.version > versionStream {
		return nil, unsupported("version %d in the %s", h.version, what)
	}
	if more := h.flags & flagsIncompatible &^ (flagCompressed | flagMarkers); more != 0 {
		return nil, unsupported("flags %#x in the %s", more, what)
	}
	if h.flags&flagNewLines != 0 && string(b[73:77]) != lineEnds {
		return nil, formatError("line ends were changed in transfer: %q in the %s, not %q", b[73:77], what, lineEnds)
	}
	for _, f := range []struct {
		name  string
		value uint64
		most  int64
		to    *int64
	}{
		{"capacity", le.Uint64(b[12:]), 1 << 54, &h.capacity},
		{"grainSize", le.Uint64(b[20:]), 1 << 54, &h.grainSize},
		{"descriptorOffset", le.Uint64(b[28:]), 1 << 54, &h.descriptorOffset},
		{"descriptorSize", le.Uint64(b[36:]), maxDescriptor / sectorSize, &h.descriptorSize},
		// Entries of grain tables have 32 bits, so no grain lies further.
		{"overHead", le.Uint64(b[64:]), 1<<32 - 1, &h.overHead},
	} {
		if f.value > uint64(f.most) {
			return nil, formatError("%s %d in the %s is more than %d", f.name, f.value, what, f.most)
		}
		*f.to = int64(f.value)
	}
	return h, h.check(what, l)
}

func (h *header) check(what string, l disk.Limits) error {
	switch {
	case h.capacity == 0:
		return formatError("the capacity in the %s is 0", what)
	case h.capacity > l.Size/sectorSize:
		return limitError("%d sectors of virtual size, more than %d bytes", h.capacity, l.Size)
	case h.grainSize == 0 || h.grainSize&(h.grainSize-1) != 0:
		return formatError("grainSize %d in the %s is no power of two", h.grainSize, what)
	case h.grainSize > maxGrain:
		return unsupported("grains of %d sectors, more than %d", h.grainSize, maxGrain)
	case h.entries == 0 || h.entries > maxEntries:
		return formatError("numGTEsPerGT %d in the %s is not from 1 to %d", h.entries, what, maxEntries)
	case h.compressed() != (h.flags&flagMarkers != 0):
		return unsupported("flags %#x in the %s: markers and compression come only together", h.flags, what)
	case h.compressed() && h.compression != compressionDeflate, !h.compressed() && h.compression != compressionNone:
		return unsupported("compressAlgorithm %d with flags %#x in the %s", h.compression, h.flags, what)
	case h.tables() > l.Memory/16:
		return limitError("grain directories of %d entries, more than %d bytes of memory", h.tables(), l.Memory)
	}
	return nil
}

func (h *header) compressed() bool { return h.flags&flagCompressed != 0 }

// size is the virtual size in bytes.
func (h *header) size() int64 { return h.capacity * sectorSize }

// grain is the length of a grain in bytes.
func (h *header) grain() int64 { return h.grainSize * sectorSize }

// grains is the number of grains of the disk.
func (h *header) grains() int64 { return (h.capacity + h.grainSize - 1) / h.grainSize }

// tables is the number of grain tables, and of entries of a grain directory.
func (h *header) tables() int64 { return (h.grains() + h.entries - 1) / h.entries }

// tableSectors is what a grain table occupies.
func (h *header) tableSectors() int64 { return sectors(4 * h.entries) }

// directorySectors is what a grain directory occupies.
func (h *header) directorySectors() int64 { return sectors(4 * h.tables()) }

// length is what grain number g has of the disk, in bytes: less than a grain at
// its end.
func (h *header) length(g int64) int64 { return min(h.grain(), h.size()-g*h.grain()) }

// firstGrain is the first sector where a grain may be.
func (h *header) firstGrain() int64 { return max(h.overHead, 1) }

// sectors is the number of sectors that n bytes need.
func sectors(n int64) int64 { return (n + sectorSize - 1) / sectorSize }
