package ecs_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ecs-image-export/local/ecs"
	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/ecs/sample"

	"github.com/google/go-cmp/cmp"
)

func ids(list any, field string) []string {
	out := []string{}
	for _, v := range list.([]any) {
		out = append(out, v.(map[string]any)[field].(string))
	}
	return out
}

func TestDescribeImages(t *testing.T) {
	t.Parallel()
	sys := disk("system", "xvda", "1", "a.raw")
	sys.SnapshotID = "s-1"
	at := func(i *image.Image, n int) {
		i.CreationTime = fmt.Sprintf("2026-01-%02dT00:00:00Z", n)
	}
	dir := folder(t, map[string][]byte{"a.raw": []byte("x")},
		changed(with("m-1", sys), func(i *image.Image) { at(i, 1); i.ImageName = "web one"; i.ImageFamily = "web" }),
		changed(with("m-2", sys), func(i *image.Image) {
			at(i, 2)
			i.ImageFamily = "web"
			i.Tags.Tag = []image.Tag{{TagKey: "k", TagValue: "v"}}
		}),
		changed(with("m-3", sys), func(i *image.Image) { at(i, 3); i.ImageFamily = "web"; i.Status = "Creating" }),
		changed(with("m-4", sys), func(i *image.Image) {
			at(i, 4)
			i.ImageOwnerAlias, i.Architecture, i.IsPublic, i.ImageOwnerID = "others", "arm64", true, 7
		}),
		changed(with("m-5", sys), func(i *image.Image) { at(i, 5); i.OSType = "windows"; i.Usage = "instance"; i.ResourceGroupID = "rg-1" }),
	)
	c := newCloud(t, dir, nil)
	for _, test := range []struct {
		p    params
		want string // ids, or the refusal
	}{
		{nil, "m-5 m-4 m-2 m-1"},
		{params{"Status": "Creating"}, "m-3"},
		{params{"Status": "Creating,Available"}, "m-5 m-4 m-3 m-2 m-1"},
		{params{"ImageId": "m-1,m-2,m-none"}, "m-2 m-1"},
		{params{"ImageId": "m-3"}, ""},
		{params{"ImageId": "m-none"}, ""},
		{params{"ImageName": "one"}, "m-1"},
		{params{"ImageName": "*web*"}, "m-1"},
		{params{"ImageFamily": "web"}, "m-2 m-1"},
		{params{"ImageOwnerAlias": "others"}, "m-4"},
		{params{"ImageOwnerId": "7"}, "m-4"},
		{params{"IsPublic": "true"}, "m-4"},
		{params{"Architecture": "arm64"}, "m-4"},
		{params{"OSType": "windows"}, "m-5"},
		{params{"Usage": "instance"}, "m-5"},
		{params{"ResourceGroupId": "rg-1"}, "m-5"},
		{params{"SnapshotId": "s-2"}, ""},
		{params{"Tag.1.Key": "k"}, "m-2"},
		{params{"Tag.1.Key": "k", "Tag.1.Value": "w"}, ""},
		{params{"Filter.1.Key": "CreationStartTime", "Filter.1.Value": "2026-01-02T00:00Z",
			"Filter.2.Key": "CreationEndTime", "Filter.2.Value": "2026-01-04T00:00Z"}, "m-4 m-2"},
		{params{"PageSize": "3"}, "m-5 m-4 m-2"},
		{params{"PageSize": "3", "PageNumber": "2"}, "m-1"},
		{params{"PageSize": "3", "PageNumber": "3"}, ""},
		{params{"PageSize": "101"}, "400 InvalidParameter"},
		{params{"PageNumber": "0"}, "400 InvalidParameter"},
		{params{"Status": "Ready"}, "400 InvalidParameter"},
		{params{"ImageOwnerAlias": "me"}, "400 InvalidImageOwnerAlias.ValueNotSupported"},
		{params{"OSType": "dos"}, "404 InvalidOSType"},
		{params{"Architecture": "vax"}, "404 InvalidArchitecture"},
		{params{"Usage": "x"}, "404 InvalidUsage"},
		{params{"Filter.1.Key": "Colour", "Filter.1.Value": "x"}, "404 InvalidFilterKey.NotFound"},
		{params{"Tag.1.Value": "v"}, "400 InvalidTag.Mismatch"},
		{params{"Tag.21.Key": "k"}, "400 InvalidTagCount"},
		{params{"InstanceType": "ecs.g7.large"}, "501 NotImplemented"},
		{params{"RegionId": ""}, "400 MissingParameter"},
		{params{"RegionId": "cn-nowhere"}, "404 InvalidRegionId.NotFound"},
		{params{"DryRun": "true"}, "400 DryRunOperation"},
	} {
		got, err := c.call("DescribeImages", test.p)
		text := refused(err)
		if err == nil {
			text = strings.Join(ids(got["Images"].(map[string]any)["Image"], "ImageId"), " ")
		}
		if text != test.want {
			t.Errorf("%v: got %q, want %q", test.p, text, test.want)
		}
	}
	family := func(name string) string {
		got, err := c.call("DescribeImageFromFamily", params{"ImageFamily": name})
		if err != nil {
			return refused(err)
		}
		if img, ok := got["Image"].(map[string]any); ok {
			return img["ImageId"].(string)
		}
		return "none"
	}
	for name, want := range map[string]string{"web": "m-2", "other": "none", "1x": "400 InvalidParameter", "aliyun-x": "400 InvalidParameter", "": "400 MissingParameter"} {
		if got := family(name); got != want {
			t.Errorf("family %q: got %q, want %q", name, got, want)
		}
	}
}

