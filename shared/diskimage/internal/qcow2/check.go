package qcow2

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Check reads all tables and compares the refcounts with what is used: no cluster
// may be used more often than it is counted. Clusters that are counted and not
// used are no error; they belong to snapshots or bitmaps, or were lost, which
// harms nobody. With the dirty bit the refcounts are not looked at, as a writer
// was about to repair them. A wrong structure is ErrFormat.
func (m *Image) Check() error {
	budget := m.limits.Memory
	used := newContents(m.tables, &budget)
	packed := map[int64]*[pageClusters]uint16{} // how often, for compressed clusters
	for i, l1 := range m.l1 {
		place := int64(l1 & maskOffset)
		if place == 0 {
			continue
		}
		table, err := m.readTable(int64(i), place)
		if err != nil {
			return err
		}
		if err := used.add(&m.header, table); err != nil {
			return err
		}
		if err := m.countPacked(table, packed, &budget); err != nil {
			return err
		}
	}
	if m.dirty {
		return nil
	}
	return m.checkRefcounts(used, packed)
}

func (m *Image) countPacked(table []byte, packed map[int64]*[pageClusters]uint16, budget *int64) error {
	for i := range m.l2Entries() {
		e := m.entry(table, i)
		if !e.packed() {
			continue
		}
		from, to := m.packedRange(e)
		for c := from >> m.clusterBits; c <= (to-1)>>m.clusterBits; c++ {
			page := packed[c/pageClusters]
			if page == nil {
				if err := take(budget, pageClusters*2); err != nil {
					return err
				}
				page = new([pageClusters]uint16)
				packed[c/pageClusters] = page
			}
			if n := &page[c%pageClusters]; *n < 1<<16-1 {
				*n++
			}
		}
	}
	return nil
}

func (m *Image) checkRefcounts(used *contents, packed map[int64]*[pageClusters]uint16) error {
	blocks := map[int64]int64{}
	if err := m.eachRefBlock(func(i, offset int64) error {
		blocks[i] = offset
		return nil
	}); err != nil {
		return err
	}
	pages := map[int64]bool{}
	for _, set := range []*clusterSet{used.tables.set, used.plain, used.packed} {
		for number := range set.pages {
			pages[number] = true
		}
	}
	numbers := make([]int64, 0, len(pages))
	for number := range pages {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)

	inBlock := m.cluster() * 8 >> m.refOrder
	block, loaded := make([]byte, m.cluster()), int64(-1)
	for _, number := range numbers {
		for c := number * pageClusters; c < (number+1)*pageClusters; c++ {
			want := uint64(0)
			switch {
			case used.packed.has(c):
				want = uint64(packed[number][c%pageClusters])
			case used.plain.has(c) || used.tables.set.has(c):
				want = 1
			default:
				continue
			}
			if c/inBlock != loaded {
				loaded = c / inBlock
				clear(block)
				if offset, ok := blocks[loaded]; ok {
					if err := m.readFile(block, offset); err != nil {
						return fmt.Errorf("refcount block %d: %w", loaded, err)
					}
				}
			}
			if got := refcount(block, c%inBlock, m.refOrder); got < want {
				return badf("the %s is used %d times, its refcount is %d", at("cluster", c<<m.clusterBits), want, got)
			}
		}
	}
	return nil
}

// refcount reads an entry of a refcount block. Entries of less than a byte begin
// with the least significant bits.
func refcount(block []byte, i int64, order uint) uint64 {
	switch order {
	case 0, 1, 2:
		bits := int64(1) << order
		return uint64(block[i*bits/8]) >> (i * bits % 8) & (1<<bits - 1)
	case 3:
		return uint64(block[i])
	case 4:
		return uint64(binary.BigEndian.Uint16(block[i*2:]))
	case 5:
		return uint64(binary.BigEndian.Uint32(block[i*4:]))
	default:
		return binary.BigEndian.Uint64(block[i*8:])
	}
}
