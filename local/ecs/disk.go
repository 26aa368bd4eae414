package ecs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"ecs-image-export/local/ecs/image"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// exportDisk writes one disk of a task to its object. A disk that was begun
// before is begun again: the upload that it left is aborted first.
func (s *Service) exportDisk(ctx context.Context, t *task, i int) error {
	s.discard(t, i)
	d := &t.Disks[i]
	m, err := s.mapping(t.ImageID, d.Device)
	if err != nil {
		return err
	}
	content, err := s.folder.Open(m)
	if err != nil {
		return err
	}
	defer content.Close()

	progress := &diskRun{
		index: i, start: time.Now(), total: content.Size(),
		least: s.scaled(max(s.Least, time.Duration(d.SizeGiB)*s.PerGiB)),
	}
	s.mu.Lock()
	s.running[t.ID].at = progress
	d.Status = processing
	s.store(t)
	s.mu.Unlock()

	bucket, err := s.bucket(t.Role, t.Bucket)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	up := &upload{ctx: ctx, stop: stop, bucket: bucket, key: d.Object}
	if err := s.begin(up, t, i); err != nil {
		return err
	}
	if err := up.image(t.Format, content, &progress.bytes); err != nil {
		return err
	}
	if err := content.Unchanged(); err != nil {
		return err
	}
	// The object appears when the time that the cloud would take is over.
	if err := wait(ctx, progress.least-time.Since(progress.start)); err != nil {
		return err
	}
	if err := up.complete(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.Status, d.UploadID = success, ""
	s.running[t.ID].at = nil
	return s.save(t)
}

func (s *Service) mapping(imageID, device string) (image.Mapping, error) {
	img, ok := s.folder.Image(imageID)
	if ok {
		for _, m := range img.Disks() {
			if m.Device == device && m.File != "" {
				return m, nil
			}
		}
	}
	return image.Mapping{}, fmt.Errorf("disk %s of image %s: %w", device, imageID, fs.ErrNotExist)
}

// begin opens the upload and stores its id before anything is in it.
func (s *Service) begin(up *upload, t *task, i int) error {
	if err := up.begin(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Disks[i].UploadID = up.id
	return s.save(t)
}

// discard aborts the upload that a disk left behind, if it left one. What it
// cannot abort now stays stored and is tried again after the next Open.
func (s *Service) discard(t *task, i int) {
	s.mu.Lock()
	id, key := t.Disks[i].UploadID, t.Disks[i].Object
	s.mu.Unlock()
	if id == "" {
		return
	}
	bucket, err := s.bucket(t.Role, t.Bucket)
	if err == nil {
		err = abort(s.ctx, bucket, key, id)
	}
	if err != nil {
		s.Log.Warn("abort upload", "task", t.ID, "object", key, "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Disks[i].UploadID = ""
	s.store(t)
}

// subTaskError gives a failure the ErrorCode and ErrorMsg of a sub-task. The
// documents publish no list: these are the codes of the refusals that name the
// same causes, and ExportImageFailed for the rest.
func subTaskError(err error) (code, message string) {
	var service oss.ServiceError
	if errors.As(err, &service) {
		switch service.Code {
		case "NoSuchBucket":
			return errBucket.Code, errBucket.Message
		case "AccessDenied", "InvalidAccessKeyId", "SecurityTokenExpired":
			return errBucketDenied.Code, errBucketDenied.Message
		case "InvalidObjectState":
			return errRestore.Code, errRestore.Message
		}
	}
	if roleMissing(err) {
		return errNoRole.Code, errNoRole.Message
	}
	// The cause is logged: it may hold the path of a file of this machine.
	return errFailed.Code, errFailed.Message
}
