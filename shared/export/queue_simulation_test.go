package export

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// account is a small model of ECS with its quotas, the records of several exports
// and their queue, in which any number of steppers act at once and die anywhere.
type account struct {
	t       *rapid.T
	now     time.Time
	policy  Policy
	quota   int       // of tasks that run
	weekEnd time.Time // until then the weekly quota is used up
	exports []*waitingExport
	tasks   []*accountTask
	queue   Queue
	slots   map[string]time.Time // by export: when it took one
	steps   []*visitor
	visits  int
	weekly  []time.Time // refusals, by their hold's Next
	calm    bool
}

type waitingExport struct {
	id      string
	lines   []Line
	next    time.Time // its nudge
	joined  time.Time // since when it has its place, and lets nobody pass
	request Request
}

type accountTask struct {
	TaskSeen
	image, prefix string // no prefix: somebody's of the console
	ends          time.Time
}

// visitor is a function instance on its way through a step on one export.
type visitor struct {
	*account
	of   *waitingExport
	x    Export
	seen Seen
	skew time.Duration
	dies time.Time
}

func (e *waitingExport) load(t *rapid.T) Export {
	x, err := New(e.id, e.lines)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (a *account) request(image string) {
	r := demo
	r.ImageID = image
	id := fmt.Sprintf("7zzzzzzzzzzz%d", len(a.exports))
	r.OSSPrefix, r.Disks = id, demo.Disks[:1]
	a.exports = append(a.exports, &waitingExport{
		id: id, next: a.now.Add(a.policy.LookMin), request: r,
		lines: []Line{{Seq: 1, Time: a.now, State: Requested, Nonce: "caller", Request: &r}},
	})
}

func (a *account) visit(e *waitingExport) *visitor {
	a.visits++
	v := &visitor{
		account: a, of: e, x: e.load(a.t), seen: Seen{Writer: fmt.Sprint("w", a.visits)}, dies: a.now.Add(time.Minute),
		skew: time.Duration(rapid.IntRange(0, int(a.policy.ClockSkew/time.Second)).Draw(a.t, "skew")) * time.Second,
	}
	a.steps = append(a.steps, v)
	return v
}

func (a *account) pass(d time.Duration) {
	a.now = a.now.Add(d)
	for _, t := range a.tasks {
		if !t.Status.Ended() && !a.now.Before(t.ends) {
			t.Status, t.FinishedAt, t.Ours = TaskFinished, t.ends, t.prefix != ""
		}
	}
}

func (a *account) running(image string) (n int) {
	for _, t := range a.tasks {
		if !t.Status.Ended() && (image == "" || t.image == image) {
			n++
		}
	}
	return n
}

func (a *account) start(image, prefix string) string {
	t := &accountTask{image: image, prefix: prefix, ends: a.now.Add(time.Duration(rapid.IntRange(1, 3600).Draw(a.t, "task seconds")) * time.Second)}
	t.Task, t.Status = Task{ID: fmt.Sprint("t-", len(a.tasks)+1), CreatedAt: a.now}, TaskProcessing
	a.tasks = append(a.tasks, t)
	return t.ID
}

// exportImage is ECS.
func (v *visitor) exportImage() *Submission {
	refuse := func(code string) *Submission { return &Submission{Refused: &Failure{Code: code, Message: "no"}} }
	r := v.of.request
	switch {
	case v.running(r.ImageID) > 0:
		sub := refuse(CodeImageBusy)
		sub.Busy = true
		return sub
	case v.running("") >= v.quota:
		sub := refuse("ConcurrentQuotaExceed.ExportImage")
		sub.Limit = ConcurrentTasks
		return sub
	case v.now.Before(v.weekEnd):
		sub := refuse("WeeklyQuotaExceed.ExportImage")
		sub.Limit = WeeklyTasks
		if v.calm {
			v.weekly = append(v.weekly, v.now)
		}
		return sub
	}
	for _, o := range v.exports {
		if o != v.of && !o.joined.IsZero() && o.joined.Before(v.of.lines[0].Time) && o.load(v.t).State.Waits() {
			v.t.Fatalf("export %s has its task, and export %s has waited since before it came", v.of.id, o.id)
		}
	}
	return &Submission{TaskID: v.account.start(r.ImageID, r.OSSPrefix)}
}

// turn makes one decision and carries it out. It returns false when the step is over.
func (v *visitor) turn() bool {
	lost := !v.calm && rapid.IntRange(0, 4).Draw(v.t, "lost") == 0
	switch act := Decide(v.x, v.seen, v.policy, v.now.Add(v.skew)).(type) {
	case Ask:
		v.ask(act.Question)
	case Join, StandAside, StepBack, Hold:
		v.queue = applied(v.queue, v.x, act)
		v.place()
		if lost {
			return false
		}
		q := v.queue
		v.seen.Queue = &q
	case Submit:
		sub := &Submission{}
		if v.calm || rapid.IntRange(0, 6).Draw(v.t, "never arrives") > 0 {
			sub = v.exportImage()
		}
		if v.limit(); lost {
			sub = &Submission{}
		}
		v.seen.Submission = sub
	case Append:
		if len(v.of.lines) != v.x.Seq() {
			v.x, v.seen = v.of.load(v.t), Seen{Writer: v.seen.Writer, Submission: v.seen.Submission}
			return true
		}
		before := v.x.State
		for _, l := range act.Lines {
			l.Seq, l.Time, l.Nonce = len(v.of.lines)+1, later(v.now, v.x.UpdatedAt), v.seen.Writer
			v.of.lines = append(v.of.lines, l)
		}
		v.x = v.of.load(v.t)
		if v.x.State != before {
			v.seen.Objects, v.seen.Listed = nil, false
		}
		if lost {
			return false
		}
		v.moved(before)
	case PutManifest:
		v.seen.Manifest = true
	case Wait:
		v.of.next = v.now.Add(act.For)
		return false
	case Done:
		return false
	}
	return true
}

func (v *visitor) ask(q Question) {
	switch q {
	case AskTask:
		v.seen.Task = &TaskSeen{Task: v.x.Task, Status: TaskGone}
		for _, t := range v.tasks {
			if t.ID == v.x.Task.ID {
				v.seen.Task = &t.TaskSeen
			}
		}
	case AskCandidates:
		v.seen.Candidates = []TaskSeen{}
		for _, t := range v.tasks {
			if t.image == v.of.request.ImageID {
				seen := t.TaskSeen
				seen.Ours = t.Ours && t.prefix == v.of.request.OSSPrefix
				v.seen.Candidates = append(v.seen.Candidates, seen)
			}
		}
	case AskObjects:
		v.seen.Listed, v.seen.Objects = true, nil
		for _, t := range v.tasks {
			if t.prefix == v.of.request.OSSPrefix && t.Status == TaskFinished {
				v.seen.Objects = []Object{{Key: v.of.request.ObjectKey(demo.Disks[0]), Size: 1, ETag: "A"}}
			}
		}
	case AskQueue:
		queue := v.queue
		v.seen.Queue = &queue
	case AskImage:
		busy := v.running(v.of.request.ImageID) > 0
		v.seen.ImageBusy = &busy
	case AskSlot:
		others := 0
		for _, o := range v.exports {
			taken, has := v.slots[o.id]
			if o != v.of && has && (o.load(v.t).State.Busy() || v.now.Sub(taken) < v.policy.SubmitTimeout+v.policy.ClockSkew) {
				others++
			}
		}
		ok := others < v.policy.Tasks
		if ok {
			v.slots[v.of.id] = v.now
		}
		v.seen.Slot = &ok
	}
}

// place notes since when every export has had its place without letting others
// pass.
func (a *account) place() {
	for _, e := range a.exports {
		w, place := a.queue.Find(e.id)
		if place < 0 || w.ImageID != "" {
			e.joined = time.Time{}
		} else if e.joined.IsZero() {
			e.joined = a.now
		}
	}
}

// moved does what the tracker does behind an append.
func (v *visitor) moved(before State) {
	left, ended := v.x.Moved(before)
	if left {
		v.queue = v.queue.Without(v.x.ID)
	}
	if ended {
		if v.queue.Hold != nil && !v.queue.Hold.Weekly() {
			v.queue.Hold = nil
		}
		if w, ok := v.queue.First(v.x.Request.ImageID); ok {
			w.ImageID = ""
			v.queue = v.queue.Without(w.ID).With(w)
		}
	}
	v.place()
	if head, ok := v.queue.Head(v.x.ID); ok && (left || ended) && !v.queue.Holds(v.now) {
		for _, e := range v.exports {
			if e.id == head.ID {
				e.next = v.now
			}
		}
	}
}

// poll does what a poll does about the queue.
func (a *account) poll() {
	gone := func(w Waiting) bool {
		i := slices.IndexFunc(a.exports, func(e *waitingExport) bool { return e.id == w.ID })
		if a.exports[i].load(a.t).State.Waits() {
			return false
		}
		a.queue = a.queue.Without(w.ID)
		return true
	}
	for _, w := range slices.Clone(a.queue.Waiting) {
		if w.ImageID != "" {
			gone(w)
		}
	}
	for {
		head, ok := a.queue.Head("")
		if !ok || a.queue.Holds(a.now) {
			return
		}
		if gone(head) {
			continue
		}
		for _, e := range a.exports {
			if e.id == head.ID {
				e.next = a.now
			}
		}
		return
	}
}

// limit holds at every moment: no export has two tasks, and no more of ours run
// than the deployment lets.
func (a *account) limit() {
	ours := 0
	for i, t := range a.tasks {
		if t.prefix == "" {
			continue
		}
		if !t.Status.Ended() {
			ours++
		}
		for _, o := range a.tasks[:i] {
			if o.prefix == t.prefix {
				a.t.Fatalf("two tasks for export %s", t.prefix)
			}
		}
	}
	if a.policy.Tasks > 0 && ours > a.policy.Tasks {
		a.t.Fatalf("%d tasks run, the deployment lets %d", ours, a.policy.Tasks)
	}
}

// TestQueueSimulation lets exports come, wait and race for quotas in every order
// that the generator thinks of, with functions dying anywhere, and wants order of
// arrival, one task each, and an end for all.
func TestQueueSimulation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := &account{t: rt, now: start, policy: policy, slots: map[string]time.Time{}, quota: rapid.IntRange(1, 2).Draw(rt, "quota")}
		a.policy.Tasks = rapid.IntRange(0, 2).Draw(rt, "tasks at once")
		images := []string{"m-1", "m-2", "m-3"}
		for range rapid.IntRange(1, 3).Draw(rt, "exports at first") {
			a.request(rapid.SampledFrom(images).Draw(rt, "image"))
			a.pass(time.Second)
		}
		pick := func(rt *rapid.T) (i int) {
			if len(a.steps) == 0 {
				a.visit(rapid.SampledFrom(a.exports).Draw(rt, "export"))
			}
			return rapid.IntRange(0, len(a.steps)-1).Draw(rt, "stepper")
		}
		act := func(i int) {
			for range rapid.IntRange(1, 20).Draw(rt, "turns") {
				if v := a.steps[i]; a.now.After(v.dies) || !v.turn() {
					a.steps = slices.Delete(a.steps, i, i+1)
					return
				}
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"somebody asks for an export": func(rt *rapid.T) {
				if len(a.exports) == 6 {
					rt.Skip("enough")
				}
				a.request(rapid.SampledFrom(images).Draw(rt, "image"))
				a.visit(a.exports[len(a.exports)-1])
			},
			"a function starts": func(rt *rapid.T) {
				a.visit(rapid.SampledFrom(a.exports).Draw(rt, "export"))
			},
			"a function acts":       func(rt *rapid.T) { act(pick(rt)) },
			"another function acts": func(rt *rapid.T) { act(pick(rt)) },
			"a function dies":       func(rt *rapid.T) { i := pick(rt); a.steps = slices.Delete(a.steps, i, i+1) },
			"time passes": func(rt *rapid.T) {
				a.pass(time.Duration(rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(1, 900)).Draw(rt, "seconds")) * time.Second)
			},
			"somebody exports in the console": func(rt *rapid.T) {
				image := rapid.SampledFrom(images).Draw(rt, "image")
				if a.running(image) > 0 || a.running("") >= a.quota {
					rt.Skip("ECS refuses")
				}
				a.start(image, "")
			},
			"the week's quota is used up": func(rt *rapid.T) {
				a.weekEnd = a.now.Add(time.Duration(rapid.IntRange(1, 180).Draw(rt, "minutes")) * time.Minute)
			},
			"a poll": func(*rapid.T) { a.poll() },
			"":       func(*rapid.T) { a.limit() },
		})
		// Now every minute a poll, and every nudge arrives; for some time still
		// functions die on the way.
		rough := a.now.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "rough minutes")) * time.Minute)
		a.steps = nil
		a.pass(time.Minute)
		end := a.now.Add(48 * time.Hour)
		for open := true; open; a.pass(time.Minute) {
			open, a.calm = false, a.now.After(rough)
			a.poll()
			for again := true; again; {
				again = false
				for _, e := range a.exports {
					if x := e.load(rt); x.State.Terminal() || a.now.Before(e.next) {
						open = open || !x.State.Terminal()
						continue
					}
					open, again, e.next = true, true, a.now.Add(20*time.Minute)
					for v := a.visit(e); v.turn(); {
					}
					a.limit()
				}
			}
			if a.now.After(end) {
				for _, e := range a.exports {
					rt.Logf("%s: %s", e.id, e.load(rt).State)
				}
				rt.Fatalf("no end after 48 hours; the queue is %+v", a.queue)
			}
		}
		a.poll()
		for _, e := range a.exports {
			tried := slices.ContainsFunc(a.tasks, func(t *accountTask) bool { return t.prefix == e.request.OSSPrefix })
			if x := e.load(rt); x.State != Completed && (tried || x.Failure.Code != CodeUnconfirmed) {
				rt.Fatalf("export %s ended as %s: %+v", e.id, x.State, x.Failure)
			}
		}
		for i := 1; i < len(a.weekly); i++ {
			if apart := a.weekly[i].Sub(a.weekly[i-1]); apart < a.policy.QueueWait-a.policy.ClockSkew {
				rt.Fatalf("the weekly quota was asked again after %v", apart)
			}
		}
	})
}
