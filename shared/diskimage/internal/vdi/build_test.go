package vdi

import (
	"bytes"
	"encoding/binary"

	"ecs-image-export/shared/diskimage/internal/blocks/blockstest"
)

// layout is an image as another application might write it.
type layout struct {
	size  int64
	block int
	order []int // the stored blocks as they lie in the file
	zero  []int // discarded blocks
	short bool  // the file ends with the disk, in the last block
	tail  int   // bytes after the blocks
}

const dataOffset = 2048

// build gives the file and its content.
func (l layout) build() (file, content []byte) {
	le := binary.LittleEndian
	n := int(l.size+int64(l.block)-1) / l.block
	file = make([]byte, dataOffset)
	copy(file, makeHead(l.size, Options{})[:headSize])
	le.PutUint32(file[340:], 1024)
	le.PutUint32(file[344:], dataOffset)
	le.PutUint32(file[376:], uint32(l.block))
	le.PutUint32(file[384:], uint32(n))
	le.PutUint32(file[388:], uint32(len(l.order)))
	for i := range n {
		le.PutUint32(file[1024+4*i:], blockFree)
	}
	for _, i := range l.zero {
		le.PutUint32(file[1024+4*i:], blockZero)
	}
	content = make([]byte, n*l.block)
	for number, i := range l.order {
		le.PutUint32(file[1024+4*i:], uint32(number))
		data := bytes.Repeat([]byte{byte(number + 1)}, l.block)
		copy(data, blockstest.Noise(l.block/2))
		copy(content[i*l.block:], data)
		file = append(file, data...)
		if l.short && i == n-1 {
			file = file[:len(file)-(n*l.block-int(l.size))]
		}
	}
	file = append(file, make([]byte, l.tail)...)
	return file, content[:l.size]
}
