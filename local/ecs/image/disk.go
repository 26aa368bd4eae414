package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ecs-image-export/local/ecs/sparse"
	"ecs-image-export/shared/diskimage"
)

// Disk is the content of a disk. It must be closed.
type Disk struct {
	diskimage.Image           // RAW or QCOW2
	Modified        time.Time // when its file was
	file            *os.File
}

// Open opens the content of a disk. A name that leaves the folder, through a
// symbolic link too, is an error.
func (f *Folder) Open(m Mapping) (*Disk, error) {
	file, err := f.root.Open(filepath.FromSlash(m.File))
	if err != nil {
		return nil, fmt.Errorf("open disk %s: %w", m.Device, err)
	}
	d, err := openDisk(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open disk %s: %w", m.Device, err), file.Close())
	}
	return d, nil
}

// Close releases the file.
func (d *Disk) Close() error { return d.file.Close() }

// openDisk finds the format from the content.
func openDisk(file *os.File) (*Disk, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	format, err := diskimage.Detect(file, info.Size())
	if err != nil {
		return nil, err
	}
	d := &Disk{Modified: info.ModTime(), file: file}
	switch format {
	case diskimage.RAW:
		d.Image, err = sparse.Open(file)
	case diskimage.QCOW2:
		d.Image, err = diskimage.OpenAs(format, file, info.Size(), diskimage.Limits{})
	default:
		// Open could read more, but the sources of disks are not a converter.
		err = fmt.Errorf("%w: %s", diskimage.ErrUnsupported, format)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}
