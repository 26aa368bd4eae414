package export

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// cloud is a small model of ECS, the bucket and the record of one export, in
// which any number of steppers act at once and die at any point.
type cloud struct {
	t       *rapid.T
	now     time.Time
	lines   []Line
	tasks   []*modelTask
	steps   []*stepper
	writers int
	queue   Queue
	bucket  map[string]bool // keys of objects and, with a plus in front, of uploads
	late    []lateWrite
}

// lateWrite is something that ECS still writes though its task has ended.
type lateWrite struct {
	key string
	at  time.Time
}

const manifest = "manifest"

type modelTask struct {
	TaskSeen
	ours         bool
	shown        time.Time // from when on ECS tells of it
	starts, ends time.Time
	outcome      TaskStatus
}

// stepper is one function instance on its way through a step.
type stepper struct {
	*cloud
	skew time.Duration // of its clock
	dies time.Time     // when its function times out
	x    Export
	seen Seen
}

func (c *cloud) load() Export {
	x, err := New("7zzzzzzzzzzz0", c.lines)
	if err != nil {
		c.t.Fatal(err)
	}
	return x
}

func (c *cloud) start() *stepper {
	c.writers++
	s := &stepper{
		cloud: c, x: c.load(), seen: Seen{Writer: fmt.Sprint("w", c.writers)},
		skew: time.Duration(rapid.IntRange(0, int(policy.ClockSkew/time.Second)).Draw(c.t, "skew")) * time.Second,
		dies: c.now.Add(60 * time.Second),
	}
	c.steps = append(c.steps, s)
	return s
}

// pass lets time go by: tasks run and write their objects.
func (c *cloud) pass(d time.Duration) {
	c.now = c.now.Add(d)
	for _, t := range c.tasks {
		if t.Status == TaskWaiting && !c.now.Before(t.starts) {
			c.work(t)
		}
		if !t.Status.Ended() && !c.now.Before(t.ends) {
			c.end(t, t.outcome)
		}
	}
	c.late = slices.DeleteFunc(c.late, func(w lateWrite) bool {
		if c.now.Before(w.at) {
			return false
		}
		c.bucket[w.key] = true
		return true
	})
}

func (c *cloud) work(t *modelTask) {
	t.Status = TaskProcessing
	if t.ours {
		c.bucket["+"+systemObject.Key] = true
	}
}

// end ends a task. What one leaves that did not finish is anybody's guess, and it
// may come a while after.
func (c *cloud) end(t *modelTask, status TaskStatus) {
	t.Status, t.FinishedAt = status, c.now
	if !t.ours {
		return
	}
	t.Ours = true // the attribute shows the object of an ended sub-task only
	if status == TaskFinished {
		delete(c.bucket, "+"+systemObject.Key)
		c.bucket[systemObject.Key], c.bucket[dataObject.Key] = true, true
		return
	}
	for _, key := range []string{systemObject.Key, "+" + systemObject.Key, "+" + dataObject.Key} {
		switch rapid.IntRange(0, 3).Draw(c.t, "left") {
		case 0:
			c.bucket[key] = true
		case 1:
			delete(c.bucket, key)
		case 2:
			c.late = append(c.late, lateWrite{key, c.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(c.t, "late")) * time.Second)})
		}
	}
}

func (c *cloud) busy() bool {
	for _, t := range c.tasks {
		if !t.Status.Ended() {
			return true
		}
	}
	return false
}

func (c *cloud) addTask(ours bool) *modelTask {
	t := &modelTask{ours: ours, outcome: TaskFinished}
	t.Task = Task{ID: fmt.Sprint("t-", len(c.tasks)+1), CreatedAt: c.now}
	t.Status = TaskWaiting
	t.shown = c.now.Add(lag(c.t, policy))
	t.starts = c.now.Add(time.Duration(rapid.OneOf(rapid.IntRange(0, 1), rapid.IntRange(0, 600)).Draw(c.t, "waits seconds")) * time.Second)
	t.ends = t.starts.Add(time.Duration(rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 1800)).Draw(c.t, "task seconds")) * time.Second)
	if !c.now.Before(t.starts) {
		c.work(t)
	}
	if rapid.IntRange(0, 4).Draw(c.t, "fails") == 0 {
		t.outcome = TaskFailed
	}
	c.tasks = append(c.tasks, t)
	return t
}

// lag is how long ECS does not tell of a task that it has made.
func lag(t *rapid.T, p Policy) time.Duration {
	longest := int((p.VanishedAfter - p.ClockSkew) / time.Second)
	return time.Duration(rapid.OneOf(rapid.Just(0), rapid.IntRange(0, longest)).Draw(t, "told after seconds")) * time.Second
}

func (c *cloud) objects() (objects []Object) {
	for _, o := range []Object{systemObject, dataObject, {Key: manifest, Size: 1}} {
		if c.bucket[o.Key] {
			objects = append(objects, o)
		}
	}
	return objects
}

func (c *cloud) uploads() (n int) {
	for key := range c.bucket {
		if strings.HasPrefix(key, "+") {
			n++
		}
	}
	return n
}

