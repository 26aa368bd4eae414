package vmdk

import "errors"

// errStop ends an iteration that nobody wants to go on with.
var errStop = errors.New("stop")

// places finds grains that overlap in the file, in any order. The file is divided
// into units of the length of a grain, or of one sector if grains are compressed.
// In a unit begins one grain at most.
//
// How long a compressed grain is, is known only when it is read: then it covers
// sectors besides its first. What lies within is found when the second of both
// comes to be known.
type places struct {
	unit   int64
	memory int64              // that may still be used
	chunks map[int64][]uint16 // for unit u, in chunk u>>chunkBits: 1 + the sector within it where a grain begins
	begins bitmap             // the same for units of one sector
	covers bitmap             // sectors of grains that were read, without their first
}

const chunkBits = 16

func newPlaces(h *header, memory int64) *places {
	p := &places{unit: h.grainSize, memory: memory, chunks: map[int64][]uint16{}, begins: bitmap{}, covers: bitmap{}}
	if h.compressed() {
		p.unit = 1
	}
	return p
}

// take marks the place of grain g.
func (p *places) take(sector uint32, g int64) error {
	u, in := int64(sector)/p.unit, int64(sector)%p.unit
	if p.unit == 1 {
		if p.begins.has(u) || p.covers.has(u) {
			return overlap(g, sector)
		}
		return p.mark(p.begins, u)
	}
	// A grain in the unit before reaches into this one by what it begins late, and
	// this one into the next.
	if p.at(u) != 0 || int64(p.at(u-1))-1 > in || p.at(u+1) != 0 && int64(p.at(u+1))-1 < in {
		return overlap(g, sector)
	}
	chunk := p.chunks[u>>chunkBits]
	if chunk == nil {
		if err := p.charge(2 << chunkBits); err != nil {
			return err
		}
		chunk = make([]uint16, 1<<chunkBits)
		p.chunks[u>>chunkBits] = chunk
	}
	chunk[u&(1<<chunkBits-1)] = uint16(in) + 1
	return nil
}

// cover takes the n sectors of a compressed grain whose first has been taken.
func (p *places) cover(sector uint32, n, g int64) error {
	first := int64(sector) + 1
	if n < 2 || p.covers.has(first) {
		return nil // it was read before: no other grain could have begun there
	}
	for u := first; u < int64(sector)+n; u++ {
		if p.begins.has(u) || p.covers.has(u) {
			return overlap(g, sector)
		}
	}
	for u := first; u < int64(sector)+n; u++ {
		if err := p.mark(p.covers, u); err != nil {
			return err
		}
	}
	return nil
}

// bitmap is a set of sectors.
type bitmap map[int64]*[1 << chunkBits / 64]uint64

func (b bitmap) has(u int64) bool {
	bits := b[u>>chunkBits]
	return bits != nil && bits[u>>6&(1<<chunkBits/64-1)]&(1<<(u&63)) != 0
}

func (p *places) mark(b bitmap, u int64) error {
	bits := b[u>>chunkBits]
	if bits == nil {
		if err := p.charge(1 << chunkBits / 8); err != nil {
			return err
		}
		bits = new([1 << chunkBits / 64]uint64)
		b[u>>chunkBits] = bits
	}
	bits[u>>6&(1<<chunkBits/64-1)] |= 1 << (u & 63)
	return nil
}

func (p *places) at(u int64) uint16 {
	if u < 0 {
		return 0
	}
	chunk := p.chunks[u>>chunkBits]
	if chunk == nil {
		return 0
	}
	return chunk[u&(1<<chunkBits-1)]
}

func (p *places) charge(n int64) error {
	if p.memory -= n; p.memory < 0 {
		return limitError("too many grains to be checked in the memory allowed")
	}
	return nil
}

func overlap(g int64, sector uint32) error {
	return formatError("grain %d at sector %d overlaps another", g, sector)
}
