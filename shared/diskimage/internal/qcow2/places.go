package qcow2

import "sort"

// place is where a compressed cluster lies: the offset of its first byte, and
// below that, in clusterBits-8 bits, the number of sectors that it has besides
// the first. Places that are in order are in the order of the file.
type place uint64

func (h *header) place(e entry) place {
	shift := h.clusterBits - 8
	e.bits &= bitPacked - 1
	return place(e.bits<<shift&(bitPacked-1) | e.bits>>(62-shift))
}

// places are those of compressed clusters that share no byte. Where one ends is
// known in whole sectors: it has the first byte of its last sector, and what
// follows may be a neighbour's.
//
// They are kept in runs, each at least twice as long as the next, so that nothing
// depends on the order in which they come, and those of a file that was written
// in order are one run.
type places struct {
	shift  uint // bits of a place that count sectors
	runs   []run
	budget *int64
}

func (p *places) first(at place) int64 { return int64(at >> p.shift) }

// last is the last byte of a cluster of which it is known.
func (p *places) last(at place) int64 {
	sectors := int64(at & (1<<p.shift - 1))
	if sectors == 0 {
		return p.first(at)
	}
	return (p.first(at)/packedSector + sectors) * packedSector
}

// add adds places that are in order. One that has a byte of another is an error.
func (p *places) add(fresh []place) error {
	if len(fresh) == 0 {
		return nil
	}
	if err := take(p.budget, int64(len(fresh))*8); err != nil {
		return err
	}
	for i, at := range fresh[1:] {
		if err := p.apart(fresh[i], at); err != nil {
			return err
		}
	}
	for _, r := range p.runs {
		if err := p.apartFrom(r, fresh); err != nil {
			return err
		}
	}
	n := len(p.runs)
	if n == 0 || p.runs[n-1].end() > fresh[0] {
		p.runs = append(p.runs, run{})
		n++
	}
	for _, at := range fresh {
		p.runs[n-1].push(at)
	}
	for ; n > 1 && p.runs[n-2].length < 2*p.runs[n-1].length; n-- {
		p.runs[n-2] = merged(p.runs[n-2], p.runs[n-1])
		p.runs = p.runs[:n-1]
	}
	return nil
}

// apart makes sure that two places, the first being that of the lower offset,
// share nothing.
func (p *places) apart(a, b place) error {
	if p.first(b) <= p.last(a) {
		return badf("two compressed clusters of the disk lie at offset %#x", p.first(b))
	}
	return nil
}

func (p *places) apartFrom(r run, fresh []place) error {
	if r.end() < fresh[0] {
		return p.apart(r.end(), fresh[0])
	}
	for _, at := range fresh {
		before, behind := r.around(at)
		if before != nil {
			if err := p.apart(*before, at); err != nil {
				return err
			}
		}
		if behind != nil {
			if err := p.apart(at, *behind); err != nil {
				return err
			}
		}
	}
	return nil
}

// all gives all places in order.
func (p *places) all() run {
	for n := len(p.runs); n > 1; n-- {
		p.runs[n-2] = merged(p.runs[n-2], p.runs[n-1])
		p.runs = p.runs[:n-1]
	}
	if len(p.runs) == 0 {
		return run{}
	}
	return p.runs[0]
}

// run are places in order, none twice. Its pieces keep it from ever being copied
// as a whole.
type run struct {
	pieces [][]place
	length int
}

const runPiece = 4096

func (r *run) push(at place) {
	n := len(r.pieces)
	if n == 0 || len(r.pieces[n-1]) == runPiece {
		r.pieces = append(r.pieces, make([]place, 0, min(r.length, runPiece))) // a short run stays small
		n++
	}
	r.pieces[n-1] = append(r.pieces[n-1], at)
	r.length++
}

// pop takes the first place out. There is one.
func (r *run) pop() place {
	at := r.pieces[0][0]
	if r.pieces[0] = r.pieces[0][1:]; len(r.pieces[0]) == 0 {
		r.pieces = r.pieces[1:]
	}
	r.length--
	return at
}

func (r run) end() place { return r.at(r.length - 1) }

// at gives a place by its number. From a run that pop was used on, none.
func (r run) at(i int) place { return r.pieces[i/runPiece][i%runPiece] }

// around gives the places next to one: the last that is before it, and the first
// that is not; nil when there is none.
func (r run) around(at place) (before, behind *place) {
	n := sort.Search(len(r.pieces), func(i int) bool { return r.pieces[i][0] >= at })
	if n < len(r.pieces) {
		behind = &r.pieces[n][0]
	}
	if n == 0 {
		return nil, behind
	}
	piece := r.pieces[n-1]
	i := sort.Search(len(piece), func(i int) bool { return piece[i] >= at })
	if i < len(piece) {
		behind = &piece[i]
	}
	return &piece[i-1], behind
}

// merged takes the places of two runs.
func merged(a, b run) run {
	var all run
	for a.length > 0 && b.length > 0 {
		if a.pieces[0][0] < b.pieces[0][0] {
			all.push(a.pop())
		} else {
			all.push(b.pop())
		}
	}
	for _, rest := range []*run{&a, &b} {
		for rest.length > 0 {
			all.push(rest.pop())
		}
	}
	return all
}
