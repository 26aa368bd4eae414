package export

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func (i Image) String() string {
	if i.Name == "" {
		return "Image " + i.ID
	}
	return fmt.Sprintf("Image %s (%s)", i.ID, i.Name)
}

func imageExists(s Subject, l Limits) breach {
	if s.Image == nil || !s.Image.Missing {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Image %s does not exist in %s, or this account may not see it.", shown(s.Order.ImageID), l.RegionID)}
}

// The owners that DescribeImages names in ImageOwnerAlias.
const (
	ownerSelf        = "self"
	ownerSystem      = "system"
	ownerOthers      = "others"
	ownerMarketplace = "marketplace"
)

// foreign says whether the image is another account's. Where ECS names no kind of
// owner, the account id decides.
func (i Image) foreign(account string) bool {
	switch i.OwnerAlias {
	case ownerSelf, ownerSystem, ownerMarketplace:
		return false
	case ownerOthers:
		return true
	}
	return i.OwnerID != "" && i.OwnerID != account
}

func imageOwned(s Subject, l Limits) breach {
	if !s.Image.foreign(l.AccountID) {
		return breach{}
	}
	how := "is shared by another account"
	if s.Image.Public {
		how = "is a community image of another account"
	}
	if s.Image.OwnerID != "" {
		how += ", " + s.Image.OwnerID
	}
	return breach{found: fmt.Sprintf("%v %s.", *s.Image, how)}
}

// ImageID is the pattern of a custom image's id.
var ImageID = regexp.MustCompile(`^m-[0-9a-z]{1,64}$`)

func imageCustom(s Subject, l Limits) breach {
	switch alias := s.Image.OwnerAlias; {
	case alias == ownerSystem:
		return breach{found: fmt.Sprintf("%v is a public image of Alibaba Cloud.", *s.Image)}
	case alias == ownerMarketplace:
		return breach{found: fmt.Sprintf("%v is an image of the Marketplace.", *s.Image)}
	case !ImageID.MatchString(s.Image.ID):
		return breach{found: fmt.Sprintf("%v is no custom image: their ids begin with m-.", *s.Image)}
	case alias == "" || alias == ownerSelf || s.Image.foreign(l.AccountID):
		return breach{}
	default:
		return breach{found: fmt.Sprintf("%v is of category %s.", *s.Image, alias)}
	}
}

func imageMarketplace(s Subject, _ Limits) breach {
	if s.Image.ProductCode == "" || s.Image.OwnerAlias == ownerMarketplace {
		return breach{}
	}
	return breach{found: fmt.Sprintf("%v comes from the Marketplace: its product code is %s.", *s.Image, s.Image.ProductCode)}
}

func imageAvailable(s Subject, _ Limits) breach {
	b := breach{found: fmt.Sprintf("%v is in status %s.", *s.Image, s.Image.Status)}
	switch s.Image.Status {
	case "Available":
		return breach{}
	case "Creating", "Waiting":
		if s.Image.Progress != "" {
			b.found = fmt.Sprintf("%v is in status %s, at %s.", *s.Image, s.Image.Status, s.Image.Progress)
		}
		b.remedy = "Wait until it is Available."
	case "Deprecated":
		b.remedy = "Put it back in use: ModifyImageAttribute with Status Available."
	}
	return b
}

// imageWindows goes by the system's type, or by its name where the type is not
// told. Windows Server is the only Windows that ECS offers.
func imageWindows(s Subject, _ Limits) breach {
	i := s.Image
	platform := strings.ToLower(i.Platform)
	if !strings.EqualFold(i.OSType, "windows") && !strings.HasPrefix(platform, "windows") && !strings.HasPrefix(platform, "other windows") {
		return breach{}
	}
	name := i.Platform
	if name == "" {
		name = "Windows"
	}
	return breach{found: fmt.Sprintf("%v holds %s.", *i, name)}
}

func imageEncrypted(s Subject, _ Limits) breach {
	var encrypted []string
	for _, d := range s.Image.Disks {
		if d.Encrypted {
			encrypted = append(encrypted, fmt.Sprintf("%s disk %s", d.Role, d.Device))
		}
	}
	if len(encrypted) == 0 {
		return breach{}
	}
	return breach{found: fmt.Sprintf("%v has encrypted disks: %s.", *s.Image, strings.Join(encrypted, ", "))}
}

var device = regexp.MustCompile(`^/dev/[0-9a-z]+$`)

// imageDisks wants an image whose disks can be told apart by the names of their
// objects: an export is complete when every one of them is in the bucket.
func imageDisks(s Subject, _ Limits) breach {
	systems := 0
	var devices []string
	for _, d := range s.Image.Disks {
		switch {
		case d.Role != System && d.Role != Data:
			return breach{found: fmt.Sprintf("%v has disk %q of type %q, which is neither system nor data.", *s.Image, d.Device, d.Role)}
		case !device.MatchString(d.Device) || slices.Contains(devices, d.Device):
			return breach{found: fmt.Sprintf("%v has a disk at %q, which can't be told apart in the names of the exported objects.", *s.Image, d.Device)}
		}
		devices = append(devices, d.Device)
		if d.Role == System {
			systems++
		}
	}
	if systems != 1 {
		return breach{found: fmt.Sprintf("%v lists %d system disks.", *s.Image, systems)}
	}
	return breach{}
}

func (i Image) dataDisks() []ImageDisk {
	return slices.DeleteFunc(slices.Clone(i.Disks), func(d ImageDisk) bool { return d.Role != Data })
}

// sizes names disks with their sizes: "/dev/xvdb (600 GiB), /dev/xvdc (20 GiB)".
func sizes(disks []ImageDisk) string {
	texts := make([]string, len(disks))
	for i, d := range disks {
		texts[i] = fmt.Sprintf("%s (%d GiB)", d.Device, d.SizeGiB)
	}
	return strings.Join(texts, ", ")
}

// ceil divides and rounds up.
func ceil(a, b int) int { return (a + b - 1) / b }

func dataDiskCount(s Subject, l Limits) breach {
	disks := s.Image.dataDisks()
	if len(disks) <= l.DataDisks {
		return breach{}
	}
	b := breach{found: fmt.Sprintf("%v has %d data disks: %s.", *s.Image, len(disks), sizes(disks))}
	if l.DataDisks == 0 {
		b.remedy = "Create an image of the system disk alone."
	} else {
		b.remedy = fmt.Sprintf("Create %d images from snapshots of the disks (CreateImage with DiskDeviceMapping), each with the system disk and at most %d of the data disks, and export them one by one.",
			ceil(len(disks), l.DataDisks), l.DataDisks)
	}
	return b
}

// dataDiskSize says for each disk that is too large how many smaller ones can
// take its data, and how many images it takes to hold those.
func dataDiskSize(s Subject, l Limits) breach {
	var large []ImageDisk
	var split []string
	total := 0
	for _, d := range s.Image.dataDisks() {
		if d.SizeGiB <= l.DataDiskGiB {
			total++
			continue
		}
		n := ceil(d.SizeGiB, l.DataDiskGiB)
		total += n
		large = append(large, d)
		split = append(split, fmt.Sprintf("%d disks of %d GiB for %s", n, ceil(d.SizeGiB, n), d.Device))
	}
	if len(large) == 0 {
		return breach{}
	}
	b := breach{
		found:  fmt.Sprintf("%v has data disks of more than %d GiB: %s.", *s.Image, l.DataDiskGiB, sizes(large)),
		remedy: fmt.Sprintf("Spread the data over several smaller disks (%s), or over fewer if they are not full, and create the image from an instance with those.", strings.Join(split, ", ")),
	}
	if l.DataDisks > 0 && total > l.DataDisks {
		b.remedy += fmt.Sprintf(" That makes %d data disks where an image may have %d, so create %d images.", total, l.DataDisks, ceil(total, l.DataDisks))
	}
	return b
}

func systemDiskSize(s Subject, l Limits) breach {
	for _, d := range s.Image.Disks {
		if d.Role == System && l.SystemDiskGiB > 0 && d.SizeGiB > l.SystemDiskGiB {
			return breach{found: fmt.Sprintf("%v has a system disk of %d GiB, %s.", *s.Image, d.SizeGiB, d.Device)}
		}
	}
	return breach{}
}

func dataDiskEmpty(s Subject, _ Limits) breach {
	empty := slices.DeleteFunc(s.Image.dataDisks(), func(d ImageDisk) bool { return d.SnapshotID != "" })
	if len(empty) == 0 {
		return breach{}
	}
	return breach{found: fmt.Sprintf("%v has data disks without a snapshot: %s.", *s.Image, sizes(empty))}
}

func severalDataDisks(s Subject, _ Limits) breach {
	disks := s.Image.dataDisks()
	if len(disks) < 2 {
		return breach{}
	}
	return breach{found: fmt.Sprintf("%v has %d data disks: %s.", *s.Image, len(disks), sizes(disks))}
}
