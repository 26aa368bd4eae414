package qcow2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"ecs-image-export/shared/diskimage/disk"
)

const (
	// pieceSize bounds a piece, and what is decompressed at once.
	pieceSize = 2 << 20
	// tolerance is how much of the file stays at hand after it was read, for
	// clusters that come a little too early. It holds any cluster.
	tolerance  = 4 << 20
	bufferSize = 16 << 20
)

// Stream is a QCOW2 image that is read once.
type Stream struct {
	header
	file     io.Reader
	budget   int64 // bytes of tables that may still be kept
	l1       []uint64
	tables   tables
	used     *contents
	unpacker *unpacker

	// The last bytes that were read from the file, which begin at start.
	buffer []byte
	start  int64
	ended  bool

	// The L2 tables in the order of the file, and what is kept of those that
	// were met before they were needed.
	ahead []tablePlace
	kept  map[int64][]byte

	// What comes of the refcount table, refAt being the next entry, and the
	// blocks it named that have not been compared with the other tables.
	refAt, refEnd int64
	refBlocks     []int64
	tablesEnd     int64 // of the refcount blocks in the file

	table  []byte // that maps at; nil: none
	loaded bool   // table belongs to at
	at     int64  // offset of the disk that comes next
	piece  []byte
	err    error
}

// tablePlace says where an L2 table lies.
type tablePlace struct{ number, offset int64 }

var _ disk.Stream = (*Stream)(nil)

// NewStream begins to read an image.
func NewStream(r io.Reader, l disk.Limits) (*Stream, error) {
	l = l.WithDefaults()
	s := &Stream{file: r, budget: l.Memory, kept: map[int64][]byte{}}
	head, err := s.upTo(0, headerSize)
	if err != nil {
		return nil, err
	}
	if s.header, err = parseHeader(head, l); err != nil {
		return nil, err
	}
	s.refAt = s.refTableOffset
	s.refEnd = s.refAt + s.refTableClusters<<s.clusterBits
	if err := s.readL1(); err != nil {
		return nil, err
	}
	if s.tables, err = metadata(&s.header, s.l1, &s.budget); err != nil {
		return nil, err
	}
	s.used = newContents(&s.header, s.tables, &s.budget)
	for i, entry := range s.l1 {
		if offset := int64(entry & maskOffset); offset != 0 {
			s.ahead = append(s.ahead, tablePlace{int64(i), offset})
		}
	}
	slices.SortFunc(s.ahead, func(a, b tablePlace) int { return int(min(1, max(-1, a.offset-b.offset))) })
	if err := s.keepTables(); err != nil {
		return nil, err
	}
	s.unpacker, err = newUnpacker(&s.header)
	return s, err
}

func (s *Stream) readL1() error {
	n := s.l1Entries()
	if err := take(&s.budget, n*(8+16)); err != nil { // with ahead
		return err
	}
	for int64(len(s.l1)) < n {
		b, err := s.exactly("L1 table", s.l1Offset+int64(len(s.l1))*8, min(64<<10, (n-int64(len(s.l1)))*8))
		if err != nil {
			return err
		}
		for ; len(b) > 0; b = b[8:] {
			s.l1 = append(s.l1, binary.BigEndian.Uint64(b))
		}
	}
	return nil
}

// Format is QCOW2.
func (s *Stream) Format() disk.Format { return disk.QCOW2 }

// Size is the virtual size in bytes.
func (s *Stream) Size() int64 { return s.size }

// Close has nothing to end: the file is read in Next.
func (s *Stream) Close() {}

// Next is described at disk.Stream. At the end of the disk it reads the file to
// its end.
func (s *Stream) Next() (disk.Piece, error) {
	if s.err != nil {
		return disk.Piece{}, s.err
	}
	p, err := s.next()
	s.err = err
	return p, err
}

func (s *Stream) next() (disk.Piece, error) {
	for s.at < s.size {
		if err := s.load(); err != nil {
			return disk.Piece{}, err
		}
		g := s.segment(s.table, s.at, min(pieceSize, s.size-s.at))
		if g.kind != disk.Data {
			s.skip(g.length)
			continue
		}
		offset := s.at
		if g.packed {
			data, err := s.unpackRun()
			return disk.Piece{Offset: offset, Data: data}, err
		}
		data, err := s.exactly("content", g.host, g.length)
		s.skip(g.length)
		return disk.Piece{Offset: offset, Data: data}, err
	}
	return disk.Piece{}, s.drain()
}

// skip goes on by n bytes of the disk, which do not go over the end of a table.
func (s *Stream) skip(n int64) {
	s.at += n
	if s.at%s.span() == 0 {
		s.loaded = false
	}
}

// load gets the L2 table that maps the next offset.
func (s *Stream) load() error {
	if s.loaded {
		return nil
	}
	number := s.at / s.span()
	offset := int64(s.l1[number] & maskOffset)
	s.table, s.loaded = nil, true
	if offset == 0 {
		return nil
	}
	table, ok := s.kept[number]
	if ok {
		delete(s.kept, number)
		s.budget += s.cluster()
	} else {
		b, err := s.exactly("L2 table", offset, s.cluster())
		if err != nil {
			return err
		}
		table = slices.Clone(b)
	}
	// How long the file is will be seen when it ends.
	const end = math.MaxInt64
	if err := s.checkTable(number, table, s.tables, end); err != nil {
		return err
	}
	s.table = table
	return s.used.add(&s.header, table)
}

