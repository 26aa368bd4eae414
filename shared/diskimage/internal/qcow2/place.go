package qcow2

// heldBytes bounds the clusters that wait for a better place.
const heldBytes = 1 << 20

// placer decides where the clusters of an L2 table lie. It knows only their sizes,
// so it is asked twice: when they are written, and for the head.
//
// A cluster that is not compressed needs a multiple of its size, and the rest of
// the cluster of the file before it would be lost: so it waits until compressed
// ones that come later have filled that.
type placer struct {
	cluster int64
	at      int64 // offset of the next free byte behind the head
	held    []int64
	// place is called for each cluster in the order of the file.
	place func(index, from int64, size int32)
}

func (p *placer) add(index int64, size int32) {
	room := -p.at & (p.cluster - 1)
	if size != plain {
		if len(p.held) > 0 && int64(size) > room {
			p.flush()
		}
		p.place(index, p.at, size)
		p.at += int64(size)
		return
	}
	p.held = append(p.held, index)
	if room == 0 || int64(len(p.held)) >= heldBytes/p.cluster {
		p.flush()
	}
}

// flush places what waits. It is called at the end of each L2 table.
func (p *placer) flush() {
	if len(p.held) == 0 {
		return
	}
	p.at += -p.at & (p.cluster - 1)
	for _, index := range p.held {
		p.place(index, p.at, plain)
		p.at += p.cluster
	}
	p.held = p.held[:0]
}
