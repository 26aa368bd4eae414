package export

import (
	"fmt"
	"slices"
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
	image, prefix string    // no prefix: somebody's of the console
	shown, ends   time.Time // from when on ECS tells of it, and until when it runs
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

// told says whether ECS tells of a task by now.
func (a *account) told(t *accountTask) bool { return !a.now.Before(t.shown) }

func (a *account) start(image, prefix string) string {
	t := &accountTask{image: image, prefix: prefix, ends: a.now.Add(time.Duration(rapid.IntRange(1, 3600).Draw(a.t, "task seconds")) * time.Second)}
	t.shown = a.now.Add(lag(a.t, a.policy))
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
			if t.ID == v.x.Task.ID && v.told(t) {
				v.seen.Task = &t.TaskSeen
			}
		}
	case AskCandidates:
		v.seen.Candidates = v.candidates(v.x)
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
		busy := slices.ContainsFunc(v.tasks, func(t *accountTask) bool {
			return !t.Status.Ended() && t.image == v.of.request.ImageID && v.told(t)
		})
		v.seen.ImageBusy = &busy
	case AskSlot:
		others := 0
		for _, o := range v.exports {
			taken, has := v.slots[o.id]
			if o == v.of || !has {
				continue
			}
			x := o.load(v.t)
			needs, _ := x.NeedsSlot(func() ([]TaskSeen, error) { return v.candidates(x), nil }, v.policy, v.now.Add(v.skew))
			if needs || x.State.Waits() && v.now.Sub(taken) < v.policy.SubmitTimeout+v.policy.ClockSkew {
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

// candidates are the tasks that ECS tells of and that may have come of an export.
func (a *account) candidates(x Export) []TaskSeen {
	found := []TaskSeen{}
	for _, t := range a.tasks {
		if t.image == x.Request.ImageID && a.told(t) && x.MayHaveMade(t.CreatedAt.Truncate(time.Minute), a.policy) {
			seen := t.TaskSeen
			seen.Ours = t.Ours && t.prefix == x.Request.OSSPrefix
			found = append(found, seen)
		}
	}
	return found
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
