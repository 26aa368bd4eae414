package export

import (
	"fmt"
	"slices"
	"time"
)

// Queue is who waits for ECS, in the order of arrival. An export that has a place
// keeps it while it tries, until it has a task or an end.
type Queue struct {
	Waiting []Waiting
	// Hold is what ECS, or this deployment, last refused everybody. Until its
	// Next nobody asks again.
	Hold *Delay
}

// Waiting is an export with a place in the queue.
type Waiting struct {
	ID      string
	Arrived time.Time
	// ImageID is set while the export stands aside: another export of its image
	// runs, and those behind it pass.
	ImageID string
}

// Delay is why an export is queued, and when it is tried next. Refused says that
// it is ECS's answer to the latest attempt, which therefore started nothing.
type Delay struct {
	Code      string    `json:"code"`
	Message   string    `json:"message"`
	RequestID string    `json:"requestId,omitempty"`
	Next      time.Time `json:"next"`
	Refused   bool      `json:"refused,omitempty"`
}

// Limit is what a refusal of ExportImage says that there is too much of. Each
// passes without anybody doing anything.
type Limit int

// The limits, other than that of one export of an image at a time.
const (
	ConcurrentTasks Limit = iota + 1 // ends when a task does
	WeeklyTasks                      // ends with the week
	CallRate                         // ends in seconds
)

// Codes of delays that ECS has no part in, and the one of an image that is being
// exported.
const (
	CodeOthersWait = "OthersWait"
	CodeTaskLimit  = "TasksAtOnceExceeded"
	CodeImageBusy  = "ImageIsExporting"
	codeWeekly     = "WeeklyQuotaExceed.ExportImage"
)

// Weekly says that the end of a task does not end the delay.
func (d Delay) Weekly() bool { return d.Code == codeWeekly }

// ofAll is the delay of an export that did not ask itself.
func (d Delay) ofAll() Delay {
	d.Refused = false
	return d
}

// Join takes a place in the queue, by the time of arrival.
type Join struct{}

// StandAside lets others pass in the queue, StepBack ends that.
type (
	StandAside struct{}
	StepBack   struct{}
)

// Hold keeps everybody from calling ExportImage until the delay's Next.
type Hold struct{ Delay Delay }

func (Join) action()       {}
func (StandAside) action() {}
func (StepBack) action()   {}
func (Hold) action()       {}

// Find returns the place of an export, by its index from 0. It is -1 if the
// export has none.
func (q Queue) Find(id string) (Waiting, int) {
	i := slices.IndexFunc(q.Waiting, func(w Waiting) bool { return w.ID == id })
	if i < 0 {
		return Waiting{}, i
	}
	return q.Waiting[i], i
}

// Head is the export whose turn it is, but for the one of this id; ok is false if
// nobody waits but those who stand aside.
func (q Queue) Head(but string) (w Waiting, ok bool) {
	i := slices.IndexFunc(q.Waiting, func(w Waiting) bool { return w.ImageID == "" && w.ID != but })
	if i < 0 {
		return Waiting{}, false
	}
	return q.Waiting[i], true
}

// First is the first export that stands aside for an image.
func (q Queue) First(imageID string) (w Waiting, ok bool) {
	i := slices.IndexFunc(q.Waiting, func(w Waiting) bool { return w.ImageID == imageID })
	if i < 0 {
		return Waiting{}, false
	}
	return q.Waiting[i], true
}

// Holds says whether nobody may ask now.
func (q Queue) Holds(now time.Time) bool { return q.Hold != nil && now.Before(q.Hold.Next) }

// With returns the queue with one more place, where it belongs.
func (q Queue) With(w Waiting) Queue {
	i := slices.IndexFunc(q.Waiting, func(o Waiting) bool { return w.before(o) })
	if i < 0 {
		i = len(q.Waiting)
	}
	q.Waiting = slices.Insert(slices.Clone(q.Waiting), i, w)
	return q
}

// Without returns the queue without a place.
func (q Queue) Without(id string) Queue {
	q.Waiting = slices.DeleteFunc(slices.Clone(q.Waiting), func(w Waiting) bool { return w.ID == id })
	return q
}

func (w Waiting) before(o Waiting) bool {
	return w.Arrived.Before(o.Arrived) || w.Arrived.Equal(o.Arrived) && w.ID < o.ID
}

