package vmdk

import (
	"errors"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// Vendors write descriptors in many ways.
func TestDescriptor(t *testing.T) {
	t.Parallel()
	right := tinyDescriptor(typeStream)
	change := func(old, with string) string {
		if !strings.Contains(right, old) {
			t.Fatalf("no %q in the descriptor", old)
		}
		return strings.Replace(right, old, with, 1)
	}
	for _, c := range []struct {
		name, text string
		want       error
		says       string
	}{
		{"right", right, nil, ""},
		{"without quotes, as OVF Tool", change(`"streamOptimized"`, "streamOptimized"), nil, ""},
		{"read only, as OVF Tool", change("RW 36", "RDONLY 36"), nil, ""},
		{"line ends of Windows", strings.ReplaceAll(right, "\n", "\r\n"), nil, ""},
		{"spaces and capitals", change("createType=", " CreateType  = "), nil, ""},
		{"changed block tracking", right + "changeTrackPath=\"disk-ctk.vmdk\"\n", nil, ""},
		{"no new line at the end", strings.TrimSpace(right), nil, ""},
		{"database", right + "ddb.comment = \"a = b\"\nddb.longContentID = \"0123\"\nencoding=\"UTF-8\"\n", nil, ""},
		{"zeros, then rubbish", right + "\x00rubbish", nil, ""},
		{"nothing", "\n", disk.ErrUnsupported, "split"},
		{"rubbish", right + "rubbish\n", disk.ErrFormat, "line 7"},
		{"open quote", change(`"streamOptimized"`, `"streamOptimized`), disk.ErrFormat, "quote"},
		{"no version", change("version=1", ""), disk.ErrFormat, "version"},
		{"version", change("version=1", "version=9"), disk.ErrUnsupported, "version 9"},
		{"no CID", change("\nCID=12345678", ""), disk.ErrFormat, "cid"},
		{"CID", change("12345678", "123456789"), disk.ErrFormat, "cid"},
		{"two CIDs", right + "CID=2\n", disk.ErrFormat, "12345678"},
		{"parent", change("parentCID=ffffffff", "parentCID=1\nparentFileNameHint=\"base.vmdk\""), disk.ErrUnsupported, "base.vmdk"},
		{"encrypted", right + "encryption.keySafe = \"vmware:key/list/...\"\n", disk.ErrUnsupported, "encrypted"},
		{"no type", change("createType=\"streamOptimized\"", ""), disk.ErrFormat, "createType"},
		{"flat", change("streamOptimized", "monolithicFlat"), disk.ErrUnsupported, "monolithicFlat: its data is in a flat file"},
		{"split", change("streamOptimized", "twoGbMaxExtentSparse"), disk.ErrUnsupported, "split over files"},
		{"ESX", change("streamOptimized", "vmfs"), disk.ErrUnsupported, "flat file"},
		{"ESX delta", change("streamOptimized", "vmfsSparse"), disk.ErrUnsupported, "COWD"},
		{"ESX 6.5 delta", change("streamOptimized", "seSparse"), disk.ErrUnsupported, "SESparse"},
		{"unknown type", change("streamOptimized", "newest"), disk.ErrUnsupported, "newest"},
		{"no extent", change("RW 36", "#"), disk.ErrFormat, "0 extents"},
		{"two extents", right + "RW 36 SPARSE \"b.vmdk\"\n", disk.ErrFormat, "2 extents"},
		{"flat extent", change("SPARSE", "FLAT"), disk.ErrUnsupported, "FLAT"},
		{"no access", change("RW 36", "NOACCESS 36"), disk.ErrUnsupported, "access"},
		{"size", change("RW 36", "RW 37"), disk.ErrFormat, "37"},
		{"size is no number", change("RW 36", "RW many"), disk.ErrFormat, "many"},
		{"extent cut", change("RW 36 SPARSE \"t.vmdk\"", "RW 36"), disk.ErrFormat, "extent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			y := newTiny()
			y.descriptor = c.text
			for _, b := range [][]byte{y.markers(), y.tablesFirst(false), y.tablesFirst(true)} {
				for _, err := range []error{readAll(b, disk.Limits{}), streamAll(b, disk.Limits{})} {
					if !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), c.says) {
						t.Errorf("%v, want %v with %q", err, c.want, c.says)
					}
				}
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]bool{
		"KDMV\x01\x00\x00\x00":               true,
		"COWD":                               true,
		"# Disk DescriptorFile\nversion=1":   true,
		"\n# disk descriptorfile\r\n":        true,
		"\xbe\xba\xfe\xca\x00\x00\x00\x00":   true,
		"\xca\xfe\xba\xbe\x00\x00\x00\x34":   false, // Java
		"QFI\xfb":                            false,
		"":                                   false,
		"KDM":                                false,
		"# Disk":                             false,
		"version=1\ncreateType=nothing":      false,
		strings.Repeat("\x00", sectorSize*2): false,
	} {
		if got := Match([]byte(head), nil); got != want {
			t.Errorf("Match(%q) is %v", head, got)
		}
	}
}
