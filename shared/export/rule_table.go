package export

// The pages that the rules come from.
const (
	pageGuide   = "https://www.alibabacloud.com/help/en/elastic-compute-service/latest/export-a-custom-image"
	pageExport  = "https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-exportimage"
	pageImages  = "https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describeimages"
	pageTasks   = "https://www.alibabacloud.com/help/en/ecs/developer-reference/api-ecs-2014-05-26-describetasks"
	pageClasses = "https://www.alibabacloud.com/help/en/oss/how-can-i-avoid-the-cost-of-insufficient-storage"
	pageACL     = "https://www.alibabacloud.com/help/en/oss/user-guide/bucket-acl"
	pageRole    = "https://www.alibabacloud.com/help/en/ram/developer-reference/api-ram-2015-05-01-createrole"
	pageTrigger = "https://www.alibabacloud.com/help/en/functioncompute/fc-3-0/user-guide/oss-triggers-overview"
)

// Rules are all of them, in the order of what a caller chooses: the image, what
// becomes of it, where it goes, who writes it, and when.
var Rules = []Rule{
	{
		ID: "image-exists", Severity: Error, Field: "imageId", Code: "InvalidImageId.NotFound", Page: pageExport,
		Limit:  "an image of {region}",
		Remedy: "Check the id. An image of another region can be copied to {region} first (CopyImage).",
		judge:  imageExists,
	}, {
		ID: "image-owned", Severity: Error, Field: "imageId", Code: "InvalidImageCategory.NotSupported", Page: pageExport,
		Limit:    "an image that account {account} owns",
		Remedy:   "Let its owner export it, or make a copy that is your own: CopyImage, where the owner allows it, or an instance made from it and an image of that instance.",
		Inferred: "The page says that the category is not supported, not what it answers for images of other accounts.",
		judge:    ofImage(imageOwned),
	}, {
		ID: "image-custom", Severity: Error, Field: "imageId", Code: "InvalidImageCategory.NotSupported", Page: pageGuide,
		Limit:  "a custom image (ImageOwnerAlias self)",
		Remedy: "Create an instance from it, create a custom image of that instance, and export that.",
		judge:  ofImage(imageCustom),
	}, {
		ID: "image-marketplace", Severity: Error, Field: "imageId", Code: "ImageNotSupported", Page: pageGuide,
		Limit:    "no image that was made from one of the Marketplace",
		Remedy:   "Install the software on an instance of a public image, and create the custom image from that.",
		Inferred: "That a custom image which comes from the Marketplace keeps its product code is a conclusion; no page says how to tell.",
		judge:    ofImage(imageMarketplace),
	}, {
		ID: "image-available", Severity: Error, Field: "imageId", Code: "IncorrectImageStatus", Page: pageExport,
		Limit:  "status Available",
		Remedy: "Create the image anew from its instance or snapshots.",
		judge:  ofImage(imageAvailable),
	}, {
		ID: "image-windows", Severity: Error, Field: "imageId", Code: "InvalidImageLicense.NotSupported", Page: pageGuide,
		Limit:    "no Windows Server",
		Remedy:   "Its licence keeps it in the cloud: copy the files off a running instance instead.",
		Inferred: "That an image holds Windows Server is concluded from its OSType and Platform, and the code from its name.",
		judge:    ofImage(imageWindows),
	}, {
		ID: "image-encrypted", Severity: Error, Field: "imageId", Code: "ImageNotSupported", Page: pageExport,
		Limit:  "no encrypted disk",
		Remedy: "Copy the data of the encrypted disks to disks without encryption, and create the image from an instance that has only those.",
		judge:  ofImage(imageEncrypted),
	}, {
		ID: "image-disks", Severity: Error, Field: "imageId", Page: pageImages,
		Limit:  "one system disk, and every disk with a device of its own: else nobody can tell when the export is complete",
		Remedy: "Wait until the image is Available, or create it anew from its instance.",
		judge:  ofImage(imageDisks),
	}, {
		ID: "data-disk-count", Severity: Error, Field: "imageId", Code: "InvalidImage.DiskAmountOrSize", Page: pageExport,
		Limit:    "at most {dataDisks} data disks",
		Remedy:   "Create several images that have at most {dataDisks} data disks each.",
		Inferred: sourcesDiffer + " DATA_DISKS_MAX is this deployment's limit.",
		judge:    ofImage(dataDiskCount),
	}, {
		ID: "data-disk-size", Severity: Error, Field: "imageId", Code: "InvalidImage.DiskAmountOrSize", Page: pageExport,
		Limit:    "data disks of at most {dataDiskGiB} GiB each",
		Remedy:   "Spread the data over several smaller disks.",
		Inferred: sourcesDiffer + " DATA_DISK_GIB_MAX is this deployment's limit.",
		judge:    ofImage(dataDiskSize),
	}, {
		ID: "system-disk-size", Severity: Error, Field: "imageId", Code: "InvalidImage.DiskAmountOrSize", Page: pageExport,
		Limit:    "a system disk of at most {systemDiskGiB} GiB",
		Remedy:   "Move data to a data disk, and create the image from an instance with a smaller system disk.",
		Inferred: "ECS publishes no figure; the limit is this deployment's (SYSTEM_DISK_GIB_MAX).",
		judge:    ofImage(systemDiskSize),
	}, {
		ID: "data-disk-empty", Severity: Warning, Field: "imageId", Page: pageGuide,
		Limit:    "data disks that were made from snapshots",
		Remedy:   "Expect an object without data for each. " + fstab,
		Inferred: "That a data disk without a snapshot is empty is a conclusion.",
		judge:    ofImage(dataDiskEmpty),
	}, {
		ID: "fstab", Severity: Warning, Field: "imageId", Page: pageGuide,
		Limit:  "an /etc/fstab that names the data disks of the image and no others",
		Remedy: fstab,
		judge:  ofImage(severalDataDisks),
	}, {
		ID: "format-valid", Severity: Error, Field: "format", Code: "InvalidImageFormat.Malformed", Page: pageExport,
		Limit:  "{formats}",
		Remedy: "Use one of: {formats}.",
		judge:  formatValid,
	}, {
		ID: "format-region", Severity: Warning, Field: "format", Code: "InvalidImageFormat.RegionNotSupported", Page: pageExport,
		Limit:    "raw, or a region that offers more: {formatRegions}",
		Remedy:   "Use raw, unpack the download and convert it with qemu-img, or try: ECS has the last word, and refuses or writes raw where it does not offer a format.",
		Inferred: "The page's list of regions may be out of date, so the order is not refused.",
		judge:    formatRegion,
	}, {
		ID: "prefix-form", Severity: Error, Field: "prefix", Code: "InvalidOSSPrefix.Malformed", Page: pageExport,
		Limit:  "at most {maxPrefix} letters and digits: ECS takes 30, and the id of the export needs 13 of them",
		Remedy: "Leave out everything but letters and digits, and what is more than {maxPrefix} of them.",
		judge:  prefixForm,
	}, {
		ID: "bucket-allowed", Severity: Error, Field: "bucket", Page: pageGuide,
		Limit:  "a bucket of this deployment: {buckets}",
		Remedy: "Use one of: {buckets}.",
		judge:  bucketAllowed,
	}, {
		ID: "bucket-exists", Severity: Error, Field: "bucket", Code: "InvalidOSSBucket.NotFound", Page: pageGuide,
		Limit:  "a bucket that exists",
		Remedy: "Create it in {region}, or use another bucket of this deployment.",
		judge:  bucketExists,
	}, {
		ID: "bucket-owned", Severity: Error, Field: "bucket", Code: "InvalidOSS.NotAuthorized", Page: pageGuide,
		Limit:    "a bucket of account {account}",
		Remedy:   "Use a bucket of account {account} in {region}; if it is one, let the function's role call oss:GetBucketInfo on it.",
		Inferred: "Which code ECS answers for a bucket of another account is a conclusion.",
		judge:    bucketOwned,
	}, {
		ID: "bucket-region", Severity: Error, Field: "bucket", Code: "InvalidOSSBucket.NotFound", Page: pageGuide,
		Limit:  "a bucket in {region}, where the image is",
		Remedy: "Use a bucket in {region}: ECS exports within a region only.",
		judge:  ofBucket(bucketRegion),
	}, {
		ID: "bucket-encryption", Severity: Error, Field: "bucket", Code: "InvalidOSSBucket.EncryptUnsupported", Page: pageExport,
		Limit:  "no server-side encryption",
		Remedy: "Switch the bucket's server-side encryption off, or use a bucket without.",
		judge:  ofBucket(bucketEncryption),
	}, {
		ID: "bucket-archive", Severity: Warning, Field: "bucket", Code: "InvalidOSSObject.NeedRestore", Page: pageClasses,
		Limit:    "storage class Standard, or IA for images that are kept for months",
		Remedy:   "Use a bucket of class Standard with a lifecycle rule that moves the objects later.",
		Inferred: "No page says whether ECS can export to a bucket of this class; the code is that of an archived object in the way.",
		judge:    ofBucket(bucketArchive),
	}, {
		ID: "bucket-infrequent", Severity: Notice, Field: "bucket", Page: pageClasses,
		Limit:  "storage class Standard for images that are soon deleted or downloaded",
		Remedy: "Nothing, if the image is kept for 30 days or more and rarely downloaded.",
		judge:  ofBucket(bucketInfrequent),
	}, {
		ID: "bucket-public", Severity: Warning, Field: "bucket", Page: pageACL,
		Limit:  "ACL private",
		Remedy: "Make the bucket private: a disk image holds keys and passwords.",
		judge:  ofBucket(bucketPublic),
	}, {
		ID: "bucket-watched", Severity: Warning, Field: "bucket", Page: pageTrigger,
		Limit:    "the triggers of the catalog function on the bucket",
		Inferred: "The triggers themselves are not looked at: this goes by the deployment's list of the buckets that have them (WATCHED_BUCKETS).",
		Remedy:   "Nothing has to be done: the poller catalogs the disks at its next look. To have it done at once, give the bucket the triggers of the catalog in s.yaml.",
		judge:    ofBucket(bucketWatched),
	}, {
		ID: "role-exists", Severity: Error, Field: "roleName", Code: "NoSetRoletoECSServiceAcount", Page: pageExport, // sic
		Limit:  "a RAM role of account {account} that ECS can take",
		Remedy: "Correct roleName, leave it out to use {role}, or create the role: GET /authorization has both policies.",
		judge:  roleExists,
	}, {
		ID: "role-form", Severity: Error, Field: "roleName", Page: pageRole,
		Limit:  "a name of 1 to 64 letters, digits, full stops, hyphens and @, without the acs:ram:: of an ARN",
		Remedy: "Correct roleName, or leave it out to use {role}.",
		judge:  roleForm,
	}, {
		ID: "role-trust", Severity: Error, Field: "roleName", Code: "NoSetRoletoECSServiceAcount", Page: pageExport,
		Limit:    "a trust policy that lets ecs.aliyuncs.com take the role",
		Remedy:   "Add ecs.aliyuncs.com to its trust policy: GET /authorization has the text.",
		Inferred: "The page says what the role needs; which code ECS answers where this is missing is a conclusion.",
		judge:    ofRole(roleTrust),
	}, {
		ID: "role-grants", Severity: Error, Field: "roleName", Code: "InvalidOSS.NotAuthorized", Page: pageExport,
		Limit:    "policies that grant what the export does to the bucket",
		Remedy:   "Attach AliyunECSImageExportRolePolicy to it, or a policy of your own: GET /authorization has the text.",
		Inferred: "The page says what the role needs; which code ECS answers where this is missing is a conclusion.",
		judge:    ofRole(roleGrants),
	}, {
		ID: "role-judged", Severity: Warning, Field: "roleName", Page: pageExport,
		Limit:  "a role whose policies can be read and judged",
		Remedy: "Look at it in the RAM console: GET /authorization says what the role needs. ECS has the last word.",
		judge:  roleJudged,
	}, {
		ID: "role-name", Severity: Warning, Field: "roleName", Page: pageExport,
		Limit:    "{defaultRole}",
		Remedy:   "Leave roleName out to use {defaultRole}.",
		Inferred: "The Chinese page calls every other name invalid, while ExportImage has a parameter for it.",
		judge:    roleName,
	}, {
		ID: "image-busy", Severity: Waits, Field: "imageId", Code: "ImageIsExporting", Page: pageExport,
		Limit:  "one export of an image at a time",
		Remedy: "Nothing has to be done: the export begins when the other one has ended.",
		judge:  ofAccount(imageBusy),
	}, {
		ID: "quota-concurrent", Severity: Waits, Field: "imageId", Code: "ConcurrentQuotaExceed.ExportImage", Page: pageExport,
		Limit:  "the account's quota of exports at once, which ECS does not publish",
		Remedy: "Nothing has to be done: the export begins when its turn comes.",
		judge:  ofAccount(quotaConcurrent),
	}, {
		ID: "quota-weekly", Severity: Waits, Field: "imageId", Code: "WeeklyQuotaExceed.ExportImage", Page: pageExport,
		Limit:  "the account's quota of exports in a week, which ECS does not publish",
		Remedy: "Nothing has to be done: the export begins when ECS takes exports again. If that is too late, ask Alibaba Cloud for a higher quota.",
		judge:  ofAccount(quotaWeekly),
	}, {
		ID: "tasks-limit", Severity: Waits, Field: "imageId", Page: pageTasks,
		Limit:  "at most {tasks} exports of this deployment at once",
		Remedy: "Nothing has to be done: the export begins when another one ends.",
		judge:  ofAccount(tasksLimit),
	}, {
		ID: "queue", Severity: Waits, Field: "imageId", Page: pageGuide,
		Limit:  "exports begin in the order of their arrival",
		Remedy: "Nothing has to be done: the export begins when its turn comes.",
		judge:  ofAccount(queueBefore),
	},
}

// fstab is the guide's advice about data disks.
const fstab = "Before the exported image is started elsewhere, compare its /etc/fstab with the disks that are attached there: a line for a disk that is missing can keep the system from starting. Mount by UUID and with nofail."

// sourcesDiffer is why the limits of data disks are a deployment's to change.
const sourcesDiffer = "The vendor's sources differ: the texts of ExportImage name 4 data disks of 500 GiB, the newer guide 2 TiB each and no number."
