package export

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// applied is the queue after an action of an export.
func applied(q Queue, x Export, act Action) Queue {
	me := x.Place()
	switch act := act.(type) {
	case Join:
		return q.With(me)
	case StandAside:
		me.ImageID = x.Request.ImageID
		return q.Without(x.ID).With(me)
	case StepBack:
		return q.Without(x.ID).With(me)
	case Hold:
		q.Hold = &act.Delay
	}
	return q
}

func TestDecideQueue(t *testing.T) {
	t.Parallel()
	seconds := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	requested := Line{State: Requested}
	submitting := Line{State: Submitting, Attempt: &Attempt{Number: 1, Until: seconds(15)}}
	mine := submitting
	mine.Nonce = "me"
	limited := func(code string, l Limit) *Submission {
		return &Submission{Limit: l, Refused: &Failure{Code: code, Message: "no", RequestID: "r"}}
	}
	busy := &Submission{Busy: true, Refused: &Failure{Code: CodeImageBusy, Message: "no", RequestID: "r"}}
	concurrent, weekly, rate := limited("ConcurrentQuotaExceed.ExportImage", ConcurrentTasks), limited("WeeklyQuotaExceed.ExportImage", WeeklyTasks), limited("Throttling.User", CallRate)
	delay := func(s *Submission, next time.Time) Delay {
		return Delay{Code: s.Refused.Code, Message: "no", RequestID: "r", Next: next, Refused: true}
	}
	queued := func(d Delay) Line { return Line{State: Queued, Delay: &d} }
	byMe := func(l Line) Line { l.Nonce = "me"; return l }
	waits := func(d Delay) []Line { return []Line{requested, queued(d)} }
	// ours is the export under test, as it is in the queue.
	ours := Waiting{ID: "7zzzzzzzzzzz0", Arrived: start}
	aside := ours
	aside.ImageID = demo.ImageID
	earlier := Waiting{ID: "7zzzzzzzzzzz9", Arrived: start.Add(-time.Minute)}
	later := Waiting{ID: "7zzzzzzzzzyyy", Arrived: start.Add(time.Minute)}
	sameImage, otherImage := earlier, earlier
	sameImage.ImageID, otherImage.ImageID = demo.ImageID, "m-other"
	queue := func(hold *Delay, w ...Waiting) *Queue { return &Queue{Waiting: w, Hold: hold} }
	turn := Delay{Code: CodeOthersWait, Next: seconds(1205)}
	image := Delay{Code: CodeImageBusy, Next: seconds(305)}
	hold := delay(concurrent, seconds(300))
	held, weeklyHold := hold, delay(weekly, seconds(1205))
	held.Refused = false
	expired := delay(concurrent, seconds(4))
	asked := func(next int) []Line { return []Line{requested, mine, byMe(queued(delay(concurrent, seconds(next))))} }
	claim := func(n, until int) Action {
		return Append{[]Line{{State: Submitting, Attempt: &Attempt{Number: n, Until: seconds(until)}}}}
	}
	yes, no := true, false
	limit := policy
	limit.Tasks = 2
	inDoubt := []Line{requested, submitting, {State: Queued, Delay: &turn}}
	runs := TaskSeen{Task: Task{ID: "t-9", CreatedAt: start}, Status: TaskProcessing}
	found := TaskSeen{Task: Task{ID: "t-9", CreatedAt: start}, Status: TaskFinished, Ours: true}

	for name, c := range map[string]struct {
		log    []Line
		seen   Seen
		policy *Policy
		now    time.Time
		want   Action
	}{
		"requested: see who waits": {
			log: []Line{requested}, now: seconds(5), want: Ask{AskQueue},
		},
		"nobody waits: claim": {
			log: []Line{requested}, seen: Seen{Queue: queue(nil)}, now: seconds(5), want: claim(1, 20),
		},
		"one that came later waits: claim": {
			log: []Line{requested}, seen: Seen{Queue: queue(nil, later)}, now: seconds(5), want: claim(1, 20),
		},
		"one that came before waits: join": {
			log: []Line{requested}, seen: Seen{Queue: queue(nil, earlier)}, now: seconds(5), want: Join{},
		},
		"one that came before waits, joined: say so": {
			log: []Line{requested}, seen: Seen{Queue: queue(nil, earlier, ours)}, now: seconds(5), want: Append{[]Line{queued(turn)}},
		},
		"one that came before waits, the account is on hold: that is the reason": {
			log: []Line{requested}, seen: Seen{Queue: queue(&hold, earlier, ours)}, now: seconds(5), want: Append{[]Line{queued(held)}},
		},
		"one that came before waits, the account is on hold: no look at the hold's end": {
			log: waits(held), seen: Seen{Queue: queue(&hold, earlier, ours)}, now: seconds(5), want: Wait{20 * time.Minute},
		},
		"one that came before waits, said so: wait": {
			log: waits(turn), seen: Seen{Queue: queue(nil, earlier, ours)}, now: seconds(5), want: Wait{20 * time.Minute},
		},
		"one that came before stands aside for another image: claim": {
			log: waits(turn), seen: Seen{Queue: queue(nil, otherImage, ours)}, now: seconds(5), want: claim(1, 20),
		},
		"one that came before stands aside for the same image: join without asking": {
			log: []Line{requested}, seen: Seen{Queue: queue(nil, sameImage)}, now: seconds(5), want: Join{},
		},
		"one that came before stands aside for the same image, joined: stand aside": {
			log: []Line{requested}, seen: Seen{Queue: queue(nil, sameImage, ours)}, now: seconds(5), want: StandAside{},
		},
		"one that came before stands aside for the same image, so do we: wait without asking": {
			log: waits(image), seen: Seen{Queue: queue(nil, sameImage, aside)}, now: seconds(5), want: Wait{20 * time.Minute},
		},
		"the account is on hold: join": {
			log: []Line{requested}, seen: Seen{Queue: queue(&hold)}, now: seconds(5), want: Join{},
		},
		"the account is on hold, joined: the reason is the account's, not ours": {
			log: []Line{requested}, seen: Seen{Queue: queue(&hold, ours)}, now: seconds(5),
			want: Append{[]Line{queued(held)}},
		},
		"the account is on hold, said so: wait for its end": {
			log: waits(held), seen: Seen{Queue: queue(&hold, ours)}, now: seconds(5), want: Wait{295 * time.Second},
		},
		"the hold is over: claim": {
			log: waits(held), seen: Seen{Queue: queue(&hold, ours)}, now: seconds(301), want: claim(1, 316),
		},
		"the hold was lifted: claim": {
			log: waits(held), seen: Seen{Queue: queue(nil, ours)}, now: seconds(5), want: claim(1, 20),
		},
		"a limit of tasks: take a slot": {
			log: []Line{requested}, seen: Seen{Queue: queue(nil)}, policy: &limit, now: seconds(5), want: Ask{AskSlot},
		},
		"a limit of tasks, a slot: claim": {
			log: []Line{requested}, seen: Seen{Queue: queue(nil), Slot: &yes}, policy: &limit, now: seconds(5), want: claim(1, 20),
		},
		"a limit of tasks, no slot: hold everybody": {
			log: []Line{requested}, seen: Seen{Queue: queue(&expired), Slot: &no}, policy: &limit, now: seconds(5),
			want: Hold{Delay{Code: CodeTaskLimit, Next: seconds(305)}},
		},

		"refused for the concurrent quota": {
			log: []Line{requested, mine}, seen: Seen{Submission: concurrent, Queue: queue(nil)}, now: seconds(5),
			want: Append{[]Line{queued(delay(concurrent, seconds(305)))}},
		},
		"refused for the weekly quota": {
			log: []Line{requested, mine}, seen: Seen{Submission: weekly, Queue: queue(nil)}, now: seconds(5),
			want: Append{[]Line{queued(delay(weekly, seconds(1205)))}},
		},
		"refused for too many calls": {
			log: []Line{requested, mine}, seen: Seen{Submission: rate, Queue: queue(nil)}, now: seconds(5),
			want: Append{[]Line{queued(delay(rate, seconds(20)))}},
		},
		"refused for a busy image: nothing of ours can run after a first attempt": {
			log: []Line{requested, mine}, seen: Seen{Submission: busy, Queue: queue(nil)}, now: seconds(5),
			want: Append{[]Line{queued(delay(busy, seconds(305)))}},
		},
		"a second attempt refused for a quota, whatever became of the first": {
			log:  []Line{requested, submitting, {State: Submitting, Nonce: "me", Attempt: &Attempt{2, seconds(100)}}},
			seen: Seen{Submission: weekly}, now: seconds(90),
			want: Append{[]Line{queued(delay(weekly, seconds(90+1200)))}},
		},
		"our refusal for the weekly quota is on record, and nobody lived to hold the others: no second call": {
			log: []Line{requested, submitting, queued(weeklyHold)}, seen: Seen{Queue: queue(nil, ours)}, now: seconds(65), want: Hold{weeklyHold},
		},
		"our refusal for the weekly quota is on record, and holds": {
			log: []Line{requested, submitting, queued(weeklyHold)}, seen: Seen{Queue: queue(&weeklyHold, ours)}, now: seconds(65), want: Wait{1140 * time.Second},
		},
		"our refusal for the weekly quota is on record, and over": {
			log: []Line{requested, submitting, queued(weeklyHold)}, seen: Seen{Queue: queue(nil, ours)}, now: seconds(1206), want: claim(1, 1221),
		},
		"our refusal for the concurrent quota is on record, and a task ended since: no second hold": {
			log: []Line{requested, submitting, queued(delay(concurrent, seconds(305)))}, seen: Seen{Queue: queue(nil, ours)}, now: seconds(65), want: claim(1, 80),
		},
		"our refusal is on record: it holds for everybody": {
			log: asked(305), seen: Seen{Submission: concurrent, Queue: queue(&expired)}, now: seconds(5), want: Hold{delay(concurrent, seconds(305))},
		},
		"our refusal holds: join": {
			log: asked(300), seen: Seen{Submission: concurrent, Queue: queue(&hold)}, now: seconds(5), want: Join{},
		},
		"our refusal holds, joined: wait": {
			log: asked(300), seen: Seen{Submission: concurrent, Queue: queue(&hold, ours)}, now: seconds(5), want: Wait{295 * time.Second},
		},
		"our refusal is over already: not twice in one step": {
			log: asked(4), seen: Seen{Submission: concurrent, Queue: queue(&expired, ours)}, now: seconds(5), want: Wait{15 * time.Second},
		},
		"our image is busy: join": {
			log: []Line{requested, mine, byMe(queued(delay(busy, seconds(305))))}, seen: Seen{Submission: busy, Queue: queue(nil)}, now: seconds(5), want: Join{},
		},
		"our image is busy, joined: let others pass": {
			log: []Line{requested, mine, byMe(queued(delay(busy, seconds(305))))}, seen: Seen{Submission: busy, Queue: queue(nil, ours)}, now: seconds(5), want: StandAside{},
		},
		"our image is busy, others pass: wait": {
			log: []Line{requested, mine, byMe(queued(delay(busy, seconds(305))))}, seen: Seen{Submission: busy, Queue: queue(nil, aside)}, now: seconds(5), want: Wait{5 * time.Minute},
		},
		"standing aside: is the image free?": {
			log: waits(image), seen: Seen{Queue: queue(nil, aside)}, now: seconds(400), want: Ask{AskImage},
		},
		"standing aside, the image is not free": {
			log: waits(image), seen: Seen{Queue: queue(nil, aside), ImageBusy: &yes}, now: seconds(400), want: Wait{5 * time.Minute},
		},
		"standing aside, the image is free: back into the order": {
			log: waits(image), seen: Seen{Queue: queue(nil, aside), ImageBusy: &no}, now: seconds(400), want: StepBack{},
		},
		"standing aside in doubt: it may be our own task that runs": {
			log: inDoubt, seen: Seen{Queue: queue(nil, aside)}, now: seconds(400), want: Ask{AskCandidates},
		},
		"standing aside in doubt, and it was": {
			log: inDoubt, seen: Seen{Queue: queue(nil, aside), Candidates: []TaskSeen{found}, Listed: true}, now: seconds(400),
			want: Append{[]Line{{State: Submitting}, {State: Exporting, Task: &Task{ID: "t-9", CreatedAt: start}}}},
		},
		"standing aside in doubt, a task runs": {
			log: inDoubt, seen: Seen{Queue: queue(nil, aside), Candidates: []TaskSeen{runs}, Listed: true}, now: seconds(400), want: Wait{5 * time.Minute},
		},
		"standing aside in doubt, no task of ours: is the image free?": {
			log: inDoubt, seen: Seen{Queue: queue(nil, aside), Candidates: []TaskSeen{}, Listed: true}, now: seconds(400), want: Ask{AskImage},
		},
		"standing aside behind the head of another image: others wait still": {
			log: waits(image), seen: Seen{Queue: queue(nil, earlier, ours), ImageBusy: &no}, now: seconds(400), want: Wait{20 * time.Minute},
		},

		"in doubt, others wait before: look all the same, what it waits for it may have": {
			log: inDoubt, seen: Seen{Queue: queue(nil, earlier, ours)}, now: seconds(700), want: Ask{AskCandidates},
		},
		"in doubt, others wait before, and its disk has landed": {
			log: inDoubt, seen: Seen{Queue: queue(nil, earlier, ours), Candidates: []TaskSeen{}, Listed: true, Objects: []Object{systemObject}}, now: seconds(700),
			want: Append{[]Line{{State: Submitting}, {State: Exporting}}},
		},
		"in doubt, others wait before, no trace: wait": {
			log: inDoubt, seen: Seen{Queue: queue(nil, earlier, ours), Candidates: []TaskSeen{}, Listed: true}, now: seconds(700), want: Wait{20 * time.Minute},
		},
		"in doubt, the account is on hold: look all the same": {
			log: inDoubt, seen: Seen{Queue: queue(&weeklyHold, ours)}, now: seconds(700), want: Ask{AskCandidates},
		},
		"in doubt, the last attempt was refused: it holds before anything is looked at": {
			log:  []Line{requested, submitting, {State: Submitting, Nonce: "me", Attempt: &Attempt{2, seconds(715)}}, byMe(queued(delay(concurrent, seconds(1000))))},
			seen: Seen{Submission: concurrent, Queue: queue(nil)}, now: seconds(700), want: Hold{delay(concurrent, seconds(1000))},
		},
		"in doubt, and it can't be looked at: see who waits behind": {
			log: inDoubt, seen: Seen{Blind: "403"}, now: seconds(700), want: Ask{AskQueue},
		},
		"in doubt, and it can't be looked at: let others pass": {
			log: inDoubt, seen: Seen{Blind: "403", Queue: queue(nil, ours)}, now: seconds(700), want: StandAside{},
		},
		"in doubt, and it can't be looked at, others pass: wait": {
			log: inDoubt, seen: Seen{Blind: "403", Queue: queue(nil, aside)}, now: seconds(700), want: Wait{5 * time.Minute},
		},
		"a claim that ran out, and it can't be looked at: let others pass": {
			log: []Line{requested, submitting}, seen: Seen{Blind: "403", Queue: queue(nil, ours)}, now: seconds(700), want: StandAside{},
		},
		"a claim that ran out, it can't be looked at, and nobody waits behind": {
			log: []Line{requested, submitting}, seen: Seen{Blind: "403", Queue: queue(nil)}, now: seconds(700), want: Ask{AskCandidates},
		},
		"in doubt, our turn: look for the task once more": {
			log: inDoubt, seen: Seen{Queue: queue(nil, ours)}, now: seconds(200), want: Ask{AskCandidates},
		},
		"in doubt, tasks seen: look at objects": {
			log: inDoubt, seen: Seen{Queue: queue(nil, ours), Candidates: []TaskSeen{}}, now: seconds(200), want: Ask{AskObjects},
		},
		"in doubt, the task is found: it was submitted after all": {
			log: inDoubt, seen: Seen{Queue: queue(nil, ours), Candidates: []TaskSeen{found}, Listed: true}, now: seconds(200),
			want: Append{[]Line{{State: Submitting}, {State: Exporting, Task: &Task{ID: "t-9", CreatedAt: start}}}},
		},
		"in doubt, a task that may be ours runs: let others pass": {
			log: inDoubt, seen: Seen{Queue: queue(nil, ours), Candidates: []TaskSeen{runs}, Listed: true}, now: seconds(200), want: StandAside{},
		},
		"in doubt, no trace: the second attempt": {
			log: inDoubt, seen: Seen{Queue: queue(nil, ours), Candidates: []TaskSeen{}, Listed: true}, now: seconds(200), want: claim(2, 215),
		},
		"a claim that ran out at the head, a task runs: let others pass": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{runs}, Listed: true, Queue: queue(nil, ours)}, now: seconds(80), want: StandAside{},
		},
		"a claim that ran out at the head, and ECS may not show its task yet: let others pass": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{}, Listed: true, Queue: queue(nil, ours)}, now: seconds(80), want: StandAside{},
		},
		"a claim that ran out, ECS may not show its task yet, others pass: wait": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{}, Listed: true, Queue: queue(nil, aside)}, now: seconds(80), want: Wait{20 * time.Second},
		},
		"a claim that ran out, others came before: queue up in doubt": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{}, Listed: true, Queue: queue(nil, earlier, ours)}, now: seconds(616),
			want: Append{[]Line{queued(Delay{Code: CodeOthersWait, Next: seconds(1816)})}},
		},
		"a task of our late call while we are queued": {
			log: inDoubt, seen: Seen{Submission: &Submission{TaskID: "t-1"}}, now: seconds(200),
			want: Append{[]Line{{State: Submitting}, {State: Exporting, Task: &Task{ID: "t-1"}}}},
		},

		"queued for longer than an export may take": {
			log: waits(held), seen: Seen{Queue: queue(&hold, ours)}, now: start.Add(100 * time.Hour), want: claim(1, 100*3600+15),
		},
		"queued for too long: see whether anything is there": {
			log: waits(held), now: start.Add(337 * time.Hour), want: Ask{AskObjects},
		},
		"queued for too long in doubt: see whether it had its turn": {
			log: inDoubt, now: start.Add(337 * time.Hour), want: Ask{AskCandidates},
		},
		"queued for too long in doubt, and it had": {
			log: inDoubt, seen: Seen{Candidates: []TaskSeen{found}, Listed: true}, now: start.Add(337 * time.Hour),
			want: Append{[]Line{{State: Submitting}, {State: Exporting, Task: &Task{ID: "t-9", CreatedAt: start}}}},
		},
		"queued for too long in doubt, and it had not": {
			log: inDoubt, seen: Seen{Candidates: []TaskSeen{runs}, Listed: true}, now: start.Add(337 * time.Hour),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeMaxQueued}}}},
		},
		"queued for too long, nothing is there": {
			log: waits(held), seen: Seen{Listed: true}, now: start.Add(337 * time.Hour),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeMaxQueued}}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.seen.Writer = "me"
			p := policy
			if c.policy != nil {
				p = *c.policy
			}
			got := Decide(logOf(t, c.log...), c.seen, p, c.now)
			if diff := cmp.Diff(c.want, got, prose); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

