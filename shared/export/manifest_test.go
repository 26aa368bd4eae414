package export

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed manifest.schema.json
var manifestSchema []byte

// compiledManifestSchema refuses what is no manifest, formats included.
func compiledManifestSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(manifestSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("manifest.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// image has what re-encoding it carelessly would change: the order of its
// fields, a number beyond 2^53 and characters that HTML minds.
const image = `{"Tags":{"Tag":[]},"ImageId":"m-bp1demo00000000000001","ImageName":"<demo> & more","ImageOwnerId":9007199254740993,"Description":"\u4e2d\u6587"}`

// finished is an export whose disks all landed and whose task is Finished, with
// a line between what manifests are made of and what they are not.
func finished(t *testing.T, task Task) Export {
	t.Helper()
	x := logOf(t,
		Line{State: Requested},
		Line{State: Submitting, Attempt: &Attempt{Number: 1}},
		Line{State: Exporting, Task: &Task{ID: task.ID}},
		Line{State: Exporting, Disk: landed(dataObject, Data, "/dev/xvdb")},
		Line{State: Exporting, Disk: landed(systemObject, System, "/dev/xvda")},
		Line{State: Exported, Task: &task},
	)
	request := demo
	request.Image = json.RawMessage(image)
	x.Request = request
	return x
}

var demoTask = Task{ID: "t-1", CreatedAt: start.Truncate(time.Minute), FinishedAt: start.Truncate(time.Minute).Add(time.Minute)}

func TestManifest(t *testing.T) {
	t.Parallel()
	x := finished(t, demoTask)
	got := x.Manifest()
	want := Manifest{
		Schema: "ecs-image-export/manifest/v1", ID: "7zzzzzzzzzzz0", RegionID: "cn-hangzhou", Bucket: "image-exports",
		OSSPrefix: "demo7zzzzzzzzzzz0", Format: RAW, RoleName: "AliyunECSImageExportDefaultRole", TaskID: "t-1",
		Times: ManifestTimes{
			RequestedAt: start, SubmittedAt: start.Add(2 * time.Second), ExportedAt: start.Add(5 * time.Second),
			TaskCreatedAt: demoTask.CreatedAt, TaskFinishedAt: demoTask.FinishedAt,
		},
		// In the order of the image, not of their landing.
		Disks: []ManifestDisk{
			{
				Disk: demo.Disks[0], Key: systemObject.Key, Format: RAW, Bytes: 10, CRC64: "1", ETag: "A", LandedAt: start,
				Commands: Commands{
					Download:  "ossutil cp oss://image-exports/demo7zzzzzzzzzzz0_m-bp1demo00000000000001_system.raw.tar.gz demo7zzzzzzzzzzz0_m-bp1demo00000000000001_system.raw.tar.gz --region cn-hangzhou",
					Check:     "ossutil hash crc64 demo7zzzzzzzzzzz0_m-bp1demo00000000000001_system.raw.tar.gz | grep -w 1",
					Unpack:    "tar -xzf demo7zzzzzzzzzzz0_m-bp1demo00000000000001_system.raw.tar.gz",
					UnpackMac: "gtar -xzf demo7zzzzzzzzzzz0_m-bp1demo00000000000001_system.raw.tar.gz",
				},
			},
			{
				Disk: demo.Disks[1], Key: dataObject.Key, Format: RAW, Bytes: 20, CRC64: "2", ETag: "B", LandedAt: start,
				Commands: got.Disks[1].Commands,
			},
		},
		Image: json.RawMessage(image),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestManifestOfCompleted wants the same bytes before and after the export
// completes, and after what may still be recorded then.
func TestManifestOfCompleted(t *testing.T) {
	t.Parallel()
	x := finished(t, demoTask)
	before := x.Manifest().JSON()
	for _, l := range []Line{
		{State: Completed},
		{State: Completed, Task: &Task{ID: "t-2"}}, // a call whose answer came late
	} {
		l.Seq, l.Time = x.Seq()+1, start.Add(time.Hour)
		var err error
		if x, err = x.With(l); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(before), string(x.Manifest().JSON())); diff != "" {
			t.Errorf("line %d (-before +after):\n%s", l.Seq, diff)
		}
	}
}

func TestManifestJSON(t *testing.T) {
	t.Parallel()
	body := finished(t, demoTask).Manifest().JSON()
	if !bytes.HasSuffix(body, []byte("}\n")) || bytes.HasSuffix(body, []byte("\n\n")) {
		t.Errorf("it does not end with one line break: %q", body[len(body)-10:])
	}
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(body), string(m.JSON())); diff != "" {
		t.Errorf("decoded and encoded again (-before +after):\n%s", diff)
	}
	// The image is as it was but for its spaces.
	if got := compact(t, m.Image); got != compact(t, []byte(image)) {
		t.Errorf("the image became %s", got)
	}
}

// compact takes the spaces out of JSON, and HTML's characters where
// encoding/json writes them in another way.
func compact(t *testing.T, body []byte) string {
	t.Helper()
	var b, escaped bytes.Buffer
	if err := json.Compact(&b, body); err != nil {
		t.Fatal(err)
	}
	json.HTMLEscape(&escaped, b.Bytes())
	return escaped.String()
}

func TestManifestFormats(t *testing.T) {
	t.Parallel()
	schema := compiledManifestSchema(t)
	for name, c := range map[string]struct {
		asked  Format
		suffix string // of the objects
		want   Format
	}{
		"raw":                            {RAW, ".raw.tar.gz", RAW},
		"qcow2":                          {QCOW2, ".qcow2", QCOW2},
		"vhd":                            {VHD, ".vhd", VHD},
		"vdi":                            {VDI, ".vdi", VDI},
		"vmdk":                           {VMDK, ".vmdk", VMDK},
		"raw where qcow2 is not to have": {QCOW2, ".raw.tar.gz", RAW},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := finished(t, demoTask)
			x.Request.Format = c.asked
			for device, l := range x.Landed {
				l.Key = strings.TrimSuffix(l.Key, ".raw.tar.gz") + c.suffix
				x.Landed[device] = l
			}
			m := x.Manifest()
			if m.Format != c.asked {
				t.Errorf("the format asked for is %s, want %s", m.Format, c.asked)
			}
			for _, d := range m.Disks {
				if d.Format != c.want {
					t.Errorf("%s: format %s, want %s", d.Key, d.Format, c.want)
				}
				packed := c.want == RAW
				if (d.Commands.Unpack != "") != packed || (d.Commands.UnpackMac != "") != packed {
					t.Errorf("%s: unpacked by %q and %q", d.Key, d.Commands.Unpack, d.Commands.UnpackMac)
				}
				for _, command := range []string{d.Commands.Download, d.Commands.Check} {
					if !strings.Contains(command, d.Key) {
						t.Errorf("%s: %q is about something else", d.Key, command)
					}
				}
			}
			if err := schema.Validate(decoded(t, m)); err != nil {
				t.Error(err)
			}
		})
	}
}

