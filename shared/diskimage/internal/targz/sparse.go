package targz

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// fragment is a range of the disk that is stored; between fragments are holes.
type fragment struct{ offset, length int64 }

// sparseMap collects fragments. GNU tar has stored them in four ways:
//
//   - old GNU: typeflag S, four in the header and 21 in each extension block;
//   - PAX 0.0: records GNU.sparse.offset and GNU.sparse.numbytes, repeated;
//   - PAX 0.1: one record GNU.sparse.map, all numbers with commas between;
//   - PAX 1.0: decimal lines before the content, padded to a block.
type sparseMap struct {
	fragments []fragment
	most      int   // entries that memory allows
	entries   int   // so far, empty ones too: they cost time
	stored    int64 // sum of their lengths
	end       int64 // of the last one
}

// fragmentMemory is what a fragment may take while the slice grows.
const fragmentMemory = 3 * 16

var errSparse = errors.New("sparse map")

type tooMany int

func (n tooMany) Error() string {
	return fmt.Sprintf("the sparse map has more than %d ranges", int(n))
}

// add takes the next range, which must lie after those before.
func (m *sparseMap) add(offset, length int64) error {
	if offset < m.end || length < 0 || offset+length < offset {
		return fmt.Errorf("%w: range %d of %d bytes at %d: before the end of the one before it, or too large", errSparse, len(m.fragments), length, offset)
	}
	if m.entries++; m.entries > m.most {
		return tooMany(m.most)
	}
	m.end = offset + length
	m.stored += length
	if length == 0 {
		return nil // GNU tar marks the size of a file with a hole at its end so
	}
	if n := len(m.fragments); n > 0 && m.fragments[n-1].offset+m.fragments[n-1].length == offset {
		m.fragments[n-1].length += length
		return nil
	}
	m.fragments = append(m.fragments, fragment{offset, length})
	return nil
}

// addGNU takes the entries of a header or an extension block, up to the first
// empty one.
func (m *sparseMap) addGNU(entries []byte) error {
	for ; len(entries) > 0; entries = entries[24:] {
		if entries[0] == 0 {
			return nil
		}
		offset, err := parseNumber(entries[:12])
		if err != nil {
			return fmt.Errorf("%w: offset: %w", errSparse, err)
		}
		length, err := parseNumber(entries[12:24])
		if err != nil {
			return fmt.Errorf("%w: numbytes: %w", errSparse, err)
		}
		if err := m.add(offset, length); err != nil {
			return err
		}
	}
	return nil
}

// addList takes the numbers of PAX 0.1.
func (m *sparseMap) addList(list []byte) error {
	for len(list) > 0 {
		var pair [2]int64
		for i := range pair {
			var number []byte
			number, list, _ = bytes.Cut(list, []byte{','})
			n, err := parseDecimal(number)
			if err != nil {
				return fmt.Errorf("%w: GNU.sparse.map: %w", errSparse, err)
			}
			pair[i] = n
		}
		if err := m.add(pair[0], pair[1]); err != nil {
			return err
		}
	}
	return nil
}

// readLines reads the map of PAX 1.0, block by block. It returns how many bytes
// of the member that took.
func (m *sparseMap) readLines(block func() ([]byte, error)) (int64, error) {
	var rest []byte
	var taken int64
	line := func() (int64, error) {
		var number []byte
		for {
			digits, after, found := bytes.Cut(rest, []byte{'\n'})
			number = append(number, digits...)
			if rest = after; found {
				return parseDecimal(number)
			}
			if len(number) > 20 {
				return 0, fmt.Errorf("%w: %q", errNumber, number)
			}
			b, err := block()
			if err != nil {
				return 0, err
			}
			rest = b
			taken += int64(len(b))
		}
	}
	count, err := line()
	for range count {
		var offset, length int64
		if offset, err = line(); err != nil {
			break
		}
		if length, err = line(); err != nil {
			break
		}
		if err = m.add(offset, length); err != nil {
			break
		}
	}
	if errors.Is(err, errNumber) {
		err = fmt.Errorf("%w: %w", errSparse, err)
	}
	return taken, err
}

func parseDecimal(b []byte) (int64, error) {
	n, err := strconv.ParseUint(string(b), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%w: %.32q", errNumber, b)
	}
	return int64(n), nil
}
