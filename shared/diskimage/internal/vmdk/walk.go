package vmdk

import (
	"io"
	"math"
	"slices"

	"ecs-image-export/shared/diskimage/disk"
)

// walk reads a stream of markers. Each grain table that comes must be that of
// grains that came, the directory must name these tables, and the footer the
// directory. Tables may come behind their grains, or all of them at the end.
type walk struct {
	s *source
	h *header
	l disk.Limits

	memory    int64
	last      int64    // grain that came last
	open      []*seen  // tables that have to come, in order; some that have come
	directory []uint32 // places of those that have
	empty     map[uint32]bool
	place     int64 // of the directory
	footer    bool
	sector    [sectorSize]byte
}

// seen is a table as it has to be, by the grains that came.
type seen struct {
	index       int64
	first, last uint32   // places of grains
	entries     []uint32 // nil: the table has come
}

func newWalk(s *source, h *header, l disk.Limits) (grainReader, error) {
	if h.descriptorOffset+h.descriptorSize > h.overHead {
		return nil, orderError("the descriptor does not come before the grains")
	}
	if h.descriptorOffset == 0 || h.descriptorSize == 0 {
		return nil, errSplit
	}
	if err := s.skip(h.descriptorOffset * sectorSize); err != nil {
		return nil, err
	}
	b := make([]byte, h.descriptorSize*sectorSize)
	if err := s.read(b, "the descriptor"); err != nil {
		return nil, err
	}
	if err := checkDescriptor(b, h); err != nil {
		return nil, err
	}
	if err := s.skip(h.overHead * sectorSize); err != nil {
		return nil, err
	}
	return &walk{
		s: s, h: h, l: l, memory: l.Memory - 4*h.tables(), last: -1,
		directory: make([]uint32, h.tables()), empty: map[uint32]bool{},
	}, nil
}

func (w *walk) read(to *load) error {
	for {
		// A file of which the header names the directory needs no more than that.
		if w.place != 0 && w.h.gdOffset != gdAtEnd {
			if ended, err := w.s.ended(); err != nil {
				return err
			} else if ended {
				return io.EOF
			}
		}
		at := w.s.at / sectorSize
		if err := w.s.read(w.sector[:], "a marker"); err != nil {
			return err
		}
		m := parseMarker(w.sector[:])
		if m.size != 0 {
			return w.grain(to, m, at)
		}
		if err := w.metadata(m, at); err != nil {
			return err
		}
	}
}

// grain takes the grain that the marker in sector at begins.
func (w *walk) grain(to *load, m marker, at int64) error {
	switch {
	case m.value >= uint64(w.h.capacity) || m.value%uint64(w.h.grainSize) != 0:
		return formatError("the marker at sector %d is of a grain at sector %d of the disk", at, m.value)
	case at > math.MaxUint32:
		return formatError("a grain at sector %d, where no table reaches", at)
	case w.place != 0:
		return formatError("a grain at sector %d, behind the directory", at)
	}
	g := int64(m.value) / w.h.grainSize
	switch {
	case g == w.last:
		return formatError("grain %d comes twice, the second time at sector %d", g, at)
	case g < w.last:
		return orderError("grain %d comes after grain %d", g, w.last)
	}
	w.last = g
	i := g / w.h.entries
	if w.directory[i] != 0 {
		return formatError("grain %d comes after its table", g)
	}
	if n := len(w.open); n == 0 || w.open[n-1].index != i {
		if err := w.charge(4*w.h.entries + 64); err != nil {
			return err
		}
		w.open = append(w.open, &seen{index: i, first: uint32(at), entries: make([]uint32, w.h.entries)})
	}
	s := w.open[len(w.open)-1]
	s.last = uint32(at)
	s.entries[g%w.h.entries] = uint32(at)
	return to.addCompressed(w.s, g, w.sector[:])
}

func (w *walk) charge(n int64) error {
	if w.memory -= n; w.memory < 0 {
		return limitError("the tables need more memory than is allowed")
	}
	return nil
}

