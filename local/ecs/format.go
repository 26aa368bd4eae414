package ecs

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ecs-image-export/local/ecs/image"
	"ecs-image-export/shared/diskimage"
)

// raw is the format that a call gets when it names none.
const raw = "raw"

// formats are those that ExportImage documents, by its names for them.
var formats = map[string]struct {
	format diskimage.Format
	suffix string
}{
	raw:     {diskimage.TarGz, ".raw.tar.gz"},
	"vhd":   {diskimage.VHD, ".vhd"},
	"qcow2": {diskimage.QCOW2, ".qcow2"},
	"vdi":   {diskimage.VDI, ".vdi"},
	"vmdk":  {diskimage.VMDK, ".vmdk"},
}

// DocumentedFormatRegions are the regions of which the page of ExportImage says
// that they export to other formats than RAW (January 2026).
var DocumentedFormatRegions = []string{
	"ap-northeast-1", "ap-southeast-1", "ap-southeast-3", "ap-southeast-5", "eu-central-1", "eu-west-1", "me-east-1", "us-east-1", "us-west-1",
}

// testedFormatRegions are not on that page. The tests of the vendor's own
// command line export QCOW2 from them (aliyun/elastic-compute-control-cli,
// e2e/cases/ecs/image-lifecycle.yaml, August 2026).
var testedFormatRegions = []string{"cn-hangzhou", "cn-heyuan", "cn-zhangjiakou"}

// format is the format that a caller means. RAW is exported everywhere.
func (s *Service) format(asked string) (string, error) {
	name := strings.ToLower(asked)
	if name == "" {
		name = raw
	}
	switch _, known := formats[name]; {
	case !known:
		return "", errFormat
	case name != raw && !slices.Contains(s.FormatRegions, s.Region):
		return "", errFormatRegion
	}
	return name, nil
}

// writing are the options of each format: fast rather than small, because the
// objects stay on one machine.
func writing(f diskimage.Format, key string, modified time.Time) diskimage.Options {
	switch f {
	case diskimage.TarGz:
		return diskimage.Options{Name: strings.TrimSuffix(key, ".tar.gz"), Modified: modified, Level: 1}
	case diskimage.VMDK:
		return diskimage.Options{Name: key, Level: 1}
	}
	return diskimage.Options{}
}

// image writes a disk as an image file to the upload, and counts in done what it
// has taken of the disk. After an error nothing more is sent.
func (u *upload) image(format string, d *image.Disk, done *atomic.Int64) error {
	f := formats[format].format
	w, err := diskimage.NewWriter(f, d.Size(), u, writing(f, u.key, d.Modified))
	if err != nil {
		return err
	}
	if err := diskimage.CopyImage(&counter{w, u, done}, d); err != nil {
		return err
	}
	return w.Close()
}

// counter is a Writer that ends with its upload.
type counter struct {
	diskimage.Writer
	upload *upload
	done   *atomic.Int64
}

// Abort ends the upload first: nobody wants the part that is on its way.
func (c *counter) Abort(err error) {
	c.upload.stop(err)
	c.Writer.Abort(err)
}

func (c *counter) Write(p []byte) (int, error) {
	if c.upload.ctx.Err() != nil {
		return 0, context.Cause(c.upload.ctx)
	}
	n, err := c.Writer.Write(p)
	c.done.Add(int64(n))
	return n, err
}

// Skip goes in steps: even zeros take their time, packed.
func (c *counter) Skip(n int64) error {
	for n > 0 {
		if c.upload.ctx.Err() != nil {
			return context.Cause(c.upload.ctx)
		}
		step := min(n, 1<<30)
		if err := c.Writer.Skip(step); err != nil {
			return err
		}
		c.done.Add(step)
		n -= step
	}
	return nil
}
