package tracker

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
)

// ask finds the answer to a question and notes it in seen.
func (t *Tracker) ask(ctx context.Context, f *Followed, q export.Question, seen *export.Seen) (err error) {
	switch q {
	case export.AskTask:
		seen.Task, err = t.task(ctx, f.Task.ID)
	case export.AskFailure:
		seen.Task, err = t.attribute(ctx, f, f.Task.ID)
	case export.AskCandidates:
		seen.Candidates, err = t.candidates(ctx, f)
	case export.AskObjects:
		seen.Objects, seen.Uploads, err = t.objects(ctx, f)
		seen.Listed = err == nil
	case export.AskQueue, export.AskImage, export.AskSlot:
		err = t.askQueue(ctx, f, q, seen)
	}
	return err
}

// Describe asks ECS about tasks, 100 to a call. A task that DescribeTasks leaves
// out is missing from the result; all are where it refuses ids that it does not know.
func (t *Tracker) Describe(ctx context.Context, taskIDs []string) (map[string]*export.TaskSeen, error) {
	found := map[string]*export.TaskSeen{}
	tasks, err := t.ECS.Tasks(ctx, taskIDs)
	for _, task := range tasks {
		seen := seenTask(task)
		found[task.ID] = &seen
	}
	if errors.Is(err, ecs.ErrTaskNotFound) {
		err = nil
	}
	return found, err
}

// task asks about one task. That ECS does not know it is believed only when two
// of its operations say so.
func (t *Tracker) task(ctx context.Context, id string) (*export.TaskSeen, error) {
	found, err := t.Describe(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	if seen := found[id]; seen != nil {
		return seen, nil
	}
	attribute, err := t.ECS.TaskAttribute(ctx, id)
	if errors.Is(err, ecs.ErrTaskNotFound) {
		return &export.TaskSeen{Task: export.Task{ID: id}, Status: export.TaskGone}, nil
	}
	if err != nil {
		return nil, err
	}
	seen := seenTask(attribute.Task)
	return &seen, nil
}

// attribute asks about one task in detail: whether it writes under our prefix,
// and why it failed if it did.
func (t *Tracker) attribute(ctx context.Context, f *Followed, id string) (*export.TaskSeen, error) {
	a, err := t.ECS.TaskAttribute(ctx, id)
	if errors.Is(err, ecs.ErrTaskNotFound) {
		return &export.TaskSeen{Task: export.Task{ID: id}, Status: export.TaskGone}, nil
	}
	if err != nil {
		return nil, err
	}
	seen := seenTask(a.Task)
	failure := &export.Failure{Code: export.CodeTaskFailed, Message: "ECS gave no reason for the failure of task " + id + "."}
	if a.FailedReason != "" {
		failure.Message = a.FailedReason
	}
	for _, o := range a.Operations {
		if strings.HasPrefix(o.OSSObject, f.Request.OSSPrefix+"_") && o.OSSBucket == f.Request.Bucket {
			seen.Ours = true
		}
		if o.ErrorCode != "" {
			failure.Code, failure.Message = o.ErrorCode, o.ErrorMessage
		}
	}
	if seen.Status == export.TaskFailed {
		seen.Failure = failure
	}
	return &seen, nil
}

// candidates lists the image's export tasks that may have come from one of our
// attempts to submit, and looks into each for proof.
func (t *Tracker) candidates(ctx context.Context, f *Followed) ([]export.TaskSeen, error) {
	tasks, err := t.ECS.TasksByImage(ctx, f.Request.ImageID)
	if err != nil {
		return nil, err
	}
	candidates := []export.TaskSeen{}
	for _, task := range tasks {
		if !f.MayHaveMade(task.CreatedAt, t.Policy) {
			continue
		}
		seen, err := t.attribute(ctx, f, task.ID)
		if err != nil {
			return nil, err
		}
		if seen.Status == export.TaskGone {
			// One operation knows it: that is no reason to submit another.
			listed := seenTask(task)
			seen = &listed
		}
		candidates = append(candidates, *seen)
	}
	return candidates, nil
}

// objects lists what lies under the export's prefix, with the checksum of each
// disk object that the log does not have yet.
func (t *Tracker) objects(ctx context.Context, f *Followed) (objects []export.Object, uploads bool, err error) {
	bucket := t.OSS.Bucket(f.Request.Bucket)
	canceling := f.State == export.Canceling
	listed, err := t.list(ctx, f)
	if canceling && errors.Is(err, oss.ErrNoBucket) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	for _, o := range listed {
		object := export.Object{Key: o.Key, Size: o.Size, ETag: o.ETag, LastModified: o.LastModified}
		if !canceling && f.News(object) {
			if object, err = t.head(ctx, bucket, o.Key); err != nil {
				return nil, false, err
			}
		}
		objects = append(objects, object)
	}
	if canceling || f.State == export.Submitting || f.Task.ID == "" {
		under, err := bucket.Uploads(ctx, f.prefix())
		if err != nil {
			return nil, false, err
		}
		uploads = len(under) > 0
	}
	return objects, uploads, nil
}

// prefix is what the keys of all the export's objects begin with.
func (f *Followed) prefix() string { return f.Request.OSSPrefix + "_" }

func (t *Tracker) list(ctx context.Context, f *Followed) ([]oss.Object, error) {
	var objects []oss.Object
	options := oss.ListOptions{Prefix: f.prefix(), Max: 1000}
	for {
		page, err := t.OSS.Bucket(f.Request.Bucket).List(ctx, options)
		if err != nil {
			return nil, err
		}
		objects = append(objects, page.Objects...)
		if page.Next == "" {
			return objects, nil
		}
		options.Token = page.Next
	}
}

// landed looks at objects that are said to have landed.
func (t *Tracker) landed(ctx context.Context, f *Followed, keys []string) ([]export.Object, error) {
	bucket := t.OSS.Bucket(f.Request.Bucket)
	var objects []export.Object
	for _, key := range keys {
		o, err := t.head(ctx, bucket, key)
		if errors.Is(err, oss.ErrNotFound) {
			continue // removed again since
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, o)
	}
	return objects, nil
}

func (t *Tracker) head(ctx context.Context, bucket *oss.Bucket, key string) (export.Object, error) {
	m, err := bucket.Head(ctx, key)
	if err != nil {
		return export.Object{}, err
	}
	return export.Object{
		Key: key, Size: m.Size, ETag: m.ETag, CRC64: strconv.FormatUint(m.CRC64, 10), LastModified: m.LastModified,
	}, nil
}

func seenTask(task ecs.Task) export.TaskSeen {
	return export.TaskSeen{
		Task:   export.Task{ID: task.ID, CreatedAt: task.CreatedAt, FinishedAt: task.FinishedAt},
		Status: export.TaskStatus(task.Status),
	}
}