// metadata takes what the marker in sector at announces. At the end of the
// stream, it returns io.EOF.
func (w *walk) metadata(m marker, at int64) error {
	want := uint64(0)
	switch m.kind {
	case markerTable:
		want = uint64(w.h.tableSectors())
	case markerDirectory:
		want = uint64(w.h.directorySectors())
	case markerFooter:
		want = 1
	case markerUnknown:
		if m.value > math.MaxUint32 {
			return formatError("the marker at sector %d announces %d sectors", at, m.value)
		}
		return w.s.skip((at + 1 + int64(m.value)) * sectorSize)
	case markerEnd:
	default:
		return formatError("a marker of type %d at sector %d", m.kind, at)
	}
	if m.value != want {
		return formatError("the marker of type %d at sector %d announces %d sectors, not %d", m.kind, at, m.value, want)
	}
	if at >= math.MaxUint32 {
		return formatError("metadata at sector %d, where no table reaches", at)
	}
	switch m.kind {
	case markerTable:
		return w.table(uint32(at + 1))
	case markerDirectory:
		return w.grainDirectory(at + 1)
	case markerFooter:
		return w.footerAt(at + 1)
	}
	return w.end()
}

func (w *walk) readEntries(n, space int64, what string) ([]uint32, error) {
	entries := make([]uint32, n)
	b := make([]byte, min(space, chunkSize))
	for done := int64(0); space > 0; {
		part := b[:min(space, chunkSize)]
		if err := w.s.read(part, what); err != nil {
			return nil, err
		}
		space -= int64(len(part))
		count := min(n-done, int64(len(part)/4))
		decodeEntries(entries[done:done+count], part)
		done += count
	}
	return entries, nil
}

// table takes the grain table at a sector.
func (w *walk) table(place uint32) error {
	entries, err := w.readEntries(w.h.entries, w.h.tableSectors()*sectorSize, "grain table")
	if err != nil {
		return err
	}
	for i, e := range entries {
		if !w.h.stored(e) {
			entries[i] = 0
		}
	}
	first := slices.IndexFunc(entries, func(e uint32) bool { return e != 0 })
	if first < 0 {
		w.empty[place] = true
		return w.charge(64)
	}
	// The table that the grain belongs to; they ascend.
	k, found := slices.BinarySearchFunc(w.open, entries[first], func(s *seen, e uint32) int {
		switch {
		case s.last < e:
			return -1
		case s.first > e:
			return 1
		}
		return 0
	})
	if !found || !slices.Equal(w.open[k].entries, entries) {
		return formatError("the grain table at sector %d is of other grains than came", place)
	}
	w.directory[w.open[k].index] = place
	w.open[k].entries = nil
	w.memory += 4 * w.h.entries
	// Those between others stay, as to close the gap would mean to move the rest
	// for each of them.
	for len(w.open) > 0 && w.open[0].entries == nil {
		w.open[0], w.open = nil, w.open[1:]
		w.memory += 64
	}
	return nil
}

// grainDirectory takes the grain directory at a sector.
func (w *walk) grainDirectory(place int64) error {
	switch {
	case w.place != 0:
		return formatError("a second grain directory at sector %d", place)
	case len(w.open) > 0:
		return formatError("a grain directory at sector %d, but no grain table %d", place, w.open[0].index)
	case w.h.gdOffset != gdAtEnd && w.h.gdOffset != uint64(place):
		return formatError("a grain directory at sector %d, not at %d", place, w.h.gdOffset)
	}
	w.place = place
	if err := w.charge(4 * w.h.tables()); err != nil {
		return err
	}
	entries, err := w.readEntries(w.h.tables(), w.h.directorySectors()*sectorSize, "grain directory")
	if err != nil {
		return err
	}
	for i, e := range entries {
		if e != w.directory[i] && (w.directory[i] != 0 || !w.empty[e]) {
			return formatError("entry %d of the grain directory is sector %d, not %d", i, e, w.directory[i])
		}
	}
	return nil
}

func (w *walk) footerAt(place int64) error {
	if err := w.s.read(w.sector[:], "the footer"); err != nil {
		return err
	}
	f, err := parseFooter(w.sector[:], w.h, w.l)
	if err != nil {
		return err
	}
	if f.gdOffset != uint64(w.place) {
		return formatError("the footer at sector %d names a grain directory at sector %d, not %d", place, f.gdOffset, w.place)
	}
	w.footer = true
	return nil
}

func (w *walk) end() error {
	switch {
	case w.place == 0:
		return formatError("the stream ends without a grain directory")
	case w.h.gdOffset == gdAtEnd && !w.footer:
		return formatError("the stream ends without a footer")
	}
	if ended, err := w.s.ended(); err != nil {
		return err
	} else if !ended {
		return formatError("something follows the end of the stream at offset %#x", w.s.at)
	}
	return io.EOF
}
