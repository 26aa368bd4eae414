// Package sparse opens raw disk files with holes, so that the holes are not read:
// reading one makes the kernel fill its page cache with zeros, which is several
// times slower than knowing them, and a disk is mostly holes.
package sparse

import (
	"iter"
	"os"

	"ecs-image-export/shared/diskimage"
)

// Open opens a RAW image whose Extents leave out the holes of its file. Where
// the system or the file system tells nothing of holes, everything is data. The
// length of the image is that of the file now; the file's own offset moves.
func Open(f *os.File) (diskimage.Image, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	raw, err := diskimage.OpenAs(diskimage.RAW, f, info.Size(), diskimage.Limits{})
	if err != nil {
		return nil, err
	}
	return &image{raw, f}, nil
}

type image struct {
	diskimage.Image
	file *os.File
}

// Extents asks the file system as it goes.
func (i *image) Extents() iter.Seq2[diskimage.Extent, error] {
	return func(yield func(diskimage.Extent, error) bool) {
		for at := int64(0); at < i.Size(); {
			edge, hole := next(i.file, at, i.Size())
			e := diskimage.Extent{Offset: at, Length: edge - at, Kind: diskimage.Data}
			if hole {
				e.Kind = diskimage.Absent
			}
			if !yield(e, nil) {
				return
			}
			at = edge
		}
	}
}
