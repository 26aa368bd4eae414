package targz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/klauspost/compress/flate"
)

// chunk is what a hole is made of: smaller runs of zeros cost little when they
// are compressed, and much in a map.
const chunk = 64 << 10

// The head of a sparse archive has 32 bytes of room for each MiB of disk, within
// these bounds, which is a hole for each MiB.
const (
	minHead = 128 << 10
	maxHead = 8 << 20
)

// holes finds the runs of zeros that are worth an entry in the map.
type holes struct {
	size   int64
	head   int64 // bytes of the file reserved for the map
	most   int   // entries that fit into it
	used   int   // entries so far, the one at the end reserved
	at     int64 // on the disk, of the chunk that is being filled
	chunk  []byte
	zeros  int64 // run of zeros before at, neither written nor left out yet
	stored int64
	list   []fragment
}

func newHoles(size int64) *holes {
	h := &holes{size: size, head: min(max(size>>20*32, minHead), maxHead), chunk: make([]byte, 0, chunk)}
	h.head = h.head &^ 0xfff
	// Even if nothing can be compressed: two numbers and two line feeds for each.
	line := 2 * (len(strconv.FormatInt(size, 10)) + 1)
	h.most = int(h.head-headOverhead) / line
	h.used = 2
	return h
}

// headOverhead is room for tar headers, records with a long name, and what gzip
// adds to content that it cannot compress, and its padding.
const headOverhead = 32 << 10

// threshold is how long a run of zeros must be to become a hole. It starts at a
// chunk and grows before the map can overflow: what is free is shared out over
// the rest of the disk, eight times as densely as would be safe, since no disk
// has a hole in every second chunk to its end. When nothing is free, nothing is
// a hole.
func (h *holes) threshold() int64 {
	free := int64(h.most - h.used)
	if free <= 0 {
		return h.size + 1
	}
	return max(chunk, (h.size-h.at)/free/8)
}

func (h *holes) write(z *gzipWriter, p []byte) error {
	for len(p) > 0 {
		if len(h.chunk) == 0 && len(p) >= chunk {
			if err := h.take(z, p[:chunk]); err != nil {
				return err
			}
			p = p[chunk:]
			continue
		}
		k := min(len(p), chunk-len(h.chunk))
		h.chunk = append(h.chunk, p[:k]...)
		p = p[k:]
		if len(h.chunk) == chunk {
			if err := h.flush(z); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *holes) skip(z *gzipWriter, n int64) error {
	for n > 0 {
		if whole := n &^ (chunk - 1); len(h.chunk) == 0 && whole > 0 {
			h.zeros += whole
			h.at += whole
			n -= whole
			continue
		}
		k := min(n, int64(chunk-len(h.chunk)))
		h.chunk = append(h.chunk, zeros[:k]...)
		n -= k
		if len(h.chunk) == chunk {
			if err := h.flush(z); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *holes) flush(z *gzipWriter) error {
	err := h.take(z, h.chunk)
	h.chunk = h.chunk[:0]
	return err
}

// take takes a chunk of the disk.
func (h *holes) take(z *gzipWriter, b []byte) error {
	if bytes.Equal(b, zeros[:len(b)]) {
		h.zeros += int64(len(b))
		h.at += int64(len(b))
		return nil
	}
	if h.zeros > 0 {
		if err := h.endZeros(z); err != nil {
			return err
		}
	}
	if _, err := z.Write(b); err != nil {
		return err
	}
	h.add(int64(len(b)))
	h.at += int64(len(b))
	return nil
}

// endZeros stores the zeros before at, or makes them a hole.
func (h *holes) endZeros(z *gzipWriter) error {
	run := h.zeros
	h.zeros = 0
	if run >= h.threshold() {
		return nil
	}
	if err := z.zeros(run); err != nil {
		return err
	}
	h.at -= run
	h.add(run)
	h.at += run
	return nil
}

// add says that n bytes at h.at are stored.
func (h *holes) add(n int64) {
	h.stored += n
	if last := len(h.list) - 1; last >= 0 && h.list[last].offset+h.list[last].length == h.at {
		h.list[last].length += n
		return
	}
	h.list = append(h.list, fragment{h.at, n})
	h.used++
}

// end takes what is left of the disk. Zeros at its end are always a hole: their
// entry is reserved.
func (h *holes) end(z *gzipWriter) error {
	if len(h.chunk) > 0 {
		return h.flush(z)
	}
	return nil
}

// pack makes the head: headers and map as a gzip member, and members without
// content up to the length that was reserved.
func (h *holes) pack(o Options, size int64) ([]byte, error) {
	if n := len(h.list); n == 0 || h.list[n-1].offset+h.list[n-1].length < size {
		h.list = append(h.list, fragment{size, 0}) // tells tar where the file ends
	}
	text := strconv.AppendInt(nil, int64(len(h.list)), 10)
	text = append(text, '\n')
	for _, f := range h.list {
		text = append(strconv.AppendInt(text, f.offset, 10), '\n')
		text = append(strconv.AppendInt(text, f.length, 10), '\n')
	}
	text = append(text, make([]byte, -len(text)&(blockSize-1))...)
	tar := paxHeaders("GNUSparseFile.0/"+o.Name, int64(len(text))+h.stored, o.Modified, []record{
		{"GNU.sparse.major", "1"},
		{"GNU.sparse.minor", "0"},
		{"GNU.sparse.name", o.Name},
		{"GNU.sparse.realsize", strconv.FormatInt(size, 10)},
	})
	tar = append(tar, text...)

	out := bytes.NewBuffer([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3})
	d := newDeflater(flate.BestCompression)
	d.Reset(out)
	if _, err := d.Write(tar); err != nil {
		return nil, err
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	head := binary.LittleEndian.AppendUint32(out.Bytes(), crc32.ChecksumIEEE(tar))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(tar)))
	if int64(len(head)) > h.head-emptyMember-4 {
		return nil, fmt.Errorf("raw.tar.gz: a sparse map of %d bytes does not fit into the %d reserved for it", len(head), h.head)
	}
	return padMembers(head, int(h.head)), nil
}

// emptyMember is the length of a gzip member without content but with an empty
// extra field (RFC 1952, 2.3.1.1).
const emptyMember = 10 + 2 + 2 + 8

// padMembers appends members without content until there are length bytes, which
// must be room for at least one. What fills them is an extra subfield of an
// unused id.
func padMembers(b []byte, length int) []byte {
	for len(b) < length {
		n := min(length-len(b), emptyMember+0xffff)
		if rest := length - len(b) - n; rest > 0 && rest < emptyMember+4 {
			n -= emptyMember + 4
		}
		extra := n - emptyMember
		b = append(b, 0x1f, 0x8b, 8, flagExtra, 0, 0, 0, 0, 0, 3)
		b = binary.LittleEndian.AppendUint16(b, uint16(extra))
		b = append(b, 'p', 'a')
		b = binary.LittleEndian.AppendUint16(b, uint16(extra-4))
		b = append(b, make([]byte, extra-4)...)
		b = append(b, 0x03, 0x00)
		b = append(b, make([]byte, 8)...) // CRC32 and ISIZE of nothing
	}
	return b
}
