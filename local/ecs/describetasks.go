package ecs

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecs-image-export/local/rpc"
)

var (
	errTask       = refusal(http.StatusBadRequest, "InvalidTaskId.NotFound", `The specified "TaskId" is not found.`)
	errTaskStatus = refusal(http.StatusForbidden, "InvalidTaskId.IncorrectTaskStatus", "The specified task status is not invalid.")
)

const (
	// inMinutes is how the task operations write times; requests have seconds.
	inMinutes = "2006-01-02T15:04Z"
	inSeconds = "2006-01-02T15:04:05Z"
)

func minutes(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(inMinutes)
}

// listedTask is a task as DescribeTasks gives it.
type listedTask struct {
	TaskID        string `json:"TaskId"`
	TaskAction    string
	TaskStatus    string
	CreationTime  string
	FinishedTime  string
	SupportCancel bool
	ResourceID    string `json:"ResourceId"`
	FailedReason  string `json:",omitempty"`
}

func (s *Service) describeTasks(_ context.Context, r *rpc.Request) (any, error) {
	if err := s.inRegion(r); err != nil {
		return nil, err
	}
	match, err := taskFilter(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []*task{}
	for _, t := range slices.Backward(s.tasks) { // the newest first
		if match(t) && s.kept(t) {
			found = append(found, t)
		}
	}
	var out struct {
		page
		TaskSet struct{ Task []listedTask }
	}
	if out.page, err = s.page(r, len(found)); err != nil {
		return nil, err
	}
	out.TaskSet.Task = []listedTask{}
	for _, t := range cut(found, out.page) {
		out.TaskSet.Task = append(out.TaskSet.Task, listedTask{
			TaskID: t.ID, TaskAction: "ExportImage", TaskStatus: t.Status,
			CreationTime: minutes(t.Created), FinishedTime: minutes(t.Finished),
			// The documents' sample has it for a finished task too.
			SupportCancel: true,
			ResourceID:    t.ImageID,
			FailedReason:  t.failure(),
		})
	}
	return out, nil
}

func (t *task) failure() string {
	for _, d := range t.Disks {
		if d.Status == failed {
			return d.ErrorMsg
		}
	}
	return ""
}

// kept tells whether a task can still be described.
func (s *Service) kept(t *task) bool {
	return s.Retention == 0 || !t.ended() || s.Now().Sub(t.Finished) < s.scaled(s.Retention)
}

// taskFilter makes the test that a task passes to be listed.
func taskFilter(r *rpc.Request) (func(*task) bool, error) {
	var ids []string
	if list := r.Get("TaskIds"); list != "" {
		for _, id := range strings.Split(list, ",") {
			ids = append(ids, strings.TrimSpace(id))
		}
	}
	if len(ids) > 100 {
		return nil, rpc.InvalidParameter("TaskIds")
	}
	images := r.List("ResourceIds")
	if len(images) > 100 {
		return nil, rpc.InvalidParameter("ResourceIds")
	}
	from, err := timeParam(r, "StartTime")
	if err != nil {
		return nil, err
	}
	to, err := timeParam(r, "EndTime")
	if err != nil {
		return nil, err
	}
	action, status, group := r.Get("TaskAction"), r.Get("TaskStatus"), r.Get("TaskGroupId")
	if !slices.Contains([]string{finished, processing, failed}, status) {
		status = "" // "ignores other values"
	}
	return func(t *task) bool {
		return (ids == nil || slices.Contains(ids, t.ID)) &&
			(images == nil || slices.Contains(images, t.ImageID)) &&
			(action == "" || action == "ExportImage") &&
			(status == "" || status == t.Status) &&
			group == "" && // exports belong to no group
			(from.IsZero() || !t.Created.Before(from)) &&
			(to.IsZero() || !t.Created.After(to))
	}, nil
}

func timeParam(r *rpc.Request, name string) (time.Time, error) {
	v := r.Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(inSeconds, v)
	if err != nil {
		return t, rpc.InvalidParameter(name)
	}
	return t, nil
}

// operationProgress is one disk of a task.
type operationProgress struct {
	OperationStatus string
	ErrorCode       string
	ErrorMsg        string
	RelatedItemSet  struct{ RelatedItem []relatedItem }
}

type relatedItem struct{ Name, Value string }

func (s *Service) describeTaskAttribute(_ context.Context, r *rpc.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(r)
	if err != nil {
		return nil, err
	}
	out := struct {
		TaskID               string `json:"TaskId"`
		RegionID             string `json:"RegionId"`
		TaskAction           string
		TaskStatus           string
		TaskProcess          string
		SupportCancel        bool
		TotalCount           int
		SuccessCount         int
		FailedCount          int
		CreationTime         string
		FinishedTime         string
		OperationProgressSet struct{ OperationProgress []operationProgress }
	}{
		TaskID: t.ID, RegionID: s.Region, TaskAction: "ExportImage", TaskStatus: t.Status,
		TaskProcess: s.process(t), SupportCancel: true, TotalCount: len(t.Disks),
		CreationTime: minutes(t.Created), FinishedTime: minutes(t.Finished),
	}
	for _, d := range t.Disks {
		p := operationProgress{OperationStatus: d.Status, ErrorCode: d.ErrorCode, ErrorMsg: d.ErrorMsg}
		p.RelatedItemSet.RelatedItem = []relatedItem{}
		switch {
		case d.Status == success:
			out.SuccessCount++
		case d.Status == failed:
			out.FailedCount++
		case t.Status == deleted:
			p.OperationStatus = deleted
		case d.Status == "":
			p.OperationStatus = waiting
		}
		if d.Status == success || d.Status == failed {
			p.RelatedItemSet.RelatedItem = []relatedItem{
				{"OSSBucket", t.Bucket}, {"OSSObject", d.Object}, {"ImageFormat", t.Format},
			}
		}
		out.OperationProgressSet.OperationProgress = append(out.OperationProgressSet.OperationProgress, p)
	}
	return out, nil
}

// find returns the task that a call names. Service.mu is held.
func (s *Service) find(r *rpc.Request) (*task, error) {
	if err := s.inRegion(r, "TaskId"); err != nil {
		return nil, err
	}
	t := s.byID[r.Get("TaskId")]
	if t == nil || !s.kept(t) {
		return nil, errTask
	}
	return t, nil
}

// cancelTask ends a running task at once; its upload is aborted a moment later,
// and the objects of the disks that it had finished stay. A waiting task is
// refused, as the documents have it: the task must be running.
func (s *Service) cancelTask(_ context.Context, r *rpc.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if t.Status != processing {
		return nil, errTaskStatus
	}
	if err := s.end(t, deleted); err != nil {
		return nil, err
	}
	if run := s.running[t.ID]; run != nil {
		run.cancel(errCanceled)
	}
	return noContent{}, nil
}

// process is the progress as the task operations write it. Service.mu is held.
func (s *Service) process(t *task) string { return strconv.Itoa(s.percent(t)) + "%" }