// Place is that of this export, whether it has taken it or not.
func (x Export) Place() Waiting { return Waiting{ID: x.ID, Arrived: x.CreatedAt} }

// Waits says whether an export in this state may have a place in the queue.
func (s State) Waits() bool { return s == Requested || s == Queued || s == Submitting }

// Busy says whether an export in this state may have a task that runs.
func (s State) Busy() bool { return s == Submitting || s == Exporting || s == Canceling }

// NeedsSlot says whether an export may have a task that runs. One that waits may:
// of an attempt in doubt, which ECS does not show yet, or does among the candidates.
func (x Export) NeedsSlot(candidates func() ([]TaskSeen, error), p Policy, now time.Time) (bool, error) {
	doubtful := x.State == Queued && x.Doubt > 0
	if !doubtful || !now.After(x.Shown(p)) {
		return doubtful || x.State.Busy(), nil
	}
	tasks, err := candidates()
	return running(tasks) != nil, err
}

// Moved says what the queue has to learn of an export that went on from a state:
// that it left the queue, and that its task, or its slot for one, is free again: the
// end of an export that was never submitted leaves ECS as full as before.
func (x Export) Moved(before State) (left, ended bool) {
	submitted := x.Task.ID != "" || x.Doubt > 0 || before == Submitting
	return before.Waits() && !x.State.Waits(), submitted && before.Busy() && !x.State.Waits() && !x.State.Busy()
}

// queued follows an export that was refused, or has not had its turn.
func (x Export) queued(s Seen, p Policy, now time.Time) Action {
	if now.Sub(x.CreatedAt) > p.MaxQueued {
		if x.Doubt > 0 {
			if act := x.traced(s); act != nil {
				return act
			}
		}
		why := "others waited before it"
		if x.Delay != nil {
			why = fmt.Sprintf("the last reason was %s: %s", x.Delay.Code, x.Delay.Message)
		}
		return x.fail(s, CodeMaxQueued, fmt.Sprintf("The export had no turn within %v; %s. Ask Alibaba Cloud for a larger quota, or spread exports over more time, then submit it again.", p.MaxQueued, why))
	}
	return x.turn(s, p, now)
}

// turn claims the right to call ExportImage if it is this export's turn, and
// lines it up if not.
func (x Export) turn(s Seen, p Policy, now time.Time) Action {
	if s.Queue == nil {
		return Ask{AskQueue}
	}
	q, image := *s.Queue, x.Request.ImageID
	// The answer to our own call concerns the others too, before anything else.
	if x.refusedBy(s.Writer) && s.Submission != nil {
		if s.Submission.Busy {
			return x.aside(s, p, p.LookMax, *x.Delay)
		}
		if q.Hold == nil || q.Hold.Next.Before(x.Delay.Next) {
			return Hold{*x.Delay}
		}
		return x.lineUp(s, between(p.LookMin, x.Delay.Next.Sub(now), p.QueueWait), *x.Delay)
	}
	if d := x.Delay; x.State == Queued && d != nil && d.Refused && d.Weekly() && now.Before(d.Next) && !q.Holds(now) {
		return Hold{*d} // who was refused died before it could hold the others
	}
	if x.Doubt > 0 { // wherever it stands: what it waits for it may have already
		if act := x.doubts(s, p, now); act != nil {
			return act
		}
	}
	me, place := q.Find(x.ID)
	before := q.Waiting
	if place >= 0 {
		before = before[:place]
	} else if i := slices.IndexFunc(q.Waiting, x.Place().before); i >= 0 {
		before = before[:i]
	}
	ahead := Queue{Waiting: before}
	if first, ok := ahead.First(image); ok {
		return x.aside(s, p, p.QueueWait, Delay{
			Code: CodeImageBusy, Message: fmt.Sprintf("Image %s is being exported, and export %s waits for that before this one.", image, first.ID), Next: now.Add(p.QueueWait),
		})
	}
	if me.ImageID != "" {
		switch {
		case s.ImageBusy == nil:
			return Ask{AskImage}
		case *s.ImageBusy:
			return x.aside(s, p, p.LookMax, Delay{Code: CodeImageBusy, Message: fmt.Sprintf("Image %s is being exported.", image), Next: now.Add(p.LookMax)})
		}
		return StepBack{}
	}
	if head, ok := ahead.Head(""); ok {
		n := 0
		for _, w := range before {
			if w.ImageID == "" {
				n++
			}
		}
		if q.Holds(now) {
			return x.lineUp(s, p.QueueWait, q.Hold.ofAll())
		}
		return x.lineUp(s, p.QueueWait, Delay{Code: CodeOthersWait, Message: fmt.Sprintf("%d exports wait before this one, export %s first.", n, head.ID), Next: now.Add(p.QueueWait)})
	}
	if q.Holds(now) {
		return x.lineUp(s, between(p.LookMin, q.Hold.Next.Sub(now), p.QueueWait), q.Hold.ofAll())
	}
	if p.Tasks > 0 {
		if s.Slot == nil {
			return Ask{AskSlot}
		}
		if !*s.Slot {
			return Hold{Delay{Code: CodeTaskLimit, Message: fmt.Sprintf("This deployment lets %d tasks run at once (TASKS_AT_ONCE).", p.Tasks), Next: now.Add(p.LookMax)}}
		}
	}
	return claim(x.Doubt+1, p, now)
}

