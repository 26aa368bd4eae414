package export

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var testLimits = func() Limits {
	l := DefaultLimits()
	l.RegionID, l.AccountID = "cn-hangzhou", "1234567890123456"
	l.Buckets = []string{"image-exports", "image-archive"}
	return l
}()

func imageDisk(role Role, device string, size int) ImageDisk {
	return ImageDisk{Disk: Disk{Role: role, Device: device, SizeGiB: size}, SnapshotID: "s-" + device[5:]}
}

// ready is a subject that breaks no rule. Each call makes another one.
func ready() Subject {
	return Subject{
		Order: Order{ImageID: "m-bp1good", Bucket: "image-exports", Prefix: "Demo", Format: "RAW", RoleName: "AliyunECSImageExportDefaultRole"},
		Image: &Image{
			ID: "m-bp1good", Name: "web", Status: "Available", OwnerAlias: "self", OwnerID: "1234567890123456",
			OSType: "linux", Platform: "Ubuntu",
			Disks: []ImageDisk{imageDisk(System, "/dev/xvda", 40), imageDisk(Data, "/dev/xvdb", 500)},
		},
		Bucket:     &Bucket{RegionID: "cn-hangzhou", OwnerID: "1234567890123456", StorageClass: "Standard", ACL: "private"},
		Permission: &Permission{TrustsECS: true},
		Account:    &Account{},
	}
}

