package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"ecs-image-export/shared/diskimage/disk"
)

// cacheSize bounds the L2 tables and the decompressed clusters that are kept, in
// bytes each.
const cacheSize = 4 << 20

// Image is a QCOW2 image with random access.
type Image struct {
	header
	file     io.ReaderAt
	end      int64 // the file's length
	l1       []uint64
	tables   tables
	unpacker *unpacker
	l2       *cache[[]byte]
	unpacked *cache[[]byte]

	mu     sync.Mutex
	read   []uint64  // a bit for each L2 table that was read
	used   *contents // where the clusters lie that they map
	budget *int64    // bytes that used may still take
	wrong  error     // what was found when one was read
}

var _ disk.Image = (*Image)(nil)

// Open opens the image in a file of the given length.
func Open(r io.ReaderAt, size int64, l disk.Limits) (*Image, error) {
	l = l.WithDefaults()
	m := &Image{file: r, end: size}
	head := make([]byte, min(headerSize, max(size, 0)))
	if err := m.readFile(head, 0); err != nil {
		return nil, err
	}
	var err error
	if m.header, err = parseHeader(head, l); err != nil {
		return nil, err
	}
	if err := m.readL1(); err != nil {
		return nil, err
	}
	budget := l.Memory - int64(len(m.l1))*8
	if err := take(&budget, int64(len(m.l1))/8+8); err != nil {
		return nil, err
	}
	m.budget = &budget
	m.read = make([]uint64, len(m.l1)/64+1)
	if m.refTableClusters > (m.end-m.refTableOffset)>>m.clusterBits {
		return nil, badf("the %s does not end inside the file", at("refcount table", m.refTableOffset))
	}
	if m.tables, err = metadata(&m.header, m.l1, &budget); err != nil {
		return nil, err
	}
	for i, entry := range m.l1 {
		if offset := int64(entry & maskOffset); offset > m.end-m.cluster() {
			return nil, badf("the %s, number %d, lies outside the file", at("L2 table", offset), i)
		}
	}
	if err := m.addRefBlocks(); err != nil {
		return nil, err
	}
	if m.unpacker, err = newUnpacker(&m.header); err != nil {
		return nil, err
	}
	m.used = newContents(&m.header, m.tables, &budget)
	kept := int(max(2, cacheSize>>m.clusterBits))
	m.l2, m.unpacked = newCache[[]byte](kept), newCache[[]byte](kept)
	return m, nil
}

func (m *Image) readL1() error {
	n := m.l1Entries()
	if n > 0 && n > (m.end-m.l1Offset)/8 { // a disk of no bytes needs no table
		return badf("the %s does not end inside the file", at("L1 table", m.l1Offset))
	}
	m.l1 = make([]uint64, n)
	return m.readEntries(m.l1Offset, n, func(i int64, entry uint64) error {
		m.l1[i] = entry
		return nil
	})
}