func decoded(t *testing.T, m Manifest) map[string]any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	return doc.(map[string]any)
}

// TestManifestSchema shows the schema manifests, then the same with one thing
// wrong.
func TestManifestSchema(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	schema := compiledManifestSchema(t)
	whole := finished(t, demoTask).Manifest()
	unknownTask := finished(t, Task{}).Manifest()
	for name, m := range map[string]Manifest{"whole": whole, "task not known": unknownTask} {
		if err := schema.Validate(decoded(t, m)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	disk := func(m object) object { return m["disks"].([]any)[0].(object) }
	changes := map[string]func(m object){
		"a field that there isn't":   func(m object) { m["surprise"] = "x" },
		"such a field in a disk":     func(m object) { disk(m)["surprise"] = "x" },
		"such a field in the times":  func(m object) { m["times"].(object)["surprise"] = "x" },
		"another version":            func(m object) { m["schema"] = "ecs-image-export/manifest/v2" },
		"no disks":                   func(m object) { m["disks"] = []any{} },
		"no image":                   func(m object) { m["image"] = nil },
		"an image of another kind":   func(m object) { m["image"].(object)["ImageId"] = "centos_7" },
		"an id that is none":         func(m object) { m["id"] = "7zzzzzzzzzzzu" },
		"a format in upper case":     func(m object) { m["format"] = "RAW" },
		"a time that is none":        func(m object) { m["times"].(object)["exportedAt"] = "now" },
		"a zero time":                func(m object) { m["times"].(object)["taskCreatedAt"] = "" },
		"a disk that did not land":   func(m object) { delete(disk(m), "key") },
		"the key of no disk":         func(m object) { disk(m)["key"] = "demo7zzzzzzzzzzz0_m-1_manifest.json" },
		"an empty object":            func(m object) { disk(m)["bytes"] = json.Number("0") },
		"a size as a string":         func(m object) { disk(m)["bytes"] = "10" },
		"a checksum as a number":     func(m object) { disk(m)["crc64"] = json.Number("1") },
		"RAW that is not unpacked":   func(m object) { delete(disk(m)["commands"].(object), "unpack") },
		"QCOW2 that is unpacked":     func(m object) { disk(m)["format"] = "qcow2" },
		"a command that there isn't": func(m object) { disk(m)["commands"].(object)["upload"] = "x" },
	}
	for field := range decoded(t, whole) {
		changes["no "+field] = func(m object) { delete(m, field) }
	}
	for name, change := range changes {
		m := decoded(t, whole)
		change(m)
		if err := schema.Validate(m); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
	}
}

// TestManifestText wants commands that can be copied out of the file as they are.
func TestManifestText(t *testing.T) {
	t.Parallel()
	m := Manifest{Disks: []ManifestDisk{{Commands: Commands{Download: "a && b > <c>"}}}, Image: []byte(`{"ImageName": "A & B"}`)}
	text := string(m.JSON())
	for _, want := range []string{`"a && b > <c>"`, `"A & B"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in:\n%s", want, text)
		}
	}
	if !strings.HasSuffix(text, "}\n") {
		t.Errorf("it does not end with a line's end: %q", text[len(text)-10:])
	}
}
