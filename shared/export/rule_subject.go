package export

// Subject is what the rules judge: an order, and what was found out about the
// things that it names. A part that is nil was not looked at, and the rules about
// it find nothing.
type Subject struct {
	Order      Order
	Image      *Image
	Bucket     *Bucket
	Permission *Permission
	Account    *Account
}

// Order is what somebody asks for, with the deployment's defaults filled in but
// otherwise as it came: nothing in it is known to be well formed.
type Order struct {
	ImageID  string
	Bucket   string
	Prefix   string // the caller's part, before the export's id
	Format   string // in any case
	RoleName string
}

// Image is what ECS says about the image, in the words of DescribeImages.
type Image struct {
	// Missing: ECS knows no image of this id in the region, neither as the
	// account's own nor as one that it may use. The other fields are blank then.
	Missing     bool
	ID, Name    string
	Status      string // Available, Creating, Waiting, UnAvailable, CreateFailed, Deprecated
	Progress    string // "100%"; of its creation
	OwnerAlias  string // self, system, others, marketplace
	OwnerID     string // account id; blank if ECS does not tell
	ProductCode string // of the Marketplace
	Public      bool   // published as a community image
	OSType      string // linux, windows
	OSName      string
	Platform    string // "Ubuntu", "Windows Server 2022"
	Disks       []ImageDisk
}

// ImageDisk is one disk of an image.
type ImageDisk struct {
	Disk
	Encrypted bool
	// SnapshotID is blank for a data disk that the image creates empty.
	SnapshotID string
}

// Bucket is what OSS says about the bucket.
type Bucket struct {
	Missing bool // there is no bucket of this name
	// Denied: OSS does not let us look. It answers so for buckets of other
	// accounts.
	Denied       bool
	RegionID     string // "cn-hangzhou"; blank for another than ours, of which OSS says no more
	OwnerID      string // account id
	StorageClass string // Standard, IA, Archive, ColdArchive, DeepColdArchive
	Encryption   string // default server-side encryption: blank, AES256, KMS, SM4
	ACL          string // private, public-read, public-read-write
	// Unwatched: the catalog's triggers are known not to be on the bucket.
	Unwatched bool
}

// Permission is what RAM says about the role that ECS writes to the bucket as.
type Permission struct {
	// Unknown is why RAM could not be asked, in a clause: "the function's role
	// lacks ram:GetRole". The other fields are blank then.
	Unknown string
	Missing bool // the account has no such role
	// TrustsECS: the trust policy lets ecs.aliyuncs.com take the role.
	TrustsECS bool
	// Lacks are the actions that the export needs and no policy allows on the
	// bucket, Denied those that a policy forbids there ("oss:PutObject").
	Lacks, Denied []string
	// Unclear names what could not be judged, each in a clause: a statement with
	// a condition, a system policy whose document RAM does not show.
	Unclear []string
	// AuthorizeURL is the console's page that sets the role up.
	AuthorizeURL string
}

// Account is what goes on in the account at the moment.
type Account struct {
	// ImageTask is a task that exports this image already.
	ImageTask string
	// Waiting are the exports that have a place in the queue.
	Waiting int
	// Hold is what ECS, or this deployment, last refused everybody; nil if an
	// export may be tried now.
	Hold *Delay
}

// Limits are what a deployment allows, and what is known of its cloud.
type Limits struct {
	RegionID  string
	AccountID string
	Buckets   []string // that it exports to
	RoleName  string   // of orders that name none

	DataDisks     int // of an image, at most
	DataDiskGiB   int // each, at most
	SystemDiskGiB int // at most; 0: ECS publishes no limit
	// FormatRegions are the regions that offer other formats than RAW.
	FormatRegions []string
	// Tasks at once that the deployment allows itself; 0: as many as ECS does.
	Tasks int
}

// DefaultRole is the role that ECS expects.
const DefaultRole = "AliyunECSImageExportDefaultRole"

// DefaultLimits are what the vendor's pages say; RegionID, AccountID, Buckets
// and Tasks are the deployment's own.
func DefaultLimits() Limits {
	return Limits{
		RoleName:  DefaultRole,
		DataDisks: 4, DataDiskGiB: 500,
		FormatRegions: []string{
			"ap-northeast-1", "ap-southeast-1", "ap-southeast-3", "ap-southeast-5",
			"eu-central-1", "eu-west-1", "me-east-1", "us-east-1", "us-west-1",
		},
	}
}
