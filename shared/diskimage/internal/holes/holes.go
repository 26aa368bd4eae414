// Package holes finds out which ranges of a file hold no data. The formats that
// store a disk as it is have nothing else that could say it.
package holes

import (
	"io"
	"iter"

	"ecs-image-export/shared/diskimage/internal/disk"
)

// Extents tells which of the first size bytes of r are data, and which are absent,
// as the file system has it. It reads nothing, and does not move the position of
// a file. What is no *os.File, or lies where holes cannot be asked for, is data.
func Extents(r io.ReaderAt, size int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if size == 0 {
			return
		}
		seek, closeFile := open(r)
		defer closeFile()
		for at := int64(0); at < size; {
			data := min(seek(at, true), size)
			if data > at && !yield(disk.Extent{Offset: at, Length: data - at, Kind: disk.Absent}, nil) {
				return
			}
			if data == size {
				return
			}
			// A file that is changed meanwhile must not keep us here.
			end := min(max(seek(data, false), data+1), size)
			if !yield(disk.Extent{Offset: data, Length: end - data, Kind: disk.Data}, nil) {
				return
			}
			at = end
		}
	}
}

// end is an offset behind every file.
const end = 1<<63 - 1

// allData is the answer where holes are not known.
func allData(at int64, data bool) int64 {
	if data {
		return at
	}
	return end
}
