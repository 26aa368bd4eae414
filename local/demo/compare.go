package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"ecs-image-export/local/ecs/image"
	"ecs-image-export/shared/diskimage"
)

// comparison compares the disks of an export with their sources.
type comparison struct {
	api    api
	export export
	source image.Image
	folder *image.Folder // of source
	dir    string        // the same
	work   string        // for objects that qemu-img looks at
}

// run prints what came of it, and returns an error unless all disks are the same.
func (c comparison) run(ctx context.Context) error {
	type result struct{ sum, verdict string }
	results := make([]result, len(c.export.Disks))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, d := range c.export.Disks {
		group.Go(func() error {
			sum, verdict, err := c.disk(groupCtx, d)
			results[i] = result{sum, verdict}
			if errors.As(err, new(difference)) {
				return nil // it is in the verdict; the other disks are looked at too
			}
			if err != nil {
				return fmt.Errorf("disk %s: %w", d.Device, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "   DEVICE\tSHA-256 OF THE DISK IN THE OBJECT\tBYTE BY BYTE")
	var different []string
	for i, d := range c.export.Disks {
		fmt.Fprintf(w, "   %s\t%s\t%s\n", d.Device, results[i].sum, results[i].verdict)
		if !strings.HasPrefix(results[i].verdict, same) {
			different = append(different, d.Device)
		}
	}
	w.Flush()
	if len(c.export.Disks) != len(c.source.Disks()) {
		return fmt.Errorf("the image has %d disks, the export %d", len(c.source.Disks()), len(c.export.Disks))
	}
	if len(different) > 0 {
		return errors.New("different content: " + strings.Join(different, ", "))
	}
	step("the same: %d of %d disks", len(c.export.Disks), len(c.export.Disks))
	return nil
}

// The verdicts on disks that are not different.
const (
	same          = "same"
	sameForQEMU   = same + ", and for qemu-img too"
	withoutQEMU   = same + " (qemu-img is not there to ask)"
	packedForQEMU = same + " (packed: qemu-img cannot look into it)"
)

// disk compares one disk. What is different is a difference and in the verdict.
func (c comparison) disk(ctx context.Context, d disk) (sum, verdict string, err error) {
	i := slices.IndexFunc(c.source.Disks(), func(m image.Mapping) bool { return m.Device == d.Device })
	if i < 0 {
		return "", "", errors.New("the image does not have it")
	}
	m := c.source.Disks()[i]
	source, err := c.folder.Open(m)
	if err != nil {
		return "", "", err
	}
	defer source.Close()
	want, known := objectFormats[c.export.Format]
	if !known {
		return "", "", fmt.Errorf("the API says format %q", c.export.Format)
	}

	keep, verdict := io.Discard, packedForQEMU
	path := filepath.Join(c.work, filepath.Base(d.Key))
	if want.qemu != "" {
		if _, err := exec.LookPath("qemu-img"); err != nil {
			verdict = withoutQEMU
		} else {
			file, err := os.Create(path)
			if err != nil {
				return "", "", err
			}
			defer os.Remove(path)
			defer file.Close()
			keep, verdict = file, sameForQEMU
		}
	}
	if sum, err = c.download(ctx, d, want.format, source, keep); err == nil && verdict == sameForQEMU {
		err = qemuCompare(ctx, source.Format(), filepath.Join(c.dir, filepath.FromSlash(m.File)), want.qemu, path)
	}
	var different difference
	if errors.As(err, &different) {
		verdict = different.Error()
	}
	return sum, verdict, err
}

// objectFormats are what ECS makes of each format, and what qemu-img calls it.
var objectFormats = map[string]struct {
	format diskimage.Format
	qemu   string
}{
	"raw":   {diskimage.TarGz, ""},
	"vhd":   {diskimage.VHD, "vpc"},
	"qcow2": {diskimage.QCOW2, "qcow2"},
	"vdi":   {diskimage.VDI, "vdi"},
	"vmdk":  {diskimage.VMDK, "vmdk"},
}

// download follows the API's link to a disk's object, reads the disk in it beside
// its source in one pass, and checks the object's CRC-64. The object goes to keep.
func (c comparison) download(ctx context.Context, d disk, format diskimage.Format, source diskimage.Image, keep io.Writer) (sum string, err error) {
	body, err := c.api.download(ctx, c.export.ID, d)
	if err != nil {
		return "", err
	}
	defer body.Close()
	crc := crc64.New(crc64.MakeTable(crc64.ECMA))
	object := io.TeeReader(body, io.MultiWriter(crc, keep))
	stream, err := diskimage.NewStream(object, diskimage.Limits{})
	if err != nil {
		return "", err
	}
	if stream.Format() != format {
		return "", fmt.Errorf("the object is %s, not %s", stream.Format(), format)
	}
	beside, err := newBeside(ctx, source, stream.Size())
	if err != nil {
		return "", err
	}
	if err := diskimage.Copy(beside, stream); err != nil {
		return "", err
	}
	if _, err := io.Copy(io.Discard, object); err != nil {
		return "", err
	}
	if got := strconv.FormatUint(crc.Sum64(), 10); got != d.CRC64 {
		return "", fmt.Errorf("CRC-64 is %s, the catalog says %s", got, d.CRC64)
	}
	return beside.hex(), nil
}

// qemuCompare asks qemu-img the same.
func qemuCompare(ctx context.Context, sourceFormat diskimage.Format, source, format, object string) error {
	out, err := exec.CommandContext(ctx, "qemu-img", "compare", "-f", string(sourceFormat), "-F", format, source, object).CombinedOutput()
	if err == nil {
		return nil
	}
	said := strings.TrimSpace(string(out))
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == 1 {
		return difference("qemu-img: " + said)
	}
	return fmt.Errorf("qemu-img compare: %w: %s", err, said)
}
