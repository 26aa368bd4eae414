// Package image reads the folder that holds the images of the stand-in's ECS:
// one JSON file per image in the shape that DescribeImages returns it, and the
// content of its disks beside it.
//
// What it returns has passed every check that can be made at the start: a
// mistake in the folder is an error that names the file and the remedy, and
// never a failed export later.
package image

// Image is one image as DescribeImages returns it (ECS 2014-05-26).
type Image struct {
	ImageID              string             `json:"ImageId"`
	ImageName            string             `json:"ImageName"`
	ImageFamily          string             `json:"ImageFamily"`
	ImageVersion         string             `json:"ImageVersion"`
	ImageOwnerAlias      string             `json:"ImageOwnerAlias"` // self, system, others or marketplace
	ImageOwnerID         int64              `json:"ImageOwnerId"`
	OSType               string             `json:"OSType"` // linux or windows
	OSName               string             `json:"OSName"`
	OSNameEn             string             `json:"OSNameEn"`
	Platform             string             `json:"Platform"`
	Architecture         string             `json:"Architecture"` // i386, x86_64 or arm64
	Size                 int                `json:"Size"`         // GiB, of the system disk
	Status               string             `json:"Status"`
	Progress             string             `json:"Progress"` // of its creation, such as 100%
	ProductCode          string             `json:"ProductCode"`
	IsSubscribed         bool               `json:"IsSubscribed"`
	IsCopied             bool               `json:"IsCopied"`
	IsSelfShared         string             `json:"IsSelfShared"` // True, False or blank
	IsPublic             bool               `json:"IsPublic"`
	IsSupportIoOptimized bool               `json:"IsSupportIoOptimized"`
	IsSupportCloudinit   bool               `json:"IsSupportCloudinit"`
	LoginAsNonRoot       bool               `json:"LoginAsNonRootSupported"`
	Usage                string             `json:"Usage"`        // instance or none
	CreationTime         string             `json:"CreationTime"` // 2006-01-02T15:04:05Z
	ResourceGroupID      string             `json:"ResourceGroupId"`
	BootMode             string             `json:"BootMode"`
	SupplierName         string             `json:"SupplierName"`
	Description          string             `json:"Description"`
	LicenseType          string             `json:"LicenseType,omitempty"`
	Usable               *bool              `json:"Usable,omitempty"`
	Features             *Features          `json:"Features,omitempty"`
	DetectionOptions     *DetectionOptions  `json:"DetectionOptions,omitempty"`
	SecureBootOptions    *SecureBootOptions `json:"SecureBootOptions,omitempty"`
	Tags                 Tags               `json:"Tags"`
	DiskDeviceMappings   Mappings           `json:"DiskDeviceMappings"`
}

// Tags is the list of an image's tags, with the extra level that the wire has.
type Tags struct {
	Tag []Tag `json:"Tag"`
}

// Tag is one tag of an image.
type Tag struct {
	TagKey   string `json:"TagKey"`
	TagValue string `json:"TagValue"`
}

// Mappings is the list of an image's disks, with the extra level that the wire has.
type Mappings struct {
	DiskDeviceMapping []Mapping `json:"DiskDeviceMapping"`
}

// Mapping is one disk of an image.
type Mapping struct {
	Type            string `json:"Type"`   // system or data
	Device          string `json:"Device"` // /dev/xvda
	Size            string `json:"Size"`   // GiB, a string on the wire
	SnapshotID      string `json:"SnapshotId"`
	Format          string `json:"Format"`
	Encrypted       bool   `json:"Encrypted"`
	ImportOSSBucket string `json:"ImportOSSBucket"`
	ImportOSSObject string `json:"ImportOSSObject"`
	Progress        string `json:"Progress"`
	RemainTime      int    `json:"RemainTime"` // seconds

	// File is the disk's content, relative to the folder. It is read from the
	// folder and never sent.
	File string `json:"-"`
}

// Features is what else DescribeImages tells of an image.
type Features struct {
	NvmeSupport           string `json:"NvmeSupport,omitempty"`
	ImdsSupport           string `json:"ImdsSupport,omitempty"`
	CPUOnlineUpgrade      string `json:"CpuOnlineUpgrade,omitempty"`
	CPUOnlineDowngrade    string `json:"CpuOnlineDowngrade,omitempty"`
	MemoryOnlineUpgrade   string `json:"MemoryOnlineUpgrade,omitempty"`
	MemoryOnlineDowngrade string `json:"MemoryOnlineDowngrade,omitempty"`
}

// DetectionOptions is the result of an image check.
type DetectionOptions struct {
	Status string         `json:"Status"`
	Items  DetectionItems `json:"Items"`
}

// DetectionItems is the list of what an image check looked at.
type DetectionItems struct {
	Item []DetectionItem `json:"Item"`
}

// DetectionItem is one thing that an image check looked at.
type DetectionItem struct {
	Name      string `json:"Name"`
	Value     string `json:"Value"`
	RiskCode  string `json:"RiskCode"`
	RiskLevel string `json:"RiskLevel"`
}

// SecureBootOptions tells whether the image can start under Secure Boot.
type SecureBootOptions struct {
	SecureBootStatus string `json:"SecureBootStatus,omitempty"`
}
