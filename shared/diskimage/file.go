package diskimage

import (
	"bytes"
	"fmt"
	"io"
)

// File is a Sink that puts the parts of one image into a file. The file must be
// empty: where the image has zeros, nothing is written, and a file that can have
// holes gets them.
type File struct {
	f     ReadWriterAt
	first int   // number of the first part that came; what is before it is the head
	next  int   // number of the part that goes to end
	end   int64 // of what came in order
	head  int   // number of the part of the head that goes to begin
	begin int64 // of the room for the rest of the head, or where room has to be made
	size  int64 // of the head; 0: not known in advance
}

// ReadWriterAt is what a File needs: an *os.File that is open for both.
type ReadWriterAt interface {
	io.ReaderAt
	io.WriterAt
}

// NewFile begins a file, for one Writer.
func NewFile(f ReadWriterAt) *File { return &File{f: f, head: 1} }

// Reserve is called by a Writer that knows in advance how long its head is,
// which are the first parts and come last. For others, the rest of the file is
// moved when the head comes; Linux does that without copying on ext4 and XFS.
func (f *File) Reserve(parts int, size int64) {
	f.first, f.next = parts+1, parts+1
	f.size, f.end = size, size
}

// Part writes a part. The Writers of this package hand out the parts of the head
// in order, and those behind it too.
func (f *File) Part(number int, content []byte) error {
	if f.first == 0 {
		f.first, f.next = number, number
	}
	size := int64(len(content))
	switch {
	case number == f.next:
		if err := f.write(content, f.end); err != nil {
			return err
		}
		f.next++
		f.end += size
		return nil
	case number != f.head || number >= f.first:
		return fmt.Errorf("part %d came out of order", number)
	case f.size == 0:
		if err := f.makeRoom(size); err != nil {
			return fmt.Errorf("make room for the head: %w", err)
		}
	case f.begin+size > f.size:
		return fmt.Errorf("the head has more than the %d bytes reserved", f.size)
	}
	if err := f.write(content, f.begin); err != nil {
		return err
	}
	f.head++
	f.begin += size
	return nil
}

// makeRoom moves what is behind the head.
func (f *File) makeRoom(n int64) error {
	if f.begin < f.end && !insert(f.f, f.begin, n) {
		b := make([]byte, 1<<20)
		for at := f.end; at > f.begin; {
			k := min(at-f.begin, int64(len(b)))
			at -= k
			if err := readFullAt(f.f, b[:k], at); err != nil {
				return err
			}
			if _, err := f.f.WriteAt(b[:k], at+n); err != nil {
				return err
			}
		}
		// What was there is left behind, and write leaves zeros out.
		clear(b)
		for at, end := f.begin, f.begin+n; at < end; {
			k := min(end-at, int64(len(b)))
			if _, err := f.f.WriteAt(b[:k], at); err != nil {
				return err
			}
			at += k
		}
	}
	f.end += n
	return nil
}

// hole is what is looked at for zeros.
const hole = 64 << 10

var noData = make([]byte, hole)

// write leaves out zeros, but for the last bytes, which give the file its
// length. Neighbors are written together.
func (f *File) write(b []byte, at int64) error {
	last := max(len(b)-hole, 0)
	for i := 0; i < len(b); {
		j := i
		for ; j < last && !bytes.Equal(b[j:j+hole], noData); j += hole {
		}
		if j >= last {
			j = len(b)
		}
		if j > i {
			if _, err := f.f.WriteAt(b[i:j], at+int64(i)); err != nil {
				return err
			}
		}
		for i = j; i < last && bytes.Equal(b[i:i+hole], noData); {
			i += hole
		}
	}
	return nil
}
