//go:build linux || darwin || freebsd

package sparse

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// next returns where the run ends in which at lies, and whether it is a hole.
func next(f *os.File, at, size int64) (edge int64, hole bool) {
	data, err := f.Seek(at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO): // no data up to the end
		return size, true
	case err != nil:
		return size, false
	case data > at:
		return min(data, size), true
	}
	if edge, err = f.Seek(at, unix.SEEK_HOLE); err != nil || edge <= at {
		return size, false
	}
	return min(edge, size), false
}
