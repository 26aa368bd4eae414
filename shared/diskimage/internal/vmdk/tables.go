package vmdk

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"

	"ecs-image-export/shared/diskimage/disk"
)

// The grain directory has an entry for each grain table: its first sector, or 0
// if there is none. A grain table has an entry for each grain: its first sector,
// 0 if it is not stored, 1 for a zeroed grain where flagZeroed allows that.
const (
	entryAbsent = 0
	entryZeroed = 1
)

// stored says whether an entry of a grain table is the place of a grain.
func (h *header) stored(e uint32) bool {
	return e != entryAbsent && (e != entryZeroed || h.flags&flagZeroed == 0)
}

// tables reads the directories and tables of a file. The redundant ones stand in
// where the others are damaged.
type tables struct {
	r   io.ReaderAt
	h   *header
	end int64 // sectors in which tables may be
	// fileEnd is the number of whole sectors of the file, or MaxInt64 while that
	// is not known.
	fileEnd int64

	directory []uint32
	redundant []uint32 // nil if there is none

	// Where tables lie among the grains: the place of the directory, and the
	// places of grain tables behind the overhead, in ascending order.
	place int64
	late  []uint32
}

// farthest is the sector that no table lies behind, however badly the grains were
// compressed, and however many were written anew.
func (h *header) farthest() int64 {
	return h.overHead + 4*(h.capacity+h.grainSize+h.grains()+h.directorySectors()+h.tables()*h.tableSectors())
}

