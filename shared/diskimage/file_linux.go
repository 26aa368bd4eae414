package diskimage

import (
	"os"

	"golang.org/x/sys/unix"
)

// insert makes room for n bytes at an offset of a file. It is false if the file
// system cannot do it, or not at a place that is no multiple of its blocks.
func insert(f ReadWriterAt, at, n int64) bool {
	file, ok := f.(*os.File)
	return ok && unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_INSERT_RANGE, at, n) == nil
}
