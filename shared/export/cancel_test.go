package export

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDecideCancel continues TestDecide for an export that is being canceled.
func TestDecideCancel(t *testing.T) {
	t.Parallel()
	seconds := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	requested := Line{State: Requested}
	submitting := Line{State: Submitting, Attempt: &Attempt{Number: 1, Until: seconds(15)}}
	mine := submitting
	mine.Nonce = "me"
	refused := Line{State: Queued, Delay: &Delay{Code: codeWeekly, Refused: true}}
	exporting := Line{State: Exporting, Task: &Task{ID: "t-1"}}
	adopted := Line{State: Exporting}
	landed := Line{State: Exporting, Disk: landed(systemObject, System, "/dev/xvda")}
	exported := Line{State: Exported, Task: &Task{ID: "t-1", FinishedAt: seconds(3)}}
	canceling := Line{State: Canceling}
	cleared := Line{State: Canceling, Cleared: &Cleared{Objects: 2, Uploads: 1}}
	clearedByMe := cleared
	clearedByMe.Nonce = "me"
	empty := Line{State: Canceling, Cleared: &Cleared{}}
	running := []Line{requested, submitting, exporting, canceling}
	unknown := []Line{requested, submitting, canceling}
	none := []TaskSeen{}
	ours := TaskSeen{Task: Task{ID: "t-9", CreatedAt: start}, Status: TaskProcessing, Ours: true}
	anybodys := TaskSeen{Task: Task{ID: "t-9", CreatedAt: start}, Status: TaskProcessing}
	task := func(s TaskStatus) *TaskSeen { return &TaskSeen{Task: Task{ID: "t-1"}, Status: s} }
	no := &StopAsked{Refused: &Failure{Code: "InvalidTaskId.IncorrectTaskStatus", Message: "no"}}
	full := &Submission{Refused: &Failure{Code: codeConcurrent, Message: "no", RequestID: "r"}}
	told := Line{State: Canceling, Delay: &Delay{Code: codeConcurrent, Message: "no", RequestID: "r", Next: seconds(5), Refused: true}}
	done := Append{[]Line{{State: Canceled}}}
	lines := func(l []Line, more ...Line) []Line { return append(append([]Line{}, l...), more...) }

	for name, c := range map[string]struct {
		log  []Line
		seen Seen
		now  time.Time
		want Action
	}{
		"requested: nothing is there to undo":            {log: []Line{requested, canceling}, now: seconds(5), want: done},
		"queued, never submitted":                        {log: []Line{requested, {State: Queued}, canceling}, now: seconds(5), want: done},
		"queued, and ECS refused every attempt":          {log: []Line{requested, submitting, refused, canceling}, now: seconds(5), want: done},
		"queued, and an attempt before has no known end": {log: []Line{requested, submitting, {State: Submitting, Attempt: &Attempt{Number: 2, Until: seconds(90)}}, refused, canceling}, now: seconds(95), want: Ask{AskCandidates}},

		"submitting: look for the task":  {log: unknown, now: seconds(5), want: Ask{AskCandidates}},
		"submitting: and for its traces": {log: unknown, seen: Seen{Candidates: none}, now: seconds(5), want: Ask{AskObjects}},
		"submitting: the call may still come": {
			log: unknown, seen: Seen{Candidates: none, Listed: true}, now: seconds(35), want: Wait{40 * time.Second},
		},
		"submitting: the call may still come, and what it writes is no reason to hurry": {
			log: unknown, seen: Seen{Candidates: none, Listed: true, Uploads: true}, now: seconds(35), want: Wait{40 * time.Second},
		},
		"submitting, by me: I don't call any more": {log: []Line{requested, mine, canceling}, now: seconds(5), want: Ask{AskCandidates}},
		"submitting, by me: my call made a task": {
			log: []Line{requested, mine, canceling}, seen: Seen{Submission: &Submission{TaskID: "t-1"}}, now: seconds(5),
			want: Append{[]Line{{State: Canceling, Task: &Task{ID: "t-1"}}}},
		},
		"submitting, by me: my call was refused": {
			log: []Line{requested, mine, canceling}, seen: Seen{Submission: full}, now: seconds(5), want: Append{[]Line{told}},
		},
		"submitting, by me: my call was refused, which is on record": {
			log: []Line{requested, mine, canceling, told}, seen: Seen{Submission: full}, now: seconds(5), want: done,
		},
		"submitting, by me: my call was refused, an attempt before has no known end": {
			log:  []Line{requested, submitting, {State: Submitting, Nonce: "me", Attempt: &Attempt{Number: 2, Until: seconds(631)}}, canceling, told},
			seen: Seen{Submission: full}, now: seconds(620), want: Ask{AskCandidates},
		},
		"submitting, by another: what was refused is not its call": {
			log: unknown, seen: Seen{Submission: full}, now: seconds(5), want: Ask{AskCandidates},
		},
		"submitting: a task writes under our prefix": {
			log: unknown, seen: Seen{Candidates: []TaskSeen{ours}, Listed: true}, now: seconds(5),
			want: Append{[]Line{{State: Canceling, Task: &Task{ID: "t-9", CreatedAt: start}}}},
		},
		"submitting: a task that may be anybody's is left alone": {
			log: unknown, seen: Seen{Candidates: []TaskSeen{anybodys}, Listed: true}, now: seconds(682), want: Wait{5 * time.Minute},
		},
		"submitting: its upload is ours if it lies under our prefix": {
			log: unknown, seen: Seen{Candidates: []TaskSeen{anybodys}, Listed: true, Uploads: true}, now: seconds(82), want: Clear{},
		},
		"submitting: and another upload": {
			log: lines(unknown, clearedByMe), seen: Seen{Candidates: []TaskSeen{anybodys}, Listed: true, Uploads: true}, now: seconds(82), want: Wait{40 * time.Second},
		},
		"submitting: no call can come, but ECS may not show yet what came": {
			log: unknown, seen: Seen{Candidates: none, Listed: true}, now: seconds(80), want: Wait{39 * time.Second},
		},
		"submitting: ECS may not show yet what came, for some seconds more": {
			log: unknown, seen: Seen{Candidates: none, Listed: true}, now: seconds(580), want: Wait{35 * time.Second},
		},
		"submitting: ECS may not show yet what came, and it writes": {
			log: unknown, seen: Seen{Candidates: none, Listed: true, Uploads: true}, now: seconds(80), want: Clear{},
		},
		"submitting: no call can come and none came": {
			log: unknown, seen: Seen{Candidates: none, Listed: true}, now: seconds(616), want: Append{[]Line{empty}},
		},
		"submitting: an unknown task left something": {
			log: unknown, seen: Seen{Candidates: none, Listed: true, Uploads: true}, now: seconds(616), want: Clear{},
		},
		"exporting, task unknown: ECS may not show it yet": {
			log: []Line{requested, submitting, adopted, canceling}, seen: Seen{Candidates: none, Listed: true}, now: seconds(103), want: Wait{50 * time.Second},
		},
		"exporting, task unknown: look for it": {log: []Line{requested, submitting, adopted, canceling}, now: seconds(80), want: Ask{AskCandidates}},

		"exporting: ask about the task":       {log: running, now: seconds(5), want: Ask{AskTask}},
		"exporting: cancel the task":          {log: running, seen: Seen{Task: task(TaskProcessing)}, now: seconds(5), want: CancelTask{}},
		"exporting: a waiting task too":       {log: running, seen: Seen{Task: task(TaskWaiting)}, now: seconds(5), want: CancelTask{}},
		"exporting: a task not visible yet":   {log: running, seen: Seen{Task: task(TaskGone)}, now: seconds(5), want: CancelTask{}},
		"exporting: a task that is forgotten": {log: running, seen: Seen{Task: task(TaskGone)}, now: seconds(700), want: Ask{AskObjects}},
		"exporting: it was told to stop":      {log: running, seen: Seen{StopAsked: &StopAsked{}}, now: seconds(5), want: Ask{AskTask}},
		"exporting: it was told to stop and has not": {
			log: running, seen: Seen{Task: task(TaskProcessing), StopAsked: &StopAsked{}}, now: seconds(103), want: Wait{50 * time.Second},
		},
		"exporting: CancelTask is refused: say so once": {
			log: running, seen: Seen{Task: task(TaskWaiting), StopAsked: no}, now: seconds(5), want: Append{[]Line{canceling}},
		},
		"exporting: CancelTask is refused again": {
			log:  lines(running, Line{State: Canceling, Reason: "CancelTask was refused with InvalidTaskId.IncorrectTaskStatus (no); it is tried again until the task has ended"}),
			seen: Seen{Task: task(TaskWaiting), StopAsked: no}, now: seconds(5), want: Wait{15 * time.Second},
		},
		"exporting: CancelTask has been refused for too long": {
			log:  lines(running, Line{State: Canceling, Reason: "CancelTask was refused with InvalidTaskId.IncorrectTaskStatus (no); it is tried again until the task has ended"}),
			seen: Seen{Task: task(TaskWaiting), StopAsked: no}, now: start.Add(73 * time.Hour), want: done,
		},
		"exporting: objects that landed are no news": {log: running, seen: Seen{Objects: []Object{systemObject}}, now: seconds(5), want: Ask{AskTask}},
		"exporting: the task has ended":              {log: running, seen: Seen{Task: task(TaskDeleted)}, now: seconds(5), want: Ask{AskObjects}},
		"exporting: the task finished first":         {log: running, seen: Seen{Task: task(TaskFinished)}, now: seconds(5), want: Ask{AskObjects}},
		"exporting: the task failed first":           {log: running, seen: Seen{Task: task(TaskFailed)}, now: seconds(5), want: Ask{AskObjects}},
		"exporting: the task left objects": {
			log: running, seen: Seen{Task: task(TaskDeleted), Listed: true, Objects: []Object{systemObject}}, now: seconds(5), want: Clear{},
		},
		"exporting: the task left an upload": {
			log: running, seen: Seen{Task: task(TaskDeleted), Listed: true, Uploads: true}, now: seconds(5), want: Clear{},
		},
		"exporting: what it left is removed": {
			log: running, seen: Seen{Task: task(TaskDeleted), Cleared: cleared.Cleared}, now: seconds(5), want: Append{[]Line{cleared}},
		},
		"exporting: it left nothing": {
			log: running, seen: Seen{Task: task(TaskDeleted), Listed: true}, now: seconds(5), want: Append{[]Line{empty}},
		},
		"exported: remove the objects": {
			log: []Line{requested, submitting, exporting, landed, exported, canceling}, seen: Seen{Task: task(TaskFinished), Listed: true, Objects: []Object{systemObject}}, now: seconds(6),
			want: Clear{},
		},
		"cleared: look": {log: lines(running, cleared), seen: Seen{Task: task(TaskDeleted)}, now: seconds(6), want: Ask{AskObjects}},
		"cleared by me, and there is more: not in this step": {
			log: lines(running, clearedByMe), seen: Seen{Task: task(TaskDeleted), Listed: true, Objects: []Object{systemObject}}, now: seconds(43), want: Wait{20 * time.Second},
		},
		"something keeps appearing for too long": {
			log: lines(running, clearedByMe), seen: Seen{Task: task(TaskDeleted), Listed: true, Objects: []Object{systemObject}}, now: start.Add(73 * time.Hour), want: done,
		},
		"nothing was there: look again later": {
			log: lines(running, empty), seen: Seen{Task: task(TaskDeleted)}, now: seconds(54), want: Wait{100 * time.Second},
		},
		"nothing was there, and now an event tells of an object: look now": {
			log: lines(running, empty), seen: Seen{Task: task(TaskDeleted), Objects: []Object{systemObject}}, now: seconds(54), want: Ask{AskObjects},
		},
		"nothing was there, an event told of an object, and it is there": {
			log: lines(running, empty), seen: Seen{Task: task(TaskDeleted), Listed: true, Objects: []Object{systemObject}}, now: seconds(54), want: Clear{},
		},
		"nothing was there, and what an event told of is gone again": {
			log: lines(running, empty), seen: Seen{Task: task(TaskDeleted), Listed: true}, now: seconds(54), want: Wait{100 * time.Second},
		},
		"nothing was there, then something that was gone again: two looks from then on": {
			log: lines(running, empty, empty), seen: Seen{Task: task(TaskDeleted), Listed: true}, now: seconds(154), want: Wait{time.Second},
		},
		"nothing was there some time ago: look again": {
			log: lines(running, empty), seen: Seen{Task: task(TaskDeleted)}, now: seconds(154), want: Ask{AskObjects},
		},
		"nothing was there twice": {
			log: lines(running, empty), seen: Seen{Task: task(TaskDeleted), Listed: true}, now: seconds(154), want: done,
		},
		"something came after a look that found nothing": {
			log: lines(running, empty), seen: Seen{Task: task(TaskDeleted), Listed: true, Objects: []Object{systemObject}}, now: seconds(154), want: Clear{},
		},
		"after that it takes two such looks again": {
			log: lines(running, empty, cleared), seen: Seen{Task: task(TaskDeleted), Listed: true}, now: seconds(200), want: Append{[]Line{empty}},
		},
		"a task shows up between the two looks, and has ended: two looks from then on": {
			log: lines(unknown, empty, Line{State: Canceling, Task: &Task{ID: "t-1"}}), seen: Seen{Task: task(TaskDeleted), Listed: true}, now: seconds(900), want: Append{[]Line{empty}},
		},
		"no answer is to be had: ask all the same": {log: running, seen: Seen{Blind: "403"}, now: seconds(100), want: Ask{AskTask}},
		"no answer is to be had for too long":      {log: running, seen: Seen{Blind: "403"}, now: start.Add(73 * time.Hour), want: done},
		"canceled":                                 {log: []Line{requested, canceling, {State: Canceled}}, now: seconds(5), want: Done{}},
		"deleted":                                  {log: []Line{requested, canceling, {State: Canceled}, {State: Deleted}}, now: seconds(5), want: Done{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.seen.Writer = "me"
			got := Decide(logOf(t, c.log...), c.seen, policy, c.now)
			if diff := cmp.Diff(c.want, got, prose); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGivenUp wants a cancel that can't be carried through to say what is left to
// do, and by whom.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	x := logOf(t, Line{State: Requested}, Line{State: Submitting, Attempt: &Attempt{Number: 1, Until: start}},
		Line{State: Exporting, Task: &Task{ID: "t-1"}}, Line{State: Canceling})
	seen := Seen{Task: &TaskSeen{Task: Task{ID: "t-1"}, Status: TaskProcessing}, StopAsked: &StopAsked{}}
	act, ok := Decide(x, seen, policy, start.Add(73*time.Hour)).(Append)
	if !ok || len(act.Lines) != 1 {
		t.Fatalf("decided %+v", act)
	}
	for _, want := range []string{"72h0m0s", "task t-1 is Processing", demo.OSSPrefix, demo.Bucket, "DELETE /exports/" + x.ID} {
		if !strings.Contains(act.Lines[0].Reason, want) {
			t.Errorf("%q does not say %q", act.Lines[0].Reason, want)
		}
	}
}

// TestKept wants an export that failed to say which disks it left.
func TestKept(t *testing.T) {
	t.Parallel()
	log := []Line{{State: Requested}, {State: Submitting, Attempt: &Attempt{Number: 1}}, {State: Exporting, Task: &Task{ID: "t-1"}}}
	failed := func(s Seen, more ...Line) Line {
		t.Helper()
		s.Task = &TaskSeen{Task: Task{ID: "t-1"}, Status: TaskFailed, Failure: &Failure{Code: "X", Message: "of ECS"}}
		act, ok := Decide(logOf(t, append(log, more...)...), s, policy, start.Add(time.Minute)).(Append)
		if !ok || act.Lines[0].State != Failed {
			t.Fatalf("decided %+v", act)
		}
		return act.Lines[0]
	}
	disk := Line{State: Exporting, Disk: landed(systemObject, System, "/dev/xvda")}
	l := failed(Seen{Listed: true, Objects: []Object{systemObject}}, disk)
	if l.Failure.Message != "of ECS" || !strings.HasPrefix(l.Reason, "disk /dev/xvda landed and is kept in bucket image-exports") {
		t.Errorf("one disk landed: %+v, %q", l.Failure, l.Reason)
	}
	if l := failed(Seen{Listed: true}, disk); l.Reason != "" {
		t.Errorf("its object was removed since: %q", l.Reason)
	}
	if l := failed(Seen{Listed: true}); l.Reason != "" {
		t.Errorf("no disk landed: %q", l.Reason)
	}
}

// TestClearedIsTold wants whoever reads the history of a canceled export to see what
// was removed, and what a look found that removed nothing.
func TestClearedIsTold(t *testing.T) {
	t.Parallel()
	x := logOf(t, Line{State: Requested}, Line{State: Submitting, Attempt: &Attempt{Number: 1}}, Line{State: Exporting, Task: &Task{ID: "t-1"}}, Line{State: Canceling})
	stopped := &TaskSeen{Task: Task{ID: "t-1"}, Status: TaskDeleted}
	for want, s := range map[string]Seen{
		"objects 2, unfinished uploads 1": {Task: stopped, Cleared: &Cleared{Objects: 2, Uploads: 1}},
		"nothing of it is in the bucket":  {Task: stopped, Listed: true},
	} {
		act, ok := Decide(x, s, policy, start.Add(time.Minute)).(Append)
		if !ok || !strings.Contains(act.Lines[0].Reason, want) {
			t.Errorf("%+v does not say %q", act, want)
		}
	}
}

// TestDoubt counts the attempts that may have made a task for all the log says.
func TestDoubt(t *testing.T) {
	t.Parallel()
	requested, deleted := Line{State: Requested}, Line{State: Deleted}
	first, second := Line{State: Submitting, Attempt: &Attempt{Number: 1}}, Line{State: Submitting, Attempt: &Attempt{Number: 2}}
	refused := Line{State: Failed, Failure: &Failure{Code: "X", Refused: true}}
	tooOld := Line{State: Failed, Failure: &Failure{Code: CodeMaxAge}}
	for name, c := range map[string]struct {
		log  []Line
		want int
	}{
		"refused":                    {[]Line{requested, first, refused}, 0},
		"refused, and deleted since": {[]Line{requested, first, refused, deleted}, 0},
		"the first is in doubt, the second is not": {[]Line{requested, first, second, refused}, 1},
		"given up": {[]Line{requested, first, tooOld}, 1},
	} {
		if x := logOf(t, c.log...); x.Doubt != c.want {
			t.Errorf("%s: %d attempts in doubt, want %d", name, x.Doubt, c.want)
		}
	}
}

// TestMoved wants the queue told of who leaves it, and that there is room of nobody
// but whose task may have taken some.
func TestMoved(t *testing.T) {
	t.Parallel()
	requested, queued, submitting := Line{State: Requested}, Line{State: Queued, Delay: &Delay{Code: "A"}}, Line{State: Submitting, Attempt: &Attempt{Number: 1}}
	refused := Line{State: Queued, Delay: &Delay{Code: "A", Refused: true}}
	exporting, canceling, canceled := Line{State: Exporting, Task: &Task{ID: "t-1"}}, Line{State: Canceling}, Line{State: Canceled}
	for name, c := range map[string]struct {
		log         []Line
		left, ended bool
	}{
		"it lines up":                       {[]Line{requested, queued}, false, false},
		"it tries":                          {[]Line{requested, queued, submitting}, false, false},
		"it is refused, for now":            {[]Line{requested, submitting, refused}, false, false},
		"it is refused":                     {[]Line{requested, submitting, {State: Failed, Failure: &Failure{Code: "X", Refused: true}}}, true, true},
		"it has its task":                   {[]Line{requested, submitting, exporting}, true, false},
		"its task ends":                     {[]Line{requested, submitting, exporting, {State: Exported}}, false, true},
		"its task fails":                    {[]Line{requested, submitting, exporting, {State: Failed}}, false, true},
		"it is complete":                    {[]Line{requested, submitting, exporting, {State: Exported}, {State: Completed}}, false, false},
		"it waits too long":                 {[]Line{requested, queued, {State: Failed}}, true, false},
		"canceled while it waits":           {[]Line{requested, queued, canceling}, true, false},
		"canceled, and never had a task":    {[]Line{requested, submitting, refused, canceling, canceled}, false, false},
		"canceled while it tries":           {[]Line{requested, submitting, canceling}, true, false},
		"canceled while its task runs":      {[]Line{requested, submitting, exporting, canceling}, false, false},
		"canceled, and its task has ended":  {[]Line{requested, submitting, exporting, canceling, canceled}, false, true},
		"canceled, and it may have had one": {[]Line{requested, submitting, canceling, canceled}, false, true},
	} {
		left, ended := logOf(t, c.log...).Moved(c.log[len(c.log)-2].State)
		if left != c.left || ended != c.ended {
			t.Errorf("%s: left %v, ended %v, want %v and %v", name, left, ended, c.left, c.ended)
		}
	}
}

// TestRemoved wants an export whose objects were removed to have none.
func TestRemoved(t *testing.T) {
	t.Parallel()
	log := []Line{
		{State: Requested}, {State: Submitting, Attempt: &Attempt{Number: 1}}, {State: Exporting},
		{State: Exporting, Disk: landed(systemObject, System, "/dev/xvda")},
	}
	for state, way := range map[State][]Line{Canceled: {{State: Canceling}, {State: Canceled}}, Deleted: {{State: Failed}, {State: Deleted}}} {
		x := logOf(t, append(slices.Clone(log), way...)...)
		if before := logOf(t, append(slices.Clone(log), way[0])...); len(before.Landed) != 1 || x.State != state || len(x.Landed) != 0 {
			t.Errorf("%s: %+v, and before %+v", x.State, x.Landed, before.Landed)
		}
	}
}

// TestMayHaveMade wants a task to be taken for one of ours only where our calls
// could have made it.
func TestMayHaveMade(t *testing.T) {
	t.Parallel()
	seconds := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	requested := Line{State: Requested}
	submitting := Line{State: Submitting, Attempt: &Attempt{Number: 1, Until: seconds(15)}}
	for name, c := range map[string]struct {
		log     []Line
		created time.Time
		want    bool
	}{
		"an hour before":                                      {[]Line{requested, submitting}, seconds(-3600), false},
		"in the minute before, by ECS's clock":                {[]Line{requested, submitting}, start.Add(-time.Minute), true},
		"in the minute before, which ECS rounds down":         {[]Line{requested, submitting}, start.Add(-time.Minute).Truncate(time.Minute), true},
		"at a time that ECS does not tell":                    {[]Line{requested, submitting}, time.Time{}, true},
		"at once":                                             {[]Line{requested, submitting}, start, true},
		"while another attempt may come":                      {[]Line{requested, submitting, {State: Queued}}, seconds(3600), true},
		"late, but no later than a task is to be seen":        {[]Line{requested, submitting, {State: Canceling}}, seconds(600), true},
		"once no call could come any more":                    {[]Line{requested, submitting, {State: Canceling}}, seconds(700), false},
		"once no call could come any more, the export failed": {[]Line{requested, submitting, {State: Failed}}, seconds(700), false},
	} {
		if got := logOf(t, c.log...).MayHaveMade(c.created, policy); got != c.want {
			t.Errorf("created %s: %v, want %v", name, got, c.want)
		}
	}
}
