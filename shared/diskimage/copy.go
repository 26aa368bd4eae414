package diskimage

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// Copy writes the rest of a stream to w. What the stream does not have is
// skipped. It does not close w.
//
// After an error nothing reads the stream's reader any more, and w is aborted: it
// cannot become an image that lacks the rest.
func Copy(w Writer, s Stream) error {
	err := copyStream(w, s)
	if err != nil {
		s.Close()
		w.Abort(err)
	}
	return err
}

func copyStream(w Writer, s Stream) error {
	var at int64
	for {
		p, err := s.Next()
		if errors.Is(err, io.EOF) {
			return skip(w, s.Size()-at)
		}
		if err != nil {
			return err
		}
		if err := skip(w, p.Offset-at); err != nil {
			return err
		}
		if _, err := w.Write(p.Data); err != nil {
			return err
		}
		at = p.Offset + int64(len(p.Data))
	}
}

func skip(w Writer, n int64) error {
	if n == 0 {
		return nil
	}
	return w.Skip(n)
}

// copySize is how much of an image is read at a time. It is a multiple of most
// cluster sizes, so that no cluster is decompressed twice.
const copySize = 1 << 20

// CopyImage writes the content of an image to w. Extents without data are
// skipped; data is read on all cores, at most a few MiB for each. It does not
// close w. When it returns, nothing reads the image any more. After an error w is
// aborted, as by Copy.
func CopyImage(w Writer, img Image) error {
	c := copier{w: w, img: img, slots: 2 * runtime.GOMAXPROCS(0)}
	err := c.copy()
	c.running.Wait()
	if err != nil {
		w.Abort(err)
	}
	return err
}

type copier struct {
	w       Writer
	img     Image
	at      int64 // what w has got
	slots   int
	queue   []*reading // in order
	spare   []*reading
	running sync.WaitGroup
}

// reading is a range that is read on a goroutine of its own.
type reading struct {
	offset int64
	data   []byte
	done   chan error
}

func (c *copier) copy() error {
	for e, err := range c.img.Extents() {
		if err != nil {
			return err
		}
		if e.Kind != Data {
			continue
		}
		for end := e.Offset + e.Length; e.Offset < end; {
			n := min(end-e.Offset, copySize-e.Offset%copySize)
			if len(c.queue) == c.slots {
				if err := c.drain(); err != nil {
					return err
				}
			}
			c.read(e.Offset, int(n))
			e.Offset += n
		}
	}
	for len(c.queue) > 0 {
		if err := c.drain(); err != nil {
			return err
		}
	}
	return skip(c.w, c.img.Size()-c.at)
}

func (c *copier) read(offset int64, n int) {
	var r *reading
	if last := len(c.spare) - 1; last >= 0 {
		r, c.spare = c.spare[last], c.spare[:last]
	} else {
		r = &reading{data: make([]byte, copySize), done: make(chan error, 1)}
	}
	r.offset, r.data = offset, r.data[:n]
	c.queue = append(c.queue, r)
	c.running.Go(func() {
		n, err := c.img.ReadAt(r.data, r.offset)
		switch {
		case n == len(r.data):
			err = nil
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		}
		r.done <- err
	})
}

// drain writes the oldest reading.
func (c *copier) drain() error {
	r := c.queue[0]
	c.queue = append(c.queue[:0], c.queue[1:]...)
	if err := <-r.done; err != nil {
		return fmt.Errorf("read %d bytes at %d of the disk: %w", len(r.data), r.offset, err)
	}
	if err := skip(c.w, r.offset-c.at); err != nil {
		return err
	}
	if _, err := c.w.Write(r.data); err != nil {
		return err
	}
	c.at = r.offset + int64(len(r.data))
	c.spare = append(c.spare, r)
	return nil
}
