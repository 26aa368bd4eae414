package qcow2

import (
	"encoding/binary"
	"fmt"

	"ecs-image-export/shared/diskimage/disk"
)

// head hands out the head of a file that has so many bytes of content.
func (w *Writer) head(content int64) error {
	p := &w.plan
	tables := int64(0)
	for _, table := range w.stored {
		if table != nil {
			tables++
		}
	}
	a := p.areas(content>>p.clusterBits, tables)
	out := newHeadWriter(w.sink, a.end()<<p.clusterBits, p.headParts)

	out.header(p, a)
	out.fill(1 << p.clusterBits)

	at := int64(1) // clusters of the file before the area that is written
	at += a.l1 + a.refTable
	for _, table := range w.stored {
		entry := uint64(0)
		if table != nil {
			entry = uint64(at)<<p.clusterBits | bitCopied
			at++
		}
		out.u64(entry)
	}
	out.fill((1 + a.l1) << p.clusterBits)
	for i := range a.refBlocks {
		out.u64(uint64(at+i) << p.clusterBits)
	}
	out.fill((1 + a.l1 + a.refTable) << p.clusterBits)

	entries := make([]uint64, p.l2Entries())
	w.eachTable(a, func(index, from int64, size int32) {
		entries[index%p.l2Entries()] = p.l2Entry(from, size)
	}, func() {
		for _, e := range entries {
			out.u64(e)
		}
		clear(entries)
	})
	w.refcounts(out, a)
	out.fill(a.end() << p.clusterBits)
	return out.err
}

// eachTable calls place for each cluster that is stored, in the order of the file,
// and end behind each L2 table.
func (w *Writer) eachTable(a areas, place func(index, from int64, size int32), end func()) {
	p := placer{cluster: w.plan.cluster(), at: a.end() << w.plan.clusterBits, place: place}
	for number, table := range w.stored {
		if table == nil {
			continue
		}
		for i, size := range table {
			if size != 0 {
				p.add(int64(number)*w.plan.l2Entries()+int64(i), size)
			}
		}
		p.flush()
		end()
	}
}

func (p *plan) l2Entry(from int64, size int32) uint64 {
	if size == plain {
		return uint64(from) | bitCopied
	}
	sectors := (from+int64(size)-1)/packedSector - from/packedSector // besides the first
	return bitPacked | uint64(sectors)<<(62-(p.clusterBits-8)) | uint64(from)
}

// refcounts writes the refcount blocks. A cluster of the file counts the
// compressed clusters of which it holds a part; as their lengths are given in
// sectors, the rest of the last sector belongs to them.
func (w *Writer) refcounts(out *headWriter, a areas) {
	p := &w.plan
	for c := range a.end() {
		if c < a.end()-a.zeros {
			out.u16(1)
		} else {
			out.u16(0)
		}
	}
	cluster, count := a.end(), uint16(0)
	w.eachTable(a, func(_, from int64, size int32) {
		last := from + p.cluster() - 1
		if size != plain {
			last = (from + int64(size) - 1) | (packedSector - 1)
		}
		for c := from >> p.clusterBits; c <= last>>p.clusterBits; c++ {
			for cluster < c {
				out.u16(count)
				cluster, count = cluster+1, 0
			}
			count++
		}
	}, func() {})
	if count > 0 {
		out.u16(count)
	}
}

func (out *headWriter) header(p *plan, a areas) {
	out.u32(magic)
	out.u32(3)
	out.u64(0) // backing_file_offset
	out.u32(0) // backing_file_size
	out.u32(uint32(p.clusterBits))
	out.u64(uint64(p.size))
	out.u32(0)                             // crypt_method
	out.u32(uint32(max(1, p.l1Entries()))) // l1_size; with 0 its cluster would count as lost
	out.u64(1 << p.clusterBits)            // l1_table_offset
	out.u64(uint64(1+a.l1) << p.clusterBits)
	out.u32(uint32(a.refTable))
	out.u32(0) // nb_snapshots
	out.u64(0) // snapshots_offset
	if p.compression != compressionZlib {
		out.u64(featureCompression)
	} else {
		out.u64(0)
	}
	out.u64(0) // compatible_features
	out.u64(0) // autoclear_features
	out.u32(4) // refcount_order
	out.u32(headerSize)
	out.u64(uint64(p.compression) << 56)
	out.u64(0) // end of the header extensions
}

// headWriter cuts a head of known length into parts of about one size. Their
// sizes are multiples of 512 bytes, so no number lies across two.
type headWriter struct {
	sink   disk.Sink
	buffer []byte
	number int   // of the part that is being filled
	parts  int   // how many there are
	size   int64 // of a part that is not the last
	done   int64 // bytes written
	whole  int64
	err    error
}

func newHeadWriter(sink disk.Sink, whole int64, parts int) *headWriter {
	size := whole / int64(parts) / 512 * 512
	return &headWriter{sink: sink, number: 1, parts: parts, size: size, whole: whole,
		buffer: make([]byte, 0, size+whole-size*int64(parts))}
}

func (out *headWriter) u16(n uint16) {
	out.buffer = binary.BigEndian.AppendUint16(out.buffer, n)
	out.wrote(2)
}

func (out *headWriter) u32(n uint32) {
	out.buffer = binary.BigEndian.AppendUint32(out.buffer, n)
	out.wrote(4)
}

func (out *headWriter) u64(n uint64) {
	out.buffer = binary.BigEndian.AppendUint64(out.buffer, n)
	out.wrote(8)
}

// fill writes zeros up to an offset of the head.
func (out *headWriter) fill(to int64) {
	for out.done < to {
		n := min(to-out.done, int64(len(noContent)))
		if out.number < out.parts {
			n = min(n, out.size-int64(len(out.buffer)))
		}
		out.buffer = append(out.buffer, noContent[:n]...)
		out.wrote(n)
	}
}

var noContent [64 << 10]byte

func (out *headWriter) wrote(n int64) {
	out.done += n
	if out.number < out.parts && int64(len(out.buffer)) == out.size || out.done == out.whole {
		if out.err == nil {
			if err := out.sink.Part(out.number, out.buffer); err != nil {
				out.err = fmt.Errorf("part %d: %w", out.number, err)
			}
		}
		out.number++
		out.buffer = out.buffer[:0]
	}
}
