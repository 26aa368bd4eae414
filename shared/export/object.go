package export

import (
	"fmt"
	"regexp"
	"strings"
)

// Format is the disk image format of an export, in the API's spelling.
type Format string

// The formats of ExportImage.
const (
	RAW   Format = "raw"
	VHD   Format = "vhd"
	QCOW2 Format = "qcow2"
	VDI   Format = "vdi"
	VMDK  Format = "vmdk"
)

// Formats lists every format, the default first.
var Formats = []Format{RAW, VHD, QCOW2, VDI, VMDK}

// Suffix is what the names of a format's objects end with. ECS packs RAW disks
// into an archive; the other formats are bare files.
func (f Format) Suffix() string {
	if f == RAW {
		return ".raw.tar.gz"
	}
	return "." + string(f)
}

// MaxPrefix is the longest prefix that a caller may choose: ECS takes an
// OSSPrefix of 30 letters and digits, and the export's id needs 13 of them.
const MaxPrefix = 30 - IDLength

// Prefix is the pattern of a caller's prefix.
var Prefix = regexp.MustCompile(`^[0-9A-Za-z]{0,17}$`)

// Role of a disk in its image.
type Role string

// The roles of a disk.
const (
	System Role = "system"
	Data   Role = "data"
)

// ObjectName is the name that ECS gives to the object of one disk:
//
//	[<prefix>_]<imageId>_system.<ext>
//	[<prefix>_]<imageId>_data_<xvdX>.<ext>
//
// Device is the mount point of a data disk without "/dev/"; the name of a system
// disk does not hold it.
type ObjectName struct {
	Prefix  string
	ImageID string
	Role    Role
	Device  string
	Format  Format
}

var objectName = regexp.MustCompile(`^(?:([0-9A-Za-z]{1,30})_)?(m-[0-9a-z]+)_(?:(system)|data_([0-9a-z]+))(\.raw\.tar\.gz|\.vhd|\.qcow2|\.vdi|\.vmdk)$`)

// ParseObjectName takes a key apart. ok is false if ECS would not have named an
// object so.
func ParseObjectName(key string) (name ObjectName, ok bool) {
	m := objectName.FindStringSubmatch(key)
	if m == nil {
		return ObjectName{}, false
	}
	name = ObjectName{Prefix: m[1], ImageID: m[2], Role: Data, Device: m[4]}
	if m[3] != "" {
		name.Role = System
	}
	for _, f := range Formats {
		if f.Suffix() == m[5] {
			name.Format = f
		}
	}
	return name, true
}

func (n ObjectName) String() string {
	var b strings.Builder
	if n.Prefix != "" {
		b.WriteString(n.Prefix + "_")
	}
	b.WriteString(n.ImageID)
	if n.Role == System {
		b.WriteString("_system")
	} else {
		b.WriteString("_data_" + n.Device)
	}
	return b.String() + n.Format.Suffix()
}

// ExportID returns the id at the end of the prefix, if there is one: our
// prefixes are the caller's prefix followed by the export's id.
func (n ObjectName) ExportID() (id string, ok bool) {
	if len(n.Prefix) < IDLength {
		return "", false
	}
	id = n.Prefix[len(n.Prefix)-IDLength:]
	_, err := ParseID(id)
	return id, err == nil
}

// ManifestKey is the key of the manifest that is put beside the disk objects.
func (r Request) ManifestKey() string {
	return fmt.Sprintf("%s_%s_manifest.json", r.OSSPrefix, r.ImageID)
}

// ObjectKey is the key under which ECS writes a disk of the export.
func (r Request) ObjectKey(d Disk) string {
	return ObjectName{Prefix: r.OSSPrefix, ImageID: r.ImageID, Role: d.Role, Device: d.Name(), Format: r.Format}.String()
}
