package oss

import "hash/crc64"

// combineCRC64 returns the CRC-64 (ECMA) of a followed by b, from the CRC of
// each and the length of b in bytes. Appending n zero bytes to a message is a
// linear map of its CRC over GF(2), so it is a 64×64 bit matrix; the matrix for
// n bytes is made by squaring, in time log n.
func combineCRC64(a, b uint64, n int64) uint64 {
	if n <= 0 {
		return a
	}
	// The register, not the CRC, is what the map is linear in; the inversions
	// at both ends cancel out.
	var even, odd matrix
	odd[0] = crc64.ECMA // one zero bit: shift right, reduce
	for i := 1; i < 64; i++ {
		odd[i] = 1 << (i - 1)
	}
	even.square(&odd) // two bits
	odd.square(&even) // four bits
	for {
		even.square(&odd) // eight bits the first time: one byte
		if n&1 != 0 {
			a = even.times(a)
		}
		if n >>= 1; n == 0 {
			break
		}
		odd, even = even, odd
	}
	return a ^ b
}

// matrix holds the image of each unit vector.
type matrix [64]uint64

func (m *matrix) times(v uint64) (sum uint64) {
	for i := 0; v != 0; i, v = i+1, v>>1 {
		if v&1 != 0 {
			sum ^= m[i]
		}
	}
	return sum
}

func (m *matrix) square(of *matrix) {
	for i := range m {
		m[i] = of.times(of[i])
	}
}
