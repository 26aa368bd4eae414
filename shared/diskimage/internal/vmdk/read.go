package vmdk

import (
	"io"
	"iter"

	"ecs-image-export/shared/diskimage/disk"
)

// ReadAt reads content of the disk.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errOffset
	}
	if off >= m.Size() {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), m.Size()-off))
	for n := 0; n < want; {
		done, err := m.readSome(p[n:want], off+int64(n))
		if err != nil {
			return n, err
		}
		n += done
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// readSome reads from one grain, or from several that follow each other in the
// file.
func (m *image) readSome(p []byte, off int64) (int, error) {
	g, in := off/m.h.grain(), off%m.h.grain()
	entries, err := m.table(g / m.h.entries)
	if err != nil {
		return 0, err
	}
	n := int(min(int64(len(p)), m.h.grain()-in))
	if entries == nil {
		end := (g/m.h.entries + 1) * m.h.entries * m.h.grain()
		n = int(min(int64(len(p)), end-off))
		clear(p[:n])
		return n, nil
	}
	j := g % m.h.entries
	e := entries[j]
	switch {
	case !m.h.stored(e):
		clear(p[:n])
		return n, nil
	case m.h.compressed():
		return n, m.readGrain(p[:n], g, in, entries)
	}
	for k := j + 1; n < len(p) && k < int64(len(entries)) && int64(entries[k]) == int64(e)+(k-j)*m.h.grainSize; k++ {
		n = int(min(int64(len(p)), int64(n)+m.h.grain()))
	}
	return n, readAt(m.r, p[:n], int64(e)*sectorSize+in, "grain")
}

// readGrain reads from compressed grain g.
func (m *image) readGrain(p []byte, g, in int64, entries []uint32) error {
	m.mu.Lock()
	grain, ok := m.grains.get(g)
	m.mu.Unlock()
	if ok {
		copy(p, grain[in:])
		return nil
	}
	whole := int64(len(p)) == m.h.grain()
	if whole {
		grain = p // nobody is going to ask for it again
	} else {
		grain = make([]byte, m.h.grain())
	}
	z := inflaters.Get().(*inflater)
	defer inflaters.Put(z)
	data, err := m.readCompressed(z, g, entries)
	if err != nil {
		return err
	}
	if err := z.inflate(grain, data, m.h, g); err != nil || whole {
		return err
	}
	copy(p, grain[in:])
	m.mu.Lock()
	m.grains.put(g, grain)
	m.mu.Unlock()
	return nil
}

// readCompressed reads the data of grain g, at once if the length that the next
// grain's place lets expect is right.
func (m *image) readCompressed(z *inflater, g int64, entries []uint32) ([]byte, error) {
	j := g % m.h.entries
	start := int64(entries[j])
	n := min(m.h.grainSize/2+1, m.t.fileEnd-start)
	for k := j + 1; k < m.t.in(g/m.h.entries); k++ {
		if next := int64(entries[k]); m.h.stored(entries[k]) {
			if next > start {
				n = min(n, next-start)
			}
			break
		}
	}
	b := z.grow(n*sectorSize, 0)
	if err := readAt(m.r, b, start*sectorSize, "grain"); err != nil {
		return nil, err
	}
	length, err := parseGrainMarker(b, m.h, g)
	if err != nil {
		return nil, err
	}
	total := grainMarker + length
	if m.t.onTable(start, sectors(total)) {
		return nil, formatError("grain %d at sector %d reaches into a table", g, start)
	}
	if err := m.cover(g, uint32(start), sectors(total)); err != nil {
		return nil, err
	}
	if read := int64(len(b)); total > read {
		if total > m.size-start*sectorSize {
			return nil, formatError("grain %d at sector %d lies outside the file", g, start)
		}
		b = z.grow(total, read)
		if err := readAt(m.r, b[read:], start*sectorSize+read, "grain"); err != nil {
			return nil, err
		}
	}
	return b[grainMarker:total], nil
}

// grow returns room for n bytes, of which the first are kept.
func (z *inflater) grow(n, keep int64) []byte {
	if int64(cap(z.room)) < n {
		room := make([]byte, n, n+n/4)
		copy(room, z.room[:keep])
		z.room = room
	}
	z.room = z.room[:n]
	return z.room
}

// Extents tells what is stored, by the grain tables.
func (m *image) Extents() iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		var run disk.Extent
		add := func(g, n int64, kind disk.Kind) bool {
			off := g * m.h.grain()
			length := min(n*m.h.grain(), m.Size()-off)
			if run.Kind == kind {
				run.Length += length
				return true
			}
			if run.Kind != 0 && !yield(run, nil) {
				return false
			}
			run = disk.Extent{Offset: off, Length: length, Kind: kind}
			return true
		}
		err := m.t.all(func(i int64, entries []uint32) error {
			first := i * m.h.entries
			if entries == nil {
				if !add(first, m.t.in(i), disk.Absent) {
					return errStop
				}
				return nil
			}
			if err := m.note(i, entries); err != nil {
				return err
			}
			for j, e := range entries {
				kind := disk.Absent
				switch {
				case m.h.stored(e):
					kind = disk.Data
				case e == entryZeroed:
					kind = disk.Zero
				}
				if !add(first+int64(j), 1, kind) {
					return errStop
				}
			}
			return nil
		})
		switch {
		case err == errStop:
		case err != nil:
			yield(disk.Extent{}, err)
		default:
			yield(run, nil)
		}
	}
}
