package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"ecs-image-export/events"
	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// created is the event of an object that was written.
func created(bucket, key string) events.ObjectEvent {
	var r events.ObjectRecord
	r.EventName = "ObjectCreated:CompleteMultipartUpload"
	r.OSS.Bucket.Name, r.OSS.Object.Key = bucket, key
	return events.ObjectEvent{Events: []events.ObjectRecord{r}}
}

func put(t *testing.T, tr *tracker.Tracker, bucket, key string) {
	t.Helper()
	if err := tr.OSS.Bucket(bucket).Put(t.Context(), key, []byte("disk"), oss.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

func types(all []cloudevents.Event) string {
	var types []string
	for _, e := range all {
		types = append(types, strings.TrimPrefix(e.Type(), events.TypePrefix))
	}
	return strings.Join(types, " ")
}

func TestForeignObjects(t *testing.T) {
	t.Parallel()
	cloud := trackertest.Start(t, 1, cloud.Options{})
	tr := cloud.Tracker(t, cloud.Config())
	c := catalog{tr}
	bucket := cloud.Environment["EXPORT_BUCKET"]
	receive := cloud.Subscribe(t)

	foreign := []string{
		"m-bp1somebodyelses00001_system.raw.tar.gz",
		"backup_m-bp1somebodyelses00001_data_xvdb.vhd",
		// Ends like an export of ours that nobody made.
		"x" + export.NewID(time.Now()) + "_m-bp1somebodyelses00001_system.qcow2",
	}
	for _, key := range foreign {
		put(t, tr, bucket, key)
		for range 2 { // OSS may tell twice
			if _, err := c.handle(t.Context(), created(bucket, key)); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
	}
	got := receive(len(foreign))
	if want := "unmanaged unmanaged unmanaged"; types(got) != want {
		t.Errorf("events %s, want %s", types(got), want)
	}
	for _, e := range got {
		var u events.Unmanaged
		if err := e.DataAs(&u); err != nil {
			t.Fatal(err)
		}
		if want := "unmanaged/" + record.UnmanagedID(u.Bucket, u.Key, u.ETag); e.ID() != want || u.Size != 4 || u.CRC64 == "" || u.ImageID != "m-bp1somebodyelses00001" {
			t.Errorf("event %s is about %+v", e.ID(), u)
		}
	}
	page, err := tr.OSS.Bucket(cloud.Environment["RECORDS_BUCKET"]).List(t.Context(), oss.ListOptions{Prefix: "unmanaged/"})
	if err != nil || len(page.Objects) != len(foreign) {
		t.Errorf("%d objects are cataloged, want %d (%v)", len(page.Objects), len(foreign), err)
	}
}

// TestObjectLikeOurs wants an object that is named as one of ours and lies elsewhere,
// or is of another image, to be somebody else's: nothing of it is in our log.
func TestObjectLikeOurs(t *testing.T) {
	t.Parallel()
	cloud := trackertest.Start(t, 1, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	tr := cloud.Tracker(t, cloud.Config())
	c := catalog{tr}
	f, err := tr.Begin(t.Context(), "", cloud.Request(t, cloud.Images[0]))
	if err == nil {
		err = tr.Step(t.Context(), f, tracker.Known{})
	}
	if err == nil {
		err = tr.OSS.Bucket("somebody-elses").CreateBucket(t.Context())
	}
	if err != nil || f.State != export.Exporting {
		t.Fatalf("state %s, %v", f.State, err)
	}
	other := f.Request
	other.ImageID = "m-bp1somebodyelses00001"
	for bucket, key := range map[string]string{
		"somebody-elses": f.Request.ObjectKey(f.Request.Disks[0]), f.Request.Bucket: other.ObjectKey(f.Request.Disks[0]),
	} {
		put(t, tr, bucket, key)
		if _, err := c.handle(t.Context(), created(bucket, key)); err != nil {
			t.Errorf("%s/%s: %v", bucket, key, err)
		}
	}
	page, err := tr.OSS.Bucket(cloud.Environment["RECORDS_BUCKET"]).List(t.Context(), oss.ListOptions{Prefix: "unmanaged/"})
	if err != nil || len(page.Objects) != 2 {
		t.Errorf("%d objects are cataloged, want 2 (%v)", len(page.Objects), err)
	}
	if after, _, err := tr.Load(t.Context(), f.ID); err != nil || after.Seq() != f.Seq() {
		t.Errorf("the log has %d lines, and had %d, %v", after.Seq(), f.Seq(), err)
	}
}

// TestDropped wants events that nobody can handle to be dropped with a reason,
// and to leave nothing behind.
func TestDropped(t *testing.T) {
	t.Parallel()
	cloud := trackertest.Start(t, 1, cloud.Options{})
	tr := cloud.Tracker(t, cloud.Config())
	bucket := cloud.Environment["EXPORT_BUCKET"]
	for name, event := range map[string]events.ObjectEvent{
		"no record":                        {},
		"a name that ECS does not give":    created(bucket, "holiday.raw.tar.gz"),
		"a name with a path":               created(bucket, "a/../m-bp1somebodyelses00001_system.vhd"),
		"a record without an object":       created(bucket, ""),
		"a record without a bucket":        created("", "m-bp1somebodyelses00001_system.vhd"),
		"an object that is gone":           created(bucket, "m-bp1somebodyelses00001_system.vhd"),
		"an object of a bucket that isn't": created("no-such-bucket-here", "m-bp1somebodyelses00001_system.vhd"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := catalog{tr}.handle(t.Context(), event)
			if err == nil || !function.IsPermanent(err) {
				t.Errorf("got %v, want an error that is not retried", err)
			}
		})
	}
	t.Cleanup(func() {
		page, err := tr.OSS.Bucket(cloud.Environment["RECORDS_BUCKET"]).List(context.Background(), oss.ListOptions{})
		if err != nil || len(page.Objects) != 0 {
			t.Errorf("%d objects are left behind (%v)", len(page.Objects), err)
		}
	})
}

// TestSeveralRecords wants a record that nobody can handle not to keep the others
// of its event from being handled.
func TestSeveralRecords(t *testing.T) {
	t.Parallel()
	cloud := trackertest.Start(t, 1, cloud.Options{})
	tr := cloud.Tracker(t, cloud.Config())
	bucket, key := cloud.Environment["EXPORT_BUCKET"], "m-bp1somebodyelses00001_system.raw.tar.gz"
	put(t, tr, bucket, key)
	event := created(bucket, "holiday.raw.tar.gz")
	event.Events = append(event.Events, created(bucket, key).Events...)
	if _, err := (catalog{tr}).handle(t.Context(), event); err == nil || !function.IsPermanent(err) {
		t.Errorf("got %v, want an error that is not retried", err)
	}
	page, err := tr.OSS.Bucket(cloud.Environment["RECORDS_BUCKET"]).List(t.Context(), oss.ListOptions{Prefix: "unmanaged/"})
	if err != nil || len(page.Objects) != 1 {
		t.Errorf("%d objects are cataloged, want 1 (%v)", len(page.Objects), err)
	}
	// Nor may it keep them from being tried again.
	event.Events[1].OSS.Bucket.Name = "" // dropped too
	failing := created(bucket, "x"+brokenExport(t, tr, cloud)+"_m-bp1somebodyelses00001_system.vhd")
	event.Events = append(event.Events, failing.Events...)
	if _, err := (catalog{tr}).handle(t.Context(), event); err == nil || function.IsPermanent(err) {
		t.Errorf("got %v, want an error that is retried", err)
	}
}

// brokenExport returns the id of an export whose log can't be read.
func brokenExport(t *testing.T, tr *tracker.Tracker, c trackertest.Cloud) (id string) {
	t.Helper()
	id = export.NewID(time.Now())
	if _, err := tr.OSS.Bucket(c.Environment["RECORDS_BUCKET"]).Append(t.Context(), "exports/"+id, 0, []byte("not a log\n")); err != nil {
		t.Fatal(err)
	}
	return id
}

// TestOurs follows an export by its objects' events alone.
func TestOurs(t *testing.T) {
	t.Parallel()
	// The task goes on for a while after its bytes are there.
	cloud := trackertest.Start(t, 2, cloud.Options{Speed: 1, TaskLeast: 1500 * time.Millisecond, TaskPerGiB: time.Millisecond})
	config := cloud.Config()
	config.LookMin, config.LookMax = 2*time.Second, time.Hour
	tr := cloud.Tracker(t, config)
	c := catalog{tr}
	receive := cloud.Subscribe(t)
	f, err := tr.Begin(t.Context(), "Demo", cloud.Request(t, cloud.Images[1]))
	if err == nil {
		err = tr.Step(t.Context(), f, tracker.Known{})
	}
	if err == nil {
		err = tr.PlanSooner(t.Context(), f)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range f.Request.Disks {
		key := f.Request.ObjectKey(d)
		bucket := tr.OSS.Bucket(f.Request.Bucket)
		for {
			if _, err := bucket.Head(t.Context(), key); err == nil {
				break
			} else if !errors.Is(err, oss.ErrNotFound) {
				t.Fatal(err)
			}
		}
		for range 3 { // told three times at once
			if _, err := c.handle(t.Context(), created(f.Request.Bucket, key)); err != nil {
				t.Error(err)
			}
		}
		log, err := tr.Records.Load(t.Context(), f.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(log.Landed) != i+1 || log.Landed[d.Device].CRC64 == "" || log.Landed[d.Device].Key != key {
			t.Errorf("after disk %s landed the log has %+v", d.Device, log.Landed)
		}
	}
	// Every disk is there; somebody must come back soon for the task's end.
	hint, open, err := tr.Records.Hint(t.Context(), f.ID)
	if err != nil {
		t.Fatal(err)
	}
	if open && time.Until(hint.Next) > config.LookMin {
		t.Errorf("the next look is planned in %v", time.Until(hint.Next))
	}
	for deadline := time.Now().Add(20 * time.Second); open && time.Now().Before(deadline); {
		var again *tracker.Followed
		if again, open, err = tr.Load(t.Context(), f.ID); err == nil && open {
			if err = tr.Step(t.Context(), again, tracker.Known{}); err == nil {
				err = tr.Plan(t.Context(), again)[f.ID]
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if want, got := "requested submitting exporting disk disk exported completed", types(receive(7)); got != want {
		t.Errorf("events %s, want %s", got, want)
	}
	// What comes after the end changes nothing.
	before, _ := tr.Records.Load(t.Context(), f.ID)
	if _, err := c.handle(t.Context(), created(f.Request.Bucket, f.Request.ObjectKey(f.Request.Disks[0]))); err != nil {
		t.Error(err)
	}
	if after, _ := tr.Records.Load(t.Context(), f.ID); after.Seq() != before.Seq() {
		t.Errorf("the log grew from %d to %d lines after its end", before.Seq(), after.Seq())
	}
}

// TestLateObject wants an object that lands after its export was canceled or deleted
// to go, and one of an export that failed to stay.
func TestLateObject(t *testing.T) {
	t.Parallel()
	cloud := trackertest.Start(t, 1, cloud.Options{})
	tr := cloud.Tracker(t, cloud.Config())
	c := catalog{tr}
	for end, left := range map[export.State]int{export.Canceled: 0, export.Deleted: 0, export.Failed: 1} {
		f, err := tr.Begin(t.Context(), "", cloud.Request(t, cloud.Images[0]))
		if err != nil {
			t.Fatal(err)
		}
		if end == export.Canceled {
			if err = tr.Cancel(t.Context(), f, "canceled by a test"); err == nil {
				err = tr.Step(t.Context(), f, tracker.Known{})
			}
		} else if f.Log, err = tr.Records.Append(t.Context(), f.Log, "w", export.Line{State: export.Failed, Failure: &export.Failure{Code: "X", Message: "x"}}); err == nil {
			err = tr.Step(t.Context(), f, tracker.Known{})
		}
		if err == nil && end == export.Deleted {
			err = tr.Delete(t.Context(), f, "a test")
		}
		if failed := tr.Plan(t.Context(), f); err != nil || f.State != end || len(failed) > 0 {
			t.Fatalf("state %s, %v, %v", f.State, err, failed)
		}
		key := f.Request.ObjectKey(f.Request.Disks[0])
		put(t, tr, f.Request.Bucket, key)
		for range 2 {
			if _, err := c.handle(t.Context(), created(f.Request.Bucket, key)); err != nil {
				t.Errorf("%s: %v", end, err)
			}
		}
		page, err := tr.OSS.Bucket(f.Request.Bucket).List(t.Context(), oss.ListOptions{Prefix: f.Request.OSSPrefix})
		if err != nil || len(page.Objects) != left {
			t.Errorf("%s: %d objects are left, want %d (%v)", end, len(page.Objects), left, err)
		}
	}
}
