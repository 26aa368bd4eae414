// Package holes finds out which ranges of a file hold no data. The formats that
// store a disk as it is have nothing else that could say it.
package holes

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"ecs-image-export/shared/diskimage/disk"
)

// Extents tells which of the first size bytes of r are data, and which are absent,
// as the file system has it. It reads no more than the last byte, and does not
// move the position of a file. What is no *os.File, or lies where holes cannot be
// asked for, is data. A file that ends before size is io.ErrUnexpectedEOF: its
// end is no hole.
func Extents(r io.ReaderAt, size int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if size == 0 {
			return
		}
		seek, closeFile := open(r)
		defer closeFile()
		for at := int64(0); at < size; {
			data := min(seek(at, true), size)
			if data == size {
				if err := exists(r, size-1); err != nil {
					yield(disk.Extent{}, err)
					return
				}
			}
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

func exists(r io.ReaderAt, at int64) error {
	n, err := r.ReadAt(make([]byte, 1), at)
	if n == 1 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("byte %d of the file: %w", at, err)
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
