// Package ahead lets the reading of a disk run before its use, on a goroutine of
// its own, a few pieces at most.
package ahead

import (
	"errors"
	"sync"

	"ecs-image-export/shared/diskimage/disk"
)

// Pieces of Size bytes, Count at a time: enough to keep two cores busy, small
// enough to stay in a core's cache on the way.
const (
	Size  = 256 << 10
	Count = 6
)

// Fill makes the next piece in buffer, which has Size bytes, or ends with an
// error; the piece's data is a part of buffer. Calls do not overlap.
type Fill func(buffer []byte) (disk.Piece, error)

var errStopped = errors.New("the stream is closed")

// Reader hands out what fill makes. The goroutine ends whenever every buffer is
// full, and Next begins another, so that a Reader that nobody uses is only memory.
type Reader struct {
	fill Fill

	mu      sync.Mutex
	changed sync.Cond
	running bool
	made    int      // buffers that exist
	held    []byte   // of the piece that the caller has
	free    [][]byte // to be filled
	full    []filled // in order
	err     error    // after the last of full
}

type filled struct {
	piece  disk.Piece
	buffer []byte
}

// New begins reading at the first Next.
func New(fill Fill) *Reader {
	r := &Reader{fill: fill}
	r.changed.L = &r.mu
	return r
}

// Next returns the next piece, whose data is valid until the next call, and
// after the last one the error of fill, again and again.
func (r *Reader) Next() (disk.Piece, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held != nil {
		r.free = append(r.free, r.held)
		r.held = nil
	}
	if !r.running && r.err == nil {
		r.running = true
		go r.run()
	}
	for len(r.full) == 0 && r.err == nil {
		r.changed.Wait()
	}
	if len(r.full) == 0 {
		return disk.Piece{}, r.err
	}
	f := r.full[0]
	r.full = append(r.full[:0], r.full[1:]...)
	r.held = f.buffer
	return f.piece, nil
}

// Stop waits until fill does not run, and has it not called again. Next returns an
// error then: not the end of the disk, unless all of it was handed out.
func (r *Reader) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil && len(r.full) == 0 {
		return
	}
	r.err = errStopped
	for r.running {
		r.changed.Wait()
	}
	r.err, r.full = errStopped, nil // fill may have ended meanwhile
}

func (r *Reader) run() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.err == nil {
		var buffer []byte
		switch {
		case len(r.free) > 0:
			last := len(r.free) - 1
			buffer, r.free = r.free[last], r.free[:last]
		case r.made < Count:
			buffer = make([]byte, Size)
			r.made++
		default:
			r.running = false
			return
		}
		r.mu.Unlock()
		piece, err := r.fill(buffer)
		r.mu.Lock()
		if err != nil {
			r.err = err
		} else {
			r.full = append(r.full, filled{piece, buffer})
		}
		r.changed.Signal()
	}
	r.running = false
	r.changed.Signal()
}