// TestRules shows of every rule what keeps it and what breaks it: the code is the
// documented one, and the finding names what was found and what to do.
func TestRules(t *testing.T) {
	t.Parallel()
	soon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type subject struct {
		name   string
		change func(*Subject, *Limits)
		found  []string // in the finding; none: the rule is kept
		remedy string   // in its remedy
	}
	kept := func(name string, change func(*Subject, *Limits)) subject { return subject{name: name, change: change} }
	broken := func(name string, change func(*Subject, *Limits), remedy string, found ...string) subject {
		return subject{name, change, found, remedy}
	}
	data := func(sizes ...int) func(*Subject, *Limits) {
		return func(s *Subject, _ *Limits) {
			s.Image.Disks = s.Image.Disks[:1]
			for i, size := range sizes {
				s.Image.Disks = append(s.Image.Disks, imageDisk(Data, fmt.Sprintf("/dev/xvd%c", 'b'+i), size))
			}
		}
	}
	image := func(change func(*Image)) func(*Subject, *Limits) {
		return func(s *Subject, _ *Limits) { change(s.Image) }
	}
	bucket := func(change func(*Bucket)) func(*Subject, *Limits) {
		return func(s *Subject, _ *Limits) { change(s.Bucket) }
	}
	role := func(change func(*Permission)) func(*Subject, *Limits) {
		return func(s *Subject, _ *Limits) { change(s.Permission) }
	}
	held := func(code string) func(*Subject, *Limits) {
		return func(s *Subject, _ *Limits) { s.Account.Hold = &Delay{Code: code, Next: soon} }
	}
	prefix := func(p string) func(*Subject, *Limits) {
		return func(s *Subject, _ *Limits) { s.Order.Prefix = p }
	}
	format := func(f string) func(*Subject, *Limits) {
		return func(s *Subject, _ *Limits) { s.Order.Format = f }
	}

	tests := map[string]struct {
		code     string
		severity Severity
		subjects []subject
	}{
		"image-exists": {"InvalidImageId.NotFound", Error, []subject{
			broken("unknown", func(s *Subject, _ *Limits) { s.Image = &Image{Missing: true} }, "copied to cn-hangzhou", "m-bp1good", "cn-hangzhou"),
			broken("too long for an id", func(s *Subject, _ *Limits) {
				s.Image, s.Order.ImageID = &Image{Missing: true}, strings.Repeat("a", 5000)
			}, "Check the id", "Image "+strings.Repeat("a", 100)+"… does not exist"),
			broken("only spaces", func(s *Subject, _ *Limits) {
				s.Image, s.Order.ImageID = &Image{Missing: true}, "  "
			}, "Check the id", `Image "  " does not exist`),
			kept("not asked", func(s *Subject, _ *Limits) { s.Image = nil }),
		}},
		"image-owned": {"InvalidImageCategory.NotSupported", Error, []subject{
			broken("shared", image(func(i *Image) { i.OwnerAlias, i.OwnerID = "others", "6543210987654321" }), "Let its owner export it", "m-bp1good (web)", "shared by another account, 6543210987654321"),
			broken("community", image(func(i *Image) { i.OwnerAlias, i.OwnerID, i.Public = "others", "6543210987654321", true }), "CopyImage", "community image"),
			broken("no category, other owner", image(func(i *Image) { i.OwnerAlias, i.OwnerID = "", "6543210987654321" }), "", "6543210987654321"),
			kept("no category, this owner", image(func(i *Image) { i.OwnerAlias = "" })),
			kept("own, published to the community", image(func(i *Image) { i.Public = true })),
		}},
		"image-custom": {"InvalidImageCategory.NotSupported", Error, []subject{
			broken("system", image(func(i *Image) { i.ID, i.Name, i.OwnerAlias = "ubuntu_22_04", "", "system" }), "create a custom image", "Image ubuntu_22_04 is a public image"),
			broken("of the Marketplace", image(func(i *Image) { i.OwnerAlias = "marketplace" }), "", "an image of the Marketplace"),
			broken("no id of a custom image", image(func(i *Image) { i.ID = "win2022_64_en-us.vhd" }), "", "begin with m-"),
			broken("a category of the future", image(func(i *Image) { i.OwnerAlias = "compute_nest" }), "", "category compute_nest"),
			kept("shared, which is another rule", image(func(i *Image) { i.OwnerAlias = "others" })),
		}},
		"image-marketplace": {"ImageNotSupported", Error, []subject{
			broken("derived", image(func(i *Image) { i.ProductCode = "cmjj000001" }), "public image", "cmjj000001"),
			kept("of the Marketplace itself, which is another rule", image(func(i *Image) { i.OwnerAlias, i.ProductCode = "marketplace", "cmjj000001" })),
		}},
		"image-available": {"IncorrectImageStatus", Error, []subject{
			broken("being created", image(func(i *Image) { i.Status, i.Progress = "Creating", "40%" }), "Wait", "status Creating, at 40%"),
			broken("waiting", image(func(i *Image) { i.Status = "Waiting" }), "Wait", "status Waiting."),
			broken("failed", image(func(i *Image) { i.Status = "CreateFailed" }), "anew", "CreateFailed"),
			broken("unavailable", image(func(i *Image) { i.Status = "UnAvailable" }), "anew", "UnAvailable"),
			broken("deprecated", image(func(i *Image) { i.Status = "Deprecated" }), "ModifyImageAttribute", "Deprecated"),
		}},
		"image-windows": {"InvalidImageLicense.NotSupported", Error, []subject{
			broken("by its type", image(func(i *Image) { i.OSType, i.Platform = "Windows", "Windows Server 2022" }), "licence", "Windows Server 2022"),
			broken("by its platform", image(func(i *Image) { i.OSType, i.Platform = "", "Other Windows" }), "", "Other Windows"),
			broken("type alone", image(func(i *Image) { i.OSType, i.Platform = "windows", "" }), "", "holds Windows."),
			kept("a name like it", image(func(i *Image) { i.Name = "windows-look-alike" })),
		}},
		"image-encrypted": {"ImageNotSupported", Error, []subject{
			broken("both disks", image(func(i *Image) { i.Disks[0].Encrypted, i.Disks[1].Encrypted = true, true }), "without encryption", "system disk /dev/xvda, data disk /dev/xvdb"),
			broken("a data disk", image(func(i *Image) { i.Disks[1].Encrypted = true }), "", "disks: data disk /dev/xvdb."),
		}},
		"image-disks": {"", Error, []subject{
			broken("none", image(func(i *Image) { i.Disks = nil }), "Wait until", "0 system disks"),
			broken("data only", image(func(i *Image) { i.Disks = i.Disks[1:] }), "", "0 system disks"),
			broken("two systems", image(func(i *Image) { i.Disks[1].Role = System }), "", "2 system disks"),
			broken("unknown type", image(func(i *Image) { i.Disks[1].Role = "custom" }), "", `type "custom"`),
			broken("no device", image(func(i *Image) { i.Disks[1].Device = "" }), "", `at ""`),
			broken("the same device", image(func(i *Image) { i.Disks[1].Device = "/dev/xvda" }), "", "/dev/xvda"),
			broken("a device that is no part of a name", image(func(i *Image) { i.Disks[1].Device = "/dev/../xvdb" }), "", "/dev/../xvdb"),
		}},
		"data-disk-count": {"InvalidImage.DiskAmountOrSize", Error, []subject{
			kept("as many as may be", data(1, 1, 1, 1)),
			broken("one more", data(1, 2, 3, 4, 5), "Create 2 images from snapshots of the disks (CreateImage with DiskDeviceMapping), each with the system disk and at most 4 of the data disks", "5 data disks", "/dev/xvdf (5 GiB)"),
			broken("nine", data(1, 1, 1, 1, 1, 1, 1, 1, 1), "Create 3 images", "9 data disks"),
			broken("none allowed", func(_ *Subject, l *Limits) { l.DataDisks = 0 }, "system disk alone", "1 data disks"),
			kept("a higher limit", func(s *Subject, l *Limits) { data(1, 1, 1, 1, 1)(s, l); l.DataDisks = 16 }),
		}},
		"data-disk-size": {"InvalidImage.DiskAmountOrSize", Error, []subject{
			kept("as large as may be", data(500, 500)),
			broken("one GiB more", data(501, 20), "2 disks of 251 GiB for /dev/xvdb", "more than 500 GiB: /dev/xvdb (501 GiB)."),
			broken("several", data(1200, 600), "3 disks of 400 GiB for /dev/xvdb, 2 disks of 300 GiB for /dev/xvdc", "/dev/xvdb (1200 GiB), /dev/xvdc (600 GiB)"),
			broken("too many then", data(1200, 600, 20), "6 data disks where an image may have 4, so create 2 images", "/dev/xvdc (600 GiB)"),
			kept("a higher limit", func(s *Subject, l *Limits) { data(2048)(s, l); l.DataDiskGiB = 2048 }),
		}},
		"system-disk-size": {"InvalidImage.DiskAmountOrSize", Error, []subject{
			kept("no limit known", image(func(i *Image) { i.Disks[0].SizeGiB = 2048 })),
			kept("within", func(_ *Subject, l *Limits) { l.SystemDiskGiB = 40 }),
			broken("above", func(_ *Subject, l *Limits) { l.SystemDiskGiB = 39 }, "smaller system disk", "40 GiB, /dev/xvda"),
		}},
		"data-disk-empty": {"", Warning, []subject{
			broken("no snapshot", image(func(i *Image) { i.Disks[1].SnapshotID = "" }), "/etc/fstab", "without a snapshot: /dev/xvdb (500 GiB)"),
			kept("an imported system disk", image(func(i *Image) { i.Disks[0].SnapshotID = "" })),
		}},
		"fstab": {"", Warning, []subject{
			broken("two data disks", data(20, 30), "nofail", "2 data disks: /dev/xvdb (20 GiB), /dev/xvdc (30 GiB)"),
			kept("no data disk", data()),
		}},
		"format-valid": {"InvalidImageFormat.Malformed", Error, []subject{
			broken("unknown", format("iso"), "raw, vhd, qcow2, vdi, vmdk", `"iso"`),
			kept("in capitals", format("QCOW2")),
			kept("the default", format("")),
		}},
		"format-region": {"InvalidImageFormat.RegionNotSupported", Warning, []subject{
			broken("not here", format("vhd"), "qemu-img", "cn-hangzhou", "vhd"),
			kept("raw is everywhere", format("raw")),
			kept("a region that has it", func(s *Subject, l *Limits) {
				s.Order.Format, l.RegionID, s.Bucket.RegionID = "vhd", "eu-west-1", "eu-west-1"
			}),
			kept("configured", func(s *Subject, l *Limits) { s.Order.Format, l.FormatRegions = "vhd", []string{"cn-hangzhou"} }),
		}},
		"prefix-form": {"InvalidOSSPrefix.Malformed", Error, []subject{
			kept("none", prefix("")),
			kept("17 characters", prefix(strings.Repeat("a", 17))),
			broken("18 characters", prefix(strings.Repeat("a", 18)), "17", "18 characters"),
			broken("a hyphen", prefix("web-1"), "letters and digits", `'-'`),
			broken("an umlaut", prefix("ä"), "", `'ä'`),
			broken("a line break", prefix("a\n"), "", `'\n'`),
			broken("not UTF-8", prefix("a\xff"), "", `holds`),
		}},
		"bucket-allowed": {"", Error, []subject{
			broken("another", func(s *Subject, _ *Limits) { s.Order.Bucket = "elsewhere" }, "image-exports, image-archive", "Bucket elsewhere is"),
			broken("a line break", func(s *Subject, _ *Limits) { s.Order.Bucket = "a\nb" }, "", `Bucket "a\nb" is none`),
			broken("a space behind it", func(s *Subject, _ *Limits) { s.Order.Bucket = "image-exports " }, "", `Bucket "image-exports " is none`),
			kept("the second", func(s *Subject, _ *Limits) { s.Order.Bucket = "image-archive" }),
		}},
		"bucket-exists": {"InvalidOSSBucket.NotFound", Error, []subject{
			broken("missing", bucket(func(b *Bucket) { b.Missing = true }), "Create it in cn-hangzhou", "image-exports does not exist"),
			kept("not asked", func(s *Subject, _ *Limits) { s.Bucket = nil }),
		}},
		"bucket-owned": {"InvalidOSS.NotAuthorized", Error, []subject{
			broken("denied", bucket(func(b *Bucket) { *b = Bucket{Denied: true} }), "oss:GetBucketInfo", "can't be looked at"),
			broken("another's", bucket(func(b *Bucket) { b.OwnerID = "6543210987654321" }), "account 1234567890123456", "6543210987654321"),
		}},
		"bucket-region": {"InvalidOSSBucket.NotFound", Error, []subject{
			broken("elsewhere", bucket(func(b *Bucket) { b.RegionID = "cn-beijing" }), "cn-hangzhou", "image-exports lies in cn-beijing"),
			broken("OSS does not say where", bucket(func(b *Bucket) { *b = Bucket{} }), "", "lies in another region"),
		}},
		"bucket-encryption": {"InvalidOSSBucket.EncryptUnsupported", Error, []subject{
			broken("OSS keys", bucket(func(b *Bucket) { b.Encryption = "AES256" }), "Switch", "AES256"),
			broken("KMS", bucket(func(b *Bucket) { b.Encryption = "KMS" }), "", "KMS"),
			broken("SM4", bucket(func(b *Bucket) { b.Encryption = "SM4" }), "", "SM4"),
		}},
		"bucket-archive": {"InvalidOSSObject.NeedRestore", Warning, []subject{
			broken("archive", bucket(func(b *Bucket) { b.StorageClass = "Archive" }), "Standard", "class Archive", "at least 60 days", "The estimated fees hold neither"),
			broken("cold archive", bucket(func(b *Bucket) { b.StorageClass = "ColdArchive" }), "Standard", "class ColdArchive", "at least 180 days"),
			broken("deep cold archive", bucket(func(b *Bucket) { b.StorageClass = "DeepColdArchive" }), "", "DeepColdArchive", "at least 180 days"),
			broken("an archive of the future", bucket(func(b *Bucket) { b.StorageClass = "WarmArchive" }), "", "class WarmArchive: a disk has to be restored before anybody can read it, and is paid for until the class's least time is over. The estimated fees hold neither."),
		}},
		"bucket-infrequent": {"", Notice, []subject{
			broken("IA", bucket(func(b *Bucket) { b.StorageClass = "IA" }), "30 days", "class IA", "at least 30 days", "The estimated fees hold neither"),
		}},
		"bucket-public": {"", Warning, []subject{
			broken("public-read", bucket(func(b *Bucket) { b.ACL = "public-read" }), "private", "public-read"),
			kept("not told", bucket(func(b *Bucket) { b.ACL = "" })),
		}},
		"bucket-watched": {"", Warning, []subject{
			broken("no trigger", bucket(func(b *Bucket) { b.Unwatched = true }), "poller catalogs", "image-exports has no triggers"),
			kept("it can't be used anyway", bucket(func(b *Bucket) { b.Unwatched, b.RegionID = true, "cn-beijing" })),
		}},
		"role-exists": {"NoSetRoletoECSServiceAcount", Error, []subject{
			broken("missing", role(func(p *Permission) { *p = Permission{Missing: true} }), "GET /authorization", "no role AliyunECSImageExportDefaultRole"),
			broken("missing, with a link", role(func(p *Permission) { *p = Permission{Missing: true, AuthorizeURL: "https://ram.example.com/"} }), "https://ram.example.com/", "no role"),
			broken("the deployment's own is missing", func(s *Subject, l *Limits) {
				s.Order.RoleName, l.RoleName, s.Permission = "ours", "Ours", &Permission{Missing: true}
			}, "Create it: GET /authorization has both policies", "no role ours"),
			broken("another than the deployment's", func(s *Subject, l *Limits) {
				s.Order.RoleName, l.RoleName, s.Permission = "mine", "ours", &Permission{Missing: true}
			}, "leave it out to use ours", "no role mine"),
			kept("not asked", func(s *Subject, _ *Limits) { s.Permission = nil }),
		}},
		"role-form": {"", Error, []subject{
			broken("a space", func(s *Subject, _ *Limits) { s.Order.RoleName, s.Permission = "a b", nil }, "Correct roleName, or leave it out to use AliyunECSImageExportDefaultRole", `"a b" is no name of a role`),
			broken("only spaces", func(s *Subject, _ *Limits) { s.Order.RoleName, s.Permission = " ", nil }, "", `" " is no name`),
			broken("an ARN", func(s *Subject, _ *Limits) { s.Order.RoleName, s.Permission = "acs:ram::1:role/r", nil }, "", `"acs:ram::1:role/r"`),
			broken("65 letters", func(s *Subject, _ *Limits) { s.Order.RoleName, s.Permission = strings.Repeat("a", 65), nil }, "", "65 characters"),
			kept("64 letters", func(s *Subject, _ *Limits) { s.Order.RoleName = strings.Repeat("a", 64) }),
			kept("all that a name may hold", func(s *Subject, _ *Limits) { s.Order.RoleName = "Az09.@-" }),
			kept("the default", func(s *Subject, _ *Limits) { s.Order.RoleName = "" }),
		}},
		"role-trust": {"NoSetRoletoECSServiceAcount", Error, []subject{
			broken("trusts others", role(func(p *Permission) { p.TrustsECS = false }), "ecs.aliyuncs.com", "AliyunECSImageExportDefaultRole does not let"),
		}},
		"role-grants": {"InvalidOSS.NotAuthorized", Error, []subject{
			broken("lacks", role(func(p *Permission) { p.Lacks = []string{"oss:PutObject", "oss:ListParts"} }), "AliyunECSImageExportRolePolicy", "does not allow oss:PutObject, oss:ListParts on bucket image-exports"),
			broken("denied", role(func(p *Permission) { p.Denied = []string{"oss:PutObject"} }), "a Deny wins", "denies oss:PutObject on bucket image-exports"),
			broken("both", role(func(p *Permission) { p.Lacks, p.Denied = []string{"oss:ListParts"}, []string{"oss:PutObject"} }), "Then attach", "does not allow oss:ListParts and denies oss:PutObject"),
		}},
		"role-judged": {"", Warning, []subject{
			broken("RAM is silent", role(func(p *Permission) { *p = Permission{Unknown: "the function's role lacks ram:GetRole"} }), "RAM console", "lacks ram:GetRole"),
			broken("a condition", role(func(p *Permission) { p.Unclear = []string{"policy p has a condition", "policy q can't be read"} }), "", "policy p has a condition; policy q can't be read"),
		}},
		"role-name": {"", Warning, []subject{
			broken("another", func(s *Subject, _ *Limits) { s.Order.RoleName = "mine" }, "Leave roleName out to use AliyunECSImageExportDefaultRole.", "role mine"),
			broken("another than the deployment's other one", func(s *Subject, l *Limits) { s.Order.RoleName, l.RoleName = "mine", "ours" },
				"Give roleName AliyunECSImageExportDefaultRole; left out, it is the deployment's, ours.", "role mine"),
			broken("the deployment's, which is another", func(s *Subject, l *Limits) { s.Order.RoleName, l.RoleName = "Ours", "ours" },
				"else give roleName AliyunECSImageExportDefaultRole, or set EXPORT_ROLE of the deployment to it", "role Ours, the deployment's EXPORT_ROLE"),
			kept("the default", func(s *Subject, _ *Limits) { s.Order.RoleName = "" }),
			kept("RAM tells no capitals apart", func(s *Subject, _ *Limits) { s.Order.RoleName = "aliyunecsimageexportdefaultrole" }),
			kept("what ECS expects, where the deployment has another", func(_ *Subject, l *Limits) { l.RoleName = "ours" }),
			kept("there is none of this name, which is another rule", func(s *Subject, _ *Limits) { s.Order.RoleName, s.Permission.Missing = "mine", true }),
			kept("no name, which is another rule", func(s *Subject, _ *Limits) { s.Order.RoleName = "m ine" }),
		}},
		"image-busy": {"ImageIsExporting", Waits, []subject{
			broken("by a task", func(s *Subject, _ *Limits) { s.Account.ImageTask = "t-bp1" }, "begins when", "t-bp1", "m-bp1good"),
			kept("not asked", func(s *Subject, _ *Limits) { s.Account = nil }),
		}},
		"quota-concurrent": {"ConcurrentQuotaExceed.ExportImage", Waits, []subject{
			broken("refused", held("ConcurrentQuotaExceed.ExportImage"), "turn", "2026-03-01T12:00:00Z"),
			kept("another reason", held("WeeklyQuotaExceed.ExportImage")),
		}},
		"quota-weekly": {"WeeklyQuotaExceed.ExportImage", Waits, []subject{
			broken("refused", held("WeeklyQuotaExceed.ExportImage"), "higher quota", "this week", "2026-03-01T12:00:00Z"),
		}},
		"tasks-limit": {"", Waits, []subject{
			broken("reached", func(s *Subject, l *Limits) { held(CodeTaskLimit)(s, l); l.Tasks = 2 }, "another one ends", "this deployment allows itself"),
		}},
		"queue": {"", Waits, []subject{
			broken("others wait", func(s *Subject, _ *Limits) { s.Account.Waiting = 3 }, "turn", "before this one: 3"),
		}},
	}
	for _, r := range Rules {
		test, ok := tests[r.ID]
		if !ok {
			t.Errorf("%s: no test", r.ID)
			continue
		}
		if r.Code != test.code || r.Severity != test.severity {
			t.Errorf("%s: %s %q, want %s %q", r.ID, r.Severity, r.Code, test.severity, test.code)
		}
		if !slices.ContainsFunc(test.subjects, func(s subject) bool { return s.found != nil }) {
			t.Errorf("%s: nothing breaks it", r.ID)
		}
		for _, c := range append(test.subjects, kept("ready", func(*Subject, *Limits) {})) {
			t.Run(r.ID+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				s, l := ready(), testLimits
				c.change(&s, &l)
				findings := Check(s, l)
				i := slices.IndexFunc(findings, func(f Finding) bool { return f.Rule == r.ID })
				if c.found == nil {
					if i >= 0 {
						t.Errorf("found %+v", findings[i])
					}
					return
				}
				if i < 0 {
					t.Fatalf("not found, only %+v", findings)
				}
				f := findings[i]
				for _, want := range c.found {
					if !strings.Contains(f.Found, want) {
						t.Errorf("found %q, want %q in it", f.Found, want)
					}
				}
				if !strings.Contains(f.Remedy, c.remedy) {
					t.Errorf("remedy %q, want %q in it", f.Remedy, c.remedy)
				}
				for _, text := range []string{f.Found, f.Remedy} {
					if !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "{}") {
						t.Errorf("no sentence: %q", text)
					}
				}
				if f.Code != test.code || f.Severity != test.severity || f.Limit == "" || strings.ContainsAny(f.Limit, "{}") || f.Page == "" || f.Inferred != r.Inferred {
					t.Errorf("%+v", f)
				}
			})
		}
	}
	if len(tests) != len(Rules) {
		t.Errorf("%d tests, %d rules", len(tests), len(Rules))
	}
}

