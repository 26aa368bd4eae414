package qcow2

import (
	"bytes"
	"errors"
	"fmt"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/parts"
)

// Compression is how a Writer compresses the clusters.
type Compression string

// None is the default.
const (
	None Compression = ""
	Zlib Compression = "zlib"
	Zstd Compression = "zstd"
)

// DefaultCluster is the default of Options.ClusterSize, the one of qemu-img too.
const DefaultCluster = 64 << 10

// Options say what a Writer writes. The zero value is not compressed, with
// clusters of 64 KiB.
type Options struct {
	Compression Compression
	// ClusterSize is in bytes, a power of two from 512 to 2 MiB.
	ClusterSize int
}

// Writer writes a QCOW2 image of version 3 whose metadata comes first:
//
//	header | L1 table | refcount table | L2 tables | refcount blocks | zeros | clusters
//
// so that the file can be read in one pass, and its structure with few requests.
// The head, up to the zeros, is known last, and handed out in the end as the first
// part, or the first few: one for each 32 MiB that it could have. A head of at
// most 8 MiB has its room from the start. A larger one takes the room that it
// needs and no more, as nothing in the clusters depends on its length. The zeros
// fill that room, or make the parts as large as they have to be.
//
// Clusters come in ascending order. Compressed ones are packed one behind the
// other, byte by byte. A cluster that does not become smaller stays as it is, on a
// multiple of the cluster size; it may come up to 1 MiB late, so that less is lost
// in front of it.
//
// Memory is 4 bytes for each cluster of the disk that is not zero, and the L1
// table, besides the part that is being filled and, with compression, some 2 MiB
// for each core. A disk whose size is not a multiple of 512 bytes grows to one,
// as other programs know only whole sectors.
type Writer struct {
	plan    plan
	out     *parts.Writer
	sink    disk.Sink
	packer  *packer // nil: not compressed
	placer  placer
	table   int64 // number of the L2 table whose clusters are placed
	waiting map[int64][]byte
	zeros   []byte // a cluster
	cluster []byte // a part of a cluster that has been written
	at      int64  // clusters of the disk that have been written
	stored  [][]int32
	err     error
	closed  bool
}

// plain is the size that is noted for a cluster that is not compressed.
const plain = -1

var _ disk.Writer = (*Writer)(nil)

// NewWriter begins an image of a disk of size bytes.
func NewWriter(size int64, sink disk.Sink, o Options) (*Writer, error) {
	plan, err := newPlan(size, o)
	if err != nil {
		return nil, err
	}
	if r, ok := sink.(parts.Reserver); ok && plan.reserved > 0 {
		r.Reserve(plan.headParts, plan.reserved<<plan.clusterBits)
	}
	w := &Writer{plan: plan, sink: sink}
	w.out = parts.New(behind{sink, plan.headParts}, 0, size)
	w.zeros = make([]byte, plan.cluster())
	w.cluster = make([]byte, 0, plan.cluster())
	w.stored = make([][]int32, plan.l1Entries())
	if o.Compression != None {
		if w.packer, err = newPacker(plan, w.packed); err != nil {
			return nil, err
		}
		w.placer = placer{cluster: plan.cluster(), place: w.placed}
		w.waiting = map[int64][]byte{}
	}
	return w, nil
}

// behind leaves the first numbers to the parts of the head.
type behind struct {
	sink disk.Sink
	head int
}

func (b behind) Part(number int, content []byte) error {
	return b.sink.Part(b.head+number, content)
}

