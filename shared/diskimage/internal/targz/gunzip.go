package targz

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"ecs-image-export/shared/diskimage/disk"

	"github.com/klauspost/compress/flate"
)

// The flags of a member's header, RFC 1952, 2.3.1.
const (
	flagHeaderCRC = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
	flagReserved  = 0xe0
)

// maxGzipText bounds the name and the comment of a member, which have no length
// field and mean nothing here.
const maxGzipText = 64 << 10

// gunzip reads the members of a gzip file, one after another, and checks each
// member's CRC32 and ISIZE. Zeros after the last member are padding, as tapes
// and object stores leave it and gzip -d ignores it; anything else is damage.
//
// compress/gzip does the same but for the padding, and hides which inflate it
// uses.
type gunzip struct {
	in      *bufio.Reader // of file; flate is fastest with this very type
	file    *offset
	inflate io.ReadCloser
	crc     uint32
	size    uint32
	members int
	open    bool // in a member
	err     error
}

// offset counts what was read of the compressed file, for messages.
type offset struct {
	r io.Reader
	n int64
}

func (o *offset) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	o.n += int64(n)
	return n, err
}

func (z *gunzip) offset() int64 { return z.file.n - int64(z.in.Buffered()) }

func newGunzip(r io.Reader) *gunzip {
	o := &offset{r: r}
	return &gunzip{in: bufio.NewReaderSize(o, 256<<10), file: o}
}

// Read decompresses. It returns io.EOF when the file has ended and everything
// in it was checked.
func (z *gunzip) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for z.err == nil {
		if !z.open {
			z.err = z.begin()
			continue
		}
		n, err := z.inflate.Read(p)
		z.crc = crc32.Update(z.crc, crc32.IEEETable, p[:n])
		z.size += uint32(n)
		switch {
		case errors.Is(err, io.EOF):
			z.err = z.end()
		case err != nil:
			z.err = z.damaged("deflate", err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, z.err
}

// begin reads a member's header. At the end of the file it is io.EOF.
func (z *gunzip) begin() error {
	at := z.offset()
	var h [10]byte
	if _, err := io.ReadFull(z.in, h[:1]); err != nil {
		if errors.Is(err, io.EOF) && z.members == 0 {
			return fmt.Errorf("%w: raw.tar.gz: the file is empty", disk.ErrFormat)
		}
		return err // io.EOF: the end
	}
	if h[0] == 0 && z.members > 0 {
		return z.padding()
	}
	if h[0] == 0x1f {
		if _, err := io.ReadFull(z.in, h[1:]); err != nil {
			return z.damaged("gzip header", err)
		}
	}
	if h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 {
		if z.members > 0 {
			return fmt.Errorf("%w: raw.tar.gz: after gzip member %d: neither a member nor zeros at offset %#x", disk.ErrFormat, z.members, at)
		}
		return fmt.Errorf("%w: raw.tar.gz: no gzip header at offset %#x", disk.ErrFormat, at)
	}
	flags := h[3]
	if flags&flagReserved != 0 {
		return fmt.Errorf("%w: raw.tar.gz: gzip header at offset %#x has reserved flags %#x", disk.ErrFormat, at, flags)
	}
	sum := crc32.ChecksumIEEE(h[:])
	if err := z.skipFields(flags, &sum); err != nil {
		return z.damaged("gzip header", err)
	}
	if flags&flagHeaderCRC != 0 {
		var b [2]byte
		if _, err := io.ReadFull(z.in, b[:]); err != nil {
			return z.damaged("gzip header", err)
		}
		if binary.LittleEndian.Uint16(b[:]) != uint16(sum) {
			return fmt.Errorf("%w: raw.tar.gz: gzip header at offset %#x: its CRC16 is wrong", disk.ErrFormat, at)
		}
	}
	if z.inflate == nil {
		z.inflate = flate.NewReader(z.in)
	} else if err := z.inflate.(flate.Resetter).Reset(z.in, nil); err != nil {
		return err
	}
	z.crc, z.size, z.open = 0, 0, true
	z.members++
	return nil
}

// skipFields reads over the optional fields of a header, and sums them.
func (z *gunzip) skipFields(flags byte, sum *uint32) error {
	next := func() (byte, error) {
		b, err := z.in.ReadByte()
		*sum = crc32.Update(*sum, crc32.IEEETable, []byte{b})
		return b, err
	}
	if flags&flagExtra != 0 {
		low, err := next()
		if err != nil {
			return err
		}
		high, err := next()
		if err != nil {
			return err
		}
		for range int(low) | int(high)<<8 {
			if _, err := next(); err != nil {
				return err
			}
		}
	}
	for _, flag := range []byte{flagName, flagComment} {
		if flags&flag == 0 {
			continue
		}
		for n := 0; ; n++ {
			b, err := next()
			if err != nil {
				return err
			}
			if b == 0 {
				break
			}
			if n == maxGzipText {
				return errors.New("a name or comment without end")
			}
		}
	}
	return nil
}

// end checks a member against its trailer.
func (z *gunzip) end() error {
	z.open = false
	at := z.offset()
	var b [8]byte
	if _, err := io.ReadFull(z.in, b[:]); err != nil {
		return z.damaged("gzip trailer", err)
	}
	if got := binary.LittleEndian.Uint32(b[:]); got != z.crc {
		return fmt.Errorf("%w: raw.tar.gz: gzip member %d: the content's CRC32 is %08x, the trailer at offset %#x says %08x", disk.ErrFormat, z.members, z.crc, at, got)
	}
	if got := binary.LittleEndian.Uint32(b[4:]); got != z.size {
		return fmt.Errorf("%w: raw.tar.gz: gzip member %d: the content has %d bytes (mod 2^32), the trailer at offset %#x says %d", disk.ErrFormat, z.members, z.size, at, got)
	}
	return nil
}

func (z *gunzip) padding() error {
	for {
		b, err := z.in.ReadByte()
		if err != nil {
			return err // io.EOF: the end
		}
		if b != 0 {
			return fmt.Errorf("%w: raw.tar.gz: data at offset %#x, after zeros that follow the last gzip member", disk.ErrFormat, z.offset()-1)
		}
	}
}

// damaged gives an error its place. What the file's reader says is kept as it
// is, so that a failing network does not look like a broken file.
func (z *gunzip) damaged(what string, err error) error {
	at := z.offset()
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: raw.tar.gz: the file ends in a %s at offset %#x: %w", disk.ErrFormat, what, at, io.ErrUnexpectedEOF)
	case errors.As(err, &corrupt):
		return fmt.Errorf("%w: raw.tar.gz: %s before offset %#x: %w", disk.ErrFormat, what, at, err)
	}
	return fmt.Errorf("raw.tar.gz: %s at offset %#x: %w", what, at, err)
}
