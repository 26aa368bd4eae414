package targz

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A tar archive is a row of blocks. A member is a header block and its content,
// padded to whole blocks; two blocks of zeros end the archive. The layouts and
// the names of fields are those of GNU tar's manual, "Basic Tar Format", and of
// POSIX pax, "ustar Interchange Format".
const (
	blockSize = 512

	typeRegular     = '0'
	typeRegularOld  = 0   // as tar did before POSIX
	typeContiguous  = '7' // a regular file, says POSIX
	typeDirectory   = '5'
	typePAX         = 'x' // records for the next member
	typePAXGlobal   = 'g' // records for all further members
	typeGNULongName = 'L'
	typeGNULongLink = 'K'
	typeGNUSparse   = 'S'
)

// header is a header block.
type header [blockSize]byte

// field is a range of the header block.
type field struct{ at, size int }

var (
	fieldName     = field{0, 100}
	fieldMode     = field{100, 8}
	fieldUID      = field{108, 8}
	fieldGID      = field{116, 8}
	fieldSize     = field{124, 12}
	fieldMtime    = field{136, 12}
	fieldChksum   = field{148, 8}
	fieldTypeflag = field{156, 1}
	fieldMagic    = field{257, 8} // with the version
	fieldUname    = field{265, 32}
	fieldGname    = field{297, 32}
	fieldPrefix   = field{345, 155} // ustar only

	// struct oldgnu_header.
	fieldSparse     = field{386, 4 * 24}
	fieldIsExtended = field{482, 1}
	fieldRealSize   = field{483, 12}

	// struct sparse_header, a block of its own.
	fieldMoreSparse     = field{0, 21 * 24}
	fieldMoreIsExtended = field{504, 1}
)

const (
	magicUSTAR = "ustar\x0000"
	magicGNU   = "ustar  \x00"
)

func (h *header) bytes(f field) []byte { return h[f.at : f.at+f.size] }

// text is a field up to its first NUL.
func (h *header) text(f field) string {
	b, _, _ := bytes.Cut(h.bytes(f), []byte{0})
	return string(b)
}

func (h *header) number(f field) (int64, error) { return parseNumber(h.bytes(f)) }

func (h *header) typeflag() byte { return h[fieldTypeflag.at] }

func (h *header) isZero() bool { return *h == header{} }

func (h *header) name() string {
	name := h.text(fieldName)
	if string(h.bytes(fieldMagic)) == magicUSTAR {
		if prefix := h.text(fieldPrefix); prefix != "" {
			return prefix + "/" + name
		}
	}
	return name
}

// sumIsRight checks the sum of the block, taken with its own field as spaces.
// Some old tars summed signed bytes.
func (h *header) sumIsRight() bool {
	want, err := h.number(fieldChksum)
	if err != nil {
		return false
	}
	unsigned, signed := h.sums()
	return want == unsigned || want == signed
}

func (h *header) sums() (unsigned, signed int64) {
	for i, b := range h {
		if i >= fieldChksum.at && i < fieldChksum.at+fieldChksum.size {
			b = ' '
		}
		unsigned += int64(b)
		signed += int64(int8(b))
	}
	return unsigned, signed
}

var errNumber = errors.New("not a number")

// parseNumber reads octal digits or, where the highest bit is set, a binary
// number (GNU "base-256"), which sizes from 8 GiB on need.
func parseNumber(b []byte) (int64, error) {
	if len(b) > 0 && b[0]&0x80 != 0 {
		if b[0]&0x40 != 0 {
			return 0, errors.New("a negative number")
		}
		n := int64(b[0] & 0x3f)
		for _, c := range b[1:] {
			if n>>55 != 0 {
				return 0, errors.New("a number of more than 63 bits")
			}
			n = n<<8 | int64(c)
		}
		return n, nil
	}
	b = bytes.Trim(b, " \x00")
	if len(b) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(b), 8, 63)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", errNumber, b)
	}
	return int64(n), nil
}

// putNumber writes octal digits and a NUL or, where they do not fit, base-256.
func (h *header) putNumber(f field, n int64) {
	b := h.bytes(f)
	if digits := strconv.FormatInt(n, 8); len(digits) < len(b) {
		for i := range b[:len(b)-1] {
			b[i] = '0'
		}
		copy(b[len(b)-1-len(digits):], digits)
		return
	}
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(n)
		n >>= 8
	}
	b[0] |= 0x80
}

// seal writes the sum, as six digits, a NUL and a space.
func (h *header) seal() {
	sum, _ := h.sums()
	copy(h.bytes(fieldChksum), fmt.Sprintf("%06o\x00 ", sum))
}
