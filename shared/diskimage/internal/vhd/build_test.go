package vhd

import (
	"bytes"
	"encoding/binary"

	"ecs-image-export/shared/diskimage/internal/blocks/blockstest"
)

// layout is a dynamic disk as another application might write it.
type layout struct {
	size    int64
	block   int
	order   []int          // the stored blocks as they lie in the file
	bitmaps map[int][]byte // those that are not full
	creator string
	chs     [3]int
	tail    int // bytes between the last block and the footer
}

const (
	buildTable = footerSize + headerSize + 512 // with room before it
)

// build gives the file and its content.
func (l layout) build() (file, content []byte) {
	f, err := makeFooter(l.size, typeDynamic, Options{})
	if err != nil {
		panic(err)
	}
	if l.creator != "" {
		copy(f[28:32], l.creator)
	}
	if l.chs != [3]int{} {
		binary.BigEndian.PutUint16(f[56:], uint16(l.chs[0]))
		f[58], f[59] = byte(l.chs[1]), byte(l.chs[2])
	}
	sign(f, 64)
	entries := int(l.size+int64(l.block)-1) / l.block
	file = make([]byte, buildTable+int(roundUp(int64(4*entries), 512)))
	copy(file, f)
	h := file[footerSize : footerSize+headerSize]
	copy(h, headerCookie)
	binary.BigEndian.PutUint64(h[8:], 1<<64-1)
	binary.BigEndian.PutUint64(h[16:], buildTable)
	binary.BigEndian.PutUint32(h[24:], version)
	binary.BigEndian.PutUint32(h[28:], uint32(entries))
	binary.BigEndian.PutUint32(h[32:], uint32(l.block))
	sign(h, 36)
	for i := range entries {
		binary.BigEndian.PutUint32(file[buildTable+4*i:], unused)
	}
	content = make([]byte, roundUp(l.size, int64(l.block)))
	bitmapSize := header{blockSize: uint32(l.block)}.bitmapSize()
	for n, i := range l.order {
		data := bytes.Repeat([]byte{byte(n + 1)}, l.block)
		copy(data, blockstest.Noise(l.block))
		bits, ok := l.bitmaps[i]
		if !ok {
			bits = bytes.Repeat([]byte{0xFF}, int(bitmapSize))
		}
		bits = append(bytes.Clone(bits), make([]byte, int(bitmapSize)-len(bits))...)
		binary.BigEndian.PutUint32(file[buildTable+4*i:], uint32(len(file)/512))
		file = append(append(file, bits...), data...)
		for s := range l.block / 512 {
			if bits[s/8]>>(7-s%8)&1 == 1 {
				copy(content[i*l.block+512*s:], data[512*s:512*s+512])
			}
		}
	}
	file = append(append(file, make([]byte, l.tail)...), f...)
	return file, content[:l.size]
}

func sign(b []byte, at int) {
	binary.BigEndian.PutUint32(b[at:], checksum(b, at))
}

// resign makes the checksums of a changed file right again.
func resign(file []byte) []byte {
	file = bytes.Clone(file)
	for _, at := range []int{0, len(file) - footerSize} {
		if at < 0 || len(file) < footerSize || !hasCookie(file[at:], footerCookie) {
			continue
		}
		f := file[at : at+footerSize]
		sign(f, 64)
		if h := binary.BigEndian.Uint64(f[16:]); h < uint64(len(file)) && len(file)-int(h) >= headerSize {
			if hasCookie(file[h:], headerCookie) {
				sign(file[h:h+headerSize], 36)
			}
		}
	}
	return file
}