// TestQuiet wants a try from the queue to be announced only where it teaches
// something: another reason, or a task.
func TestQuiet(t *testing.T) {
	t.Parallel()
	try := Line{State: Submitting, Attempt: &Attempt{Number: 1}}
	no := func(code string) Line {
		return Line{State: Queued, Delay: &Delay{Code: code, Refused: true}}
	}
	x := logOf(t, Line{State: Requested}, try, no("A"), try, no("A"), try, no("B"), try, no("B"), try, Line{State: Exporting, Task: &Task{ID: "t"}})
	var kinds []string
	for _, l := range x.Lines {
		kinds = append(kinds, x.Kind(l))
	}
	want := "requested submitting queued    queued    exporting"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("announced %q, want %q", got, want)
	}
	if x.Doubt != 1 || x.Attempt.Number != 1 {
		t.Errorf("%d attempts in doubt after attempt %d, want the last one alone", x.Doubt, x.Attempt.Number)
	}
}

// TestStarted wants the time in the queue to count against MaxQueued alone.
func TestStarted(t *testing.T) {
	t.Parallel()
	x := logOf(t, Line{State: Requested}, Line{State: Queued, Delay: &Delay{Code: "A"}}, Line{State: Queued, Reason: "still"}, Line{State: Submitting, Attempt: &Attempt{Number: 1}}, Line{State: Exporting})
	if want := start.Add(3 * time.Second); !x.Started.Equal(want) || !x.CreatedAt.Equal(start) {
		t.Errorf("created %v, started %v, want %v", x.CreatedAt, x.Started, want)
	}
}

