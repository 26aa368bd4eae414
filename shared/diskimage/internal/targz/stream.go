package targz

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/ahead"
)

// maxHeaders bounds the headers around the one member: directories and records.
const maxHeaders = 1000

// maxPadding bounds the zeros after the archive: tar fills its last record,
// whose size is a matter of taste (10 KiB by default).
const maxPadding = 16 << 20

// maxText bounds names, and records that hold no sparse map.
const maxText = 1 << 20

// textShare is the part of Limits.Memory that all text of an archive may have
// together. As text is thrown away, this bounds time: many headers of a few bytes
// in gzip would be many times Limits.Size.
const textShare = 8

// Stream is the disk in an archive.
type Stream struct {
	tar    io.Reader
	at     int64 // in the tar
	limits disk.Limits

	name      string
	size      int64 // virtual
	fragments []fragment
	headers   int
	text      int64 // bytes that headers and sparse maps may still have
	pieces    *ahead.Reader
}

// Match reports whether a file that begins with head is a tar in gzip.
func Match(head, _ []byte) bool {
	if len(head) < 3 || head[0] != 0x1f || head[1] != 0x8b {
		return false
	}
	var h header
	_, err := io.ReadFull(newGunzip(bytes.NewReader(head)), h[:])
	return err == nil && h.sumIsRight() && !h.isZero()
}

// NewStream reads up to the member's content. From then on the archive is
// decompressed on a goroutine of its own, at most a few pieces ahead.
func NewStream(r io.Reader, l disk.Limits) (disk.Stream, error) {
	s := &Stream{tar: newGunzip(r), limits: l.WithDefaults()}
	s.text = s.limits.Memory / textShare
	found, err := s.member()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: raw.tar.gz: no regular file in the archive", disk.ErrFormat)
	}
	s.pieces = ahead.New(s.fill)
	return s, nil
}

// Format is disk.TarGz.
func (s *Stream) Format() disk.Format { return disk.TarGz }

// Size is the size of the member, holes included.
func (s *Stream) Size() int64 { return s.size }

// Next returns the next piece. Before it returns io.EOF the rest of the archive
// was read and found to be its end, and all checksums to be right.
func (s *Stream) Next() (disk.Piece, error) { return s.pieces.Next() }

// Close is that of disk.Stream.
func (s *Stream) Close() { s.pieces.Stop() }

// fill makes the next piece. Pieces end at multiples of their size on the disk,
// so that writers need not put clusters together from two.
func (s *Stream) fill(buffer []byte) (disk.Piece, error) {
	if len(s.fragments) == 0 {
		return disk.Piece{}, s.finish()
	}
	f := &s.fragments[0]
	n := min(f.length, ahead.Size-f.offset%ahead.Size)
	p := disk.Piece{Offset: f.offset, Data: buffer[:n]}
	if err := s.read(p.Data); err != nil {
		return disk.Piece{}, err
	}
	f.offset += n
	f.length -= n
	if f.length == 0 {
		s.fragments = s.fragments[1:]
	}
	return p, nil
}

// finish reads what follows the content. It returns io.EOF if that is right.
func (s *Stream) finish() error {
	if err := s.pad(); err != nil {
		return err
	}
	// Another Stream, since Size may be called at the same time.
	rest := Stream{tar: s.tar, at: s.at, limits: s.limits, headers: s.headers, text: s.text}
	found, err := rest.member()
	if err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%w: raw.tar.gz: a second file in the archive: %q after %q", disk.ErrUnsupported, rest.name, s.name)
	}
	return io.EOF
}

// pad reads to the end of the block.
func (s *Stream) pad() error {
	return s.read(make([]byte, -s.at&(blockSize-1)))
}

