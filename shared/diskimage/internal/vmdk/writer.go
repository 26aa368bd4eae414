package vmdk

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"

	"ecs-image-export/shared/diskimage/disk"
)

// Subformat is a createType that can be written.
type Subformat uint8

// The subformats. StreamOptimized is compressed and is written strictly from its
// first byte to its last. MonolithicSparse is not compressed; its tables come
// first, in the part that is delivered last.
const (
	StreamOptimized Subformat = iota
	MonolithicSparse
)

// Options say how a disk is written. The zero value is the default of each.
type Options struct {
	Subformat Subformat
	// Level is the level of compression from 1, the fastest, to 9. Default 6.
	Level int
	// Workers is how many grains are compressed at the same time. The file is the
	// same with any number. Default: the number of cores, 16 at most.
	Workers int
	// Name is what the descriptor calls the file, without a directory. VMware
	// products expect the real name for monolithicSparse; others do not look.
	// Default disk.vmdk.
	Name string
}

// What is written: grains of 64 KiB, 512 in a table, as everybody does.
const (
	grainSectors      = 128
	grainSize         = grainSectors * sectorSize
	tableEntries      = 512
	tableSectors      = tableEntries * 4 / sectorSize
	descriptorSectors = 20
	// What comes in front of the first grain of a stream.
	streamOverHead = grainSectors

	defaultName = "disk.vmdk"
	maxWorkers  = 16

	// MaxSparse is the largest monolithicSparse in bytes: tables of 256 MiB are
	// kept for it. Places have 32 bits, so more could not be filled either.
	MaxSparse = 2 << 40
	// MaxStream is the largest streamOptimized in bytes: the file must not be
	// larger than 2 TiB.
	MaxStream = 64 << 40
)

func (o Options) withDefaults() (Options, error) {
	if o.Level == 0 {
		o.Level = 6
	}
	if o.Workers == 0 {
		o.Workers = min(runtime.GOMAXPROCS(0), maxWorkers)
	}
	if o.Name == "" {
		o.Name = defaultName
	}
	switch {
	case o.Subformat > MonolithicSparse:
		return o, fmt.Errorf("vmdk: no subformat %d", o.Subformat)
	case o.Level < 1 || o.Level > 9:
		return o, fmt.Errorf("vmdk: no compression level %d", o.Level)
	case o.Workers < 1 || o.Workers > maxWorkers:
		return o, fmt.Errorf("vmdk: %d workers, not 1 to %d", o.Workers, maxWorkers)
	case len(o.Name) > 255 || strings.ContainsAny(o.Name, "\"/\\\r\n\x00"):
		return o, fmt.Errorf("vmdk: %.300q is not the name of a file", o.Name)
	}
	return o, nil
}

// NewWriter begins the image of a disk of size bytes, which are filled up to a
// whole sector. A disk of no size is no VMDK.
func NewWriter(size int64, sink disk.Sink, o Options) (disk.Writer, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if size <= 0 {
		return nil, unsupported("a disk of %d bytes cannot be written", size)
	}
	most := int64(MaxStream)
	if o.Subformat == MonolithicSparse {
		most = MaxSparse
	}
	if size > most {
		return nil, limitError("a disk of %d bytes, more than %d", size, most)
	}
	h := &header{
		version:          versionPlain,
		flags:            flagNewLines,
		capacity:         sectors(size),
		grainSize:        grainSectors,
		descriptorOffset: 1,
		descriptorSize:   descriptorSectors,
		entries:          tableEntries,
	}
	w := &writer{size: size}
	if o.Subformat == StreamOptimized {
		w.file = newStreamFile(h, sink, o)
	} else {
		w.file = newSparseFile(h, sink, o)
	}
	return w, nil
}

// file takes the grains that are not zero in ascending order. It keeps nothing of
// their content after the call.
type file interface {
	grain(g int64, content []byte) error
	// finish writes the rest.
	finish() error
	// stop ends everything that goes on, and gives up.
	stop()
}

// writer cuts content into grains and leaves the zeros out.
type writer struct {
	file   file
	size   int64
	at     int64  // what was written or skipped
	buffer []byte // the grain at hand, if its content came in pieces
	err    error  // what ended it
}

var errClosed = errors.New("vmdk: the image is closed")

func (w *writer) Write(b []byte) (int, error) {
	if err := w.room(int64(len(b))); err != nil {
		return 0, err
	}
	total := len(b)
	for len(b) > 0 {
		n := min(len(b), grainSize-len(w.buffer))
		content := b[:n]
		if n < grainSize {
			if w.buffer == nil {
				w.buffer = make([]byte, 0, grainSize)
			}
			w.buffer = append(w.buffer, content...)
			content = w.buffer
		}
		if len(content) == grainSize {
			if err := w.emit(w.at/grainSize, content); err != nil {
				return total - len(b), err
			}
			w.buffer = w.buffer[:0]
		}
		w.at += int64(n)
		b = b[n:]
	}
	return total, nil
}

// Skip writes zeros. Whole grains of them take no time.
func (w *writer) Skip(n int64) error {
	if n < 0 {
		return fmt.Errorf("vmdk: skip %d bytes", n)
	}
	if err := w.room(n); err != nil {
		return err
	}
	if len(w.buffer) > 0 {
		fill := min(n, int64(grainSize-len(w.buffer)))
		if _, err := w.Write(zeros[:fill]); err != nil {
			return err
		}
		n -= fill
	}
	w.at += n - n%grainSize
	_, err := w.Write(zeros[:n%grainSize])
	return err
}

var zeros [grainSize]byte

func (w *writer) room(n int64) error {
	if w.err != nil {
		return w.err
	}
	if n > w.size-w.at {
		return fmt.Errorf("vmdk: %d bytes at %d of a disk of %d", n, w.at, w.size)
	}
	return nil
}

func (w *writer) emit(g int64, content []byte) error {
	if zero(content) {
		return nil
	}
	if err := w.file.grain(g, content); err != nil {
		w.fail(err)
		return err
	}
	return nil
}

func (w *writer) fail(err error) {
	w.err = err
	w.file.stop()
}

// Abort is that of disk.Writer.
func (w *writer) Abort(err error) {
	if w.err == nil {
		w.err = err
	}
	w.file.stop()
}

// Close writes what is left.
func (w *writer) Close() error {
	defer w.file.stop()
	if w.err != nil {
		return w.err
	}
	if n := len(w.buffer); n > 0 {
		w.buffer = w.buffer[:grainSize]
		clear(w.buffer[n:])
		if err := w.emit((w.at-1)/grainSize, w.buffer); err != nil {
			return err
		}
	}
	if err := w.file.finish(); err != nil {
		w.fail(err)
		return err
	}
	w.err = errClosed
	return nil
}

// entry makes the entry of a table or directory for a place of the file.
func entry(offset int64) (uint32, error) {
	if n := offset / sectorSize; n <= math.MaxUint32 {
		return uint32(n), nil
	}
	return 0, limitError("the file is larger than 2 TiB")
}
