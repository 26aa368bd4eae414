package vmdk

import (
	"bufio"
	"errors"
	"io"
	"runtime"

	"ecs-image-export/shared/diskimage/disk"
)

// stream delivers grains in order. They are read by whoever calls Next, some
// batches ahead, and decompressed at the same time.
type stream struct {
	h    *header
	from grainReader

	most    int // batches read ahead
	running []*load
	idle    []*load
	current *load
	next    int   // grain of current
	end     error // why no more is read
}

// grainReader reads the grains of a file.
type grainReader interface {
	// read adds one grain to a load. At the end of the image, when all else was
	// checked, it returns io.EOF.
	read(to *load) error
}

// loadBytes is about how much content a batch has.
const loadBytes = 512 << 10

// NewStream begins to read an image. Tables that come in front of the grains are
// read now.
func NewStream(r io.Reader, l disk.Limits) (disk.Stream, error) {
	l = l.WithDefaults()
	s := &source{r: bufio.NewReaderSize(r, 128<<10)}
	head, err := io.ReadAll(io.LimitReader(s.r, sectorSize))
	if err != nil {
		return nil, readError(err, "the header")
	}
	s.at = int64(len(head))
	h, err := openHeader(head, l)
	if err != nil {
		return nil, err
	}
	var from grainReader
	switch {
	case h.gdOffset < uint64(h.overHead):
		from, err = readTables(s, head, h, l)
	case h.compressed() && h.flags&flagRedundant == 0:
		from, err = newWalk(s, h, l)
	default:
		err = orderError("its tables come behind its grains")
	}
	if err != nil {
		return nil, err
	}
	most := 1
	if h.compressed() {
		most = min(runtime.GOMAXPROCS(0), maxWorkers) + 1
	}
	return &stream{h: h, from: from, most: most}, nil
}

func (s *stream) Format() disk.Format { return disk.VMDK }
func (s *stream) Size() int64         { return s.h.size() }

// Close has nothing to end: the file is read in Next.
func (s *stream) Close() {}

// Next returns the next grain.
func (s *stream) Next() (disk.Piece, error) {
	for {
		if c := s.current; c != nil && s.next < len(c.grains) && (c.err == nil || s.next < c.good) {
			i := s.next
			s.next++
			g := c.grains[i]
			at := int64(i) * s.h.grain()
			return disk.Piece{Offset: g * s.h.grain(), Data: c.content[at : at+s.h.length(g)]}, nil
		}
		if s.current != nil {
			if s.current.err != nil {
				return disk.Piece{}, s.stop(s.current.err)
			}
			s.idle = append(s.idle, s.current)
			s.current = nil
		}
		s.ahead()
		if len(s.running) == 0 {
			return disk.Piece{}, s.end
		}
		s.current, s.next = s.running[0], 0
		s.running = append(s.running[:0], s.running[1:]...)
		<-s.current.done
	}
}

// ahead reads until enough batches run, or there is no more.
func (s *stream) ahead() {
	for len(s.running) < s.most && s.end == nil {
		var c *load
		if n := len(s.idle); n > 0 {
			c, s.idle = s.idle[n-1], s.idle[:n-1]
		} else {
			c = newLoad(s.h)
		}
		c.reset()
		for len(c.grains) < c.most && s.end == nil {
			s.end = s.from.read(c)
		}
		if len(c.grains) == 0 {
			return
		}
		c.start()
		s.running = append(s.running, c)
	}
}

// stop waits until nothing runs any more.
func (s *stream) stop(err error) error {
	for _, c := range s.running {
		<-c.done
	}
	s.running, s.end = nil, err
	return err
}

// load is some grains of the disk, read together.
type load struct {
	h       *header
	most    int // grains
	grains  []int64
	content []byte // room for most grains
	raw     []byte // compressed data
	ends    []int  // of each grain's in raw
	done    chan struct{}
	good    int // grains that were decompressed
	err     error
}

func newLoad(h *header) *load {
	most := int(max(loadBytes/h.grain(), 1))
	return &load{h: h, most: most, content: make([]byte, int64(most)*h.grain()), done: make(chan struct{}, 1)}
}

func (c *load) reset() {
	c.grains, c.raw, c.ends, c.good, c.err = c.grains[:0], c.raw[:0], c.ends[:0], 0, nil
}

// start decompresses, if there is something to be decompressed.
func (c *load) start() {
	if !c.h.compressed() {
		c.done <- struct{}{}
		return
	}
	go func() {
		z := inflaters.Get().(*inflater)
		defer inflaters.Put(z)
		start := 0
		for i, g := range c.grains {
			at := int64(i) * c.h.grain()
			if c.err = z.inflate(c.content[at:at+c.h.grain()], c.raw[start:c.ends[i]], c.h, g); c.err != nil {
				break
			}
			start = c.ends[i]
			c.good++
		}
		c.done <- struct{}{}
	}()
}

// addPlain reads grain g, which is not compressed.
func (c *load) addPlain(s *source, g int64) error {
	at := int64(len(c.grains)) * c.h.grain()
	if err := s.read(c.content[at:at+c.h.length(g)], "grain"); err != nil {
		return err
	}
	c.grains = append(c.grains, g)
	return nil
}

// addCompressed reads the rest of grain g, whose first sector is first.
func (c *load) addCompressed(s *source, g int64, first []byte) error {
	length, err := grainData(first, c.h)
	if err != nil {
		return err
	}
	start := len(c.raw)
	c.raw = append(c.raw, first[grainMarker:]...)
	if rest := sectors(grainMarker+length) - 1; rest > 0 {
		old := len(c.raw)
		c.raw = append(c.raw, make([]byte, rest*sectorSize)...)
		if err := s.read(c.raw[old:], "grain"); err != nil {
			c.raw = c.raw[:start]
			return err
		}
	}
	c.raw = c.raw[:start+int(length)]
	c.grains = append(c.grains, g)
	c.ends = append(c.ends, len(c.raw))
	return nil
}

// source is a file that is read once.
type source struct {
	r  *bufio.Reader
	at int64 // the place of the next byte
}

func (s *source) read(b []byte, what string) error {
	n, err := io.ReadFull(s.r, b)
	s.at += int64(n)
	if err != nil {
		return readError(err, "%s at offset %#x", what, s.at-int64(n))
	}
	return nil
}

// skip goes to a place that is not behind.
func (s *source) skip(to int64) error {
	for s.at < to {
		n, err := s.r.Discard(int(min(to-s.at, 1<<20)))
		s.at += int64(n)
		if err != nil {
			return readError(err, "a gap at offset %#x", s.at)
		}
	}
	return nil
}

// ended says whether nothing follows.
func (s *source) ended() (bool, error) {
	_, err := s.r.Peek(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	if err != nil {
		return false, readError(err, "at offset %#x", s.at)
	}
	return false, nil
}
