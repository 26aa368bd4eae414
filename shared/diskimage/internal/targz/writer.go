package targz

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/parts"

	"github.com/klauspost/compress/flate"
)

// Options of a Writer.
type Options struct {
	// Name of the member. Default "disk.raw".
	Name string
	// Modified is the member's time, to the second. Default 1970.
	Modified time.Time
	// Level of compression, 1 to 9. Default 6.
	Level int
	// Sparse leaves runs of zeros out and lists them in a GNU sparse map (PAX
	// 1.0), so that tar makes a file with holes from it. Other readers of tar
	// that do not know the form see a file of another name that begins with the
	// map.
	Sparse bool
}

var (
	errFull   = errors.New("more content than the disk has")
	errClosed = errors.New("the image is closed")
)

// Writer packs a disk.
//
// A plain archive goes out in order. A sparse one begins with the map, which is
// known last: its place is planned from the size of the disk, and is part 1.
// Content is its own gzip member, so that it depends on nothing before it.
type Writer struct {
	options Options
	size    int64 // virtual
	at      int64 // on the disk
	parts   *parts.Writer
	gzip    *gzipWriter
	holes   *holes // nil: plain
	err     error  // ends everything
}

// NewWriter begins an archive with a disk of size bytes.
func NewWriter(size int64, sink disk.Sink, o Options) (disk.Writer, error) {
	if o.Name == "" {
		o.Name = "disk.raw"
	}
	if o.Level == 0 {
		o.Level = 6
	}
	if o.Modified.IsZero() {
		o.Modified = time.Unix(0, 0)
	}
	switch {
	case size < 0:
		return nil, fmt.Errorf("raw.tar.gz: a disk of %d bytes", size)
	case o.Level < flate.BestSpeed || o.Level > flate.BestCompression:
		return nil, fmt.Errorf("raw.tar.gz: level %d of compression: not from 1 to 9", o.Level)
	case strings.ContainsAny(o.Name, "\x00\n") || len(o.Name) > 4096 || strings.HasSuffix(o.Name, "/"):
		return nil, fmt.Errorf("raw.tar.gz: %.100q is not a name of a file", o.Name)
	case o.Modified.Unix() < 0:
		return nil, fmt.Errorf("raw.tar.gz: %v is before 1970", o.Modified)
	}
	w := &Writer{options: o, size: size}
	if o.Sparse {
		w.holes = newHoles(size)
		w.parts = parts.New(sink, w.holes.head, size)
		w.gzip = newGzipWriter(w.parts, o.Level)
		return w, nil
	}
	w.parts = parts.New(sink, 0, size)
	w.gzip = newGzipWriter(w.parts, o.Level)
	_, w.err = w.gzip.Write(plainHeader(o, size))
	return w, w.err
}

// plainHeader is a header in GNU format, whose sizes have no limit, or in PAX
// format if the name asks for it.
func plainHeader(o Options, size int64) []byte {
	if len(o.Name) <= fieldName.size {
		h := newHeader(o.Name, size, o.Modified)
		copy(h.bytes(fieldMagic), magicGNU)
		h.seal()
		return h[:]
	}
	return paxHeaders(o.Name, size, o.Modified, []record{{"path", o.Name}})
}

func newHeader(name string, size int64, modified time.Time) *header {
	h := new(header)
	copy(h.bytes(fieldName), name)
	h.putNumber(fieldMode, 0o644)
	h.putNumber(fieldUID, 0)
	h.putNumber(fieldGID, 0)
	h.putNumber(fieldSize, size)
	h.putNumber(fieldMtime, modified.Unix())
	h[fieldTypeflag.at] = typeRegular
	copy(h.bytes(fieldUname), "root")
	copy(h.bytes(fieldGname), "root")
	return h
}

type record struct{ key, value string }

// paxHeaders is a header with records before it.
func paxHeaders(name string, size int64, modified time.Time, records []record) []byte {
	if size >= 1<<33 { // does not fit eleven octal digits
		records = append(records, record{"size", strconv.FormatInt(size, 10)})
	}
	var text []byte
	for _, r := range records {
		// The length counts its own digits.
		n := len(r.key) + len(r.value) + 3
		length := n + len(strconv.Itoa(n))
		length = n + len(strconv.Itoa(length))
		text = fmt.Appendf(text, "%d %s=%s\n", length, r.key, r.value)
	}
	name = name[:min(len(name), fieldName.size)]
	x := newHeader("PaxHeaders.0/"+name[:min(len(name), 80)], int64(len(text)), modified)
	x[fieldTypeflag.at] = typePAX
	h := newHeader(name, size, modified)
	for _, h := range []*header{x, h} {
		copy(h.bytes(fieldMagic), magicUSTAR)
		h.seal()
	}
	out := append(x[:], text...)
	out = append(out, make([]byte, -len(out)&(blockSize-1))...)
	return append(out, h[:]...)
}

// Write writes the next bytes of the disk.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.check(int64(len(p))); err != nil {
		return 0, err
	}
	if w.holes != nil {
		w.err = w.holes.write(w.gzip, p)
	} else {
		_, w.err = w.gzip.Write(p)
	}
	if w.err != nil {
		return 0, w.err
	}
	w.at += int64(len(p))
	return len(p), nil
}

// Skip writes n zeros.
func (w *Writer) Skip(n int64) error {
	if err := w.check(n); err != nil {
		return err
	}
	if w.holes != nil {
		w.err = w.holes.skip(w.gzip, n)
	} else {
		w.err = w.gzip.zeros(n)
	}
	w.at += n
	return w.err
}

func (w *Writer) check(n int64) error {
	if w.err == nil && (n < 0 || n > w.size-w.at) {
		w.err = fmt.Errorf("raw.tar.gz: %w: %d bytes at %d of %d", errFull, n, w.at, w.size)
	}
	return w.err
}

// Abort is that of disk.Writer.
func (w *Writer) Abort(err error) {
	if w.err == nil {
		w.err = err
	}
	_ = w.parts.Stop() // err says what is wrong
}

// Close ends the archive.
func (w *Writer) Close() error {
	defer w.parts.Stop()
	if w.err != nil {
		return w.err
	}
	if err := w.Skip(w.size - w.at); err != nil {
		return err
	}
	stored := w.size
	if w.holes != nil {
		if w.err = w.holes.end(w.gzip); w.err != nil {
			return w.err
		}
		stored = w.holes.stored
	}
	// The last block, and two of zeros.
	if w.err = w.gzip.zeros(-stored&(blockSize-1) + 2*blockSize); w.err != nil {
		return w.err
	}
	if w.err = w.gzip.Close(); w.err != nil {
		return w.err
	}
	var head []byte
	if w.holes != nil {
		if head, w.err = w.holes.pack(w.options, w.size); w.err != nil {
			return w.err
		}
	}
	if w.err = w.parts.Close(head); w.err != nil {
		return w.err
	}
	w.err = errClosed
	return nil
}

var _ io.Writer = (*Writer)(nil)
