package export

import "time"

// Question is something to look at before deciding.
type Question int

// The questions, with the field of Seen that the answer goes into.
const (
	AskTask       Question = iota + 1 // Seen.Task: the task that the log names
	AskFailure                        // Seen.Task.Failure: why that task failed
	AskCandidates                     // Seen.Candidates: tasks of the image that may be ours
	AskObjects                        // Seen.Objects, Listed, Uploads: what lies under the prefix
	AskQueue                          // Seen.Queue: who waits
	AskImage                          // Seen.ImageBusy: whether any task of the image runs
	AskSlot                           // Seen.Slot: take one of the deployment's slots
)

// Seen is what one step has found out so far. The zero value has seen nothing.
type Seen struct {
	// Writer is the nonce under which this step appends.
	Writer string
	// Task is the task that the log names.
	Task *TaskSeen
	// Candidates are the image's export tasks that were created since the
	// first attempt to submit; nil means not asked.
	Candidates []TaskSeen
	// Objects are objects under the export's prefix, with their CRC-64 where
	// the log does not have it yet. Listed says that they are all there are,
	// Uploads that unfinished multipart uploads lie there too.
	Objects []Object
	Listed  bool
	Uploads bool
	// Submission is the answer to our own call of ExportImage.
	Submission *Submission
	// Queue is who waits; nil means not asked. ImageBusy says that a task of the
	// image runs, Slot that the deployment's limit leaves this export a task.
	Queue     *Queue
	ImageBusy *bool
	Slot      *bool
	// StopAsked is the answer to our own call of CancelTask, Cleared what this
	// step removed from the bucket.
	StopAsked *StopAsked
	Cleared   *Cleared
	// Blind is why the cloud refuses an answer or the manifest: a permission
	// or the bucket is gone. Only a person can mend that.
	Blind string
	// Manifest says that the manifest of this log lies beside the disks.
	Manifest bool
}

// TaskStatus is a task's status as DescribeTasks names it, or TaskGone.
type TaskStatus string

// The statuses of a task. ECS calls a canceled task Deleted; TaskGone is ours
// for a task that ECS does not know.
const (
	TaskWaiting    TaskStatus = "Waiting"
	TaskProcessing TaskStatus = "Processing"
	TaskPaused     TaskStatus = "Paused"
	TaskFinished   TaskStatus = "Finished"
	TaskFailed     TaskStatus = "Failed"
	TaskDeleted    TaskStatus = "Deleted"
	TaskGone       TaskStatus = "gone"
)

// Ended says whether the task will not change any more.
func (s TaskStatus) Ended() bool {
	return s == TaskFinished || s == TaskFailed || s == TaskDeleted || s == TaskGone
}

// TaskSeen is a task as ECS describes it now.
type TaskSeen struct {
	Task
	Status TaskStatus
	// Ours says that the task names an object under our prefix: proof that our
	// call of ExportImage made it.
	Ours bool
	// Failure is why a failed task failed; nil means not asked.
	Failure *Failure
}

// Object is an object in the bucket.
type Object struct {
	Key          string
	Size         int64
	ETag         string
	CRC64        string
	LastModified time.Time
}

// Submission is the outcome of one call of ExportImage: a task, a refusal, or
// neither where the outcome is unknown.
type Submission struct {
	TaskID string
	// Refused is a definite no: nothing was started.
	Refused *Failure
	// Busy is a refusal because the image is being exported already. The
	// running task may be ours, from an attempt whose answer was lost.
	Busy bool
	// Limit is what the refusal says to wait for; 0 if waiting is no use.
	Limit Limit
}
