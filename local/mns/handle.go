package mns

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// receiptHandle is what a receipt handle says: of which message it is, and the
// number that tells it from other handles of that message.
type receiptHandle struct {
	seq      uint64
	visible  int64 // milliseconds since 1970; information only
	nonce    uint64
	priority uint8
}

// handleOf is the handle that is valid for m, as it stands on the wire.
func handleOf(m *message) string {
	return receiptHandle{m.seq, m.visible, m.handle, m.priority}.String()
}

// String gives the form that the service's documents show,
// "1-ODU4OTkzNDU5My0xNDMyNzI3ODI3LTItOA==". Base64 of digits and hyphens has no
// plus and no slash in it, so that clients that don't escape it work too.
func (h receiptHandle) String() string {
	return "1-" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%d-%d-%d-%d", h.seq, h.visible, h.nonce, h.priority))
}

// parseHandle reads a receipt handle. Anything but the exact form that String
// writes is errReceiptHandle.
func parseHandle(s string) (receiptHandle, error) {
	encoded, ok := strings.CutPrefix(s, "1-")
	if !ok {
		return receiptHandle{}, errReceiptHandle
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return receiptHandle{}, errReceiptHandle
	}
	parts := strings.Split(string(raw), "-")
	if len(parts) != 4 {
		return receiptHandle{}, errReceiptHandle
	}
	var numbers [4]uint64
	for i, bits := range []int{64, 63, 64, 8} {
		if numbers[i], err = strconv.ParseUint(parts[i], 10, bits); err != nil {
			return receiptHandle{}, errReceiptHandle
		}
	}
	h := receiptHandle{numbers[0], int64(numbers[1]), numbers[2], uint8(numbers[3])}
	if h.String() != s {
		return receiptHandle{}, errReceiptHandle
	}
	return h, nil
}

// newHandle is a random number that is never zero.
func newHandle() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:]) | 1
}
