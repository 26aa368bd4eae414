package targz

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

var errPAX = errors.New("PAX header")

// paxRecords calls f for each record of a PAX header: "length key=value\n",
// where the length counts everything.
func paxRecords(b []byte, f func(key string, value []byte) error) error {
	for len(b) > 0 {
		length, _, found := bytes.Cut(b[:min(len(b), 20)], []byte{' '})
		n, err := parseDecimal(length)
		if !found || err != nil || n > int64(len(b)) || n <= int64(len(length))+1 || b[n-1] != '\n' {
			return fmt.Errorf("%w: a record's length is wrong: %.32q", errPAX, b)
		}
		key, value, found := bytes.Cut(b[len(length)+1:n-1], []byte{'='})
		if !found || len(key) == 0 {
			return fmt.Errorf("%w: a record has no key: %.32q", errPAX, b)
		}
		if err := f(string(key), value); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// extended is what the headers before a member's own say about it.
type extended struct {
	name     string
	size     int64 // stored; -1: not said
	realSize int64 // of a sparse file; -1: not said
	sparse   sparseMap
	offset   int64 // of PAX 0.0: waits for its numbytes; -1: none
	hasMap   bool  // in these records: PAX 0.0 or 0.1
	major    int64 // version of the sparse form; -1: not said
	minor    int64
}

func newExtended(most int) *extended {
	return &extended{size: -1, realSize: -1, offset: -1, major: -1, minor: -1, sparse: sparseMap{most: most}}
}

func (e *extended) record(key string, value []byte) error {
	number := func(to *int64) error {
		n, err := parseDecimal(value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", errPAX, key, err)
		}
		*to = n
		return nil
	}
	switch key {
	case "path", "GNU.sparse.name":
		if key == "path" && e.name != "" {
			return nil // GNU.sparse.name came first and is the true one
		}
		e.name = string(value[:min(len(value), 4096)])
	case "size":
		return number(&e.size)
	case "GNU.sparse.size", "GNU.sparse.realsize":
		return number(&e.realSize)
	case "GNU.sparse.major":
		return number(&e.major)
	case "GNU.sparse.minor":
		return number(&e.minor)
	case "GNU.sparse.numblocks":
		e.hasMap = true
	case "GNU.sparse.offset":
		if e.offset >= 0 {
			return fmt.Errorf("%w: GNU.sparse.offset without its numbytes", errPAX)
		}
		return number(&e.offset)
	case "GNU.sparse.numbytes":
		if e.offset < 0 {
			return fmt.Errorf("%w: GNU.sparse.numbytes without its offset", errPAX)
		}
		var length int64
		if err := number(&length); err != nil {
			return err
		}
		e.hasMap = true
		err := e.sparse.add(e.offset, length)
		e.offset = -1
		return err
	case "GNU.sparse.map":
		e.hasMap = true
		return e.sparse.addList(value)
	default:
		if strings.HasPrefix(key, "GNU.sparse.") {
			return fmt.Errorf("%w: %s is unknown", errPAX, key)
		}
	}
	return nil
}

// globalRecord refuses what would change the one member.
func globalRecord(key string, _ []byte) error {
	if key == "size" || strings.HasPrefix(key, "GNU.sparse.") {
		return fmt.Errorf("%w: %s in a global header", errPAX, key)
	}
	return nil
}
