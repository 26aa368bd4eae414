package tracker

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/events"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/rpc"
)

var update = flag.Bool("update", false, "write events/samples instead of comparing with it")

// samples is where the messages of TestSamples are kept.
const samples = "../../events/samples"

// Four exports that never were: one that completes, one that fails, one that is
// canceled after it had to wait and deleted later, and one that was abandoned.
const (
	completesID = "9j86nkgt6mq1h"
	failsID     = "9j86nkfhsy06h"
	canceledID  = "9j86fmw9cnccw"
	abandonedID = "9j86nkbmcrnvh"
	imageID     = "m-bp1demo7k2h9x4c0qw3z"
)

func at(clock string) time.Time {
	t, err := time.Parse(time.RFC3339, "2026-01-02T"+clock+"Z")
	if err != nil {
		panic(err)
	}
	return t
}

func sampleRequest(prefix string) *export.Request {
	return &export.Request{
		ImageID: imageID, ImageName: "web-server-2026-01", RegionID: "cn-hangzhou", Bucket: "image-exports",
		OSSPrefix: prefix, Format: export.RAW, RoleName: "AliyunECSImageExportDefaultRole",
		RequestedBy: "ci@example.com",
		Disks: []export.Disk{
			{Role: export.System, Device: "/dev/xvda", SizeGiB: 40},
			{Role: export.Data, Device: "/dev/xvdb", SizeGiB: 100},
			{Role: export.Data, Device: "/dev/xvdc", SizeGiB: 20}, // empty
		},
	}
}

// sampleLogs are the logs of the exports, as their lines were appended.
func sampleLogs() map[string][]export.Line {
	completes := sampleRequest("Demo" + completesID)
	landed := func(disk int, size int64, etag, crc string, at time.Time) *export.Landed {
		d := completes.Disks[disk]
		return &export.Landed{Role: d.Role, Device: d.Device, Key: completes.ObjectKey(d), Size: size, ETag: etag, CRC64: crc, LandedAt: at}
	}
	task := export.Task{ID: "t-bp1d8ax2f0q3kz7m4h9c", CreatedAt: at("03:04:00"), FinishedAt: at("03:22:00")}
	canceled := sampleRequest("Demo" + canceledID)
	emptyDisk := &export.Landed{
		Role: export.Data, Device: "/dev/xvdc", Key: canceled.ObjectKey(canceled.Disks[2]), Size: 20919,
		ETag: "0D51A8E3F4C97B62D8E0F1A2B3C4D5E6-1", CRC64: "2211890471145683012", LandedAt: at("03:44:10"),
	}
	return map[string][]export.Line{
		completesID: {
			{Time: at("03:04:05.731"), State: export.Requested, Request: completes},
			{Time: at("03:04:05.902"), State: export.Submitting, Attempt: &export.Attempt{Number: 1, Until: at("03:04:20.899")}},
			{Time: at("03:04:06.912"), State: export.Exporting, Task: &export.Task{ID: task.ID}},
			{Time: at("03:17:46.251"), State: export.Exporting, Disk: landed(1, 187904819, "6E8C4A91D0F2B3577A0B1C9D2E3F4051-23", "9304160122358186529", at("03:17:45"))},
			{Time: at("03:17:58.610"), State: export.Exporting, Disk: landed(2, 20919, "0D51A8E3F4C97B62D8E0F1A2B3C4D5E6-1", "2211890471145683012", at("03:17:58"))},
			{Time: at("03:21:12.404"), State: export.Exporting, Disk: landed(0, 1293482331, "B7F0E9D8C6A5948372615040F1E2D3C4-155", "17842993820031142086", at("03:21:12"))},
			{Time: at("03:22:31.077"), State: export.Exported, Task: &task},
			{Time: at("03:22:31.355"), State: export.Completed},
		},
		failsID: {
			{Time: at("03:04:06.077"), State: export.Requested, Request: sampleRequest("Demo" + failsID)},
			{Time: at("03:04:06.201"), State: export.Submitting, Attempt: &export.Attempt{Number: 1, Until: at("03:04:21.199")}},
			{Time: at("03:04:06.688"), State: export.Failed, Failure: &export.Failure{
				Code:      "ImageIsExporting",
				Message:   "The specified Image is being exported. You can use the DescribeTasks API to check the status of existing tasks.",
				RequestID: "473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E",
			}},
		},
		canceledID: {
			{Time: at("03:30:07.412"), State: export.Requested, Request: canceled},
			{Time: at("03:30:07.598"), State: export.Submitting, Attempt: &export.Attempt{Number: 1, Until: at("03:30:22.595")}},
			{Time: at("03:30:08.043"), State: export.Queued, Reason: "ConcurrentQuotaExceed.ExportImage: the maximum number of concurrent ongoing tasks has been reached"},
			{Time: at("03:31:10.120"), State: export.Submitting, Attempt: &export.Attempt{Number: 2, Until: at("03:31:25.117")}},
			{Time: at("03:31:10.896"), State: export.Exporting, Task: &export.Task{ID: "t-bp14x8n1c6v0d2s5j7qe"}},
			{Time: at("03:44:10.733"), State: export.Exporting, Disk: emptyDisk},
			{Time: at("03:45:51.260"), State: export.Canceling, Reason: "canceled by a caller"},
			{Time: at("03:47:09.014"), State: export.Canceled},
			{Time: at("09:12:40.502"), State: export.Deleted},
		},
		abandonedID: {
			{
				Time: at("03:14:08.310"), State: export.Abandoned, Reason: "the request ended before it was recorded; its caller got no answer",
				Request: &export.Request{ImageID: imageID, RegionID: "cn-hangzhou", Disks: []export.Disk{}},
			},
		},
	}
}

