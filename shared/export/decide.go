package export

import (
	"fmt"
	"strings"
	"time"
)

// maxAttempts bounds the submissions of one export. Each follows one whose fate
// stayed unknown and of which ECS shows no trace.
const maxAttempts = 5

// Codes of failures that no service names.
const (
	CodeUnconfirmed  = "SubmissionUnconfirmed"
	CodeTaskFailed   = "TaskFailed"
	CodeTaskVanished = "TaskVanished"
	CodeDiskMissing  = "DiskMissing"
	CodeMaxAge       = "MaxAgeExceeded"
	CodeMaxQueued    = "MaxQueuedExceeded"
)

// Decide says what to do next about an export, given what this step has seen.
// It never decides on what it has not seen; it asks.
func Decide(x Export, s Seen, p Policy, now time.Time) Action {
	// What a call learned is recorded whatever has happened to the log since.
	if sub := s.Submission; sub != nil && sub.TaskID != "" && !x.knows(sub.TaskID) {
		if x.State == Submitting || x.State == Queued {
			return x.began(Line{Task: &Task{ID: sub.TaskID}})
		}
		return Append{[]Line{{State: x.State, Task: &Task{ID: sub.TaskID}}}}
	}
	if x.State.Terminal() {
		return Done{}
	}
	if x.State == Canceling && s.Blind != "" && now.Sub(x.Since) > p.MaxAge {
		return x.stopWaiting(p, s.Blind)
	}
	if x.State != Canceling && s.Blind != "" && now.Sub(x.Started) > p.MaxAge && (x.State != Queued || now.Sub(x.CreatedAt) > p.MaxQueued) {
		return x.failed(s, CodeMaxAge, fmt.Sprintf("The export was not complete %v after it was asked for, and how far it is can't be found out: %s", p.MaxAge, s.Blind))
	}
	if s.Blind != "" && x.State.Waits() && x.Doubt > 0 {
		if act := x.unseen(s, p); act != nil {
			return act
		}
	}
	if x.State == Exporting || x.State == Exported {
		if lines := x.landing(s.Objects); len(lines) > 0 {
			return Append{lines}
		}
	}
	switch x.State {
	case Requested:
		if now.Sub(x.Started) > p.MaxAge {
			return x.tooOld(s, p)
		}
		return x.turn(s, p, now)
	case Queued:
		return x.queued(s, p, now)
	case Submitting:
		return x.submitting(s, p, now)
	case Exporting:
		return x.exporting(s, p, now)
	case Canceling:
		return x.canceling(s, p, now)
	default: // Exported
		return x.exported(s, p, now)
	}
}

func (x Export) submitting(s Seen, p Policy, now time.Time) Action {
	if x.AttemptNonce == s.Writer {
		switch sub := s.Submission; {
		case sub == nil && now.Before(x.Attempt.Until):
			return Submit{x.Attempt.Until}
		case sub != nil && sub.Refused != nil && (sub.Limit != 0 || sub.Busy && x.Attempt.Number == 1):
			// After a first attempt nothing of ours can be running, so a
			// busy image is somebody else's export.
			return x.refused(*sub, p, now)
		case sub != nil && sub.Refused != nil && !sub.Busy:
			failure := *sub.Refused
			failure.Refused = true
			return Append{[]Line{{State: Failed, Failure: &failure}}}
		}
	}
	if act := x.traced(s); act != nil {
		return act
	}
	if now.Sub(x.Started) > p.MaxAge {
		return x.tooOld(s, p)
	}
	if sub := s.Submission; x.AttemptNonce == s.Writer && sub != nil && sub.Busy && running(s.Candidates) == nil {
		return x.refused(*sub, p, now) // by a task that ECS does not show yet: maybe our last one
	}
	// The claimant may still call until its claim has ended by every clock.
	if free := x.free(p); !now.After(free) {
		return Wait{max(free.Sub(now), p.LookMin)}
	}
	// While any export of the image runs, ECS would refuse another; and the
	// running one may turn out to be ours. So may one that ECS does not show yet:
	// it may even have failed already, and then ECS would take another.
	if running(s.Candidates) != nil || !now.After(x.Shown(p)) {
		if s.Queue == nil {
			return Ask{AskQueue}
		}
		switch me, place := s.Queue.Find(x.ID); {
		case place < 0:
			return Join{} // later orders of its image wait behind it
		case me.ImageID == "":
			return StandAside{} // who waits for something else need not wait for this image
		}
		return Wait{x.nextLook(p, now)}
	}
	if x.Attempt.Number >= maxAttempts {
		return x.fail(s, CodeUnconfirmed, fmt.Sprintf(
			"ExportImage was called %d times and gave no clear answer, and ECS shows no task of this export. Submit the export again; if it fails again, look at the service health of ECS in %s.",
			x.Attempt.Number, x.Request.RegionID))
	}
	return x.turn(s, p, now)
}

