package export

import (
	"fmt"
	"testing"
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
}

type modelTask struct {
	TaskSeen
	ours    bool
	ends    time.Time
	outcome TaskStatus
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
		if !t.Status.Ended() && !c.now.Before(t.ends) {
			t.Status, t.FinishedAt = t.outcome, t.ends
			if t.ours {
				t.Ours = true // the attribute shows the object of an ended sub-task only
			}
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
	t.Status = rapid.SampledFrom([]TaskStatus{TaskWaiting, TaskProcessing}).Draw(c.t, "status")
	t.ends = c.now.Add(time.Duration(rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 1800)).Draw(c.t, "task seconds")) * time.Second)
	if rapid.IntRange(0, 4).Draw(c.t, "fails") == 0 {
		t.outcome = TaskFailed
	}
	c.tasks = append(c.tasks, t)
	return t
}

func (c *cloud) objects() []Object {
	for _, t := range c.tasks {
		if t.ours && t.Status == TaskFinished {
			return []Object{systemObject, dataObject}
		}
	}
	return nil
}

func (c *cloud) uploading() bool {
	for _, t := range c.tasks {
		if t.ours && t.Status == TaskProcessing {
			return true
		}
	}
	return false
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
				if t.ID == s.x.Task.ID {
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
				s.seen.Candidates = append(s.seen.Candidates, t.TaskSeen)
			}
		case AskObjects:
			s.seen.Objects, s.seen.Listed, s.seen.Uploads = s.objects(), true, s.uploading()
		}
	case Submit:
		if s.now.Add(s.skew).After(act.Until) {
			s.t.Fatalf("submitted after the claim had ended")
		}
		sub := &Submission{}
		if s.busy() {
			sub = &Submission{Busy: true, Refused: &Failure{Code: "ImageIsExporting"}}
		} else if rapid.IntRange(0, 5).Draw(s.t, "never arrives") > 0 || calm {
			sub.TaskID = s.addTask(true).ID
		}
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
			l.Seq, l.Time, l.Nonce = len(s.lines)+1, s.now, s.seen.Writer
			if l.Seq > 1 && l.Time.Before(s.lines[l.Seq-2].Time) {
				l.Time = s.lines[l.Seq-2].Time
			}
			s.lines = append(s.lines, l)
		}
		s.x = s.load()
		if s.x.State != before {
			s.seen.Objects, s.seen.Listed = nil, false
		}
	case PutManifest:
		s.seen.Manifest = true
	case Wait, Done:
		return false
	}
	return true
}

// TestSimulation lets steppers race and die in every order that the generator
// thinks of, then lets one at a time go on undisturbed.
func TestSimulation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := &cloud{t: rt, now: start}
		request := demo
		c.lines = []Line{{Seq: 1, Time: start, State: Requested, Nonce: "w0", Request: &request}}
		foreign := false
		rt.Repeat(map[string]func(*rapid.T){
			"a function starts": func(*rapid.T) { c.start() },
			"a function acts": func(rt *rapid.T) {
				if len(c.steps) == 0 {
					rt.Skip("none runs")
				}
				i := rapid.IntRange(0, len(c.steps)-1).Draw(rt, "stepper")
				if s := c.steps[i]; c.now.After(s.dies) || !s.turn(false) {
					c.steps = append(c.steps[:i], c.steps[i+1:]...)
				}
			},
			"a function dies": func(rt *rapid.T) {
				if len(c.steps) == 0 {
					rt.Skip("none runs")
				}
				i := rapid.IntRange(0, len(c.steps)-1).Draw(rt, "stepper")
				c.steps = append(c.steps[:i], c.steps[i+1:]...)
			},
			"time passes": func(rt *rapid.T) {
				c.pass(time.Duration(rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 90)).Draw(rt, "seconds")) * time.Second)
			},
			"somebody exports the image in the console": func(rt *rapid.T) {
				if c.busy() {
					rt.Skip("ECS refuses")
				}
				foreign = true
				c.addTask(false)
			},
			"": func(rt *rapid.T) { c.check(rt) },
		})
		for range 2000 {
			s := c.start()
			for range 100 {
				if !s.turn(true) {
					break
				}
			}
			c.check(rt)
			if s.x.State.Terminal() && !c.busy() {
				break
			}
			c.pass(time.Minute)
		}
		x := c.load()
		if !x.State.Terminal() {
			rt.Fatalf("no end: state %s after %v", x.State, c.now.Sub(start))
		}
		for _, task := range c.tasks {
			if task.ours && task.Status == TaskFinished && x.State != Completed {
				rt.Fatalf("the task finished, but the export ended as %s: %+v", x.State, x.Failure)
			}
		}
		if x.State == Failed && x.Failure.Code == "ImageIsExporting" && !foreign {
			rt.Fatalf("the export was refused for its own task")
		}
	})
}

// check holds at every moment: one export never has two tasks.
func (c *cloud) check(rt *rapid.T) {
	n := 0
	for _, task := range c.tasks {
		if task.ours {
			n++
		}
	}
	if n > 1 {
		rt.Fatalf("%d tasks for one export", n)
	}
	c.load()
}
