package parts

// PartSize is the size of a part, unless it is the last. The file can still grow
// by as many bytes as are left.
func PartSize(number int, left int64) int { return partSize(number, left) }

// GoOn has the next part be this one, as if the others had been written.
func (p *Writer) GoOn(number int) { p.number = number }