// traced looks for proof that a call of ours reached ECS, and goes on with the
// export if there is some. It returns nil if there is none.
func (x Export) traced(s Seen) Action {
	if s.Candidates == nil {
		return Ask{AskCandidates}
	}
	if !s.Listed {
		return Ask{AskObjects}
	}
	task, reason := x.adopt(s)
	if reason == "" {
		return nil
	}
	line := Line{Reason: reason}
	if task != nil {
		line.Task = &Task{ID: task.ID, CreatedAt: task.CreatedAt}
	}
	return x.began(line)
}

// began records a task. An export that has one was submitted, if only by a call
// whose answer came late.
func (x Export) began(line Line) Action {
	line.State = Exporting
	if x.State == Queued {
		return Append{[]Line{{State: Submitting}, line}}
	}
	return Append{[]Line{line}}
}

// adopt looks for proof that one of our calls reached ECS. reason is empty if
// there is none. task is nil where the proof does not say which task it was.
func (x Export) adopt(s Seen) (task *TaskSeen, reason string) {
	for i, t := range s.Candidates {
		if t.Ours {
			return &s.Candidates[i], "adopted: the task writes under the prefix of this export"
		}
	}
	// What lies under our prefix proves that there is a task of ours, but not
	// which: by the time of one look the task that another saw running may have
	// ended, and somebody else's have begun.
	if s.Uploads || len(s.Objects) > 0 {
		return nil, "adopted: an upload or an object under the prefix of this export exists"
	}
	return nil, ""
}

func (x Export) exporting(s Seen, p Policy, now time.Time) Action {
	if x.Task.ID == "" {
		return x.identify(s, p, now)
	}
	if s.Task == nil {
		return Ask{AskTask}
	}
	switch s.Task.Status {
	case TaskFinished:
		return Append{[]Line{{State: Exported, Task: &s.Task.Task}}}
	case TaskFailed:
		if s.Task.Failure == nil {
			return Ask{AskFailure}
		}
		return x.fail(s, s.Task.Failure.Code, s.Task.Failure.Message)
	case TaskDeleted:
		return Append{[]Line{{State: Canceling, Task: &s.Task.Task, Reason: fmt.Sprintf("task %s was canceled outside this system", x.Task.ID)}}}
	case TaskGone:
		if now.Sub(x.Since) > p.VanishedAfter {
			return x.vanished(s)
		}
	}
	if now.Sub(x.Started) > p.MaxAge {
		return x.tooOld(s, p)
	}
	return Wait{x.nextLook(p, now)}
}

// identify follows an export that is known to have been submitted while nobody
// knows the id of its task.
func (x Export) identify(s Seen, p Policy, now time.Time) Action {
	if s.Candidates == nil {
		return Ask{AskCandidates}
	}
	if !s.Listed {
		return Ask{AskObjects}
	}
	if task, reason := x.adopt(s); task != nil {
		return Append{[]Line{{State: Exporting, Task: &Task{ID: task.ID, CreatedAt: task.CreatedAt}, Reason: reason}}}
	}
	if running(s.Candidates) == nil && !s.Uploads {
		shown := now.After(x.Shown(p)) && now.Sub(x.Since) > p.VanishedAfter
		switch {
		case len(x.absent(s.Objects)) == 0:
			return x.vanished(s)
		case shown && len(s.Candidates) == 1:
			// A task of ours wrote here, and no other can have.
			task := s.Candidates[0].Task
			return Append{[]Line{{State: Exporting, Task: &Task{ID: task.ID, CreatedAt: task.CreatedAt}, Reason: "adopted: no other task of the image can have come of this export"}}}
		case shown:
			return x.vanished(s)
		}
	}
	if now.Sub(x.Started) > p.MaxAge {
		return x.tooOld(s, p)
	}
	return Wait{x.nextLook(p, now)}
}

// vanished ends the export of a task that ECS does not know (any more).
func (x Export) vanished(s Seen) Action {
	if !s.Listed {
		return Ask{AskObjects}
	}
	absent := x.absent(s.Objects)
	if len(absent) == 0 {
		return Append{[]Line{{State: Exported, Reason: "ECS does not know the task any more, and every disk is there"}}}
	}
	return x.fail(s, CodeTaskVanished, fmt.Sprintf("ECS does not know the task of this export any more, and %s did not arrive in bucket %s. Submit the export again.", names(absent), x.Request.Bucket))
}

func (x Export) exported(s Seen, p Policy, now time.Time) Action {
	if !s.Listed {
		return Ask{AskObjects}
	}
	if absent := x.absent(s.Objects); len(absent) > 0 {
		if now.Sub(x.Since) > p.ArrivalGrace {
			return x.fail(s, CodeDiskMissing, fmt.Sprintf("The task finished, but %s did not arrive in bucket %s within %v.%s Check whether somebody deletes objects there, then submit the export again.",
				names(absent), x.Request.Bucket, p.ArrivalGrace, x.strangers(s.Objects)))
		}
		return Wait{x.pause(p, now)}
	}
	if !s.Manifest {
		return PutManifest{}
	}
	return Append{[]Line{{State: Completed}}}
}