// TestDiskLimits wants the limits of data disks to be told as what they are: where
// the vendor's pages differ, whoever is refused learns which page says what, and what
// changes the limit here.
func TestDiskLimits(t *testing.T) {
	t.Parallel()
	for id, variable := range map[string]string{"data-disk-count": "DATA_DISKS_MAX", "data-disk-size": "DATA_DISK_GIB_MAX"} {
		r := Rules[slices.IndexFunc(Rules, func(r Rule) bool { return r.ID == id })]
		if r.Page != pageExport || !strings.Contains(r.Inferred, variable) || !strings.Contains(r.Inferred, "2 TiB") {
			t.Errorf("%s: %s, %s", id, r.Page, r.Inferred)
		}
	}
}

// TestCheckAll wants every broken rule reported, the gravest first, and the
// verdict of the gravest.
func TestCheckAll(t *testing.T) {
	t.Parallel()
	s := ready()
	if findings := Check(s, testLimits); len(findings) != 0 || Judge(findings) != Ready {
		t.Errorf("%+v", findings)
	}
	s.Bucket.StorageClass = "IA"
	s.Account.Waiting = 1
	if findings := Check(s, testLimits); Judge(findings) != Queues {
		t.Errorf("%s: %+v", Judge(findings), findings)
	}
	s.Image.OSType, s.Image.Status, s.Image.Disks[0].Encrypted = "windows", "Creating", true
	s.Order.Format, s.Order.Prefix = "qcow2", "_"
	s.Bucket.Encryption, s.Permission.TrustsECS = "KMS", false
	var rules []string
	findings := Check(s, testLimits)
	for _, f := range findings {
		rules = append(rules, f.Rule)
	}
	want := []string{"image-available", "image-windows", "image-encrypted", "prefix-form", "bucket-encryption", "role-trust", "queue", "format-region", "bucket-infrequent"}
	if d := cmp.Diff(want, rules); d != "" || Judge(findings) != Refused {
		t.Errorf("%s (-want +got):\n%s", Judge(findings), d)
	}
	// Of what is not there nothing else is said.
	s = Subject{Order: Order{ImageID: "m-1"}, Image: &Image{Missing: true}, Bucket: &Bucket{Missing: true}, Permission: &Permission{Missing: true}}
	if findings := Check(s, testLimits); len(findings) != 3 {
		t.Errorf("%+v", findings)
	}
	if findings := Check(Subject{}, testLimits); len(findings) != 0 {
		t.Errorf("of nothing: %+v", findings)
	}
}
