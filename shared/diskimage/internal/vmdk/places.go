package vmdk

import "errors"

// errStop ends an iteration that nobody wants to go on with.
var errStop = errors.New("stop")

// places finds grains that overlap in the file, in any order. The file is divided
// into units of the length of a grain, or of one sector if grains are compressed,
// for then their lengths are not known. In a unit begins one grain at most.
type places struct {
	unit   int64
	memory int64              // that may still be used
	chunks map[int64][]uint16 // for unit u, in chunk u>>chunkBits: 1 + the sector within it where a grain begins
	bits   map[int64][]uint64 // the same for units of one sector
}

const chunkBits = 16

func newPlaces(h *header, memory int64) *places {
	p := &places{unit: h.grainSize, memory: memory, chunks: map[int64][]uint16{}, bits: map[int64][]uint64{}}
	if h.compressed() {
		p.unit = 1
	}
	return p
}

// take marks the place of grain g.
func (p *places) take(sector uint32, g int64) error {
	u, in := int64(sector)/p.unit, int64(sector)%p.unit
	if p.unit == 1 {
		bits := p.bits[u>>chunkBits]
		if bits == nil {
			if err := p.charge(1 << chunkBits / 8); err != nil {
				return err
			}
			bits = make([]uint64, 1<<chunkBits/64)
			p.bits[u>>chunkBits] = bits
		}
		word, bit := &bits[u>>6&(1<<chunkBits/64-1)], uint64(1)<<(u&63)
		if *word&bit != 0 {
			return overlap(g, sector)
		}
		*word |= bit
		return nil
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
