package blocks

import (
	"errors"
	"fmt"
	"io"
)

// Writer cuts a disk into blocks and stores those that are not zero, at once and
// without keeping any: a block's leading zeros are counted, and made up for when
// its first other byte comes.
type Writer struct {
	out    io.Writer
	begin  func(i int64) error
	size   int64
	block  int64
	at     int64
	stored bool // the block that at is in is being stored
	err    error
}

// NewWriter writes a disk of size bytes. Begin is called when block i turns out
// to hold data, before its first byte goes to out, where all its bytes follow.
func NewWriter(out io.Writer, size, block int64, begin func(i int64) error) *Writer {
	return &Writer{out: out, begin: begin, size: size, block: block}
}

// Write is that of disk.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.room(int64(len(p))); err != nil {
		return 0, err
	}
	n := 0
	for n < len(p) && w.err == nil {
		part := p[n:]
		if left := w.block - w.at%w.block; int64(len(part)) > left {
			part = part[:left]
		}
		if w.err = w.store(part); w.err == nil {
			n += len(part)
		}
	}
	return n, w.err
}

// Store has the block that comes next stored, be it zero or not, without begin.
func (w *Writer) Store() { w.stored = true }

// store takes bytes of one block.
func (w *Writer) store(p []byte) error {
	if !w.stored && !IsZero(p) {
		if err := w.begin(w.at / w.block); err != nil {
			return err
		}
		if err := Zeros(w.out, w.at%w.block); err != nil {
			return err
		}
		w.stored = true
	}
	if w.stored {
		if _, err := w.out.Write(p); err != nil {
			return err
		}
	}
	w.advance(int64(len(p)))
	return nil
}

func (w *Writer) advance(n int64) {
	w.at += n
	if w.at%w.block == 0 {
		w.stored = false
	}
}

// Skip is that of disk.Writer.
func (w *Writer) Skip(n int64) error {
	if err := w.room(n); err != nil || n == 0 {
		return err
	}
	if w.stored {
		part := min(n, w.block-w.at%w.block)
		if w.err = Zeros(w.out, part); w.err != nil {
			return w.err
		}
		w.advance(part)
		n -= part
	}
	w.at += n
	return nil
}

// room says whether n more bytes can be taken.
func (w *Writer) room(n int64) error {
	if w.err != nil {
		return w.err
	}
	if n < 0 || n > w.size-w.at {
		return fmt.Errorf("%d bytes at offset %d of a disk of %d bytes", n, w.at, w.size)
	}
	return nil
}

var errClosed = errors.New("the image is closed")

// Fail has everything that comes return err.
func (w *Writer) Fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Close completes the last block. Nothing can be written after it.
func (w *Writer) Close() error {
	if err := w.Skip(max(0, w.size-w.at)); err != nil {
		return err
	}
	if w.stored {
		if w.err = Zeros(w.out, w.block-w.at%w.block); w.err != nil {
			return w.err
		}
	}
	w.err = errClosed
	return nil
}
