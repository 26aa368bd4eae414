package vmdk

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// gathered is a file of markers whose tables come as told: a number below 10 is a
// grain, one from 10 on a table.
func (y *tiny) gathered(order ...int64) []byte {
	h := y.h
	h.flags |= flagCompressed | flagMarkers
	h.version, h.compression = versionStream, compressionDeflate
	h.gdOffset, h.overHead = gdAtEnd, 3
	b := sector(y.head(&h, typeStream), nil)
	directory, places := make([]uint32, 3), make([]uint32, 6)
	for _, n := range order {
		if n < 10 {
			places[n] = uint32(len(b) / sectorSize)
			b = append(b, y.compress(n)...)
			continue
		}
		b = sector(b, marker{value: 1, kind: markerTable}.encode())
		directory[n-10] = uint32(len(b) / sectorSize)
		b = sector(b, encodeEntries(places[2*(n-10):][:2]))
	}
	b = sector(b, marker{value: 1, kind: markerDirectory}.encode())
	h.gdOffset = uint64(len(b) / sectorSize)
	b = sector(b, encodeEntries(directory))
	b = sector(b, marker{value: 1, kind: markerFooter}.encode())
	b = sector(b, h.encode())
	return sector(b, nil)
}

// Tables come anywhere behind their grains, each once.
func TestTablesBehindGrains(t *testing.T) {
	t.Parallel()
	content := slices.Concat(tinyContent(0), tinyContent(1), tinyContent(2), tinyContent(3), tinyContent(4))[:tinySize]
	for _, c := range []struct {
		order []int64
		want  error
	}{
		{[]int64{0, 1, 10, 4, 12}, nil},
		{[]int64{0, 1, 4, 10, 12}, nil},
		{[]int64{0, 1, 4, 12, 10}, nil},
		{[]int64{0, 1, 2, 4, 11, 10, 12}, nil},
		{[]int64{0, 1, 2, 4, 12, 11, 10}, nil},
		{[]int64{0, 10, 1, 4, 12}, disk.ErrFormat},            // a grain behind its table
		{[]int64{0, 2, 11, 3, 10, 4, 12}, disk.ErrFormat},     // the same, another table before it being open
		{[]int64{0, 1, 4, 10}, disk.ErrFormat},                // a table is missing
		{[]int64{0, 1, 4, 12}, disk.ErrFormat},                // the first one
		{[]int64{0, 1, 2, 4, 11, 11, 10}, disk.ErrFormat},     // one twice, one missing
		{[]int64{0, 1, 10, 10, 4, 12}, disk.ErrFormat},        // one twice
		{[]int64{0, 1, 2, 4, 11, 11, 10, 12}, disk.ErrFormat}, // one twice, another before it being open
	} {
		file := newTiny().gathered(c.order...)
		got := make([]byte, tinySize)
		s, err := NewStream(bytes.NewReader(file), disk.Limits{})
		for err == nil {
			var p disk.Piece
			if p, err = s.Next(); err == nil {
				copy(got[p.Offset:], p.Data)
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(got, content) {
			t.Errorf("%v: %v, or other content", c.order, err)
		}
	}
}