// claim appends the line that gives this step alone the right to call
// ExportImage.
func claim(number int, p Policy, now time.Time) Action {
	return Append{[]Line{{State: Submitting, Attempt: &Attempt{Number: number, Until: now.Add(p.SubmitTimeout)}}}}
}

// fail ends the export, after a look at which disks landed all the same.
func (x Export) fail(s Seen, code, message string) Action {
	if x.State != Requested && !s.Listed {
		return Ask{AskObjects}
	}
	return x.failed(s, code, message)
}

// maxMessage is the longest message of a failure, in bytes. It holds names and
// texts of others, and an event has to have room for it.
const maxMessage = 2000

func (x Export) failed(s Seen, code, message string) Action {
	return Append{[]Line{{State: Failed, Failure: &Failure{Code: code, Message: shortened(message)}, Reason: x.kept(s)}}}
}

func shortened(message string) string {
	if len(message) > maxMessage {
		return strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

func (x Export) tooOld(s Seen, p Policy) Action {
	return x.fail(s, CodeMaxAge, fmt.Sprintf("The export was not complete %v after it was asked for. A task that still runs is shown on the Tasks page of the ECS console; cancel it there before submitting the export again.", p.MaxAge))
}

// landing makes a line for each disk object that the log does not have yet, or
// has with other content.
func (x Export) landing(objects []Object) []Line {
	var lines []Line
	for _, d := range x.Request.Disks {
		o := x.object(d, objects)
		if o == nil || x.Landed[d.Device].ETag == o.ETag {
			continue
		}
		lines = append(lines, Line{State: x.State, Disk: &Landed{
			Role: d.Role, Device: d.Device, Key: o.Key, Size: o.Size, ETag: o.ETag, CRC64: o.CRC64, LandedAt: o.LastModified,
		}})
	}
	return lines
}

// News says whether an object is a disk's that the log does not have in this
// version.
func (x Export) News(o Object) bool {
	return len(x.landing([]Object{o})) > 0
}

// absent lists the disks without an object. An object of no bytes is none: even
// an empty disk makes an archive.
func (x Export) absent(objects []Object) []Disk {
	var absent []Disk
	for _, d := range x.Request.Disks {
		if x.object(d, objects) == nil {
			absent = append(absent, d)
		}
	}
	return absent
}

// object finds the object of a disk. It goes by what the name says rather than
// by the one name that it should have, because ECS falls back to RAW where it
// does not offer a format.
func (x Export) object(d Disk, objects []Object) *Object {
	var found *Object
	for i, o := range objects {
		if o.Size > 0 && x.holds(d, o.Key) && (found == nil || o.Key == x.Request.ObjectKey(d)) {
			found = &objects[i]
		}
	}
	return found
}

func (x Export) holds(d Disk, key string) bool {
	n, ok := ParseObjectName(key)
	return ok && n.Prefix == x.Request.OSSPrefix && n.ImageID == x.Request.ImageID &&
		n.Role == d.Role && (d.Role == System || n.Device == d.Name())
}

// strangers names the objects under the prefix that are no disk's.
func (x Export) strangers(objects []Object) string {
	var keys []string
next:
	for _, o := range objects {
		if o.Key == x.Request.ManifestKey() {
			continue
		}
		for _, d := range x.Request.Disks {
			if x.holds(d, o.Key) {
				continue next
			}
		}
		keys = append(keys, o.Key)
	}
	if len(keys) == 0 {
		return ""
	}
	return " Objects with unexpected names lie there: " + strings.Join(keys, ", ") + "."
}

func (x Export) knows(taskID string) bool {
	for _, l := range x.Lines {
		if l.Task != nil && l.Task.ID == taskID {
			return true
		}
	}
	return false
}

// nextLook grows with the age of the export: what has taken long will go on for
// long. Once every disk has landed, only the task's end is missing.
func (x Export) nextLook(p Policy, now time.Time) time.Duration {
	if len(x.Missing()) == 0 {
		return p.LookMin
	}
	return between(p.LookMin, now.Sub(x.Started)/4, p.LookMax)
}

func between(low, d, high time.Duration) time.Duration { return max(low, min(d, high)) }

func running(tasks []TaskSeen) *TaskSeen {
	for i, t := range tasks {
		if !t.Status.Ended() {
			return &tasks[i]
		}
	}
	return nil
}

func names(disks []Disk) string {
	devices := make([]string, len(disks))
	for i, d := range disks {
		devices[i] = d.Device
	}
	if len(devices) == 1 {
		return "disk " + devices[0]
	}
	return "disks " + strings.Join(devices, ", ")
}