// doubts looks once more for a task of an attempt whose fate is unknown, before
// another attempt. It returns nil if there is none.
func (x Export) doubts(s Seen, p Policy, now time.Time) Action {
	if act := x.traced(s); act != nil {
		return act
	}
	if running(s.Candidates) != nil {
		return x.aside(s, p, p.LookMax, Delay{Code: CodeImageBusy, Message: fmt.Sprintf("Image %s is being exported.", x.Request.ImageID), Next: now.Add(p.LookMax)})
	}
	return nil
}

// unseen keeps an export in doubt that can't be looked at from holding up those
// behind it. It returns nil for one that has no place.
func (x Export) unseen(s Seen, p Policy) Action {
	if s.Queue == nil {
		return Ask{AskQueue}
	}
	switch me, place := s.Queue.Find(x.ID); {
	case place < 0:
		return nil
	case me.ImageID == "":
		return StandAside{}
	}
	return Wait{p.LookMax}
}

// aside lines an export up whose image is being exported, so that others pass.
func (x Export) aside(s Seen, p Policy, wait time.Duration, d Delay) Action {
	me, place := s.Queue.Find(x.ID)
	if place >= 0 && me.ImageID == "" {
		return StandAside{}
	}
	return x.lineUp(s, wait, d)
}

// lineUp gives an export its place, says once that it waits, and waits.
func (x Export) lineUp(s Seen, wait time.Duration, d Delay) Action {
	if _, place := s.Queue.Find(x.ID); place < 0 {
		return Join{}
	}
	if x.State != Queued {
		return Append{[]Line{delayed(d)}}
	}
	return Wait{wait}
}

// refused puts an export back after ECS said "not now" to its attempt.
func (x Export) refused(sub Submission, p Policy, now time.Time) Action {
	pause := p.LookMax
	switch sub.Limit {
	case WeeklyTasks:
		pause = p.QueueWait
	case CallRate:
		pause = p.LookMin
	}
	f := sub.Refused
	return Append{[]Line{delayed(Delay{Code: f.Code, Message: f.Message, RequestID: f.RequestID, Next: now.Add(pause), Refused: true})}}
}

// refusedBy says that the latest delay is the refusal that this writer met.
func (x Export) refusedBy(writer string) bool {
	if x.State != Queued {
		return false
	}
	for _, l := range slices.Backward(x.Lines) {
		if l.Delay != nil {
			return l.Delay.Refused && l.Nonce == writer
		}
	}
	return false
}

func delayed(d Delay) Line {
	d.Next, d.Message = d.Next.UTC().Truncate(time.Millisecond), shortened(d.Message)
	return Line{State: Queued, Delay: &d, Reason: fmt.Sprintf("%s: %s Next try at %s at the latest.", d.Code, d.Message, d.Next.Format(time.RFC3339))}
}

// Quiet says of a line that it is part of a try from the queue that changed
// nothing that was not known: the claim, or a refusal for the reason of before.
func (x Export) Quiet(l Line) bool {
	if l.Seq < 2 || l.Seq > len(x.Lines) {
		return false
	}
	before := x.Lines[l.Seq-2].State
	switch {
	case before == Queued && l.State == Submitting:
		return true
	case before == Submitting && l.State == Queued && l.Delay != nil:
		for _, earlier := range slices.Backward(x.Lines[:l.Seq-1]) {
			if earlier.State == Queued && earlier.Delay != nil {
				return earlier.Delay.Code == l.Delay.Code
			}
		}
	}
	return false
}
