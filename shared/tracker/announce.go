package tracker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"ecs-image-export/events"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
)

// announce publishes the lines that the topic has not been known to accept, in
// order. The hint in the bucket is brought up to date at the end of the step; if
// that is never reached, the same events are published again.
func (t *Tracker) announce(ctx context.Context, f *Followed) error {
	for _, l := range f.Lines[max(0, min(f.Hint.Announced, f.Seq())):] {
		if kind := f.Kind(l); kind != "" {
			body, err := t.event(f.Export, l, kind)
			if err != nil {
				return fmt.Errorf("announce line %d: %w", l.Seq, err)
			}
			if _, err := t.Events.Publish(ctx, body, kind); err != nil {
				return fmt.Errorf("announce line %d: %w", l.Seq, err)
			}
		}
		f.Hint.Announced = l.Seq
	}
	return nil
}

// event makes the CloudEvent of a line. It depends on the log up to that line
// and on nothing else, so that it is the same whenever it is published.
func (t *Tracker) event(x export.Export, l export.Line, kind string) (string, error) {
	then, err := export.New(x.ID, x.Lines[:l.Seq])
	if err != nil {
		return "", err
	}
	e := t.newEvent(fmt.Sprintf("%s/%d", x.ID, l.Seq), kind, then.Request.ImageID, l.Time)
	e.SetSubject(x.ID)
	if l.Disk != nil {
		err = e.SetData(cloudevents.ApplicationJSON, diskLanded(then, l))
	} else {
		err = e.SetData(cloudevents.ApplicationJSON, stateChange(then, l))
	}
	if err != nil {
		return "", err
	}
	return encode(e)
}

// AnnounceUnmanaged publishes an object that somebody else exported.
func (t *Tracker) AnnounceUnmanaged(ctx context.Context, u events.Unmanaged) error {
	id := record.UnmanagedID(u.Bucket, u.Key, u.ETag)
	e := t.newEvent("unmanaged/"+id, "unmanaged", u.ImageID, u.LandedAt)
	e.SetSubject(u.Bucket + "/" + u.Key)
	if err := e.SetData(cloudevents.ApplicationJSON, u); err != nil {
		return err
	}
	body, err := encode(e)
	if err != nil {
		return err
	}
	if _, err := t.Events.Publish(ctx, body, "unmanaged"); err != nil {
		return fmt.Errorf("announce unmanaged object %s/%s: %w", u.Bucket, u.Key, err)
	}
	return nil
}

func (t *Tracker) newEvent(id, kind, imageID string, at time.Time) cloudevents.Event {
	e := cloudevents.New()
	e.SetID(id)
	e.SetType(events.TypePrefix + kind)
	e.SetSource(fmt.Sprintf("acs:ecs:%s:%s:image/%s", t.Region, t.AccountID, imageID))
	e.SetTime(at)
	return e
}

func encode(e cloudevents.Event) (string, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	// MNS carries messages in XML 1.0, which has no place for these two, not
	// even as references. In JSON they have one.
	body = bytes.ReplaceAll(body, []byte("\uFFFE"), []byte(`\ufffe`))
	body = bytes.ReplaceAll(body, []byte("\uFFFF"), []byte(`\uffff`))
	return string(body), nil
}

func stateChange(x export.Export, l export.Line) events.StateChange {
	r := x.Request
	c := events.StateChange{
		ID: x.ID, State: string(l.State), Time: l.Time,
		ImageID: r.ImageID, ImageName: r.ImageName, RegionID: r.RegionID,
		Format: string(r.Format), Bucket: r.Bucket, OSSPrefix: r.OSSPrefix,
		RequestedBy: r.RequestedBy, TaskID: x.Task.ID, Disks: []events.Disk{}, Reason: l.Reason,
	}
	for _, d := range r.Disks {
		c.Disks = append(c.Disks, disk(x, d))
	}
	if l.State == export.Completed {
		c.ManifestKey = r.ManifestKey()
	}
	if l.Failure != nil {
		c.Failure = &events.Failure{Code: l.Failure.Code, Message: l.Failure.Message, RequestID: l.Failure.RequestID}
	}
	return c
}

func diskLanded(x export.Export, l export.Line) events.DiskLanded {
	landed := events.DiskLanded{
		ID: x.ID, Time: l.Time, ImageID: x.Request.ImageID, Bucket: x.Request.Bucket,
		Format: string(l.Disk.Format(x.Request.Format)), RequestedBy: x.Request.RequestedBy, Remaining: len(x.Missing()),
	}
	for _, d := range x.Request.Disks {
		if d.Device == l.Disk.Device {
			landed.Disk = disk(x, d)
		}
	}
	return landed
}

func disk(x export.Export, d export.Disk) events.Disk {
	e := events.Disk{Role: string(d.Role), Device: d.Device, SizeGiB: d.SizeGiB}
	if o, ok := x.Landed[d.Device]; ok {
		e.Key, e.Size, e.ETag, e.CRC64, e.LandedAt = o.Key, o.Size, o.ETag, o.CRC64, &o.LandedAt
	}
	return e
}
