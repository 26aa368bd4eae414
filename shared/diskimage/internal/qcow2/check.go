package qcow2

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"slices"
)

// Check reads all tables, and compares the refcounts with what is used: no
// cluster may be used more often than it is counted, and entries have to say
// rightly whether what they point to is theirs alone. Clusters that are counted
// and not used are no error; they belong to snapshots or bitmaps, or were lost,
// which harms nobody. With the dirty bit the refcounts are not looked at, as a
// writer was about to repair them. A wrong structure is ErrFormat.
func (m *Image) Check() error {
	if err := m.eachTable(func(int64, []byte) error { return nil }); err != nil {
		return err
	}
	if m.dirty {
		return nil
	}
	alone, err := m.checkRefcounts()
	if err != nil {
		return err
	}
	return m.eachTable(func(number int64, table []byte) error { return m.checkCopied(number, table, alone) })
}

// eachTable reads all L2 tables, which finds what is wrong in them and between
// them.
func (m *Image) eachTable(each func(number int64, table []byte) error) error {
	for i, entry := range m.l1 {
		if place := int64(entry & maskOffset); place != 0 {
			table, err := m.readTable(int64(i), place)
			if err != nil {
				return err
			}
			if err := each(int64(i), table); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRefcounts makes sure that no cluster is used more often than it is counted,
// and gives those that are counted once. All tables have been read.
func (m *Image) checkRefcounts() (alone *clusterSet, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	budget := *m.budget // alone is not kept
	alone = newClusterSet(&budget)
	counts := refcounts{Image: m, block: make([]byte, m.cluster()), loaded: -1}
	packed := m.used.places.all()
	begun, ended := 0, 0 // how many of them, up to a cluster
	err = eachOf([]*clusterSet{m.used.tables.set, m.used.plain, m.used.packed}, func(n int64) error {
		want := uint64(1)
		if m.used.packed.has(n) {
			for ; begun < packed.length && m.used.places.first(packed.at(begun))>>m.clusterBits <= n; begun++ {
			}
			for ; ended < begun && m.used.places.last(packed.at(ended))>>m.clusterBits < n; ended++ {
			}
			want = uint64(begun - ended)
		}
		got, err := counts.of(n)
		if err == nil && got < want {
			err = badf("the %s is used %d times, its refcount is %d", at("cluster", n<<m.clusterBits), want, got)
		}
		if err == nil && got == 1 {
			_, err = alone.add(n)
		}
		return err
	})
	return alone, err
}

// eachOf goes through the clusters that are in any of the sets, in order.
func eachOf(sets []*clusterSet, do func(cluster int64) error) error {
	pages := map[int64]*[pageClusters / 64]uint64{}
	for _, set := range sets {
		for number, page := range set.pages {
			pages[number] = page
		}
	}
	for _, number := range slices.Sorted(maps.Keys(pages)) {
		for i := range pages[number] {
			word := uint64(0)
			for _, set := range sets {
				if page := set.pages[number]; page != nil {
					word |= page[i]
				}
			}
			for ; word != 0; word &= word - 1 {
				if err := do(number*pageClusters + int64(i)*64 + int64(bits.TrailingZeros64(word))); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkCopied makes sure that the entries of a table, and the one that points to
// it, say whether what they point to is theirs alone.
func (m *Image) checkCopied(number int64, table []byte, alone *clusterSet) error {
	right := func(what string, entry uint64) error {
		offset := int64(entry & maskOffset)
		if alone.has(offset>>m.clusterBits) != (entry&bitCopied != 0) {
			return badf("the refcount of the %s contradicts its entry %#x", at(what, offset), entry)
		}
		return nil
	}
	if err := right("L2 table", m.l1[number]); err != nil {
		return err
	}
	for i := range m.l2Entries() {
		e := m.entry(table, i)
		if e.packed() && e.bits&bitCopied != 0 {
			return badf("the disk's cluster %d is compressed and marked as never shared", number*m.l2Entries()+i)
		}
		if e.packed() || e.offset() == 0 {
			continue
		}
		if err := right("cluster", e.bits); err != nil {
			return err
		}
	}
	return nil
}

// refcounts are those of a file, of which one block is kept.
type refcounts struct {
	*Image
	block  []byte
	loaded int64 // number of the block
}

// of gives the refcount of a cluster of the file.
func (r *refcounts) of(cluster int64) (uint64, error) {
	perBlock := r.cluster() * 8 >> r.refOrder
	if n := cluster / perBlock; n != r.loaded {
		if err := r.load(n); err != nil {
			return 0, fmt.Errorf("refcount block %d: %w", n, err)
		}
		r.loaded = n
	}
	return refcount(r.block, cluster%perBlock, r.refOrder), nil
}

// load reads a block. What the table has no block for is not counted.
func (r *refcounts) load(number int64) error {
	clear(r.block)
	if number >= r.refTableClusters<<r.clusterBits/8 {
		return nil
	}
	entry := make([]byte, 8) // Open has checked it
	if err := r.readFile(entry, r.refTableOffset+number*8); err != nil {
		return err
	}
	offset := int64(binary.BigEndian.Uint64(entry))
	if offset == 0 {
		return nil
	}
	return r.readFile(r.block, offset)
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
