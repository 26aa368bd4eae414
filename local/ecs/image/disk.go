package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ecs-image-export/shared/diskimage"
)

// Disk is the content of a disk. It must be closed.
type Disk struct {
	diskimage.Image           // RAW or QCOW2
	Modified        time.Time // when its file was
	file            *os.File
	length          int64 // of its file
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

// Unchanged returns an error unless the file is as it was when the disk was
// opened. Without it, what was read may be of two disks.
func (d *Disk) Unchanged() error {
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != d.length || !info.ModTime().Equal(d.Modified) {
		return fmt.Errorf("%s was changed while it was read; leave the files of disks alone while they are exported", d.file.Name())
	}
	return nil
}

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
	if format != diskimage.RAW && format != diskimage.QCOW2 {
		// Open could read more, but the sources of disks are not a converter.
		return nil, fmt.Errorf("%w: %s", diskimage.ErrUnsupported, format)
	}
	content, err := diskimage.OpenAs(format, file, info.Size(), diskimage.Limits{})
	if err != nil {
		return nil, err
	}
	return &Disk{content, info.ModTime(), file, info.Size()}, nil
}