func (s *Stream) read(b []byte) error {
	n, err := io.ReadFull(s.tar, b)
	s.at += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return s.errorf(disk.ErrFormat, "the archive ends too early: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// errorf says where in the tar.
func (s *Stream) errorf(kind error, format string, args ...any) error {
	args = append([]any{kind, s.name, s.at}, args...)
	return fmt.Errorf("%w: raw.tar.gz: member %q, offset %#x of the tar: "+format, args...)
}

// member reads headers up to the content of a regular file, and fills in the
// fields that describe it. At the end of the archive it is false.
func (s *Stream) member() (bool, error) {
	ext := newExtended(int(s.limits.Memory / fragmentMemory))
	for {
		if s.headers++; s.headers > maxHeaders {
			return false, s.errorf(disk.ErrUnsupported, "more than %d headers", maxHeaders)
		}
		var h header
		if n, err := io.ReadFull(s.tar, h[:]); n == 0 && errors.Is(err, io.EOF) {
			return false, nil // no blocks of zeros at the end: readers have always tolerated that
		} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, s.errorf(disk.ErrFormat, "the archive ends in a header: %w", io.ErrUnexpectedEOF)
		} else if err != nil {
			return false, err
		}
		if h.isZero() {
			return false, s.padding()
		}
		if !h.sumIsRight() {
			return false, s.errorf(disk.ErrFormat, "no tar header: its checksum is wrong")
		}
		size, err := h.number(fieldSize)
		if err != nil {
			return false, s.errorf(disk.ErrFormat, "size: %w", err)
		}
		s.at += blockSize
		s.name = h.name()
		switch t := h.typeflag(); t {
		case typePAX:
			text, err := s.readText(size, s.limits.Memory/textShare)
			if err == nil {
				err = s.kind(paxRecords(text, ext.record))
			}
			if err != nil {
				return false, err
			}
		case typePAXGlobal:
			text, err := s.readText(size, maxText)
			if err == nil {
				err = s.kind(paxRecords(text, globalRecord))
			}
			if err != nil {
				return false, err
			}
		case typeGNULongName, typeGNULongLink:
			text, err := s.readText(size, maxText)
			if err != nil {
				return false, err
			}
			if t == typeGNULongName {
				ext.name = string(bytes.TrimRight(text, "\x00"))
			}
		case typeDirectory:
			// An archive made of a directory begins with it. Some tars give it a
			// size that means nothing.
			ext = newExtended(ext.sparse.most)
		case typeRegular, typeRegularOld, typeContiguous, typeGNUSparse:
			if ext.name != "" {
				s.name = ext.name
			}
			if ext.size >= 0 {
				size = ext.size
			}
			if t == typeRegularOld && size == 0 && len(s.name) > 0 && s.name[len(s.name)-1] == '/' {
				ext = newExtended(ext.sparse.most)
				continue // a directory, before there was a type for it
			}
			return true, s.content(&h, ext, size)
		default:
			return false, s.errorf(disk.ErrUnsupported, "type %q, where only one regular file should be", t)
		}
	}
}

// readText reads a member that is text about another. It grows with what is
// there, not with what the header claims.
func (s *Stream) readText(size, most int64) ([]byte, error) {
	if size > most {
		return nil, s.errorf(disk.ErrLimit, "a header of %d bytes, more than %d", size, most)
	}
	if err := s.take(size); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	n, err := io.CopyN(&b, s.tar, size)
	s.at += n
	if errors.Is(err, io.EOF) {
		return nil, s.errorf(disk.ErrFormat, "the archive ends in a header: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, err
	}
	return b.Bytes(), s.pad()
}

// take counts n bytes of text before they are read.
func (s *Stream) take(n int64) error {
	if n > s.text {
		return s.errorf(disk.ErrLimit, "headers and sparse maps of more than %d bytes together", s.limits.Memory/textShare)
	}
	s.text -= n
	return nil
}

// kind gives an error of the tar's fields its place and sentinel. Errors of
// reading have theirs.
func (s *Stream) kind(err error) error {
	var many tooMany
	switch {
	case errors.As(err, &many):
		return s.errorf(disk.ErrLimit, "%w", err)
	case errors.Is(err, errPAX), errors.Is(err, errSparse):
		return s.errorf(disk.ErrFormat, "%w", err)
	}
	return err
}

// content learns the size of a regular file and where its holes are. The tar
// then stands at the first byte of content.
func (s *Stream) content(h *header, ext *extended, stored int64) error {
	m := &ext.sparse
	switch {
	case h.typeflag() == typeGNUSparse:
		if string(h.bytes(fieldMagic)) != magicGNU || ext.hasMap || ext.major >= 0 {
			return s.errorf(disk.ErrFormat, "typeflag S in an archive that is not in GNU format")
		}
		size, err := h.number(fieldRealSize)
		if err != nil {
			return s.errorf(disk.ErrFormat, "realsize: %w", err)
		}
		if err := s.gnuMap(h, m); err != nil {
			return err
		}
		s.size = size
	case ext.major > 1, ext.major == 1 && ext.minor != 0:
		return s.errorf(disk.ErrUnsupported, "sparse format %d.%d", ext.major, ext.minor)
	case ext.major == 1:
		if ext.realSize < 0 || ext.hasMap {
			return s.errorf(disk.ErrFormat, "a sparse file without GNU.sparse.realsize, or with two maps")
		}
		left := stored
		taken, err := m.readLines(func() ([]byte, error) {
			if left < blockSize {
				return nil, s.errorf(disk.ErrFormat, "the sparse map is longer than the member")
			}
			if err := s.take(blockSize); err != nil {
				return nil, err
			}
			b := make([]byte, blockSize)
			left -= blockSize
			return b, s.read(b)
		})
		if err != nil {
			return s.kind(err)
		}
		s.size, stored = ext.realSize, stored-taken
	case ext.hasMap, ext.realSize >= 0:
		if ext.realSize < 0 || !ext.hasMap || ext.offset >= 0 {
			return s.errorf(disk.ErrFormat, "the sparse map is not whole")
		}
		s.size = ext.realSize
	default:
		s.size = stored
		if err := m.add(0, stored); err != nil {
			return s.kind(err)
		}
	}
	if s.size > s.limits.Size {
		return s.errorf(disk.ErrLimit, "a disk of %d bytes, more than %d", s.size, s.limits.Size)
	}
	if m.end > s.size || m.stored != stored {
		return s.errorf(disk.ErrFormat, "the sparse map ends at %d and holds %d bytes; the file has %d bytes, of which %d are stored", m.end, m.stored, s.size, stored)
	}
	s.fragments = m.fragments
	return nil
}

// gnuMap reads the map of the old form, extension blocks included.
func (s *Stream) gnuMap(h *header, m *sparseMap) error {
	if err := m.addGNU(h.bytes(fieldSparse)); err != nil {
		return s.kind(err)
	}
	for more := h[fieldIsExtended.at]; more != 0; {
		if err := s.take(blockSize); err != nil {
			return err
		}
		var b header
		if err := s.read(b[:]); err != nil {
			return err
		}
		entries := b.bytes(fieldMoreSparse)
		if entries[0] == 0 {
			return s.errorf(disk.ErrFormat, "an empty block of the sparse map")
		}
		if err := m.addGNU(entries); err != nil {
			return s.kind(err)
		}
		more = b[fieldMoreIsExtended.at]
	}
	return nil
}

// padding reads the zeros after the archive, to the end of the file.
func (s *Stream) padding() error {
	b := make([]byte, 32<<10)
	for total := 0; ; {
		n, err := s.tar.Read(b)
		if len(bytes.Trim(b[:n], "\x00")) > 0 {
			return s.errorf(disk.ErrFormat, "data after the end of the archive")
		}
		if total += n; total > maxPadding {
			return s.errorf(disk.ErrFormat, "more than %d zeros after the end of the archive", maxPadding)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
