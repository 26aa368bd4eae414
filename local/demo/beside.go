package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"ecs-image-export/shared/diskimage"
)

// difference says where two disks differ.
type difference string

func (d difference) Error() string { return "DIFFERENT: " + string(d) }

// beside is a diskimage.Writer that keeps nothing: it compares what is written to
// it with a source, and sums it up.
type beside struct {
	ctx    context.Context // a disk takes long to read
	source diskimage.Image
	data   []diskimage.Extent // of the source, from at on
	at     int64
	sum    hash.Hash
	buffer []byte
}

var zeros = make([]byte, 1<<20)

// newBeside begins to compare a disk of size bytes. Formats other than RAW know
// whole sectors only: there the disk is up to that much longer.
func newBeside(ctx context.Context, source diskimage.Image, size int64) (*beside, error) {
	if size < source.Size() || size >= source.Size()+512 {
		return nil, difference(fmt.Sprintf("%d bytes, the source has %d", size, source.Size()))
	}
	b := &beside{ctx: ctx, source: source, sum: sha256.New(), buffer: make([]byte, len(zeros))}
	for e, err := range source.Extents() {
		if err != nil {
			return nil, fmt.Errorf("read the source: %w", err)
		}
		if e.Kind == diskimage.Data {
			b.data = append(b.data, e)
		}
	}
	return b, nil
}

func (b *beside) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		k := min(len(p)-n, len(b.buffer))
		if err := b.check(p[n:n+k], b.at); err != nil {
			return n, err
		}
		b.sum.Write(p[n : n+k])
		b.at += int64(k)
		n += k
	}
	return len(p), nil
}

// Skip compares zeros. Where the source has no data, it is not read.
func (b *beside) Skip(n int64) error {
	for n > 0 {
		k := min(n, int64(len(zeros)))
		end := b.at + k
		for len(b.data) > 0 && b.data[0].Offset+b.data[0].Length <= b.at {
			b.data = b.data[1:]
		}
		for _, e := range b.data {
			if e.Offset >= end {
				break
			}
			from, to := max(e.Offset, b.at), min(e.Offset+e.Length, end)
			if err := b.check(zeros[:to-from], from); err != nil {
				return err
			}
		}
		if err := b.ctx.Err(); err != nil {
			return err
		}
		b.sum.Write(zeros[:k])
		b.at = end
		n -= k
	}
	return nil
}

// check compares p with the source, which is followed by zeros.
func (b *beside) check(p []byte, at int64) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	want := b.buffer[:len(p)]
	n, err := b.source.ReadAt(want, at)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the source: %w", err)
	}
	clear(want[n:])
	if bytes.Equal(p, want) {
		return nil
	}
	i := 0
	for p[i] == want[i] {
		i++
	}
	return difference(fmt.Sprintf("byte %d is %#02x, in the source %#02x", at+int64(i), p[i], want[i]))
}

func (b *beside) Close() error { return nil }

// Abort does nothing: the error that ended the reading is the result.
func (b *beside) Abort(error) {}

func (b *beside) hex() string { return hex.EncodeToString(b.sum.Sum(nil)) }
