package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
)

var imageID = regexp.MustCompile(`^m-[0-9a-z]{1,64}$`)

// check makes a request of an order and says all that is wrong with it. The error
// is of a service that could not be asked; what was found by then is returned
// with it. Fields that the schema refuses already are not reported again.
func (s *server) check(ctx context.Context, o exportOrder) (export.Request, []finding, error) {
	r := export.Request{
		ImageID:  o.ImageID,
		RegionID: s.config.Region,
		Bucket:   cmp.Or(o.Bucket, s.config.ExportBuckets[0]),
		RoleName: cmp.Or(o.RoleName, s.config.ExportRole),
	}
	var ofImage, ofBucket, ofFormat []finding
	var ok bool
	if r.Format, ok = parseFormat(cmp.Or(o.Format, s.config.DefaultFormat)); !ok {
		ofFormat = []finding{{Location: "body.format", Message: "must be one of: " + formatList(), Code: "InvalidImageFormat.Malformed", Value: o.Format}}
	}
	var group errgroup.Group
	group.Go(func() (err error) {
		ofBucket, err = s.checkBucket(ctx, r.Bucket)
		return err
	})
	group.Go(func() (err error) {
		ofImage, err = s.checkImage(ctx, &r)
		return err
	})
	err := group.Wait()
	return r, slices.Concat(ofImage, ofBucket, ofFormat), err
}

func (s *server) checkBucket(ctx context.Context, name string) ([]finding, error) {
	at := finding{Location: "body.bucket", Value: name}
	if !slices.Contains(s.config.ExportBuckets, name) {
		at.Message = fmt.Sprintf("is not a bucket that this deployment exports to; use one of: %s", strings.Join(s.config.ExportBuckets, ", "))
		return []finding{at}, nil
	}
	info, err := s.tracker.OSS.Bucket(name).Info(ctx)
	at.Code = "InvalidOSSBucket.NotFound"
	switch {
	case errors.Is(err, oss.ErrNoBucket) || errors.Is(err, oss.ErrInvalid):
		at.Message = fmt.Sprintf("does not exist; create it in %s, or use another bucket of this deployment", s.config.Region)
	case errors.Is(err, oss.ErrDenied):
		// OSS answers so for a bucket of another region too, which it wants to
		// be asked about at the endpoint there.
		at.Message = fmt.Sprintf("can't be looked at: it belongs to another account, lies outside of %s, or the function's role lacks oss:GetBucketInfo on it; use a bucket of this account in %s", s.config.Region, s.config.Region)
	case err != nil:
		return nil, err
	case info.Region != s.config.Region:
		at.Message = fmt.Sprintf("lies in %s and the image in %s, but ECS exports within a region only; use a bucket in %s", info.Region, s.config.Region, s.config.Region)
	default:
		return nil, nil
	}
	return []finding{at}, nil
}

// checkImage looks up the image and puts what it is into the request.
func (s *server) checkImage(ctx context.Context, r *export.Request) ([]finding, error) {
	if !imageID.MatchString(r.ImageID) {
		return nil, nil
	}
	at := finding{Location: "body.imageId", Value: r.ImageID}
	image, err := s.tracker.ECS.Image(ctx, r.ImageID)
	if errors.Is(err, ecs.ErrImageNotFound) {
		at.Code = "InvalidImageId.NotFound"
		at.Message = fmt.Sprintf("does not exist in %s; check the id, or copy the image to %s first (CopyImage) if it is in another region", r.RegionID, r.RegionID)
		return []finding{at}, nil
	}
	if err != nil {
		return nil, err
	}
	r.ImageName, r.Image = image.Name, image.Raw
	var problem string
	if r.Disks, problem = disks(image); problem != "" {
		at.Message = problem
		return []finding{at}, nil
	}
	return nil, nil
}

var device = regexp.MustCompile(`^/dev/[0-9a-z]+$`)

// disks lists the disks of an image. An export is complete when every one of them
// is in the bucket, so an image whose disks ECS does not list clearly is refused:
// problem then says what is wrong with it.
func disks(image ecs.Image) (disks []export.Disk, problem string) {
	systems := 0
	for _, d := range image.Disks {
		disk := export.Disk{Role: export.Role(d.Role), Device: d.Device, SizeGiB: int(d.SizeGiB)}
		known := slices.ContainsFunc(disks, func(o export.Disk) bool { return o.Device == d.Device })
		switch {
		case disk.Role != export.System && disk.Role != export.Data:
			return nil, fmt.Sprintf("has disk %q of type %q, which is neither system nor data; create the image anew from its instance", d.Device, d.Role)
		case !device.MatchString(d.Device) || known:
			return nil, fmt.Sprintf("has a disk at %q, which can't be told apart in the names of the exported objects; create the image anew from its instance", d.Device)
		}
		if disk.Role == export.System {
			systems++
		}
		disks = append(disks, disk)
	}
	if systems != 1 {
		return nil, fmt.Sprintf("lists %d system disks (DiskDeviceMappings) where one is needed to tell when its export is complete; wait until the image is Available, or create it anew from its instance", systems)
	}
	return disks, ""
}