// cancel is what a caller's cancel does.
func (c *cloud) cancel() {
	if x := c.load(); x.State != Canceling && CanFollow(x.State, Canceling) {
		c.lines = append(c.lines, Line{Seq: x.Seq() + 1, Time: later(c.now, x.UpdatedAt), State: Canceling, Nonce: "caller"})
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// turn makes one decision and carries it out. It returns false when the step is
// over. calm switches lost answers off.
func (s *stepper) turn(calm bool) bool {
	lost := !calm && rapid.IntRange(0, 3).Draw(s.t, "answer lost") == 0
	switch act := Decide(s.x, s.seen, policy, s.now.Add(s.skew)).(type) {
	case Ask:
		switch act.Question {
		case AskTask, AskFailure:
			s.seen.Task = &TaskSeen{Task: s.x.Task, Status: TaskGone}
			for _, t := range s.tasks {
				if t.ID == s.x.Task.ID && !s.now.Before(t.shown) {
					seen := t.TaskSeen
					if act.Question == AskFailure {
						seen.Failure = &Failure{Code: "X"}
					}
					s.seen.Task = &seen
				}
			}
		case AskCandidates:
			s.seen.Candidates = []TaskSeen{}
			for _, t := range s.tasks {
				if !s.now.Before(t.shown) && s.x.MayHaveMade(t.CreatedAt.Truncate(time.Minute), policy) {
					s.seen.Candidates = append(s.seen.Candidates, t.TaskSeen)
				}
			}
		case AskObjects:
			s.seen.Objects, s.seen.Listed, s.seen.Uploads = s.objects(), true, s.uploads() > 0
		case AskQueue:
			q := s.queue
			s.seen.Queue = &q
		case AskImage:
			busy := slices.ContainsFunc(s.tasks, func(t *modelTask) bool { return !t.Status.Ended() && !s.now.Before(t.shown) })
			s.seen.ImageBusy = &busy
		case AskSlot:
			yes := true
			s.seen.Slot = &yes
		}
	case Join, StandAside, StepBack, Hold:
		s.line(act)
	case CancelTask:
		s.seen.StopAsked, s.seen.Task = s.stop(), nil
		if lost {
			s.seen.StopAsked = &StopAsked{}
		}
	case Clear:
		cleared := Cleared{Objects: len(s.objects()), Uploads: s.uploads()}
		clear(s.bucket)
		if lost {
			return false
		}
		s.seen.Cleared = &cleared
	case Submit:
		if s.now.Add(s.skew).After(act.Until) {
			s.t.Fatalf("submitted after the claim had ended")
		}
		sub := s.exportImage(calm)
		if lost {
			sub = &Submission{}
		}
		s.seen.Submission = sub
	case Append:
		if len(s.lines) != s.x.Seq() { // lost
			s.x = s.load()
			s.seen = Seen{Writer: s.seen.Writer, Submission: s.seen.Submission}
			return true
		}
		before := s.x.State
		for _, l := range act.Lines {
			l.Seq, l.Time, l.Nonce = len(s.lines)+1, s.now.Add(s.skew), s.seen.Writer
			if l.Seq > 1 {
				l.Time = later(l.Time, s.lines[l.Seq-2].Time)
			}
			s.lines = append(s.lines, l)
		}
		s.x = s.load()
		if s.x.State != before {
			s.seen.Objects, s.seen.Listed = nil, false
		}
		if s.x.State == Canceling {
			s.seen.Objects, s.seen.Listed, s.seen.Cleared = nil, false, nil
		}
	case PutManifest:
		s.bucket[manifest] = true
		s.seen.Manifest = true
	case Wait, Done:
		return false
	}
	return true
}

// exportImage is ECS: it looks at its quotas and our rights before it looks at the
// image, or behind that. A call may never arrive.
func (s *stepper) exportImage(calm bool) *Submission {
	if !calm {
		switch rapid.IntRange(0, 11).Draw(s.t, "never arrives, or is refused") {
		case 0, 1:
			return &Submission{}
		case 2:
			return &Submission{Limit: ConcurrentTasks, Refused: &Failure{Code: codeConcurrent}}
		case 3:
			return &Submission{Refused: &Failure{Code: "NoSetRoletoECSServiceAcount"}}
		}
	}
	if s.busy() {
		return &Submission{Busy: true, Refused: &Failure{Code: CodeImageBusy}}
	}
	return &Submission{TaskID: s.addTask(true).ID}
}

// line does what a decision says about the queue.
func (s *stepper) line(act Action) {
	q, me := s.queue.Without(s.x.ID), s.x.Place()
	switch act := act.(type) {
	case Join:
		q = q.With(me)
	case StandAside:
		me.ImageID = s.x.Request.ImageID
		q = q.With(me)
	case StepBack:
		q = q.With(me)
	case Hold:
		q = s.queue
		q.Hold = &act.Delay
	}
	s.queue, s.seen.Queue = q, &q
}

// stop is CancelTask: ECS takes it for a task that runs.
func (s *stepper) stop() *StopAsked {
	for _, t := range s.tasks {
		if t.ID == s.x.Task.ID && t.Status == TaskProcessing && !s.now.Before(t.shown) && rapid.IntRange(0, 4).Draw(s.t, "CancelTaskFailed") > 0 {
			s.end(t, TaskDeleted)
			return &StopAsked{}
		}
	}
	return &StopAsked{Refused: &Failure{Code: "InvalidTaskId.IncorrectTaskStatus"}}
}
