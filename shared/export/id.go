package export

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// IDLength is the length of an export's id.
const IDLength = 13

// An id is a 64-bit number: 42 bits of inverted milliseconds, so that later ids
// sort first, and 22 random bits. Two ids of one millisecond collide once in
// four million; the create-only record of an export catches that.
const (
	randomBits = 22
	timeMask   = 1<<42 - 1
)

// crockford is Crockford's base32 alphabet in lower case: its order is the
// order of ASCII, so ids sort as the numbers do.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID returns an id for an export that is made at t.
func NewID(t time.Time) string {
	var b [4]byte
	rand.Read(b[:])
	return newID(t, binary.BigEndian.Uint32(b[:]))
}

func newID(t time.Time, random uint32) string {
	n := (timeMask-uint64(t.UnixMilli())&timeMask)<<randomBits | uint64(random)&(1<<randomBits-1)
	var id [IDLength]byte
	for i := IDLength - 1; i >= 0; i-- {
		id[i] = crockford[n&31]
		n >>= 5
	}
	return string(id[:])
}

// ParseID says when the export with this id was made, to the millisecond. It
// returns an error if id is not in the form that NewID gives.
func ParseID(id string) (time.Time, error) {
	if len(id) != IDLength {
		return time.Time{}, fmt.Errorf("export id %q: want %d characters", id, IDLength)
	}
	var n uint64
	for i := range len(id) {
		digit := strings.IndexByte(crockford, id[i])
		if digit < 0 {
			return time.Time{}, fmt.Errorf("export id %q: %q is not a digit of Crockford's base32 in lower case", id, id[i])
		}
		if i == 0 && digit > 15 { // 13 digits hold 65 bits
			return time.Time{}, fmt.Errorf("export id %q: out of range", id)
		}
		n = n<<5 | uint64(digit)
	}
	return time.UnixMilli(int64(timeMask - n>>randomBits)).UTC(), nil
}
