package vmdk

import (
	"encoding/binary"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/parts"
)

// streamFile writes streamOptimized, in VMware's shape:
//
//	sector 0   header with gdOffset GD_AT_END
//	1          descriptor
//	128        grains, each with its marker; behind the grains of each grain
//	           table that has any, a marker and the table
//	           marker and grain directory
//	           marker and footer: the header with the right gdOffset
//	           end-of-stream marker
//
// Grains are compressed in batches, several batches at the same time, and written
// in order by whoever calls.
type streamFile struct {
	h         *header
	name      string
	parts     *parts.Writer
	deflaters chan *deflater // as many as workers
	running   []*batch       // in order
	idle      []*batch
	current   *batch
	most      int // batches that may run

	begun     bool
	directory []uint32
	table     int64 // that the entries are of, -1 at first
	entries   [tableEntries]uint32
}

func newStreamFile(h *header, sink disk.Sink, o Options) *streamFile {
	h.version = versionStream
	h.flags |= flagCompressed | flagMarkers
	h.compression = compressionDeflate
	h.overHead = streamOverHead
	h.gdOffset = gdAtEnd
	f := &streamFile{
		h: h, name: o.Name, parts: parts.New(sink, 0, h.size()), table: -1,
		deflaters: make(chan *deflater, o.Workers),
		// One more than can run, so that a worker finds the next when it has
		// finished one.
		most:      o.Workers + 1,
		directory: make([]uint32, h.tables()),
	}
	for range o.Workers {
		f.deflaters <- &deflater{level: o.Level}
	}
	return f
}

func (f *streamFile) grain(g int64, content []byte) error {
	if f.current == nil {
		f.current = f.next()
	}
	if f.current.add(g, content) {
		return f.submit()
	}
	return nil
}

func (f *streamFile) next() *batch {
	if n := len(f.idle); n > 0 {
		b := f.idle[n-1]
		f.idle = f.idle[:n-1]
		return b
	}
	return newBatch()
}

func (f *streamFile) submit() error {
	go f.current.compress(f.deflaters)
	f.running = append(f.running, f.current)
	f.current = nil
	if len(f.running) < f.most {
		return nil
	}
	return f.collect()
}

// collect waits for the oldest batch and writes it.
func (f *streamFile) collect() error {
	b := f.running[0]
	f.running = append(f.running[:0], f.running[1:]...)
	<-b.done
	for i, g := range b.grains {
		if err := f.write(g, b.compressed(i)); err != nil {
			return err
		}
	}
	b.reset()
	f.idle = append(f.idle, b)
	return nil
}

// write appends a compressed grain.
func (f *streamFile) write(g int64, content []byte) error {
	if err := f.begin(); err != nil {
		return err
	}
	if i := g / tableEntries; i != f.table {
		if err := f.flush(); err != nil {
			return err
		}
		f.table = i
	}
	e, err := entry(f.parts.Size())
	if err != nil {
		return err
	}
	f.entries[g%tableEntries] = e
	_, err = f.parts.Write(content)
	return err
}

// begin writes what is in front of the grains.
func (f *streamFile) begin() error {
	if f.begun {
		return nil
	}
	f.begun = true
	b := make([]byte, streamOverHead*sectorSize)
	copy(b, f.h.encode())
	copy(b[sectorSize:], makeDescriptor(typeStream, f.h.capacity, f.name))
	_, err := f.parts.Write(b)
	return err
}

// flush writes the grain table whose grains have all been written.
func (f *streamFile) flush() error {
	if f.table < 0 {
		return nil
	}
	place, err := f.metadata(markerTable, encodeEntries(f.entries[:]))
	if err != nil {
		return err
	}
	f.directory[f.table] = place
	clear(f.entries[:])
	return nil
}

// metadata appends a marker and what it announces, and returns the latter's place.
func (f *streamFile) metadata(kind uint32, content []byte) (uint32, error) {
	n := sectors(int64(len(content)))
	if _, err := f.parts.Write(marker{value: uint64(n), kind: kind}.encode()); err != nil {
		return 0, err
	}
	place, err := entry(f.parts.Size())
	if err != nil {
		return 0, err
	}
	if _, err := f.parts.Write(content); err != nil {
		return 0, err
	}
	_, err = f.parts.Write(zeros[:n*sectorSize-int64(len(content))])
	return place, err
}

func encodeEntries(entries []uint32) []byte {
	b := make([]byte, 4*len(entries))
	for i, e := range entries {
		binary.LittleEndian.PutUint32(b[4*i:], e)
	}
	return b
}

func (f *streamFile) finish() error {
	if f.current != nil {
		if err := f.submit(); err != nil {
			return err
		}
	}
	for len(f.running) > 0 {
		if err := f.collect(); err != nil {
			return err
		}
	}
	if err := f.begin(); err != nil {
		return err
	}
	if err := f.flush(); err != nil {
		return err
	}
	place, err := f.metadata(markerDirectory, encodeEntries(f.directory))
	if err != nil {
		return err
	}
	footer := *f.h
	footer.gdOffset = uint64(place)
	if _, err := f.metadata(markerFooter, footer.encode()); err != nil {
		return err
	}
	if _, err := f.parts.Write(marker{}.encode()); err != nil {
		return err
	}
	return f.parts.Close(nil)
}

// stop waits until nothing runs any more.
func (f *streamFile) stop() {
	for _, b := range f.running {
		<-b.done
	}
	f.running = nil
	f.parts.Stop()
}