// readEntries reads a table of entries of 8 bytes.
func (m *Image) readEntries(offset, n int64, each func(i int64, entry uint64) error) error {
	buffer := make([]byte, min(n*8, 64<<10))
	for i := int64(0); i < n; {
		b := buffer[:min(int64(len(buffer)), (n-i)*8)]
		if err := m.readFile(b, offset+i*8); err != nil {
			return err
		}
		for ; len(b) > 0; b = b[8:] {
			if err := each(i, binary.BigEndian.Uint64(b)); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

// addRefBlocks adds the refcount blocks to the tables of the file.
func (m *Image) addRefBlocks() error {
	return m.eachRefBlock(func(i, offset int64) error {
		return m.tables.add(&m.header, "refcount block", offset, 1)
	})
}

func (m *Image) eachRefBlock(each func(i, offset int64) error) error {
	n := m.refTableClusters << m.clusterBits / 8
	return m.readEntries(m.refTableOffset, n, func(i int64, entry uint64) error {
		if entry == 0 {
			return nil
		}
		offset, err := m.refBlock(i, entry)
		if err != nil {
			return err
		}
		if offset > m.end-m.cluster() {
			return badf("the %s lies outside the file", at("refcount block", offset))
		}
		return each(i, offset)
	})
}

// readFile fills b from the file. What is behind its end is zeros.
func (m *Image) readFile(b []byte, offset int64) error {
	if offset < 0 || offset > m.end {
		return badf("offset %#x lies outside the file", offset)
	}
	n := int(min(int64(len(b)), m.end-offset))
	clear(b[n:])
	read, err := m.file.ReadAt(b[:n], offset)
	if read == n {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("qcow2: read %d bytes at offset %#x: %w", n, offset, err)
}

// Format is QCOW2.
func (m *Image) Format() disk.Format { return disk.QCOW2 }

// Size is the virtual size in bytes.
func (m *Image) Size() int64 { return m.size }

// table gives the L2 table that maps an offset of the disk; nil when there is
// none.
func (m *Image) table(offset int64) ([]byte, error) {
	number := offset / m.span()
	place := int64(m.l1[number] & maskOffset)
	if place == 0 {
		return nil, nil
	}
	return m.l2.get(number, func() ([]byte, error) { return m.readTable(number, place) })
}

func (m *Image) readTable(number, place int64) ([]byte, error) {
	b := make([]byte, m.cluster())
	if err := m.readFile(b, place); err != nil {
		return nil, err
	}
	if err := m.checkTable(number, b, m.tables, m.end); err != nil {
		return nil, err
	}
	return b, m.note(number, b)
}

// note finds out whether a cluster that a table maps shares its place with one
// that a table read before maps.
func (m *Image) note(number int64, table []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	word, bit := &m.read[number/64], uint64(1)<<(number%64)
	if m.wrong != nil || *word&bit != 0 {
		return m.wrong
	}
	m.wrong = m.used.add(&m.header, table)
	*word |= bit
	return m.wrong
}

// ReadAt reads content of the disk. Compressed clusters are decompressed on all
// cores when more than one is asked for.
func (m *Image) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("qcow2: read at %d of the disk", offset)
	}
	if offset >= m.size {
		return 0, io.EOF
	}
	var atEnd error
	if int64(len(p)) > m.size-offset {
		p, atEnd = p[:m.size-offset], io.EOF
	}
	var tasks []task
	for done := int64(0); done < int64(len(p)); {
		table, err := m.table(offset + done)
		if err != nil {
			return int(done), err
		}
		s := m.segment(table, offset+done, int64(len(p))-done)
		b := p[done : done+min(s.length, int64(len(p))-done)]
		switch {
		case s.kind != disk.Data:
			clear(b)
		case !s.packed:
			err = m.readFile(b, s.host)
		case int64(len(b)) == m.cluster():
			tasks = append(tasks, task{b, func() ([]byte, error) { return m.readPacked(s) }, offset + done})
		default:
			err = m.readPart(b, offset+done, s)
		}
		if err != nil {
			return int(done), err
		}
		done += int64(len(b))
	}
	if len(tasks) > 0 {
		if err := m.unpacker.unpackAll(tasks); err != nil {
			return 0, err
		}
	}
	return len(p), atEnd
}

func (m *Image) readPacked(s segment) ([]byte, error) {
	b := make([]byte, min(s.end, m.end)-s.host)
	return b, m.readFile(b, s.host)
}

// readPart reads some of a compressed cluster.
func (m *Image) readPart(b []byte, offset int64, s segment) error {
	from := offset % m.cluster()
	whole, err := m.unpacked.get(offset-from, func() ([]byte, error) {
		whole := make([]byte, m.cluster())
		return whole, m.unpacker.do(task{whole, func() ([]byte, error) { return m.readPacked(s) }, offset - from})
	})
	copy(b, whole[from:])
	return err
}

// Extents is described at disk.Image. As it reads all tables, it finds all
// clusters that share a place in the file.
func (m *Image) Extents() iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		var e disk.Extent
		for offset := int64(0); offset < m.size; {
			var table []byte
			if place := int64(m.l1[offset/m.span()] & maskOffset); place != 0 {
				var err error
				if table, err = m.readTable(offset/m.span(), place); err != nil {
					yield(disk.Extent{}, err)
					return
				}
			}
			for end := min(m.size, offset+m.span()); offset < end; {
				s := m.segment(table, offset, end-offset)
				s.length = min(s.length, end-offset)
				if s.kind == e.Kind {
					e.Length += s.length
				} else {
					if e.Length > 0 && !yield(e, nil) {
						return
					}
					e = disk.Extent{Offset: offset, Length: s.length, Kind: s.kind}
				}
				offset += s.length
			}
		}
		if e.Length > 0 {
			yield(e, nil)
		}
	}
}