func TestDelayMessage(t *testing.T) {
	t.Parallel()
	l := delayed(Delay{Code: "A", Message: strings.Repeat("中", 5000), Next: start})
	if len(l.Delay.Message) > maxMessage+len("…") || !strings.Contains(l.Reason, fmt.Sprint(start.Format(time.RFC3339))) {
		t.Errorf("a message of %d bytes, and the reason %.80q…", len(l.Delay.Message), l.Reason[len(l.Reason)-80:])
	}
}

// TestNeedsSlot wants a slot kept for every export that may have a task that runs,
// and for no other: one that waits for nothing would keep the others waiting.
func TestNeedsSlot(t *testing.T) {
	t.Parallel()
	seconds := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	requested, queued := Line{State: Requested}, Line{State: Queued, Delay: &Delay{Code: CodeOthersWait}}
	submitting := Line{State: Submitting, Attempt: &Attempt{Number: 1, Until: seconds(15)}}
	refused := Line{State: Queued, Delay: &Delay{Code: codeWeekly, Refused: true}}
	runs := []TaskSeen{{Task: Task{ID: "t-9"}, Status: TaskProcessing}}
	over := []TaskSeen{{Task: Task{ID: "t-9"}, Status: TaskDeleted}}
	for name, c := range map[string]struct {
		log        []Line
		candidates []TaskSeen
		now        time.Time
		want, asks bool
	}{
		"it submits":                          {log: []Line{requested, submitting}, now: seconds(5000), want: true},
		"it exports":                          {log: []Line{requested, submitting, {State: Exporting}}, now: seconds(5000), want: true},
		"it waits, and never tried":           {log: []Line{requested, queued}, now: seconds(5)},
		"it waits, and was refused":           {log: []Line{requested, submitting, refused}, now: seconds(5)},
		"in doubt: its task may not be shown": {log: []Line{requested, submitting, queued}, now: seconds(600), want: true},
		"in doubt: a task runs":               {log: []Line{requested, submitting, queued}, candidates: runs, now: seconds(700), want: true, asks: true},
		"in doubt: the task has ended":        {log: []Line{requested, submitting, queued}, candidates: over, now: seconds(700), asks: true},
		"in doubt: there is none":             {log: []Line{requested, submitting, queued}, now: seconds(700), asks: true},
		"it has ended":                        {log: []Line{requested, submitting, {State: Failed}}, now: seconds(5)},
	} {
		asked := false
		got, err := logOf(t, c.log...).NeedsSlot(func() ([]TaskSeen, error) { asked = true; return c.candidates, nil }, policy, c.now)
		if err != nil || got != c.want || asked != c.asks {
			t.Errorf("%s: %v, asked %v, %v", name, got, asked, err)
		}
	}
}
