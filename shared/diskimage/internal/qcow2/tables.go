package qcow2

import (
	"encoding/binary"
	"math/bits"

	"ecs-image-export/shared/diskimage/disk"
)

// Bits of the entries of L1 and L2 tables.
const (
	bitCopied    = 1 << 63 // the refcount is exactly 1
	bitPacked    = 1 << 62 // L2: the cluster is compressed
	bitZero      = 1       // L2, version 3, not extended: reads as zeros
	maskOffset   = 0x00fffffffffffe00
	reservedL1   = ^uint64(maskOffset | bitCopied)
	reservedL2   = ^uint64(maskOffset | bitCopied | bitPacked | bitZero)
	subclusters  = 32
	packedSector = 512 // unit in which the size of a compressed cluster is given
)

// l2Offset is the offset of an L2 table, or 0 when there is none.
func (h *header) l2Offset(index int, entry uint64) (int64, error) {
	if entry&reservedL1 != 0 || entry&maskOffset&uint64(h.cluster()-1) != 0 {
		return 0, badf("entry %d of the L1 table cannot be %#x", index, entry)
	}
	return int64(entry & maskOffset), nil
}

// entry is one of an L2 table.
type entry struct {
	bits   uint64
	bitmap uint64 // extended: which subclusters are allocated, and which are zero
}

func (e entry) packed() bool { return e.bits&bitPacked != 0 }

// offset is where a cluster that is not compressed lies in the file, or 0.
func (e entry) offset() int64 { return int64(e.bits & maskOffset) }

func (h *header) entry(table []byte, index int64) entry {
	if h.extended {
		return entry{binary.BigEndian.Uint64(table[index*16:]), binary.BigEndian.Uint64(table[index*16+8:])}
	}
	return entry{bits: binary.BigEndian.Uint64(table[index*8:])}
}

// packedRange is where a compressed cluster lies in the file, at most: its end is
// known only in whole sectors.
func (h *header) packedRange(e entry) (from, to int64) {
	shift := 62 - (h.clusterBits - 8)
	from = int64(e.bits & (1<<shift - 1))
	sectors := int64(e.bits&(bitPacked-1)>>shift) + 1
	return from, from - from%packedSector + sectors*packedSector
}

// checkTable checks the entries of an L2 table: the number of the table is for
// the error. What lies behind end, the file's length, is refused, but for what a
// cluster has behind the end of the disk.
func (h *header) checkTable(number int64, table []byte, t tables, end int64) error {
	for i := range h.l2Entries() {
		e := h.entry(table, i)
		if e == (entry{}) {
			continue
		}
		wrong := func(how string) error {
			return badf("L2 entry %#x of the disk's cluster %d: %s", e.bits, number*h.l2Entries()+i, how)
		}
		if e.packed() {
			from, to := h.packedRange(e)
			if e.bitmap != 0 {
				return wrong("a compressed cluster has no subclusters")
			}
			if from >= end && (number*h.l2Entries()+i)<<h.clusterBits < h.size {
				return wrong("it lies outside the file")
			}
			for n := from >> h.clusterBits; n <= (to-1)>>h.clusterBits; n++ {
				if t.set.has(n) {
					return wrong("it lies on a table")
				}
			}
			continue
		}
		if e.bits&reservedL2 != 0 || e.bits&bitZero != 0 && (h.v2 || h.extended) {
			return wrong("reserved bits are set")
		}
		allocated, zero := uint32(e.bitmap), uint32(e.bitmap>>32)
		if allocated&zero != 0 {
			return wrong("subclusters are both allocated and zero")
		}
		if e.offset() == 0 {
			if allocated != 0 {
				return wrong("subclusters are allocated nowhere")
			}
			continue
		}
		if e.offset()%h.cluster() != 0 {
			return wrong("it is not aligned")
		}
		if t.set.has(e.offset() >> h.clusterBits) {
			return wrong("it lies on a table")
		}
		// A cluster that was allocated and reads as zeros need not be there.
		needed := min(h.cluster(), h.size-(number*h.l2Entries()+i)<<h.clusterBits)
		if h.extended {
			last := int64(bits.Len32(allocated)) // 0: none is allocated
			needed = min(needed, last*h.cluster()/subclusters)
		}
		if e.bits&bitZero == 0 && needed > 0 && e.offset()+needed > end {
			return wrong("it lies outside the file")
		}
	}
	return nil
}

// segment is a range of the disk that is stored in one way.
type segment struct {
	kind   disk.Kind
	length int64
	// host is where the content lies in the file. For a compressed cluster, the
	// segment being all of it, it lies in host to end.
	host, end int64
	packed    bool
}

// segment finds how the disk is stored from an offset on, up to most bytes. The
// table is the one that maps the offset; nil when there is none. Neighbours that
// are stored in one way, and one behind the other in the file, are one segment.
func (h *header) segment(table []byte, offset, most int64) segment {
	most = min(most, h.span()-offset%h.span())
	if table == nil {
		return segment{kind: disk.Absent, length: most}
	}
	s := h.piece(table, offset)
	for s.length < most && !s.packed && (offset+s.length)%h.span() != 0 {
		next := h.piece(table, offset+s.length)
		if next.packed || next.kind != s.kind || s.kind == disk.Data && next.host != s.host+s.length {
			break
		}
		s.length += next.length
	}
	if !s.packed {
		s.length = min(s.length, most)
	}
	return s
}

// piece is a segment of one cluster or subcluster.
func (h *header) piece(table []byte, offset int64) segment {
	e := h.entry(table, offset%h.span()>>h.clusterBits)
	within := offset % h.cluster()
	s := segment{length: h.cluster() - within, host: e.offset() + within}
	switch {
	case e.packed():
		s.host, s.end = h.packedRange(e)
		s.kind, s.packed = disk.Data, true
	case h.extended:
		size := h.cluster() / subclusters
		s.length = size - within%size
		switch n := within / size; {
		case e.bitmap>>n&1 != 0:
			s.kind = disk.Data
		case e.bitmap>>(32+n)&1 != 0:
			s.kind = disk.Zero
		default:
			s.kind = disk.Absent
		}
	case e.bits&bitZero != 0:
		s.kind = disk.Zero
	case e.offset() != 0:
		s.kind = disk.Data
	default:
		s.kind = disk.Absent
	}
	return s
}
