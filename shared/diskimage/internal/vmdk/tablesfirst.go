package vmdk

import (
	"bytes"
	"io"
	"math"

	"ecs-image-export/shared/diskimage/disk"
)

// tablesFirst reads the grains of a file by its tables, which come first.
type tablesFirst struct {
	s       *source
	t       *tables
	h       *header
	next    int64    // grain to be looked at
	entries []uint32 // of its table
}

// readTables reads everything in front of the grains, and checks that they
// ascend.
func readTables(s *source, head []byte, h *header, l disk.Limits) (grainReader, error) {
	p, err := readPrefix(s, head, h, l.Memory)
	if err != nil {
		return nil, err
	}
	if err := readDescriptor(p, h, h.overHead); err != nil {
		return nil, err
	}
	t, err := loadTables(p, h, h.overHead, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	if err := t.ascending(); err != nil {
		return nil, err
	}
	return &tablesFirst{s: s, t: t, h: h}, nil
}

// ascending checks that grains lie in the file as on the disk.
func (t *tables) ascending() error {
	length := t.h.grainSize
	if t.h.compressed() {
		length = 1
	}
	last := int64(-length)
	return t.all(func(i int64, entries []uint32) error {
		for j, e := range entries {
			if !t.h.stored(e) {
				continue
			}
			g := i*t.h.entries + int64(j)
			switch {
			case int64(e) >= last+length:
			case int64(e) > last-length:
				return overlap(g, e)
			default:
				return orderError("grain %d at sector %d comes behind another at sector %d", g, e, last)
			}
			last = int64(e)
		}
		return nil
	})
}

func (f *tablesFirst) read(to *load) error {
	for ; f.next < f.h.grains(); f.next++ {
		i, j := f.next/f.h.entries, f.next%f.h.entries
		if j == 0 {
			entries, err := f.t.table(i)
			if err != nil {
				return err
			}
			if f.entries = entries; entries == nil {
				f.next += f.h.entries - 1
				continue
			}
		}
		if e := f.entries[j]; f.h.stored(e) {
			f.next++
			return f.grain(to, f.next-1, int64(e)*sectorSize)
		}
	}
	return io.EOF
}

func (f *tablesFirst) grain(to *load, g, place int64) error {
	if place < f.s.at {
		// The one before had more data than there was room for.
		return overlap(g, uint32(place/sectorSize))
	}
	if err := f.s.skip(place); err != nil {
		return err
	}
	if !f.h.compressed() {
		return to.addPlain(f.s, g)
	}
	var first [sectorSize]byte
	if err := f.s.read(first[:], "grain"); err != nil {
		return err
	}
	if _, err := parseGrainMarker(first[:], f.h, g); err != nil {
		return err
	}
	return to.addCompressed(f.s, g, first[:])
}

// prefix is the part of a file in front of its grains. Chunks of zeros are not
// kept, and neither are the redundant tables of a large disk.
type prefix struct {
	size   int64
	chunks map[int64][]byte
	// What was not kept, in bytes.
	from, to int64
}

const chunkSize = 64 << 10

// readPrefix reads up to the grains; head was read.
func readPrefix(s *source, head []byte, h *header, memory int64) (*prefix, error) {
	p := &prefix{size: h.overHead * sectorSize, chunks: map[int64][]byte{}}
	if p.size > memory/4 && h.flags&flagRedundant != 0 && !h.unclean && h.rgdOffset < h.gdOffset {
		// The redundant directory stays: without it, nobody would see that the
		// other has been lost.
		p.from, p.to = (int64(h.rgdOffset)+h.directorySectors())*sectorSize, int64(h.gdOffset)*sectorSize
	}
	scratch := make([]byte, chunkSize)
	for at := int64(0); at < p.size; at += chunkSize {
		b := scratch[:min(chunkSize, p.size-at)]
		n := 0
		if at == 0 {
			n = copy(b, head)
		}
		if err := s.read(b[n:], "metadata"); err != nil {
			return nil, err
		}
		if zero(b) || at >= p.from && at+chunkSize <= p.to {
			continue
		}
		if memory -= chunkSize; memory < 0 {
			return nil, limitError("the tables need more memory than is allowed")
		}
		p.chunks[at/chunkSize] = bytes.Clone(b)
	}
	return p, nil
}

// ReadAt reads what was kept.
func (p *prefix) ReadAt(b []byte, off int64) (int, error) {
	if off < p.to && off+int64(len(b)) > p.from {
		return 0, orderError("the redundant tables are needed")
	}
	n := 0
	for n < len(b) && off < p.size {
		in := off % chunkSize
		part := b[n:min(int64(len(b)), int64(n)+chunkSize-in, int64(n)+p.size-off)]
		if chunk := p.chunks[off/chunkSize]; chunk == nil {
			clear(part)
		} else {
			copy(part, chunk[in:])
		}
		n += len(part)
		off += int64(len(part))
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
