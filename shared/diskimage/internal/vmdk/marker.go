package vmdk

import "encoding/binary"

// Types of markers.
const (
	markerEnd       = 0 // MARKER_EOS
	markerTable     = 1 // MARKER_GT
	markerDirectory = 2 // MARKER_GD
	markerFooter    = 3 // MARKER_FOOTER
	// vSphere writes one more, sometimes. It is not documented; what follows it
	// has no meaning for the content.
	markerUnknown = 4
)

// marker is the sector in front of a grain or of metadata: value uint64, size
// uint32, and type uint32. With a size it is that of a grain, whose data begins in
// place of the type, see grainMarker. Without, value is the number of sectors of
// metadata that follow.
type marker struct {
	value      uint64
	size, kind uint32
}

func parseMarker(b []byte) marker {
	le := binary.LittleEndian
	return marker{le.Uint64(b), le.Uint32(b[8:]), le.Uint32(b[12:])}
}

func (m marker) encode() []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	le.PutUint64(b, m.value)
	le.PutUint32(b[8:], m.size)
	le.PutUint32(b[12:], m.kind)
	return b
}
