package holes

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// open gives a function that finds the next data or hole from an offset on. The
// file is opened once more, since asking moves the position, and somebody may be
// reading.
func open(r io.ReaderAt) (seek func(at int64, data bool) int64, closeFile func()) {
	f, ok := r.(*os.File)
	if !ok {
		return allData, func() {}
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return allData, func() {}
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return allData, func() {}
	}
	fd := -1
	if err := conn.Control(func(old uintptr) {
		fd, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", old), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}); err != nil || fd < 0 {
		return allData, func() {}
	}
	seek = func(at int64, data bool) int64 {
		whence := unix.SEEK_HOLE
		if data {
			whence = unix.SEEK_DATA
		}
		found, err := unix.Seek(fd, at, whence)
		switch {
		case data && errors.Is(err, unix.ENXIO):
			return end
		case err != nil:
			return allData(at, data)
		}
		return found
	}
	return seek, func() { _ = unix.Close(fd) }
}
