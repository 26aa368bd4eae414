package image

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Values that DescribeImages documents.
var (
	Statuses     = []string{"Creating", "Waiting", "Available", "UnAvailable", "CreateFailed", "Deprecated"}
	OwnerAliases = []string{"system", "self", "others", "marketplace"}
	osTypes      = []string{"linux", "windows"}
	architecture = []string{"i386", "x86_64", "arm64"}
)

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	devicePattern = regexp.MustCompile(`^/dev/[a-z0-9]+$`)
)

// SizeGiB returns the size of the disk. It is above zero for a loaded image.
func (m Mapping) SizeGiB() int {
	n, err := strconv.Atoi(m.Size)
	if err != nil {
		return 0
	}
	return n
}

// Disks returns the image's disks in the order of its file.
func (i Image) Disks() []Mapping { return i.DiskDeviceMappings.DiskDeviceMapping }

// System returns the system disk, where the image has one.
func (i Image) System() (Mapping, bool) {
	for _, m := range i.Disks() {
		if m.Type == "system" {
			return m, true
		}
	}
	return Mapping{}, false
}

// Windows tells whether Windows is installed on the image.
func (i Image) Windows() bool {
	p := strings.ToLower(i.Platform)
	return strings.EqualFold(i.OSType, "windows") || strings.HasPrefix(p, "windows") || p == "other windows"
}

// Encrypted tells whether a disk of the image is encrypted.
func (i Image) Encrypted() bool {
	return slices.ContainsFunc(i.Disks(), func(m Mapping) bool { return m.Encrypted })
}

// complete fills what the file leaves out and every image has.
func complete(i *Image, accountID int64, made time.Time) {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&i.ImageName, i.ImageID)
	set(&i.ImageOwnerAlias, "self")
	set(&i.OSType, "linux")
	set(&i.Architecture, "x86_64")
	set(&i.Platform, "Others Linux")
	set(&i.OSName, i.Platform)
	set(&i.OSNameEn, i.OSName)
	set(&i.Status, "Available")
	set(&i.Progress, "100%")
	set(&i.Usage, "none")
	set(&i.CreationTime, made.UTC().Format("2006-01-02T15:04:05Z"))
	if i.ImageOwnerID == 0 && i.ImageOwnerAlias == "self" {
		i.ImageOwnerID = accountID
	}
	if i.Size == 0 {
		if m, ok := i.System(); ok {
			i.Size = m.SizeGiB()
		} else if len(i.Disks()) > 0 {
			i.Size = i.Disks()[0].SizeGiB()
		}
	}
	if i.Tags.Tag == nil {
		i.Tags.Tag = []Tag{}
	}
	if i.DiskDeviceMappings.DiskDeviceMapping == nil {
		i.DiskDeviceMappings.DiskDeviceMapping = []Mapping{}
	}
}

// check returns every rule of the wire shape that the image breaks.
func check(i Image) error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	oneOf := func(field, value string, allowed []string) {
		if !slices.Contains(allowed, value) {
			bad("%s %q is not one of %s", field, value, strings.Join(allowed, ", "))
		}
	}
	if !idPattern.MatchString(i.ImageID) {
		bad("ImageId %q is not 1 to 100 letters, digits, '.', '_' and '-' such as m-bp1a2b3c4d5e6f7g8h9i", i.ImageID)
	}
	oneOf("ImageOwnerAlias", i.ImageOwnerAlias, OwnerAliases)
	oneOf("Status", i.Status, Statuses)
	oneOf("OSType", i.OSType, osTypes)
	oneOf("Architecture", i.Architecture, architecture)
	if _, err := time.Parse("2006-01-02T15:04:05Z", i.CreationTime); err != nil {
		bad("CreationTime %q is not like 2006-01-02T15:04:05Z", i.CreationTime)
	}
	systems, seen := 0, map[string]bool{}
	for n, m := range i.Disks() {
		at := fmt.Sprintf("DiskDeviceMapping[%d]", n)
		if m.Type == "system" {
			systems++
		} else if m.Type != "data" {
			bad("%s.Type %q is neither system nor data", at, m.Type)
		}
		if !devicePattern.MatchString(m.Device) {
			bad("%s.Device %q is not like /dev/xvda", at, m.Device)
		}
		if seen[m.Device] {
			bad("%s.Device %s is used twice", at, m.Device)
		}
		seen[m.Device] = true
		if m.SizeGiB() < 1 || strconv.Itoa(m.SizeGiB()) != m.Size {
			bad("%s.Size %q is not a string of whole GiB such as \"40\"", at, m.Size)
		}
	}
	if systems > 1 {
		bad("%d disks have Type system; an image has at most one", systems)
	}
	return errors.Join(problems...)
}

// checkFiles looks at the content of each disk that has a File.
func (f *Folder) checkFiles(i Image) error {
	var problems []error
	for _, m := range i.Disks() {
		if m.File == "" {
			continue
		}
		if err := f.checkFile(m); err != nil {
			problems = append(problems, fmt.Errorf("disk %s: %w", m.Device, err))
		}
	}
	return errors.Join(problems...)
}

func (f *Folder) checkFile(m Mapping) error {
	path := filepath.FromSlash(m.File)
	if !filepath.IsLocal(path) {
		return fmt.Errorf("its File %q leaves the images folder; move or hard-link the disk into it and name it relative to it", m.File)
	}
	file, err := f.root.Open(path)
	if err != nil {
		return fmt.Errorf("open File: %w; put the content of the disk there (a link must stay in the folder)", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("its File %s is not a regular file; copy the disk into one", m.File)
	}
	if info.Size() == 0 {
		return fmt.Errorf("its File %s is empty; an empty disk is a file of zeros: truncate -s %sG %s", m.File, m.Size, m.File)
	}
	content, err := openDisk(file)
	if err != nil {
		return fmt.Errorf("its File %s is neither raw nor a qcow2 of one file: %w; convert it: qemu-img convert -O raw %s %s.disk",
			m.File, err, m.File, strings.TrimSuffix(m.File, filepath.Ext(m.File)))
	}
	if limit := int64(m.SizeGiB()) << 30; limit > 0 && content.Size() > limit {
		return fmt.Errorf("its File %s is a disk of %d bytes, more than Size %s GiB (%d bytes); raise Size to at least %d",
			m.File, content.Size(), m.Size, limit, (content.Size()+1<<30-1)>>30)
	}
	return nil
}
