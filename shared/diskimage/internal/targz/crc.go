package targz

import "hash/crc32"

// crcZeros extends a CRC32 by a fixed number of zeros, as reading them would.
//
// A CRC is the remainder of a polynomial over GF(2), so that appending zeros
// multiplies it by a power of x. The register is kept inverted: append undoes
// that, multiplies, and does it again.
type crcZeros uint32 // x^(8·bytes) mod the polynomial, reflected

// crcOfZeros appends packSize zeros.
var crcOfZeros = newCRCZeros(packSize)

func newCRCZeros(bytes uint64) crcZeros {
	power, square := uint32(1)<<31, uint32(1)<<30 // x^0 and x^1
	for bits := bytes * 8; bits > 0; bits >>= 1 {
		if bits&1 != 0 {
			power = multiply(power, square)
		}
		square = multiply(square, square)
	}
	return crcZeros(power)
}

func (z crcZeros) append(crc uint32) uint32 { return ^multiply(^crc, uint32(z)) }

// multiply is a·b mod the polynomial, all with x^0 in the highest bit.
func multiply(a, b uint32) uint32 {
	var product uint32
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.IEEE
		} else {
			b >>= 1
		}
	}
	return product
}
