// Package trackertest gives tests a tracker on a stand-in cloud, with exports to
// follow.
package trackertest

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/cloud/cloudtest"
	"ecs-image-export/local/ecs/sample"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/rpc"
	"ecs-image-export/shared/tracker"
)

// Cloud is a stand-in cloud with small images in it.
type Cloud struct {
	*cloud.Cloud
	Environment map[string]string
	Folder      string   // of the images
	Images      []string // ids; every second image has a data disk, the first has none
}

// Start starts a cloud with n images. Tasks take no longer than the bytes do,
// unless o says otherwise.
func Start(t testing.TB, n int, o cloud.Options) Cloud {
	t.Helper()
	o.Images = t.TempDir()
	images, err := sample.Small(o.Images, n)
	if err != nil {
		t.Fatal(err)
	}
	if o.Speed == 0 {
		o.Speed = 1000
	}
	c := cloudtest.Start(t, o)
	return Cloud{c, cloudtest.Environment(c), o.Images, images}
}

// Config is the configuration of a tracker in this cloud, with intervals that
// suit a test.
func (c Cloud) Config() tracker.Config {
	e := c.Environment
	return tracker.Config{
		Region: e["REGION"], AccountID: e["ACCOUNT_ID"],
		RecordsBucket: e["RECORDS_BUCKET"], ExportBuckets: []string{e["EXPORT_BUCKET"]},
		TaskQueue: e["TASK_QUEUE"], EventTopic: e["EVENT_TOPIC"],
		OSSEndpoint: e["OSS_ENDPOINT"], MNSEndpoint: e["MNS_ENDPOINT"], ECSEndpoint: e["ECS_ENDPOINT"],
		LookMin: 20 * time.Millisecond, LookMax: 100 * time.Millisecond,
		VanishedAfter: 10 * time.Second, ArrivalGrace: 10 * time.Second, MaxAge: time.Minute,
		QueueWait: 200 * time.Millisecond, MaxQueued: time.Minute,
		SubmitTimeout: 2 * time.Second, ClockSkew: 100 * time.Millisecond, CancelGrace: 150 * time.Millisecond,
	}
}

// Credentials are the administrator's.
func (c Cloud) Credentials(context.Context) (rpc.Credentials, error) {
	return rpc.Credentials{ID: c.Environment["ACCESS_KEY_ID"], Secret: c.Environment["ACCESS_KEY_SECRET"]}, nil
}

// Tracker returns a tracker in this cloud.
func (c Cloud) Tracker(t testing.TB, config tracker.Config) *tracker.Tracker {
	t.Helper()
	tr, err := tracker.New(config, c.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// Subscribe subscribes a new queue to the topic. What it returns receives what
// has been published since, each event once and in the order of publication as
// far as ids tell, until want events are there.
func (c Cloud) Subscribe(t testing.TB) func(want int) []cloudevents.Event {
	t.Helper()
	e := c.Environment
	client, err := mns.New(mns.Config{Region: e["REGION"], AccountID: e["ACCOUNT_ID"], Endpoint: e["MNS_ENDPOINT"], Credentials: c.Credentials})
	if err != nil {
		t.Fatal(err)
	}
	name := "subscriber-" + strings.ToLower(rand.Text())
	if _, err := client.EnsureQueue(t.Context(), name, mns.QueueAttributes{Retention: 7 * 24 * time.Hour, Visibility: 12 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.EnsureSubscription(t.Context(), e["EVENT_TOPIC"], name, mns.Subscription{Endpoint: client.QueueEndpoint(name), Strategy: "BACKOFF_RETRY", Format: "SIMPLIFIED"}); err != nil {
		t.Fatal(err)
	}
	queue := client.Queue(name)
	return func(want int) []cloudevents.Event {
		t.Helper()
		byID := map[string]cloudevents.Event{}
		for deadline := time.Now().Add(20 * time.Second); len(byID) < want; {
			if time.Now().After(deadline) {
				t.Fatalf("%d events arrived, want %d", len(byID), want)
			}
			messages, err := queue.Receive(t.Context(), 16, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				var event cloudevents.Event
				if err := event.UnmarshalJSON([]byte(m.Body)); err != nil {
					t.Fatal(err)
				}
				byID[event.ID()] = event
			}
		}
		return slices.SortedFunc(maps.Values(byID), func(a, b cloudevents.Event) int { return a.Time().Compare(b.Time()) })
	}
}

// Request is what the request function makes of a call for an image.
func (c Cloud) Request(t testing.TB, imageID string) export.Request {
	t.Helper()
	image, err := c.Tracker(t, c.Config()).ECS.Image(t.Context(), imageID)
	if err != nil {
		t.Fatal(err)
	}
	r := export.Request{
		ImageID: image.ID, ImageName: image.Name, RegionID: c.Environment["REGION"], Bucket: c.Environment["EXPORT_BUCKET"],
		Format: export.RAW, RoleName: "AliyunECSImageExportDefaultRole", Image: image.Raw,
	}
	for _, d := range image.Disks {
		r.Disks = append(r.Disks, export.Disk{Role: export.Role(d.Role), Device: d.Device, SizeGiB: int(d.SizeGiB)})
	}
	return r
}
