package export

import (
	"fmt"
	"slices"
	"time"
)

// Cleared is what was removed from under an export's prefix. A look that found
// nothing there is one of nothing.
type Cleared struct {
	Objects int `json:"objects"`
	Uploads int `json:"uploads"`
}

// line is the line about it.
func (c Cleared) line() Line {
	reason := "nothing of it is in the bucket; the export ends if that stays so"
	if c != (Cleared{}) {
		reason = fmt.Sprintf("removed from the bucket: objects %d, unfinished uploads %d", c.Objects, c.Uploads)
	}
	return Line{State: Canceling, Cleared: &c, Reason: reason}
}

// Clear removes every object and every unfinished upload under the export's
// prefix.
type Clear struct{}

// CancelTask calls CancelTask for the task that the log names.
type CancelTask struct{}

func (Clear) action()      {}
func (CancelTask) action() {}

// StopAsked is what ECS said to our call of CancelTask: Refused is nil if it took
// the call, or if only the task can tell. Remedy is what a person has to do about a
// refusal, blank for one that passes.
type StopAsked struct {
	Refused *Failure
	Remedy  string
}

// canceling brings an export to nothing: its task ended, then the bucket without
// an object and without an upload of it at two looks that CancelGrace lies
// between. Only giving up after MaxAge ends it otherwise.
func (x Export) canceling(s Seen, p Policy, now time.Time) Action {
	if sub := s.Submission; sub != nil && sub.Refused != nil && x.AttemptNonce == s.Writer && x.Doubt == x.Attempt.Number {
		// The cancel came while we asked. Now it is known that there is no task.
		l := delayed(Delay{Code: sub.Refused.Code, Message: sub.Refused.Message, RequestID: sub.Refused.RequestID, Next: now, Refused: true})
		l.State, l.Reason = Canceling, fmt.Sprintf("ExportImage was refused with %s: the last attempt started nothing", l.Delay.Code)
		return Append{[]Line{l}}
	}
	if x.Task.ID == "" && x.Doubt == 0 {
		return Append{[]Line{{State: Canceled, Reason: "nothing had been submitted"}}}
	}
	if s.Cleared != nil {
		return Append{[]Line{s.Cleared.line()}}
	}
	if act := x.stopping(s, p, now); act != nil {
		return act
	}
	return x.clearing(s, p, now)
}

// stopping sees to it that no task of the export runs any more and none can begin.
// It returns nil when that is so.
func (x Export) stopping(s Seen, p Policy, now time.Time) Action {
	if x.Task.ID == "" {
		return x.stopUnknown(s, p, now)
	}
	if s.Task == nil {
		return Ask{AskTask}
	}
	switch {
	case s.Task.Status == TaskGone && !now.After(x.Shown(p)):
		// Not to be seen yet. CancelTask may know it all the same.
	case s.Task.Status.Ended():
		return nil
	}
	if s.StopAsked == nil {
		return CancelTask{}
	}
	why := fmt.Sprintf("task %s is %s", x.Task.ID, s.Task.Status)
	if f := s.StopAsked.Refused; f != nil {
		// A task that only waits is refused too: it can be canceled when it runs.
		reason := fmt.Sprintf("CancelTask was refused with %s (%s); it is tried again until the task has ended", f.Code, f.Message)
		if s.StopAsked.Remedy != "" {
			reason += ". " + s.StopAsked.Remedy
		}
		reason = shortened(reason)
		if !slices.ContainsFunc(x.Lines, func(l Line) bool { return l.Reason == reason }) {
			return Append{[]Line{{State: Canceling, Reason: reason}}}
		}
		why += ", and CancelTask is refused with " + f.Code
	}
	return x.lookAgain(p, now, why)
}

// stopUnknown does the same while nobody knows the task. An attempt may still
// reach ECS, or has and its answer was lost.
func (x Export) stopUnknown(s Seen, p Policy, now time.Time) Action {
	if s.Candidates == nil {
		return Ask{AskCandidates}
	}
	if !s.Listed {
		return Ask{AskObjects}
	}
	if task, reason := x.adopt(s); task != nil {
		return Append{[]Line{{State: Canceling, Task: &Task{ID: task.ID, CreatedAt: task.CreatedAt}, Reason: reason}}}
	}
	if free := x.free(p); !now.After(free) {
		return Wait{max(free.Sub(now), p.LookMin)}
	}
	// It may be ours, or somebody's of the console: that is for its end to show.
	task, hidden := running(s.Candidates), x.Shown(p).Sub(now)
	if task == nil && hidden < 0 {
		return nil
	}
	if s.left() && !x.clearedBy(s.Writer) {
		return Clear{} // what is under our prefix is ours whoever the task belongs to, and it can't go on without
	}
	if task == nil {
		return Wait{max(p.LookMin, min(hidden, x.pause(p, now)))}
	}
	return x.lookAgain(p, now, fmt.Sprintf("task %s of the image runs, and ECS does not tell whose it is", task.ID))
}

