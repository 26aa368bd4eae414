package vmdk

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// createTypes that are whole in one file.
const (
	typeSparse = "monolithicSparse"
	typeStream = "streamOptimized"
)

const noParent = 0xffffffff

// whatTypes says what the others are; a reader of an error may not know.
var whatTypes = map[string]string{
	"monolithicflat":              "its data is in a flat file beside it",
	"twogbmaxextentsparse":        "its data is split over files",
	"twogbmaxextentflat":          "its data is split over flat files",
	"vmfs":                        "its data is in a flat file beside it",
	"vmfsthin":                    "its data is in a flat file beside it",
	"vmfssparse":                  "its data is in an ESX COWD extent",
	"sesparse":                    "its data is in an ESX SESparse extent",
	"fulldevice":                  "its data is on a device",
	"partitioneddevice":           "its data is on a device",
	"vmfsraw":                     "its data is on a device",
	"vmfsrdm":                     "its data is on a device",
	"vmfsrdmp":                    "its data is on a device",
	"vmfsrawdevicemap":            "its data is on a device",
	"vmfspassthroughrawdevicemap": "its data is on a device",
	"custom":                      "its data is split over files",
}

// checkDescriptor reads the text of an embedded descriptor. It has to describe
// one sparse extent as large as the header says, without a parent. Vendors differ
// in spaces, quotes, line ends, order, and what else they put in, so of all that
// only the syntax is checked.
func checkDescriptor(text []byte, h *header) error {
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return errSplit // as qemu-img leaves it in parts
	}
	d := parsed{keys: map[string]string{}}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if err := d.line(strings.TrimSpace(string(line))); err != nil {
			return formatError("descriptor, line %d: %v", number, err)
		}
	}
	return d.check(h)
}

// parsed is a descriptor.
type parsed struct {
	keys    map[string]string // in lower case, without ddb.*
	extents []extent
}

type extent struct {
	access, kind string
	sectors      int64
}

func (d *parsed) line(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(word) {
	case "RW", "RDONLY", "NOACCESS":
		return d.extent(strings.ToUpper(word), rest)
	}
	key, value, ok := strings.Cut(line, "=")
	key = strings.ToLower(strings.TrimSpace(key))
	if !ok || key == "" || strings.ContainsAny(key, "\" \t") {
		return fmt.Errorf("neither an extent nor key = value: %.80q", line)
	}
	value = strings.TrimSpace(value)
	if value != "" && value[0] == '"' {
		if len(value) < 2 || value[len(value)-1] != '"' {
			return fmt.Errorf("%s has no closing quote: %.80q", key, value)
		}
		value = value[1 : len(value)-1]
	}
	if strings.HasPrefix(key, "ddb.") {
		return nil
	}
	if before, twice := d.keys[key]; twice && before != value {
		return fmt.Errorf("%s is %.80q here and %.80q before", key, value, before)
	}
	d.keys[key] = value
	return nil
}

// extent takes what follows the access of an extent: size in sectors, type, the
// file's name in quotes, and for flat ones an offset.
func (d *parsed) extent(access, rest string) error {
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return fmt.Errorf("an extent without size and type: %.80q", rest)
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("an extent of %.80q sectors", fields[0])
	}
	d.extents = append(d.extents, extent{access, strings.ToUpper(fields[1]), n})
	return nil
}

func (d *parsed) check(h *header) error {
	version, err := strconv.Atoi(d.keys["version"])
	switch {
	case err != nil:
		return formatError("descriptor: version is %.80q", d.keys["version"])
	case version < 1 || version > 4:
		return unsupported("descriptor of version %d", version)
	}
	if _, err := contentID(d.keys, "cid"); err != nil {
		return err
	}
	if parent, err := contentID(d.keys, "parentcid"); err != nil {
		return err
	} else if parent != noParent {
		return unsupported("a delta link to the parent %08x, %.200q", parent, d.keys["parentfilenamehint"])
	}
	for key := range d.keys {
		if strings.HasPrefix(key, "encryption.") {
			return unsupported("encrypted (%.80s)", key)
		}
	}
	switch kind := d.keys["createtype"]; {
	case kind == "":
		return formatError("descriptor: no createType")
	case strings.EqualFold(kind, typeSparse), strings.EqualFold(kind, typeStream):
	case whatTypes[strings.ToLower(kind)] != "":
		return unsupported("%.80s: %s", kind, whatTypes[strings.ToLower(kind)])
	default:
		return unsupported("createType %.80q", kind)
	}
	if len(d.extents) != 1 {
		return formatError("descriptor: %d extents in a file that is to hold all of the disk", len(d.extents))
	}
	switch e := d.extents[0]; {
	case e.kind != "SPARSE":
		return unsupported("an extent of type %.80s", e.kind)
	case e.access == "NOACCESS":
		return unsupported("an extent without access")
	case e.sectors != h.capacity:
		return formatError("descriptor: an extent of %d sectors, but the header's capacity is %d", e.sectors, h.capacity)
	}
	return nil
}

func contentID(keys map[string]string, key string) (uint32, error) {
	n, err := strconv.ParseUint(keys[key], 16, 32)
	if err != nil {
		return 0, formatError("descriptor: %s is %.80q", key, keys[key])
	}
	return uint32(n), nil
}

// makeDescriptor writes the descriptor of a disk of so many sectors, padded to
// descriptorSectors.
func makeDescriptor(kind string, capacity int64, name string) []byte {
	// The geometry of SCSI disks. It is of no use to anybody, but expected.
	const heads, perTrack = 255, 63
	text := fmt.Sprintf(`# Disk DescriptorFile
version=1
CID=%08x
parentCID=%08x
createType="%s"

# Extent description
RW %d SPARSE "%s"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "%d"
ddb.geometry.heads = "%d"
ddb.geometry.sectors = "%d"
ddb.adapterType = "lsilogic"
`, makeID(kind, capacity), uint32(noParent), kind, capacity, name, capacity/(heads*perTrack), heads, perTrack)
	b := make([]byte, descriptorSectors*sectorSize)
	copy(b, text)
	return b
}

// makeID makes the content ID. It changes when somebody writes to the disk, so
// that a child knows its parent; a new disk may have any but the two largest,
// which have meanings. It comes in front of content that is not known yet, so it
// is made of what is known.
func makeID(kind string, capacity int64) uint32 {
	return crc32.ChecksumIEEE(fmt.Appendf(nil, "%s %d", kind, capacity)) &^ (1 << 31)
}
