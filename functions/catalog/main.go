// Command catalog is the function behind the OSS trigger: a disk object was
// written into an export bucket. If the object belongs to an export of ours, it
// goes into the export's log and the export is followed on; if somebody else
// exported it, it is cataloged and announced as unmanaged.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"ecs-image-export/events"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/tracker"
)

func main() { function.Main(New) }

// Config is the function's environment.
type Config struct {
	tracker.Config
}

// New builds the handler.
func New(_ context.Context, c Config) (function.Handler[events.ObjectEvent, struct{}], error) {
	t, err := tracker.New(c.Config, function.Credentials)
	if err != nil {
		return nil, err
	}
	return catalog{t}.handle, nil
}

type catalog struct{ tracker *tracker.Tracker }

func (c catalog) handle(ctx context.Context, event events.ObjectEvent) (none struct{}, err error) {
	defer c.tracker.Rest()
	if len(event.Events) == 0 {
		return none, function.Permanent(errors.New("the event holds no record"))
	}
	var dropped, failed []error
	for _, r := range event.Events {
		err := c.object(ctx, r.OSS.Bucket.Name, r.OSS.Object.Key)
		if function.IsPermanent(err) {
			dropped = append(dropped, err)
		} else if err != nil {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return none, errors.Join(failed...)
	}
	return none, errors.Join(dropped...)
}

// object catalogs one object. The event says only where to look: by now the
// object may have been replaced or removed.
func (c catalog) object(ctx context.Context, bucket, key string) error {
	function.Note(ctx, slog.String("bucket", bucket), slog.String("key", key))
	name, ok := export.ParseObjectName(key)
	if !ok || bucket == "" {
		return function.Permanent(fmt.Errorf("object %s/%s: ECS does not name disk objects so", bucket, key))
	}
	if id, ok := name.ExportID(); ok {
		f, open, err := c.tracker.Load(ctx, id)
		switch {
		case errors.Is(err, record.ErrNotFound):
			// Thirteen characters that happen to look like an id.
		case err != nil:
			return err
		case f.Request.Bucket == bucket && f.Request.OSSPrefix == name.Prefix && f.Request.ImageID == name.ImageID:
			function.Note(ctx, slog.String("export", id))
			unwanted := f.State == export.Canceled || f.State == export.Deleted
			if unwanted {
				// Later than any look waits for it.
				slog.WarnContext(ctx, "disk landed that nobody wants", "export", id, "state", f.State, "key", key)
				if err := c.tracker.RemoveLate(ctx, f); err != nil {
					return err
				}
			}
			if !open {
				// Announced and closed. A disk of an export that failed can
				// still land; a person may want it.
				if f.State != export.Completed && !unwanted {
					slog.WarnContext(ctx, "disk landed after the end", "export", id, "state", f.State, "key", key)
				}
				return nil
			}
			if err := c.tracker.Step(ctx, f, tracker.Known{Objects: []string{key}}); err != nil {
				return err
			}
			return c.tracker.PlanSooner(ctx, f)
		}
	}
	return c.unmanaged(ctx, bucket, key, name)
}

// unmanaged catalogs an object that somebody else exported.
func (c catalog) unmanaged(ctx context.Context, bucket, key string, name export.ObjectName) error {
	m, err := c.tracker.OSS.Bucket(bucket).Head(ctx, key)
	if errors.Is(err, oss.ErrNotFound) || errors.Is(err, oss.ErrNoBucket) {
		return function.Permanent(fmt.Errorf("object %s/%s: gone before it could be cataloged", bucket, key))
	}
	if err != nil {
		return err
	}
	u := events.Unmanaged{
		Bucket: bucket, Key: key, ImageID: name.ImageID, Role: string(name.Role), Device: name.Device,
		Format: string(name.Format), Size: m.Size, ETag: m.ETag, CRC64: strconv.FormatUint(m.CRC64, 10), LandedAt: m.LastModified,
	}
	if u, err = c.tracker.Records.AddUnmanaged(ctx, u); err != nil {
		return err
	}
	return c.tracker.AnnounceUnmanaged(ctx, u)
}