// unpackRun decompresses clusters of the disk that follow each other, in the file
// too.
func (s *Stream) unpackRun() ([]byte, error) {
	var run []segment
	first := s.at
	for {
		g := s.segment(s.table, s.at, s.cluster())
		if !g.packed || len(run) > 0 && (g.host < run[len(run)-1].host || g.end-run[0].host > tolerance) {
			break
		}
		run = append(run, g)
		s.skip(s.cluster())
		if !s.loaded || s.at >= s.size || s.at-first >= pieceSize {
			break
		}
	}
	from := run[0].host
	packed, err := s.upTo(from, run[len(run)-1].end-from)
	if err != nil {
		return nil, err
	}
	size := len(run) << s.clusterBits
	if cap(s.piece) < size {
		s.piece = make([]byte, size)
	}
	var tasks []task
	for i, g := range run {
		source := packed[min(g.host-from, int64(len(packed))):min(g.end-from, int64(len(packed)))]
		tasks = append(tasks, task{
			cluster: s.piece[i<<s.clusterBits:][:s.cluster()],
			packed:  func() ([]byte, error) { return source, nil },
			offset:  first + int64(i)<<s.clusterBits,
		})
	}
	err = s.unpacker.unpackAll(tasks)
	return s.piece[:min(int64(size), s.size-first)], err
}

// exactly gives n bytes of the file.
func (s *Stream) exactly(what string, offset, n int64) ([]byte, error) {
	b, err := s.upTo(offset, n)
	if err == nil && int64(len(b)) < n {
		return nil, badf("the %s lies outside the file", at(what, offset))
	}
	return b, err
}

// upTo gives n bytes of the file, or fewer where it ends. They are valid until the
// next call. n is at most tolerance.
func (s *Stream) upTo(offset, n int64) ([]byte, error) {
	if offset < s.start {
		return nil, orderf("what the file has at offset %#x is needed after offset %#x", offset, s.start+int64(len(s.buffer)))
	}
	if err := s.readTo(offset + n); err != nil {
		return nil, err
	}
	end := s.start + int64(len(s.buffer))
	if offset >= end {
		return nil, badf("offset %#x lies outside the file of %d bytes", offset, end)
	}
	return s.buffer[offset-s.start : min(offset+n, end)-s.start], nil
}

// readTo reads the file up to an offset or its end, and keeps the L2 tables that
// it meets.
func (s *Stream) readTo(to int64) error {
	for !s.ended && s.start+int64(len(s.buffer)) < to {
		if n := cap(s.buffer); len(s.buffer) == n && n < bufferSize {
			s.buffer = append(make([]byte, 0, max(256<<10, min(4*n, bufferSize))), s.buffer...)
		} else if len(s.buffer) == n {
			// No caller asks for more than this, so what it asks for stays.
			left := copy(s.buffer, s.buffer[len(s.buffer)-tolerance:])
			s.start += int64(len(s.buffer) - left)
			s.buffer = s.buffer[:left]
		}
		n := min(int64(cap(s.buffer)-len(s.buffer)), to-s.start-int64(len(s.buffer)), 1<<20)
		got, err := io.ReadFull(s.file, s.buffer[len(s.buffer):][:n])
		s.buffer = s.buffer[:len(s.buffer)+got]
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			s.ended = true
		default:
			return fmt.Errorf("qcow2: read at offset %#x: %w", s.start+int64(len(s.buffer)), err)
		}
		if err := s.keepTables(); err != nil {
			return err
		}
	}
	return nil
}

// keepRefBlocks finds out what lies on a refcount block, as the refcount table
// comes by.
func (s *Stream) keepRefBlocks() error {
	for end := s.start + int64(len(s.buffer)); s.refAt < s.refEnd && s.refAt+8 <= end; s.refAt += 8 {
		entry := binary.BigEndian.Uint64(s.buffer[s.refAt-s.start:])
		if entry == 0 {
			continue
		}
		offset, err := s.refBlock((s.refAt-s.refTableOffset)/8, entry)
		if err == nil {
			err = take(&s.budget, 8)
		}
		if err != nil {
			return err
		}
		s.refBlocks = append(s.refBlocks, offset)
	}
	if s.used == nil {
		return nil // the L1 table comes later
	}
	for _, offset := range s.refBlocks {
		if err := s.tables.add(&s.header, "refcount block", offset, 1); err != nil {
			return err
		}
		if n := offset >> s.clusterBits; s.used.plain.has(n) || s.used.packed.has(n) {
			return badf("content of the disk lies on the %s", at("refcount block", offset))
		}
		s.tablesEnd = max(s.tablesEnd, offset+s.cluster())
	}
	s.budget += int64(len(s.refBlocks)) * 8
	s.refBlocks = s.refBlocks[:0]
	return nil
}

// keepTables keeps the L2 tables that have been read and will be needed.
func (s *Stream) keepTables() error {
	if err := s.keepRefBlocks(); err != nil {
		return err
	}
	end := s.start + int64(len(s.buffer))
	for len(s.ahead) > 0 && s.ahead[0].offset+s.cluster() <= end {
		t := s.ahead[0]
		s.ahead = s.ahead[1:]
		// It may be the one that is being loaded, or have been loaded before the
		// L1 table was complete; or lie so far before it that it is gone.
		if t.number <= s.at/s.span() || t.offset < s.start {
			continue
		}
		if err := take(&s.budget, s.cluster()); err != nil {
			return err
		}
		s.kept[t.number] = slices.Clone(s.buffer[t.offset-s.start:][:s.cluster()])
	}
	return nil
}

// drain reads what is left of the file, which the content does not need.
func (s *Stream) drain() error {
	if err := s.readTo(1 << 62); err != nil {
		return err
	}
	if s.refAt < s.refEnd {
		return badf("the %s does not end inside the file", at("refcount table", s.refTableOffset))
	}
	if s.tablesEnd > s.start+int64(len(s.buffer)) {
		return badf("a refcount block that ends at offset %#x lies outside the file", s.tablesEnd)
	}
	return io.EOF
}