// free is when by every clock nobody calls ExportImage for the latest attempt any
// more.
func (x Export) free(p Policy) time.Time { return x.attemptEnd().Add(p.ClockSkew) }

// Shown is when a task that came of the latest attempt is to be seen if it ever is.
func (x Export) Shown(p Policy) time.Time {
	return x.attemptEnd().Add(max(p.ClockSkew, p.VanishedAfter))
}

// MayHaveMade says whether a task that ECS created then, by its own clock and to the
// minute, can have come of an attempt of this export.
func (x Export) MayHaveMade(created time.Time, p Policy) bool {
	switch {
	case created.IsZero():
		return true
	case created.Before(x.CreatedAt.Add(-p.ClockSkew).Truncate(time.Minute)):
		return false
	}
	return x.State.Waits() || !created.After(x.Shown(p))
}

func (x Export) attemptEnd() time.Time {
	if x.Attempt == nil {
		return time.Time{}
	}
	return x.Attempt.Until
}

// clearing empties the bucket under the export's prefix and waits whether it
// stays so: what was under way when the task ended may still arrive.
func (x Export) clearing(s Seen, p Policy, now time.Time) Action {
	if left := p.CancelGrace - now.Sub(x.EmptySince); !x.EmptySince.IsZero() && left > 0 && !s.left() {
		return Wait{left}
	}
	if !s.Listed {
		return Ask{AskObjects}
	}
	if s.left() {
		if x.clearedBy(s.Writer) {
			return x.lookAgain(p, now, fmt.Sprintf("objects or uploads keep appearing in bucket %s under %s_", x.Request.Bucket, x.Request.OSSPrefix))
		}
		return Clear{}
	}
	if x.EmptySince.IsZero() {
		return Append{[]Line{Cleared{}.line()}}
	}
	return Append{[]Line{{State: Canceled}}}
}

// left says that something lies under the prefix.
func (s Seen) left() bool { return len(s.Objects) > 0 || s.Uploads }

// clearedBy says that this step has removed something already. A second time it
// would find what somebody else writes there, over and over.
func (x Export) clearedBy(writer string) bool {
	return slices.ContainsFunc(x.Lines, func(l Line) bool {
		return l.Nonce == writer && l.Cleared != nil && *l.Cleared != Cleared{}
	})
}

// lookAgain waits for something that others have to do, but not for ever.
func (x Export) lookAgain(p Policy, now time.Time, why string) Action {
	if now.Sub(x.Since) > p.MaxAge {
		return x.stopWaiting(p, why)
	}
	return Wait{x.pause(p, now)}
}

// pause grows with the time that the current state has lasted.
func (x Export) pause(p Policy, now time.Time) time.Duration {
	return between(p.LookMin, now.Sub(x.Since)/2, p.LookMax)
}

// stopWaiting ends a cancel that can't be carried through, and tells a person what
// is left to do.
func (x Export) stopWaiting(p Policy, why string) Action {
	return Append{[]Line{{State: Canceled, Reason: shortened(fmt.Sprintf(
		"given up %v after the cancel: %s. Cancel what still runs on the Tasks page of the ECS console, then remove what lies under %s_ in bucket %s: DELETE /exports/%s does that",
		p.MaxAge, why, x.Request.OSSPrefix, x.Request.Bucket, x.ID))}}}
}

// kept says which disks of a failed export are there all the same.
func (x Export) kept(s Seen) string {
	absent := x.Missing()
	if s.Listed {
		absent = x.absent(s.Objects)
	}
	var kept []Disk
	for _, d := range x.Request.Disks {
		if !slices.Contains(absent, d) {
			kept = append(kept, d)
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return fmt.Sprintf("%s landed and is kept in bucket %s; DELETE /exports/%s removes it", names(kept), x.Request.Bucket, x.ID)
}
