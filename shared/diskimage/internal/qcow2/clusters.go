package qcow2

import "slices"

// pageClusters is the number of clusters in a page of a clusterSet.
const pageClusters = 1 << 15

// clusterSet is a set of clusters of a file. It takes memory only where there are
// some: 4 KiB for each 2 GiB of a file with clusters of 64 KiB.
type clusterSet struct {
	pages  map[int64]*[pageClusters / 64]uint64
	last   int64 // number of the page that was used last
	page   *[pageClusters / 64]uint64
	budget *int64 // bytes that may still be taken
}

func newClusterSet(budget *int64) *clusterSet {
	return &clusterSet{pages: map[int64]*[pageClusters / 64]uint64{}, last: -1, budget: budget}
}

// add adds a cluster, and says whether it was new.
func (s *clusterSet) add(cluster int64) (bool, error) {
	number := cluster / pageClusters
	if number != s.last || s.page == nil {
		s.page, s.last = s.pages[number], number
		if s.page == nil {
			if err := take(s.budget, pageClusters/8); err != nil {
				return false, err
			}
			s.page = new([pageClusters / 64]uint64)
			s.pages[number] = s.page
		}
	}
	word, bit := &s.page[cluster%pageClusters/64], uint64(1)<<(cluster%64)
	if *word&bit != 0 {
		return false, nil
	}
	*word |= bit
	return true, nil
}

// has says whether a cluster is in the set. It changes nothing, so that it may be
// called by several goroutines.
func (s *clusterSet) has(cluster int64) bool {
	page := s.pages[cluster/pageClusters]
	return page != nil && page[cluster%pageClusters/64]&(1<<(cluster%64)) != 0
}

func take(budget *int64, n int64) error {
	if *budget < n {
		return limitf("the tables need more memory than Limits.Memory allows")
	}
	*budget -= n
	return nil
}

// tables are the clusters of a file that hold its header and tables.
type tables struct{ set *clusterSet }

// metadata collects the clusters of the header, the refcount table, and the L1
// and L2 tables. Two of them in one cluster are an error.
func metadata(h *header, l1 []uint64, budget *int64) (tables, error) {
	t := tables{newClusterSet(budget)}
	if err := t.add(h, "header", 0, 1); err != nil {
		return t, err
	}
	if err := t.add(h, "refcount table", h.refTableOffset, h.refTableClusters); err != nil {
		return t, err
	}
	if err := t.add(h, "L1 table", h.l1Offset, divUp(int64(len(l1))*8, h.cluster())); err != nil {
		return t, err
	}
	for i, entry := range l1 {
		offset, err := h.l2Offset(i, entry)
		if err != nil {
			return t, err
		}
		if offset == 0 {
			continue
		}
		if err := t.add(h, "L2 table", offset, 1); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t tables) add(h *header, what string, offset, clusters int64) error {
	for c := range clusters {
		fresh, err := t.set.add(offset>>h.clusterBits + c)
		if err != nil {
			return err
		}
		if !fresh {
			return badf("the %s lies on another table", at(what, offset))
		}
	}
	return nil
}

// contents are the places in a file that hold content of the disk.
type contents struct {
	tables tables
	plain  *clusterSet // clusters of the file
	packed *clusterSet // those with compressed clusters, of which one may hold many
	places places      // of the compressed clusters
	fresh  []place     // of a table, for add
}

func newContents(h *header, t tables, budget *int64) *contents {
	return &contents{tables: t, plain: newClusterSet(budget), packed: newClusterSet(budget),
		places: places{shift: h.clusterBits - 8, budget: budget}}
}

// add notes where all clusters of an L2 table lie. A place that is taken already
// is an error.
func (c *contents) add(h *header, table []byte) error {
	c.fresh = c.fresh[:0]
	for i := range h.l2Entries() {
		e := h.entry(table, i)
		switch {
		case e.packed():
			c.fresh = append(c.fresh, h.place(e))
			if err := c.addPacked(h, e); err != nil {
				return err
			}
		case e.offset() != 0:
			n := e.offset() >> h.clusterBits
			fresh, err := c.plain.add(n)
			if err != nil {
				return err
			}
			if !fresh || c.packed.has(n) {
				return badf("two clusters of the disk have the %s", at("cluster", e.offset()))
			}
		}
	}
	slices.Sort(c.fresh)
	return c.places.add(c.fresh)
}

func (c *contents) addPacked(h *header, e entry) error {
	from, to := h.packedRange(e)
	for n := from >> h.clusterBits; n <= (to-1)>>h.clusterBits; n++ {
		if _, err := c.packed.add(n); err != nil {
			return err
		}
		if c.plain.has(n) {
			return badf("a compressed cluster lies on the %s", at("cluster", n<<h.clusterBits))
		}
	}
	return nil
}
