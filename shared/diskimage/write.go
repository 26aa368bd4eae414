package diskimage

import (
	"fmt"
	"strings"
	"time"

	"ecs-image-export/shared/diskimage/internal/qcow2"
	"ecs-image-export/shared/diskimage/internal/raw"
	"ecs-image-export/shared/diskimage/internal/targz"
	"ecs-image-export/shared/diskimage/internal/vdi"
	"ecs-image-export/shared/diskimage/internal/vhd"
	"ecs-image-export/shared/diskimage/internal/vmdk"
)

// Options say how an image is written. The zero value is the default of each
// format. An option that the format does not have is an error.
type Options struct {
	// Subformat is a kind of the format, by the names that qemu-img has for them.
	// The first is the default:
	//
	//	VHD    dynamic, fixed
	//	VMDK   streamOptimized (compressed), monolithicSparse
	//	TarGz  plain, sparse (GNU sparse, PAX 1.0)
	Subformat string
	// Compression of QCOW2's clusters: none, which is the default, zlib or zstd.
	Compression string
	// Level of compression, 1 to 9, default 6. VMDK streamOptimized and TarGz.
	Level int
	// ClusterSize of QCOW2 in bytes, a power of two from 512 to 2 MiB. Default
	// 64 KiB.
	ClusterSize int
	// Name of the file inside: TarGz's member, the extent of a VMDK's descriptor.
	// Default disk.raw and disk.vmdk.
	Name string
	// Modified is the time of TarGz's member and the creation time of a VHD.
	// Default 1970 and 2000.
	Modified time.Time
}

// NewWriter begins an image of format f with a disk of size bytes. When it
// returns an error, no part has been handed out.
func NewWriter(f Format, size int64, sink Sink, o Options) (Writer, error) {
	if err := o.check(f); err != nil {
		return nil, err
	}
	switch f {
	case RAW:
		return raw.NewWriter(size, sink)
	case QCOW2:
		return writer(qcow2.NewWriter(size, sink, qcow2.Options{Compression: qcow2.Compression(strings.TrimPrefix(o.Compression, "none")), ClusterSize: o.ClusterSize}))
	case VHD:
		return writer(vhd.NewWriter(size, sink, vhd.Options{Fixed: o.Subformat == "fixed", Created: o.Modified}))
	case VDI:
		return writer(vdi.NewWriter(size, sink, vdi.Options{}))
	case VMDK:
		kind := vmdk.StreamOptimized
		if o.Subformat == "monolithicSparse" {
			kind = vmdk.MonolithicSparse
		}
		return writer(vmdk.NewWriter(size, sink, vmdk.Options{Subformat: kind, Level: o.Level, Name: o.Name}))
	case TarGz:
		return writer(targz.NewWriter(size, sink, targz.Options{Sparse: o.Subformat == "sparse", Level: o.Level, Name: o.Name, Modified: o.Modified}))
	}
	return nil, fmt.Errorf("%w: format %q", ErrUnsupported, f)
}

func writer[W Writer](w W, err error) (Writer, error) {
	if err != nil {
		return nil, err
	}
	return w, nil
}

// check finds options that f does not have. Values that it has are checked by
// the format's package.
func (o Options) check(f Format) error {
	subformats := map[Format][]string{
		VHD:   {"dynamic", "fixed"},
		VMDK:  {"streamOptimized", "monolithicSparse"},
		TarGz: {"plain", "sparse"},
	}
	known := o.Subformat == ""
	for _, s := range subformats[f] {
		known = known || s == o.Subformat
	}
	compressed := f == TarGz || f == VMDK && o.Subformat != "monolithicSparse"
	for _, unknown := range []struct {
		what string
		is   bool
	}{
		{fmt.Sprintf("subformat %q", o.Subformat), !known},
		{fmt.Sprintf("compression %q", o.Compression), o.Compression != "" && f != QCOW2},
		{fmt.Sprintf("level %d", o.Level), o.Level != 0 && !compressed},
		{fmt.Sprintf("cluster size %d", o.ClusterSize), o.ClusterSize != 0 && f != QCOW2},
		{fmt.Sprintf("name %q", o.Name), o.Name != "" && f != TarGz && f != VMDK},
		{"modification time", !o.Modified.IsZero() && f != TarGz && f != VHD},
	} {
		if unknown.is {
			return fmt.Errorf("%w: %s does not have the option %s", ErrUnsupported, f, unknown.what)
		}
	}
	return nil
}
