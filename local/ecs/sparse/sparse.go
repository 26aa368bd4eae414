// Package sparse reads files with holes without reading the holes. Reading a
// hole makes the kernel fill its page cache with zeros, which is several times
// slower than filling a buffer, and a disk is mostly holes.
package sparse

import (
	"io"
	"os"
)

// Reader reads a file from its start to the length that it had when the Reader
// was made. It moves the file's own offset.
type Reader struct {
	f    *os.File
	size int64
	at   int64
	edge int64 // where the run of data or of zeros ends in which at lies
	hole bool
}

// NewReader returns a Reader of f. Where the system or the file system tells
// nothing of holes, everything is read.
func NewReader(f *os.File) (*Reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &Reader{f: f, size: info.Size()}, nil
}

// Size returns the length of the file in bytes.
func (r *Reader) Size() int64 { return r.size }

func (r *Reader) Read(p []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	if r.at >= r.edge {
		r.edge, r.hole = next(r.f, r.at, r.size)
	}
	p = p[:min(int64(len(p)), r.edge-r.at)]
	n, err := len(p), error(nil)
	if r.hole {
		clear(p)
	} else if n, err = r.f.ReadAt(p, r.at); err == io.EOF {
		err = io.ErrUnexpectedEOF // it became shorter
	}
	r.at += int64(n)
	return n, err
}
