package vmdk

import (
	"encoding/binary"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/parts"
)

// sparseFile writes monolithicSparse:
//
//	sector 0   header
//	1          descriptor
//	21         redundant grain directory, then all its grain tables
//	           grain directory, then all its grain tables
//	overHead   grains
type sparseFile struct {
	h     *header
	parts *parts.Writer
	head  []byte // all in front of the grains
	table []byte // of it, the tables of the grain directory
}

// minHead is a whole number of grains that is enough for a part.
const minHead = (disk.MinPart + grainSize - 1) / grainSize * grainSectors

func newSparseFile(h *header, sink disk.Sink, o Options) *sparseFile {
	h.flags |= flagRedundant
	copySectors := h.directorySectors() + h.tables()*tableSectors
	h.rgdOffset = 1 + descriptorSectors
	h.gdOffset = h.rgdOffset + uint64(copySectors)
	end := int64(h.gdOffset) + copySectors
	h.overHead = max((end+grainSectors-1)/grainSectors*grainSectors, minHead)

	// What is never touched of it is not in memory, but for the moment in which
	// it is delivered.
	f := &sparseFile{h: h, parts: parts.New(sink, h.overHead*sectorSize, h.size()), head: make([]byte, h.overHead*sectorSize)}
	copy(f.head, h.encode())
	copy(f.head[sectorSize:], makeDescriptor(typeSparse, h.capacity, o.Name))
	f.table = f.head[(int64(h.gdOffset)+h.directorySectors())*sectorSize : end*sectorSize]
	return f
}

func (f *sparseFile) grain(g int64, content []byte) error {
	e, err := entry(f.parts.Size())
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(f.table[4*g:], e)
	_, err = f.parts.Write(content)
	return err
}

func (f *sparseFile) finish() error {
	for _, directory := range []uint64{f.h.rgdOffset, f.h.gdOffset} {
		first := int64(directory) + f.h.directorySectors()
		entries := f.head[directory*sectorSize:]
		for i := range f.h.tables() {
			binary.LittleEndian.PutUint32(entries[4*i:], uint32(first+i*tableSectors))
		}
	}
	redundant := f.head[(int64(f.h.rgdOffset)+f.h.directorySectors())*sectorSize:]
	for done := 0; done < len(f.table); done += tableSectors * sectorSize {
		if table := f.table[done:][:tableSectors*sectorSize]; !zero(table) {
			copy(redundant[done:], table)
		}
	}
	return f.parts.Close(f.head)
}

func (f *sparseFile) stop() { f.parts.Stop() }
