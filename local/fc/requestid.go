package fc

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// newRequestID makes an id like the service's: 1-, the time in seconds, and 12
// random bytes (1-64e70cf1-5cbef92ea8fc8c42899cf5d1).
func newRequestID(now time.Time) string {
	return fmt.Sprintf("1-%08x-%s", uint32(now.Unix()), randomHex(12))
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