// loadTables reads the directories. While the end of the file is not known, a table
// behind the sectors for tables may be there or not; the other of its kind must not
// stand in for it then, since it need not be the same.
func loadTables(r io.ReaderAt, h *header, end, fileEnd int64) (*tables, error) {
	t := &tables{r: r, h: h, end: end, fileEnd: fileEnd, place: int64(h.gdOffset)}
	first, err := t.loadDirectory(h.gdOffset, "grain directory")
	if errors.Is(err, disk.ErrOrder) {
		return nil, err
	}
	if h.flags&flagRedundant != 0 {
		second, err2 := t.loadDirectory(h.rgdOffset, "redundant grain directory")
		if errors.Is(err2, disk.ErrOrder) {
			return nil, err2
		}
		if err2 == nil {
			t.redundant = second
		}
		if err != nil && err2 == nil {
			first, err = slices.Clone(second), nil
			t.place = int64(h.rgdOffset)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, places := range [][]uint32{first, t.redundant} {
		for i, place := range places {
			if t.behind(int64(place), h.tableSectors()) {
				return nil, orderError("grain table %d at sector %d does not come before the grains", i, place)
			}
		}
	}
	t.directory = first
	for i, place := range first {
		// Where both exist, both have the same tables. So an empty entry in front
		// of a table of the other is damage too.
		if other := t.other(i); other != 0 && (place == 0 || !t.fits(place)) {
			first[i] = other
		}
		if !t.fits(first[i]) {
			return nil, formatError("entry %d of the grain directory is sector %d: a table there lies outside the %d sectors for tables", i, first[i], t.end)
		}
	}
	for _, place := range first {
		if int64(place)+h.tableSectors() > h.firstGrain() {
			t.late = append(t.late, place)
		}
	}
	slices.Sort(t.late)
	return t, t.checkPlaces()
}

// onTable says whether n sectors where a grain is to be belong to a table.
func (t *tables) onTable(sector, n int64) bool {
	if sector < t.place+t.h.directorySectors() && t.place < sector+n {
		return true
	}
	i, _ := slices.BinarySearchFunc(t.late, sector-t.h.tableSectors(), func(place uint32, at int64) int {
		if int64(place) <= at {
			return -1
		}
		return 1
	})
	return i < len(t.late) && int64(t.late[i]) < sector+n
}

// other is the place of table i in the redundant directory, 0 if it has none or
// an impossible one.
func (t *tables) other(i int) uint32 {
	if t.redundant == nil || !t.fits(t.redundant[i]) {
		return 0
	}
	return t.redundant[i]
}

// fits says whether a grain table may begin at a sector.
func (t *tables) fits(place uint32) bool {
	return place == 0 || int64(place)+t.h.tableSectors() <= t.end
}

// behind says that n sectors at a place do not come where tables may be, but that
// the file may have them.
func (t *tables) behind(place, n int64) bool {
	return t.fileEnd == math.MaxInt64 && place != 0 && place+n > t.end && place+n <= t.h.farthest()
}

func (t *tables) loadDirectory(offset uint64, what string) ([]uint32, error) {
	if offset <= math.MaxUint32 && t.behind(int64(offset), t.h.directorySectors()) {
		return nil, orderError("the %s at sector %d does not come before the grains", what, offset)
	}
	if offset == 0 || offset > math.MaxUint32 || int64(offset)+t.h.directorySectors() > t.end {
		return nil, formatError("the %s, %d sectors at sector %d, lies outside the %d sectors for tables", what, t.h.directorySectors(), offset, t.end)
	}
	entries := make([]uint32, t.h.tables())
	return entries, readEntries(t.r, entries, int64(offset)*sectorSize, what)
}

// readEntries fills entries from a place of the file.
func readEntries(r io.ReaderAt, entries []uint32, offset int64, what string) error {
	b := make([]byte, min(4*len(entries), 64<<10))
	for len(entries) > 0 {
		n := min(len(entries), len(b)/4)
		if err := readAt(r, b[:4*n], offset, what); err != nil {
			return err
		}
		decodeEntries(entries[:n], b)
		entries, offset = entries[n:], offset+int64(4*n)
	}
	return nil
}

func decodeEntries(entries []uint32, b []byte) {
	for i := range entries {
		entries[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
}

// checkPlaces finds tables that overlap.
func (t *tables) checkPlaces() error {
	places := t.directory
	ascend := func(places []uint32) (overlap int, ok bool) {
		last := -t.h.tableSectors()
		for i, p := range places {
			if p == 0 {
				continue
			}
			if int64(p) < last+t.h.tableSectors() {
				return i, false
			}
			last = int64(p)
		}
		return 0, true
	}
	if _, ok := ascend(places); ok {
		return nil
	}
	places = slices.Clone(places)
	slices.Sort(places)
	if i, ok := ascend(places); !ok {
		return formatError("the grain table at sector %d overlaps another", places[i])
	}
	return nil
}

// in is the number of entries of table i that stand for grains of the disk.
func (t *tables) in(i int64) int64 { return min(t.h.entries, t.h.grains()-i*t.h.entries) }

// check says what is wrong with the entries of table i.
func (t *tables) check(i int64, entries []uint32) error {
	for j, e := range entries[:t.in(i)] {
		if !t.h.stored(e) {
			continue
		}
		g := i*t.h.entries + int64(j)
		if int64(e) < t.h.firstGrain() {
			return formatError("grain %d is at sector %d, within the %d sectors of overhead", g, e, t.h.firstGrain())
		}
		n := int64(1)
		if !t.h.compressed() {
			n = sectors(t.h.length(g))
		}
		if int64(e) > t.fileEnd-n {
			return formatError("grain %d at sector %d lies outside the file of %d sectors", g, e, t.fileEnd)
		}
		if t.onTable(int64(e), n) {
			return formatError("grain %d at sector %d lies on a table", g, e)
		}
	}
	return nil
}

// accept returns the entries of table i, which were read as given, or those of
// the redundant table if the first are damaged.
func (t *tables) accept(i int64, entries []uint32) ([]uint32, error) {
	err := t.check(i, entries)
	place := t.other(int(i))
	if place == 0 || place == t.directory[i] || err == nil && !t.h.unclean {
		return entries, err
	}
	second := make([]uint32, t.h.entries)
	err2 := readEntries(t.r, second, int64(place)*sectorSize, "redundant grain table")
	if err2 == nil {
		err2 = t.check(i, second)
	}
	switch {
	case err != nil && errors.Is(err2, disk.ErrOrder):
		return nil, err2
	case err != nil && err2 != nil:
		return nil, err
	case err != nil:
		return second, nil
	case err2 == nil && !slices.Equal(entries, second):
		return nil, formatError("the disk was not closed (uncleanShutdown), and the copies of grain table %d differ", i)
	}
	return entries, nil
}

// table reads table i. It is nil if there is none, or nothing in it.
func (t *tables) table(i int64) ([]uint32, error) {
	if t.directory[i] == 0 {
		return nil, nil
	}
	var b [maxEntries * 4]byte
	table := b[:4*t.h.entries]
	if err := readAt(t.r, table, int64(t.directory[i])*sectorSize, "grain table"); err != nil {
		return nil, err
	}
	if t.empty(table) {
		return nil, nil
	}
	entries := make([]uint32, t.h.entries)
	decodeEntries(entries, table)
	return t.accept(i, entries)
}

// empty says whether a table stores nothing, without a look at each entry: most of
// a large disk is so, in a format whose tables are all there. A disk that was not
// closed has to be looked at.
func (t *tables) empty(table []byte) bool { return !t.h.unclean && zero(table) }

// all calls do with every table of the disk in order, nil for those that do not
// exist or have nothing in them. Tables that lie behind each other are read at
// once.
func (t *tables) all(do func(i int64, entries []uint32) error) error {
	const most = 64
	stride := t.h.tableSectors() * sectorSize
	b := make([]byte, most*stride)
	entries := make([]uint32, t.h.entries)
	total := t.h.tables()
	for i := int64(0); i < total; {
		first := t.directory[i]
		if first == 0 {
			if err := do(i, nil); err != nil {
				return err
			}
			i++
			continue
		}
		n := int64(1)
		for n < most && i+n < total && int64(t.directory[i+n]) == int64(first)+n*t.h.tableSectors() {
			n++
		}
		if err := readAt(t.r, b[:n*stride], int64(first)*sectorSize, "grain tables"); err != nil {
			return err
		}
		for j := range n {
			table := b[j*stride:][:4*t.h.entries]
			if t.empty(table) {
				if err := do(i+j, nil); err != nil {
					return err
				}
				continue
			}
			decodeEntries(entries, table)
			accepted, err := t.accept(i+j, entries)
			if err != nil {
				return err
			}
			if err := do(i+j, accepted[:t.in(i+j)]); err != nil {
				return err
			}
		}
		i += n
	}
	return nil
}
