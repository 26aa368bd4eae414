package ecs_test

import (
	"net/http"
	"strings"
	"testing"

	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/identity"

	osssdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

func changed(img image.Image, change func(*image.Image)) image.Image {
	change(&img)
	return img
}

// variety holds one image per reason to refuse it.
func variety(t *testing.T) string {
	one := []byte("not empty")
	sys, data := disk("system", "xvda", "1", "a.raw"), disk("data", "xvdb", "1", "a.raw")
	encrypted, large, system := data, data, sys
	encrypted.Encrypted, large.Size, system.Size = true, "501", "900"
	return folder(t, map[string][]byte{"a.raw": one},
		with("m-good", sys, data),
		with("m-limit", system, changedDisk(large, "500")),
		changed(with("m-creating", sys), func(i *image.Image) { i.Status = "Creating" }),
		changed(with("m-market", sys), func(i *image.Image) { i.ProductCode = "cmjj000001" }),
		changed(with("m-windows", sys), func(i *image.Image) { i.OSType = "windows"; i.Platform = "Windows Server 2022" }),
		changed(with("m-platform", sys), func(i *image.Image) { i.Platform = "Windows Server 2016" }),
		changed(with("aliyun_3_x64_20G_alibase_20250117.vhd", sys), func(i *image.Image) { i.ImageOwnerAlias = "system" }),
		changed(with("m-shared", sys), func(i *image.Image) { i.ImageOwnerAlias = "others"; i.ImageOwnerID = 7 }),
		with("m-encrypted", sys, encrypted),
		with("m-large", sys, large),
		with("m-five", sys, data, on(data, "xvdc"), on(data, "xvdd"), on(data, "xvde"), on(data, "xvdf")),
	)
}

func changedDisk(m image.Mapping, size string) image.Mapping { m.Size = size; return m }
func on(m image.Mapping, device string) image.Mapping        { m.Device = "/dev/" + device; return m }

func TestExportImageRefusals(t *testing.T) {
	t.Parallel()
	c := newCloud(t, variety(t), nil)
	if err := c.oss.CreateBucket("encrypted"); err != nil {
		t.Fatal(err)
	}
	if err := c.oss.SetBucketEncryption("encrypted", osssdk.ServerEncryptionRule{
		SSEDefault: osssdk.SSEDefaultRule{SSEAlgorithm: "AES256"},
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.oss.CreateBucketXml("elsewhere", "<CreateBucketConfiguration><LocationConstraint>oss-cn-beijing</LocationConstraint></CreateBucketConfiguration>"); err != nil {
		t.Fatal(err)
	}
	archive, err := c.oss.Bucket(bucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := archive.PutObject("old_m-good_data_xvdb.raw.tar.gz", strings.NewReader("x"), osssdk.ObjectStorageClass(osssdk.StorageArchive)); err != nil {
		t.Fatal(err)
	}
	c.account.setRole("NotTrusting", role{false, exportPolicy})
	c.account.setRole("Powerless", role{true, identity.Policy{Version: "1"}})

	tests := []struct {
		name string
		p    params
		want string
	}{
		{"no region", params{"RegionId": ""}, "400 MissingParameter"},
		{"no image", params{"ImageId": ""}, "400 MissingParameter"},
		{"no bucket", params{"OSSBucket": ""}, "400 MissingParameter"},
		{"another region", params{"RegionId": "cn-nowhere"}, "400 InvalidRegionId.NotFound"},
		{"prefix with a slash", params{"OSSPrefix": "a/b"}, "400 InvalidOSSPrefix.Malformed"},
		{"prefix with an underscore", params{"OSSPrefix": "a_b"}, "400 InvalidOSSPrefix.Malformed"},
		{"prefix too long", params{"OSSPrefix": strings.Repeat("a", 31)}, "400 InvalidOSSPrefix.Malformed"},
		{"prefix with a letter of another script", params{"OSSPrefix": "é"}, "400 InvalidOSSPrefix.Malformed"},
		{"unknown format", params{"ImageFormat": "iso"}, "400 InvalidImageFormat.Malformed"},
		{"unknown image", params{"ImageId": "m-none"}, "404 InvalidImageId.NotFound"},
		{"image not available", params{"ImageId": "m-creating"}, "400 IncorrectImageStatus"},
		{"marketplace image", params{"ImageId": "m-market"}, "403 ImageNotSupported"},
		{"encrypted disk", params{"ImageId": "m-encrypted"}, "400 ImageNotSupported"},
		{"Windows by OSType", params{"ImageId": "m-windows"}, "403 InvalidImageLicense.NotSupported"},
		{"Windows by Platform", params{"ImageId": "m-platform"}, "403 InvalidImageLicense.NotSupported"},
		{"system image", params{"ImageId": "aliyun_3_x64_20G_alibase_20250117.vhd"}, "403 InvalidImageCategory.NotSupported"},
		{"shared image", params{"ImageId": "m-shared"}, "403 InvalidImageCategory.NotSupported"},
		{"data disk too large", params{"ImageId": "m-large"}, "400 InvalidImage.DiskAmountOrSize"},
		{"too many data disks", params{"ImageId": "m-five"}, "400 InvalidImage.DiskAmountOrSize"},
		{"role that does not exist", params{"RoleName": "Nobody"}, "403 NoSetRoletoECSServiceAcount"},
		{"role that does not trust ECS", params{"RoleName": "NotTrusting"}, "403 NoSetRoletoECSServiceAcount"},
		{"role without permission", params{"RoleName": "Powerless"}, "403 InvalidOSS.NotAuthorized"},
		{"unknown bucket", params{"OSSBucket": "no-such-bucket"}, "400 InvalidOSSBucket.NotFound"},
		{"impossible bucket", params{"OSSBucket": "No_Bucket"}, "400 InvalidOSSBucket.NotFound"},
		{"encrypted bucket", params{"OSSBucket": "encrypted"}, "403 InvalidOSSBucket.EncryptUnsupported"},
		{"bucket in another region", params{"OSSBucket": "elsewhere"}, "400 InvalidOSSBucket.NotFound"},
		{"bucket of another account", params{"OSSBucket": "not-ours"}, "403 InvalidOSS.NotAuthorized"},
		{"archived object in the way", params{"OSSPrefix": "old"}, "400 InvalidOSSObject.NeedRestore"},
		{"dry run that passes", params{"DryRun": "true"}, "400 DryRunOperation"},
		{"dry run that fails", params{"DryRun": "true", "ImageId": "m-none"}, "404 InvalidImageId.NotFound"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := params{"ImageId": "m-good", "OSSBucket": bucket}
			for k, v := range test.p {
				p[k] = v
			}
			if _, err := c.call("ExportImage", p); refused(err) != test.want {
				t.Errorf("got %q, want %q", refused(err), test.want)
			}
		})
	}
	if got := c.must("DescribeTasks", nil)["TotalCount"]; got != 0.0 {
		t.Errorf("a refusal left %v tasks", got)
	}
	if got := c.uploads(); len(got) != 0 {
		t.Errorf("a refusal left uploads: %v", got)
	}
	// At the limits, with the names of parameters as older clients write them.
	p := params{"ImageId": "m-limit", "OssBucket": bucket, "OssPrefix": strings.Repeat("a", 30), "ImageFormat": "RAW"}
	if _, err := c.call("ExportImage", p); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

// A bucket elsewhere is answered by OSS in one of two ways: with its location,
// or with the endpoint to ask instead.
func TestBucketInAnotherRegion(t *testing.T) {
	t.Parallel()
	c := newCloud(t, variety(t), nil)
	answers := map[string]func(http.ResponseWriter){
		"location": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`<?xml version="1.0"?><BucketInfo><Bucket><Name>` + bucket + `</Name><Location>oss-cn-beijing</Location></Bucket></BucketInfo>`))
		},
		"endpoint": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Use the specified endpoint.</Message><Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint></Error>`))
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			c.through(func(w http.ResponseWriter, _ *http.Request) bool { answer(w); return true })
			_, err := c.call("ExportImage", params{"ImageId": "m-good", "OSSBucket": bucket})
			if want := "400 InvalidOSSBucket.NotFound"; refused(err) != want {
				t.Errorf("got %q, want %q", refused(err), want)
			}
		})
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	c := newCloud(t, variety(t), nil)
	c.account.keys["few"] = &identity.Identity{
		AccountID: accountID, ARN: "acs:ram::" + accountID + ":assumed-role/few/s",
		Credentials: identity.Credentials{AccessKeyID: "few", AccessKeySecret: "s", SecurityToken: "t"},
		Policies: []identity.Policy{{Version: "1", Statement: []identity.Statement{
			{Effect: "Allow", Action: identity.StringList{"ecs:ExportImage"}, Resource: identity.StringList{"acs:ecs:*:*:image/m-good"}},
			{Effect: "Allow", Action: identity.StringList{"ecs:DescribeTasks"}, Resource: identity.StringList{"*"}},
		}}},
	}
	for _, test := range []struct {
		action string
		p      params
		want   string
	}{
		{"DescribeTasks", nil, ""},
		{"ExportImage", params{"ImageId": "m-good", "OSSBucket": bucket, "DryRun": "true"}, "400 DryRunOperation"},
		{"ExportImage", params{"ImageId": "m-limit", "OSSBucket": bucket}, "403 Forbidden.RAM"},
		{"DescribeImages", nil, "403 Forbidden.RAM"},
		{"CancelTask", params{"TaskId": "t-1"}, "403 Forbidden.RAM"},
		{"ImportImage", nil, "501 NotImplemented"},
	} {
		if _, err := c.callAs("few", "s", "t", test.action, test.p); refused(err) != test.want {
			t.Errorf("%s %v: got %q, want %q", test.action, test.p, refused(err), test.want)
		}
	}
}
