package ecs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecs-image-export/shared/rpc"
)

// The statuses of a task. ECS calls a canceled one Deleted.
const (
	TaskWaiting    = "Waiting"
	TaskProcessing = "Processing"
	TaskPaused     = "Paused"
	TaskFinished   = "Finished"
	TaskFailed     = "Failed"
	TaskDeleted    = "Deleted"
)

// MaxTasks is how many tasks one call describes.
const MaxTasks = 100

// maxPages bounds a list of one image's tasks.
const maxPages = 100

// Task is a task as DescribeTasks describes it. ECS gives times to the minute;
// FinishedAt is zero until the task has ended.
type Task struct {
	ID, Action string
	Status     string // one of the constants
	ImageID    string // what the task works on
	CreatedAt  time.Time
	FinishedAt time.Time
	// CanCancel is what ECS says, which is true for finished tasks too.
	CanCancel    bool
	FailedReason string // often empty for failed tasks too
}

type wireTask struct {
	TaskID        rpc.Text `json:"TaskId"`
	TaskAction    rpc.Text
	TaskStatus    rpc.Text
	ResourceID    rpc.Text `json:"ResourceId"`
	CreationTime  rpc.Time
	FinishedTime  rpc.Time
	SupportCancel rpc.Bool
	FailedReason  rpc.Text
}

func (w wireTask) task() Task {
	return Task{
		ID: string(w.TaskID), Action: string(w.TaskAction), Status: string(w.TaskStatus), ImageID: string(w.ResourceID),
		CreatedAt: w.CreationTime.Time, FinishedAt: w.FinishedTime.Time,
		CanCancel: bool(w.SupportCancel), FailedReason: string(w.FailedReason),
	}
}

// Tasks describes tasks in any order, MaxTasks to a call. A task that ECS does
// not know is missing from the result.
func (c *Client) Tasks(ctx context.Context, ids []string) ([]Task, error) {
	var tasks []Task
	for batch := range slices.Chunk(ids, MaxTasks) {
		page, _, err := c.tasks(ctx, map[string]string{"TaskIds": strings.Join(batch, ",")}, 1)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, page...)
	}
	return tasks, nil
}

// TasksByImage lists the export tasks of an image in whatever status, as far
// back as ECS keeps them.
func (c *Client) TasksByImage(ctx context.Context, imageID string) ([]Task, error) {
	params := map[string]string{"TaskAction": "ExportImage", "ResourceIds.1": imageID}
	var tasks []Task
	for number := 1; number <= maxPages; number++ {
		page, total, err := c.tasks(ctx, params, number)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, page...)
		if len(page) < MaxTasks || len(tasks) >= total {
			return tasks, nil
		}
	}
	return nil, fmt.Errorf("tasks of image %s: more than %d", imageID, maxPages*MaxTasks)
}

// CancelTask ends an export task. What the task had written stays. ECS refuses a
// task that does not run, be it that it still waits or that it has ended. Nothing
// is lost by repeating the call.
func (c *Client) CancelTask(ctx context.Context, id string) error {
	return explain(c.rpc.Call(ctx, "CancelTask", map[string]string{"RegionId": c.region, "TaskId": id}, nil, rpc.Read))
}

func (c *Client) tasks(ctx context.Context, params map[string]string, number int) ([]Task, int, error) {
	var answer struct {
		TotalCount rpc.Int
		TaskSet    struct{ Task []wireTask }
	}
	params["RegionId"] = c.region
	params["PageSize"] = strconv.Itoa(MaxTasks)
	params["PageNumber"] = strconv.Itoa(number)
	if err := c.rpc.Call(ctx, "DescribeTasks", params, &answer, rpc.Read); err != nil {
		return nil, 0, explain(err)
	}
	var tasks []Task
	for _, w := range answer.TaskSet.Task {
		tasks = append(tasks, w.task())
	}
	return tasks, int(answer.TotalCount), nil
}

// TaskDetail is a task as DescribeTaskAttribute describes it.
type TaskDetail struct {
	Task
	// Percent is the progress, 0 to 100; nil where ECS gives none.
	Percent                  *int
	Total, Succeeded, Failed int
	// Operations are the sub-tasks.
	Operations []Operation
}

// Operation is a sub-task. What it writes may be missing while it runs.
type Operation struct {
	Status                  string // such as Success
	ErrorCode, ErrorMessage string
	OSSBucket, OSSObject    string
	Format                  string
}

// TaskAttribute describes one task in detail, or returns ErrTaskNotFound.
func (c *Client) TaskAttribute(ctx context.Context, id string) (TaskDetail, error) {
	var answer struct {
		wireTask
		TaskProcess          rpc.Text
		TotalCount           rpc.Int
		SuccessCount         rpc.Int
		FailedCount          rpc.Int
		OperationProgressSet struct {
			OperationProgress []struct {
				OperationStatus, ErrorCode, ErrorMsg rpc.Text
				RelatedItemSet                       struct {
					RelatedItem []struct{ Name, Value rpc.Text }
				}
			}
		}
	}
	err := c.rpc.Call(ctx, "DescribeTaskAttribute", map[string]string{"RegionId": c.region, "TaskId": id}, &answer, rpc.Read)
	if err != nil {
		return TaskDetail{}, explain(err)
	}
	if string(answer.TaskID) != id {
		return TaskDetail{}, fmt.Errorf("task %s: the answer is about %q", id, answer.TaskID)
	}
	detail := TaskDetail{
		Task: answer.task(), Percent: percent(string(answer.TaskProcess)),
		Total: int(answer.TotalCount), Succeeded: int(answer.SuccessCount), Failed: int(answer.FailedCount),
	}
	for _, w := range answer.OperationProgressSet.OperationProgress {
		o := Operation{Status: string(w.OperationStatus), ErrorCode: string(w.ErrorCode), ErrorMessage: string(w.ErrorMsg)}
		for _, item := range w.RelatedItemSet.RelatedItem {
			switch item.Name {
			case "OSSBucket":
				o.OSSBucket = string(item.Value)
			case "OSSObject":
				o.OSSObject = string(item.Value)
			case "ImageFormat":
				o.Format = string(item.Value)
			}
		}
		detail.Operations = append(detail.Operations, o)
	}
	return detail, nil
}

// percent reads "45%". What is not such a figure is no figure.
func percent(s string) *int {
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(s, "%")))
	if err != nil || n < 0 || n > 100 {
		return nil
	}
	return &n
}
