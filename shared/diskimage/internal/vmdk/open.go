package vmdk

import (
	"errors"
	"io"
	"sync"

	"ecs-image-export/shared/diskimage/disk"
)

// image is a file with random access.
type image struct {
	r    io.ReaderAt
	size int64 // of the file
	h    *header
	t    *tables

	mu     sync.Mutex
	cached cache[[]uint32] // grain tables
	grains cache[[]byte]   // decompressed grains
	seen   []uint64        // a bit for each grain table that was read
	used   *places         // of the grains in them
	wrong  error           // what was found among them
}

// Open reads what is needed to find everything else in a file of size bytes.
func Open(r io.ReaderAt, size int64, l disk.Limits) (disk.Image, error) {
	l = l.WithDefaults()
	head := make([]byte, max(0, min(size, sectorSize)))
	if err := readAt(r, head, 0, "the header"); err != nil {
		return nil, err
	}
	h, err := openHeader(head, l)
	if err != nil {
		return nil, err
	}
	if err := readDescriptor(r, h, size/sectorSize); err != nil {
		return nil, err
	}
	if h.gdOffset == gdAtEnd {
		if h, err = openFooter(r, size, h, l); err != nil {
			return nil, err
		}
	}
	fileEnd := size / sectorSize
	if h.overHead > fileEnd {
		return nil, formatError("the file has %d sectors, its overhead alone %d", fileEnd, h.overHead)
	}
	t, err := loadTables(r, h, min(fileEnd, h.farthest()), fileEnd)
	if err != nil {
		return nil, err
	}
	// Directories, their copy while it is sorted, and what is seen.
	memory := l.Memory - 16*h.tables()
	return &image{
		r: r, size: size, h: h, t: t,
		seen: make([]uint64, (h.tables()+63)/64), used: newPlaces(h, memory),
		cached: cache[[]uint32]{most: 1024},
		grains: cache[[]byte]{most: 8},
	}, nil
}

// openHeader reads the first sector of a file, which may be shorter.
func openHeader(head []byte, l disk.Limits) (*header, error) {
	if what := family(head); what != "" {
		return nil, unsupported("%s", what)
	}
	if len(head) < sectorSize {
		return nil, formatError("the file has %d bytes, less than a header", len(head))
	}
	return parseHeader(head, "header", l)
}

// readDescriptor reads and checks the embedded descriptor, which has to lie
// within so many sectors.
func readDescriptor(r io.ReaderAt, h *header, end int64) error {
	if h.descriptorOffset == 0 || h.descriptorSize == 0 {
		return errSplit
	}
	if h.descriptorOffset+h.descriptorSize > end {
		return formatError("the descriptor, %d sectors at sector %d, lies outside %d sectors", h.descriptorSize, h.descriptorOffset, end)
	}
	text := make([]byte, h.descriptorSize*sectorSize)
	if err := readAt(r, text, h.descriptorOffset*sectorSize, "the descriptor"); err != nil {
		return err
	}
	return checkDescriptor(text, h)
}

// openFooter reads the footer, a second header at the end of the file between a
// marker and the end-of-stream marker. It takes precedence over the header.
func openFooter(r io.ReaderAt, size int64, h *header, l disk.Limits) (*header, error) {
	if size%sectorSize != 0 || size < 4*sectorSize {
		return nil, formatError("a file of %d bytes cannot end with a footer", size)
	}
	b := make([]byte, 3*sectorSize)
	if err := readAt(r, b, size-int64(len(b)), "the footer"); err != nil {
		return nil, err
	}
	if m := parseMarker(b); m.size != 0 || m.kind != markerFooter || m.value != 1 {
		return nil, formatError("no footer marker in front of the file's last two sectors")
	}
	if m := parseMarker(b[2*sectorSize:]); m != (marker{}) {
		return nil, formatError("no end-of-stream marker in the file's last sector")
	}
	return parseFooter(b[sectorSize:], h, l)
}

// parseFooter reads a footer, which has to say what the header said but for the
// place of the grain directory.
func parseFooter(b []byte, h *header, l disk.Limits) (*header, error) {
	f, err := parseHeader(b, "footer", l)
	if err != nil {
		return nil, err
	}
	if f.gdOffset == gdAtEnd {
		return nil, formatError("the footer does not say where the grain directory is")
	}
	// A footer repeats the header. What is read by it has to be the same.
	if f.flags != h.flags || f.capacity != h.capacity || f.grainSize != h.grainSize ||
		f.entries != h.entries || f.overHead != h.overHead || f.compression != h.compression {
		return nil, formatError("the footer differs from the header")
	}
	return f, nil
}

func (m *image) Format() disk.Format { return disk.VMDK }
func (m *image) Size() int64         { return m.h.size() }

// table returns grain table i, nil if there is none or nothing in it. It is not
// changed any more.
func (m *image) table(i int64) ([]uint32, error) {
	m.mu.Lock()
	entries, ok := m.cached.get(i)
	m.mu.Unlock()
	if ok {
		return entries, nil
	}
	if m.t.directory[i] == 0 {
		return nil, nil // which need not be remembered
	}
	entries, err := m.t.table(i)
	if err == nil && entries != nil {
		err = m.note(i, entries[:m.t.in(i)])
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.cached.put(i, entries)
	m.mu.Unlock()
	return entries, nil
}

// note finds grains of a table that share a place with others of it or of tables
// read before.
func (m *image) note(i int64, entries []uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	word, bit := &m.seen[i/64], uint64(1)<<(i%64)
	if m.wrong != nil || *word&bit != 0 {
		return m.wrong
	}
	for j, e := range entries {
		if m.h.stored(e) && m.wrong == nil {
			m.wrong = m.used.take(e, i*m.h.entries+int64(j))
		}
	}
	*word |= bit
	return m.wrong
}

// cover does the same for the sectors of a compressed grain that was read.
func (m *image) cover(g int64, sector uint32, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wrong == nil {
		m.wrong = m.used.cover(sector, n, g)
	}
	return m.wrong
}

// cache keeps the values that were put in last.
type cache[T any] struct {
	most   int
	values map[int64]T
	order  []int64 // a ring of the keys
	next   int
}

func (c *cache[T]) get(key int64) (T, bool) {
	v, ok := c.values[key]
	return v, ok
}

func (c *cache[T]) put(key int64, v T) {
	if c.values == nil {
		c.values = make(map[int64]T)
	}
	if _, ok := c.values[key]; ok {
		return
	}
	c.values[key] = v
	if len(c.order) < c.most {
		c.order = append(c.order, key)
		return
	}
	delete(c.values, c.order[c.next])
	c.order[c.next] = key
	c.next = (c.next + 1) % c.most
}

var (
	errOffset = errors.New("vmdk: negative offset")
	errSplit  = unsupported("no descriptor in it: a part of a split disk")
)
