package qcow2

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"ecs-image-export/shared/diskimage/disk"
)

// headerSize is how much of a file's start is looked at: the fields of version 3
// up to compression_type. Header extensions follow; each that matters for
// reading is announced by a feature bit, so they need not be read.
const headerSize = 112

// Bits of incompatible_features.
const (
	featureDirty = 1 << iota
	featureCorrupt
	featureDataFile
	featureCompression
	featureExtendedL2
	featuresKnown = 1<<iota - 1
)

const (
	compressionZlib = 0
	compressionZstd = 1
)

// header is what a reader needs of a file's header.
type header struct {
	size             int64
	clusterBits      uint
	l1Offset         int64
	refTableOffset   int64
	refTableClusters int64
	refOrder         uint
	compression      byte
	extended         bool // L2 entries have 16 bytes, with a bitmap of subclusters
	v2               bool
	dirty            bool // the refcounts may be wrong
}

func (h *header) cluster() int64 { return 1 << h.clusterBits }

// entrySize is the size of an L2 entry in bytes.
func (h *header) entrySize() int64 {
	if h.extended {
		return 16
	}
	return 8
}

// l2Entries is the number of clusters that an L2 table maps.
func (h *header) l2Entries() int64 { return h.cluster() / h.entrySize() }

// span is how much of the disk an L2 table maps, in bytes.
func (h *header) span() int64 { return h.l2Entries() << h.clusterBits }

// l1Entries is the number of L1 entries that the disk needs. A file may have
// more: they map the saved state of a machine, or are left from a larger disk.
func (h *header) l1Entries() int64 { return divUp(h.size, h.span()) }

func divUp(n, by int64) int64 {
	if n == 0 {
		return 0
	}
	return (n-1)/by + 1
}

// parseHeader reads the header from the first headerSize bytes of a file, or
// fewer when the file has no more.
func parseHeader(b []byte, l disk.Limits) (header, error) {
	var h header
	if len(b) < 72 {
		return h, badf("a header of %d bytes is too short", len(b))
	}
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	if u32(0) != magic {
		return h, badf("the file does not begin with QFI\\xfb")
	}
	switch version := u32(4); version {
	case 2:
		h.v2 = true
		h.refOrder = 4
	case 3:
		if err := h.parseV3(b); err != nil {
			return h, err
		}
	default:
		return h, unsupportedf("version %d", version)
	}
	if u64(8) != 0 {
		return h, unsupportedf("the image has a backing file")
	}
	switch method := u32(32); method {
	case 0:
	case 1:
		return h, unsupportedf("the image is encrypted (AES)")
	case 2:
		return h, unsupportedf("the image is encrypted (LUKS)")
	default:
		return h, unsupportedf("the image is encrypted (method %d)", method)
	}
	if n := u32(20); n < 9 || n > 21 {
		return h, badf("cluster_bits is %d, not in 9 to 21", n)
	}
	h.clusterBits = uint(u32(20))
	if h.extended && h.clusterBits < 14 {
		return h, badf("extended L2 entries with clusters of %d bytes", h.cluster())
	}
	if size := u64(24); size > math.MaxInt64 {
		return h, badf("size is %d", size)
	}
	h.size = int64(u64(24))
	if h.size > l.Size {
		return h, limitf("the disk has %d bytes, %d are allowed", h.size, l.Size)
	}
	if n := h.l1Entries(); n > int64(u32(36)) {
		return h, badf("the L1 table has %d entries, a disk of %d bytes needs %d", u32(36), h.size, n)
	} else if n > l.Memory/8 {
		return h, limitf("the L1 table has %d entries, its memory is limited to %d bytes", n, l.Memory)
	}
	var err error
	if h.l1Offset, err = h.tableOffset("L1 table", u64(40)); err != nil {
		return h, err
	}
	if h.refTableOffset, err = h.tableOffset("refcount table", u64(48)); err != nil {
		return h, err
	}
	h.refTableClusters = int64(u32(56))
	if h.refTableClusters == 0 {
		return h, badf("there is no refcount table")
	}
	if h.refTableClusters > maxRefTable>>h.clusterBits {
		return h, limitf("the refcount table has %d clusters", h.refTableClusters)
	}
	return h, nil
}

func (h *header) parseV3(b []byte) error {
	if len(b) < 104 {
		return badf("a header of %d bytes is too short", len(b))
	}
	features := binary.BigEndian.Uint64(b[72:])
	if unknown := features &^ featuresKnown; unknown != 0 {
		return unsupportedf("incompatible feature bit %d is not known", bits.TrailingZeros64(unknown))
	}
	if features&featureDataFile != 0 {
		return unsupportedf("the image has an external data file")
	}
	if features&featureCorrupt != 0 {
		return badf("the image is marked corrupt")
	}
	h.dirty = features&featureDirty != 0
	h.extended = features&featureExtendedL2 != 0
	if order := binary.BigEndian.Uint32(b[96:]); order > 6 {
		return badf("refcount_order is %d, more than 6", order)
	} else {
		h.refOrder = uint(order)
	}
	length := binary.BigEndian.Uint32(b[100:])
	if length < 104 || length%8 != 0 {
		return badf("header_length is %d", length)
	}
	if length > 104 && len(b) > 104 {
		h.compression = b[104]
	}
	if (h.compression != compressionZlib) != (features&featureCompression != 0) {
		return badf("compression_type is %d, which the feature bit contradicts", h.compression)
	}
	if h.compression > compressionZstd {
		return unsupportedf("compression type %d is not known", h.compression)
	}
	return nil
}

// tableOffset checks the offset of a table in the header. That it lies inside the
// file is seen when the table is read.
func (h *header) tableOffset(what string, offset uint64) (int64, error) {
	if offset == 0 && what == "L1 table" && h.l1Entries() == 0 {
		return 0, nil
	}
	if offset == 0 || offset > math.MaxInt64/2 || offset%uint64(h.cluster()) != 0 {
		return 0, badf("the %s cannot begin at offset %#x", what, offset)
	}
	return int64(offset), nil
}

// refBlock is the offset of a refcount block, by its entry in the refcount table.
func (h *header) refBlock(i int64, entry uint64) (int64, error) {
	if entry > math.MaxInt64/2 || entry%uint64(h.cluster()) != 0 {
		return 0, badf("entry %d of the refcount table cannot be %#x", i, entry)
	}
	return int64(entry), nil
}

// at names a place in a file for an error.
func at(what string, offset int64) string { return fmt.Sprintf("%s at offset %#x", what, offset) }