// Write writes the next bytes of the disk.
func (w *Writer) Write(b []byte) (int, error) {
	if err := w.room(int64(len(b))); err != nil {
		return 0, err
	}
	n := len(b)
	for len(b) > 0 && w.err == nil {
		if len(w.cluster) == 0 && len(b) >= len(w.zeros) {
			w.put(b[:len(w.zeros)])
			b = b[len(w.zeros):]
			continue
		}
		take := min(len(b), len(w.zeros)-len(w.cluster))
		w.cluster = append(w.cluster, b[:take]...)
		b = b[take:]
		if len(w.cluster) == len(w.zeros) {
			w.put(w.cluster)
			w.cluster = w.cluster[:0]
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	return n, nil
}

// Skip writes n zeros.
func (w *Writer) Skip(n int64) error {
	if n < 0 {
		return fmt.Errorf("qcow2: skip %d bytes", n)
	}
	if err := w.room(n); err != nil {
		return err
	}
	if len(w.cluster) > 0 {
		take := min(n, int64(len(w.zeros)-len(w.cluster)))
		w.cluster = append(w.cluster, w.zeros[:take]...)
		n -= take
		if len(w.cluster) == len(w.zeros) {
			w.put(w.cluster)
			w.cluster = w.cluster[:0]
		}
	}
	w.at += n >> w.plan.clusterBits
	w.cluster = append(w.cluster, w.zeros[:n%w.plan.cluster()]...)
	return w.err
}

// room fails when n bytes do not fit on the rest of the disk.
func (w *Writer) room(n int64) error {
	if w.err != nil {
		return w.err
	}
	if w.closed {
		return errors.New("qcow2: the image is closed")
	}
	if at := w.at<<w.plan.clusterBits + int64(len(w.cluster)); n > w.plan.asked-at {
		return fmt.Errorf("qcow2: write %d bytes at %d of a disk of %d", n, at, w.plan.asked)
	}
	return nil
}

// put stores a cluster.
func (w *Writer) put(b []byte) {
	index := w.at
	w.at++
	if w.err != nil || bytes.Equal(b, w.zeros) {
		return
	}
	if w.packer != nil {
		w.err = w.packer.put(index, b)
		return
	}
	w.note(index, plain)
	_, w.err = w.out.Write(b)
}

// packed takes a cluster from the packer.
func (w *Writer) packed(index int64, b []byte) error {
	if number := index / w.plan.l2Entries(); number != w.table {
		w.placer.flush()
		w.table = number
	}
	size := int32(len(b))
	if len(b) == len(w.zeros) {
		size, b = plain, bytes.Clone(b)
	}
	w.note(index, size)
	w.waiting[index] = b
	w.placer.add(index, size)
	return w.err
}

// placed writes a cluster where the placer put it.
func (w *Writer) placed(index, from int64, _ int32) {
	b := w.waiting[index]
	delete(w.waiting, index)
	if w.err == nil {
		_, w.err = w.out.Write(w.zeros[:from-w.out.Size()])
	}
	if w.err == nil {
		_, w.err = w.out.Write(b)
	}
}

// align fills up the last cluster of the file.
func (w *Writer) align() error {
	_, err := w.out.Write(w.zeros[:-w.out.Size()&(w.plan.cluster()-1)])
	return err
}

func (w *Writer) note(index int64, size int32) {
	table := &w.stored[index/w.plan.l2Entries()]
	if *table == nil {
		*table = make([]int32, w.plan.l2Entries())
	}
	(*table)[index%w.plan.l2Entries()] = size
}

// Abort is that of disk.Writer.
func (w *Writer) Abort(err error) {
	if w.err == nil && !w.closed {
		w.err = err
	}
	_ = w.out.Stop() // err says what is wrong
}

// Close finishes the image. Closing it again does nothing.
func (w *Writer) Close() error {
	defer w.out.Stop()
	if w.closed || w.err != nil {
		w.closed = true
		return w.err
	}
	w.closed = true
	w.err = w.finish()
	w.stored = nil
	return w.err
}

func (w *Writer) finish() error {
	if len(w.cluster) > 0 {
		w.put(append(w.cluster, w.zeros[len(w.cluster):]...))
		w.cluster = w.cluster[:0]
	}
	if w.err == nil && w.packer != nil {
		w.err = w.packer.flush()
		w.placer.flush()
	}
	if w.err != nil {
		return w.err
	}
	if err := w.align(); err != nil {
		return err
	}
	if err := w.out.Close(nil); err != nil {
		return err
	}
	return w.head(w.out.Size())
}