// Every field of the wire shape is there, and nothing of this machine.
func TestImageOnTheWire(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, err := sample.Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := newCloud(t, dir, nil)
	got := c.must("DescribeImages", params{"ImageId": id})
	body, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "File") || strings.Contains(string(body), ".raw") {
		t.Errorf("tells about files: %s", body)
	}
	if got["TotalCount"] != 1.0 || got["PageNumber"] != 1.0 || got["PageSize"] != 10.0 || got["RegionId"] != region || got["RequestId"] == "" {
		t.Errorf("list: %s", body)
	}
	img := got["Images"].(map[string]any)["Image"].([]any)[0].(map[string]any)
	want := map[string]any{
		"Type": "system", "Device": "/dev/xvda", "Size": "1", "SnapshotId": "s-bp1demo000000000000a", "Format": "", "Encrypted": false,
		"ImportOSSBucket": "", "ImportOSSObject": "", "Progress": "100%", "RemainTime": 0.0,
	}
	first := img["DiskDeviceMappings"].(map[string]any)["DiskDeviceMapping"].([]any)[0]
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("disk (-want +got):\n%s", diff)
	}
	for field, want := range map[string]any{"Size": 1.0, "ImageOwnerId": 1234567890123456.0, "Status": "Available", "IsSubscribed": false, "IsSelfShared": "", "ProductCode": ""} {
		if v, ok := img[field]; !ok || v != want {
			t.Errorf("%s is %v, want %v", field, v, want)
		}
	}
	regions := c.must("DescribeRegions", nil)["Regions"].(map[string]any)["Region"].([]any)
	if len(regions) != 1 || regions[0].(map[string]any)["RegionId"] != region {
		t.Errorf("regions: %v", regions)
	}
}

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestDescribeTasks(t *testing.T) {
	t.Parallel()
	// Requests are signed with the real time, so the clock stays near it.
	start := time.Now()
	at := &clock{t: start}
	c := newCloud(t, twoDisks(t), func(c *ecs.Config) {
		c.Now = at.now
		c.Retention = 10 * time.Minute
		c.Speed = 1
		c.PerGiB, c.Least = 1, 1
	})
	var tasks []string
	for _, img := range []string{"m-1", "m-2", "m-1", "m-3"} {
		id := c.export(params{"ImageId": img})
		c.await(id, "Finished")
		tasks = append(tasks, id)
		at.add(2 * time.Minute)
	}
	seconds := func(d time.Duration) string { return start.Add(d).UTC().Format("2006-01-02T15:04:05Z") }
	for _, test := range []struct {
		p    params
		want []int // indices of tasks, or nil for the refusal
		code string
	}{
		{p: nil, want: []int{3, 2, 1, 0}},
		{p: params{"PageSize": "3"}, want: []int{3, 2, 1}},
		{p: params{"PageSize": "3", "PageNumber": "2"}, want: []int{0}},
		{p: params{"TaskIds": tasks[2] + "," + tasks[0] + ",t-none"}, want: []int{2, 0}},
		{p: params{"ResourceIds.1": "m-1", "ResourceIds.2": "m-3"}, want: []int{3, 2, 0}},
		{p: params{"ResourceIds.1": "m-none"}, want: []int{}},
		{p: params{"TaskStatus": "Finished"}, want: []int{3, 2, 1, 0}},
		{p: params{"TaskStatus": "Processing"}, want: []int{}},
		{p: params{"TaskStatus": "Deleted"}, want: []int{3, 2, 1, 0}}, // other values are ignored
		{p: params{"TaskAction": "ExportImage"}, want: []int{3, 2, 1, 0}},
		{p: params{"TaskAction": "ImportImage"}, want: []int{}},
		{p: params{"TaskGroupId": "tg-1"}, want: []int{}},
		{p: params{"StartTime": seconds(time.Minute), "EndTime": seconds(5 * time.Minute)}, want: []int{2, 1}},
		{p: params{"StartTime": "yesterday"}, code: "400 InvalidParameter"},
		{p: params{"PageSize": "101"}, code: "400 InvalidParameter"},
		{p: params{"TaskIds": strings.Repeat("t-1,", 100) + "t-1"}, code: "400 InvalidParameter"},
		{p: params{"RegionId": ""}, code: "400 MissingParameter"},
		{p: params{"RegionId": "cn-nowhere"}, code: "400 InvalidRegionId.NotFound"},
	} {
		got, err := c.call("DescribeTasks", test.p)
		if err != nil || test.code != "" {
			if refused(err) != test.code {
				t.Errorf("%v: got %q, want %q", test.p, refused(err), test.code)
			}
			continue
		}
		want := []string{}
		for _, i := range test.want {
			want = append(want, tasks[i])
		}
		if diff := cmp.Diff(want, ids(got["TaskSet"].(map[string]any)["Task"], "TaskId")); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.p, diff)
		}
	}
	one := c.must("DescribeTasks", params{"TaskIds": tasks[1]})["TaskSet"].(map[string]any)["Task"].([]any)[0].(map[string]any)
	stamp := start.Add(2 * time.Minute).UTC().Format("2006-01-02T15:04Z")
	want := map[string]any{
		"TaskId": tasks[1], "TaskAction": "ExportImage", "TaskStatus": "Finished", "CreationTime": stamp, "FinishedTime": stamp,
		"SupportCancel": true, "ResourceId": "m-2",
	}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("task (-want +got):\n%s", diff)
	}
	for _, test := range []struct{ id, want string }{{"", "400 MissingParameter"}, {"t-none", "400 InvalidTaskId.NotFound"}} {
		if _, err := c.call("DescribeTaskAttribute", params{"TaskId": test.id}); refused(err) != test.want {
			t.Errorf("attribute of %q: got %q, want %q", test.id, refused(err), test.want)
		}
	}
	at.add(3 * time.Minute) // the first is 11 minutes old
	if _, err := c.call("DescribeTaskAttribute", params{"TaskId": tasks[0]}); refused(err) != "400 InvalidTaskId.NotFound" {
		t.Errorf("a task past its retention: %v", err)
	}
}