func numbered(lines []export.Line) []export.Line {
	for i := range lines {
		lines[i].Seq, lines[i].Nonce = i+1, "sample"
	}
	return lines
}

// topic takes whatever is published and keeps it, by tag.
type topic struct {
	*httptest.Server
	mu        sync.Mutex
	published map[string][]string
}

func newTopic(t *testing.T) *topic {
	p := &topic{published: map[string][]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct{ MessageBody, MessageTag string }
		if err := xml.NewDecoder(r.Body).Decode(&m); err != nil || r.URL.Path != "/topics/image-export-events/messages" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.published[m.MessageTag] = append(p.published[m.MessageTag], m.MessageBody)
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `<Message xmlns="http://mns.aliyuncs.com/doc/v1/"><MessageId>1</MessageId></Message>`)
	}))
	t.Cleanup(p.Close)
	return p
}

// publishSamples announces everything that happens to the sample exports, and
// one object of somebody else's, and returns what reached the topic by tag.
func publishSamples(t *testing.T) map[string][]string {
	t.Helper()
	topic := newTopic(t)
	tr, err := New(Config{
		Region: "cn-hangzhou", AccountID: "1234567890123456", RecordsBucket: "image-export-records",
		ExportBuckets: []string{"image-exports"}, TaskQueue: "image-export-tasks", EventTopic: "image-export-events",
		MNSEndpoint: topic.URL,
	}, func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: "id", Secret: "secret"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	logs := sampleLogs()
	for _, id := range []string{completesID, failsID, canceledID, abandonedID} {
		x, err := export.New(id, numbered(logs[id]))
		if err != nil {
			t.Fatal(err)
		}
		if made, err := export.ParseID(id); err != nil || x.CreatedAt.Before(made) {
			t.Errorf("export %s was made %v after its first line: %v", id, made.Sub(x.CreatedAt), err)
		}
		if err := tr.announce(t.Context(), &Followed{Log: record.Log{Export: x}}); err != nil {
			t.Fatal(err)
		}
	}
	err = tr.AnnounceUnmanaged(t.Context(), events.Unmanaged{
		Bucket: "image-exports", Key: "backup_m-bp1console3f8k2d7v0t_data_xvdb.raw.tar.gz", ImageID: "m-bp1console3f8k2d7v0t",
		Role: "data", Device: "xvdb", Format: "raw", Size: 52428800, ETag: "A1B2C3D4E5F60718293A4B5C6D7E8F90-7",
		CRC64: "11051210869376104954", LandedAt: at("02:41:37"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return topic.published
}

// TestSamples compares what is published and sent with events/samples. With
// -update it writes them.
func TestSamples(t *testing.T) {
	t.Parallel()
	published := publishSamples(t)
	want := []string{"disk", "unmanaged"}
	for _, s := range export.States {
		want = append(want, string(s))
	}
	for tag, bodies := range published {
		if !slices.Contains(want, tag) {
			t.Errorf("tag %s: in no list", tag)
		}
		checkSample(t, events.TypePrefix+tag, bodies[0])
	}
	for _, tag := range want {
		if len(published[tag]) == 0 {
			t.Errorf("nothing was published with tag %s", tag)
		}
	}

	x, err := export.New(completesID, numbered(sampleLogs()[completesID][:3]))
	if err != nil {
		t.Fatal(err)
	}
	now := at("03:04:06.990")
	nudge, err := (&Followed{Log: record.Log{Export: x}}).nudge(now.Add(15*time.Second), now)
	if err != nil {
		t.Fatal(err)
	}
	checkSample(t, "nudge", nudge.Body)
}

func checkSample(t *testing.T, name, body string) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(body), "", "  "); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	indented.WriteByte('\n')
	path := filepath.Join(samples, name+".json")
	if *update {
		if err := os.WriteFile(path, indented.Bytes(), 0o644); err != nil {
			t.Error(err)
		}
		return
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	if diff := cmp.Diff(string(kept), indented.String()); diff != "" {
		t.Errorf("%s (-kept +made); if this is right, run go test ./shared/tracker -run TestSamples -update\n%s", path, diff)
	}
}

// TestSchemaStates compares the states that subscribers are told of with those
// that there are.
func TestSchemaStates(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../../events/schemas/state-change.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			State struct{ Enum []export.State }
		}
	}
	if err := json.Unmarshal(body, &schema); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(export.States, schema.Properties.State.Enum); diff != "" {
		t.Errorf("(-export +schema):\n%s", diff)
	}
}
