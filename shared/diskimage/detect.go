package diskimage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"ecs-image-export/shared/diskimage/internal/qcow2"
	"ecs-image-export/shared/diskimage/internal/targz"
	"ecs-image-export/shared/diskimage/internal/vdi"
	"ecs-image-export/shared/diskimage/internal/vhd"
	"ecs-image-export/shared/diskimage/internal/vmdk"
)

// What detection looks at: the start of a file, and its last sector.
const (
	headSize = 64 << 10
	tailSize = 512
)

var matchers = []struct {
	format Format
	match  func(head, tail []byte) bool
}{
	{QCOW2, qcow2.Match},
	{VHD, vhd.Match},
	{VDI, vdi.Match},
	{VMDK, vmdk.Match},
	{TarGz, targz.Match},
}

// foreign are marks of files that hold a disk in a way this package does not
// read. To take them for RAW would hide a mistake.
var foreign = []struct {
	at         int
	mark, name string
}{
	{0, "vhdxfile", "VHDX"},
	{0, "QED\x00", "QED"},
	{0, "\x1f\x8b\x08", "gzip of something that is not a tar"},
	{0, "\xfd7zXZ\x00", "xz"},
	{0, "\x28\xb5\x2f\xfd", "zstd"},
	{0, "BZh91AY&SY", "bzip2"},
	{0, "PK\x03\x04", "zip"},
	{257, "ustar", "tar that is not compressed"},
}

// Detect finds the format of the file of size bytes in r from its content. What
// is no other format is RAW. A file that fits two is ErrFormat, and one that is
// a disk in a wrapping unknown here ErrUnsupported.
func Detect(r io.ReaderAt, size int64) (Format, error) {
	head := make([]byte, max(0, min(size, headSize)))
	if err := readFullAt(r, head, 0); err != nil {
		return "", fmt.Errorf("detect format: %w", err)
	}
	var tail []byte
	if size >= tailSize {
		tail = make([]byte, tailSize)
		if err := readFullAt(r, tail, size-tailSize); err != nil {
			return "", fmt.Errorf("detect format: %w", err)
		}
	}
	return detect(head, tail)
}

func readFullAt(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func detect(head, tail []byte) (Format, error) {
	var found []string
	for _, m := range matchers {
		if m.match(head, tail) {
			found = append(found, string(m.format))
		}
	}
	switch len(found) {
	case 1:
		return Format(found[0]), nil
	case 0:
		for _, f := range foreign {
			if len(head) >= f.at && bytes.HasPrefix(head[f.at:], []byte(f.mark)) {
				return "", fmt.Errorf("%w: %s", ErrUnsupported, f.name)
			}
		}
		return RAW, nil
	}
	return "", fmt.Errorf("%w: the file fits more than one format: %s", ErrFormat, strings.Join(found, ", "))
}
