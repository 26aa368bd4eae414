// Package parts cuts the file of a disk image into the parts of an upload.
//
// # Memory
//
// A Writer takes two parts, the one that is filled and the one that the sink has:
// 16 MiB until the file has 15.6 GiB, 64 MiB until it has 78.1 GiB, 256 MiB until
// it has 328 GiB, and then 1 GiB, or less if what can still come is less: at most
// 160 MiB for a disk of 500 GiB, however full; see partSize.
package parts

import (
	"fmt"

	"ecs-image-export/shared/diskimage/disk"
)

// Writer cuts a file that grows at its end into parts. The file begins with a
// head of known length whose content is known last; it becomes part 1.
//
// While the sink takes a part, the next one is filled: the disk's content is made
// on one core and goes to a file or a network on the other. A sink gets one part
// at a time.
type Writer struct {
	sink   disk.Sink
	head   int64 // bytes reserved for the head, 0: the file has none
	most   int64 // bytes that the file can have
	number int   // of the part that is being filled
	length int   // of that part
	buffer []byte
	spare  []byte
	taken  chan error // the answer of the sink that is busy with a part; nil: it is idle
	size   int64      // of the file so far
}

// Reserver is a Sink that wants to know how long the head is before the parts
// behind it come, as one that writes to a file does.
type Reserver interface {
	// Reserve says that the first parts, as many as count, are the head and have
	// size bytes together.
	Reserve(count int, size int64)
}

// New begins the file of a disk of size bytes. A head must be as large as a part
// has to be.
func New(sink disk.Sink, head, size int64) *Writer {
	if head > 0 && head < disk.MinPart {
		panic(fmt.Sprintf("a head of %d bytes is too small for a part", head))
	}
	// Tables, and what does not compress, are less than the part in 64.
	p := &Writer{sink: sink, head: head, most: size + size/64, number: 1, size: head}
	if head > 0 {
		p.number = 2
		if r, ok := sink.(Reserver); ok {
			r.Reserve(1, head)
		}
	}
	return p
}

// partSize lets a file of 2.27 TiB, more than the largest disk that ECS exports,
// fit into 10,000 parts, while a small one needs little memory: 8 MiB for the
// first 2,000 parts, then 32, 128 and 512 MiB, or as much less as is enough for
// the bytes that are left.
func partSize(number int, left int64) int {
	const unit = 1 << 20
	// A hundred parts are left over for a head that comes in several.
	enough := (max(left, 0)/max(9900-int64(number), 1)/unit + 1) * unit
	return int(min(8<<20<<(2*min((number-1)/2000, 3)), max(enough, 8<<20)))
}

// Write appends to the file.
func (p *Writer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(p.buffer) == 0 {
			p.length = partSize(p.number, p.most-p.size)
			if cap(p.buffer) < p.length { // growing would take more for a while
				p.buffer = make([]byte, 0, p.length)
			}
		}
		take := min(len(b), p.length-len(p.buffer))
		p.buffer = append(p.buffer, b[:take]...)
		b = b[take:]
		p.size += int64(take)
		if len(p.buffer) == p.length {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush hands the buffer to the sink and goes on with the other one. It returns
// what came of the part before.
func (p *Writer) flush() error {
	if err := p.Stop(); err != nil {
		return err
	}
	number, content, taken := p.number, p.buffer, make(chan error, 1)
	go func() { taken <- part(p.sink, number, content) }()
	p.buffer, p.spare, p.taken = p.spare[:0], content, taken
	p.number++
	return nil
}

func part(sink disk.Sink, number int, content []byte) error {
	if err := sink.Part(number, content); err != nil {
		return fmt.Errorf("part %d: %w", number, err)
	}
	return nil
}

// Stop waits until the sink is idle, and returns its error, once. A writer whose
// Close fails calls it, so that nothing reaches the sink afterwards.
func (p *Writer) Stop() error {
	if p.taken == nil {
		return nil
	}
	err := <-p.taken
	p.taken = nil
	return err
}

// Size is the length of the file so far, the head included: where the next byte
// goes.
func (p *Writer) Size() int64 { return p.size }

// Close hands out the last part and then the head, which must have the length
// that was reserved.
func (p *Writer) Close(head []byte) error {
	if int64(len(head)) != p.head {
		panic(fmt.Sprintf("the head has %d bytes, %d were reserved", len(head), p.head))
	}
	if len(p.buffer) > 0 {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if err := p.Stop(); err != nil || p.head == 0 {
		return err
	}
	return part(p.sink, 1, head)
}
