package export

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var (
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	policy = Policy{
		LookMin: 15 * time.Second, LookMax: 5 * time.Minute,
		SubmitTimeout: 15 * time.Second, ClockSkew: time.Minute,
		VanishedAfter: 10 * time.Minute, ArrivalGrace: 30 * time.Minute, MaxAge: 72 * time.Hour,
		CancelGrace: 150 * time.Second,
		QueueWait:   20 * time.Minute, MaxQueued: 14 * 24 * time.Hour,
	}
	demo = Request{
		ImageID: "m-bp1demo00000000000001", ImageName: "demo", RegionID: "cn-hangzhou", Bucket: "image-exports",
		OSSPrefix: "demo" + "7zzzzzzzzzzz0", Format: RAW, RoleName: "AliyunECSImageExportDefaultRole",
		Disks: []Disk{{System, "/dev/xvda", 40}, {Data, "/dev/xvdb", 100}},
	}
	systemObject = Object{Key: "demo7zzzzzzzzzzz0_m-bp1demo00000000000001_system.raw.tar.gz", Size: 10, ETag: "A", CRC64: "1", LastModified: start}
	dataObject   = Object{Key: "demo7zzzzzzzzzzz0_m-bp1demo00000000000001_data_xvdb.raw.tar.gz", Size: 20, ETag: "B", CRC64: "2", LastModified: start}
)

// logOf makes an export of lines that are a second apart. Their writer is "other".
func logOf(t *testing.T, lines ...Line) Export {
	t.Helper()
	x, err := New("7zzzzzzzzzzz0", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range lines {
		l.Seq, l.Time = i+1, start.Add(time.Duration(i)*time.Second)
		if l.Nonce == "" {
			l.Nonce = "other"
		}
		if i == 0 {
			l.Request = &demo
		}
		if x, err = x.With(l); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

func TestDecide(t *testing.T) {
	t.Parallel()
	aside := &Queue{Waiting: []Waiting{{ID: "7zzzzzzzzzzz0", Arrived: start, ImageID: "m-bp1"}}}
	requested := Line{State: Requested}
	submitting := Line{State: Submitting, Attempt: &Attempt{Number: 1, Until: start.Add(15 * time.Second)}}
	mine := submitting
	mine.Nonce = "me"
	exporting := Line{State: Exporting, Task: &Task{ID: "t-1"}}
	adopted := Line{State: Exporting}
	exported := Line{State: Exported}
	disk := func(o Object, role Role, device string) Line {
		return Line{State: Exporting, Disk: &Landed{Role: role, Device: device, Key: o.Key, Size: o.Size, ETag: o.ETag, CRC64: o.CRC64, LandedAt: o.LastModified}}
	}
	system, data := disk(systemObject, System, "/dev/xvda"), disk(dataObject, Data, "/dev/xvdb")
	state := func(l Line, s State) Line { l.State = s; return l }
	busy := &Submission{Busy: true, Refused: &Failure{Code: "ImageIsExporting", Message: "busy"}}
	none := []TaskSeen{}
	runs := TaskSeen{Task: Task{ID: "t-9", CreatedAt: start}, Status: TaskProcessing}
	ours := TaskSeen{Task: Task{ID: "t-9", CreatedAt: start}, Status: TaskFinished, Ours: true}
	canceled := TaskSeen{Task: Task{ID: "t-9", CreatedAt: start}, Status: TaskDeleted}
	task := func(s TaskStatus) *TaskSeen { return &TaskSeen{Task: Task{ID: "t-1"}, Status: s} }
	seconds := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

	for name, c := range map[string]struct {
		log  []Line
		seen Seen
		now  time.Time
		want Action
	}{
		"requested: claim the submission": {
			log: []Line{requested}, seen: Seen{Queue: &Queue{}}, now: seconds(5),
			want: Append{[]Line{{State: Submitting, Attempt: &Attempt{Number: 1, Until: seconds(20)}}}},
		},
		"requested too long ago: give up": {
			log: []Line{requested}, now: start.Add(73 * time.Hour),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeMaxAge}}}},
		},
		"my claim: submit": {
			log: []Line{requested, mine}, now: seconds(5), want: Submit{seconds(15)},
		},
		"my claim has run out: look instead": {
			log: []Line{requested, mine}, now: seconds(15), want: Ask{AskCandidates},
		},
		"my call made a task": {
			log: []Line{requested, mine}, seen: Seen{Submission: &Submission{TaskID: "t-1"}}, now: seconds(5),
			want: Append{[]Line{exporting}},
		},
		"my call made a task, and somebody ended the export": {
			log: []Line{requested, mine, {State: Failed}}, seen: Seen{Submission: &Submission{TaskID: "t-1"}}, now: seconds(5),
			want: Append{[]Line{state(exporting, Failed)}},
		},
		"my call made a task that somebody adopted": {
			log: []Line{requested, mine, exporting}, seen: Seen{Submission: &Submission{TaskID: "t-1"}}, now: seconds(5),
			want: Ask{AskTask},
		},
		"my call was refused": {
			log: []Line{requested, mine}, seen: Seen{Submission: &Submission{Refused: &Failure{Code: "InvalidOSSPrefix.Malformed"}}}, now: seconds(5),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: "InvalidOSSPrefix.Malformed", Refused: true}}}},
		},
		"my second call met a busy image: that may be my first": {
			log: []Line{requested, submitting, {State: Submitting, Nonce: "me", Attempt: &Attempt{2, seconds(100)}}}, seen: Seen{Submission: busy}, now: seconds(90),
			want: Ask{AskCandidates},
		},
		"my second call met a busy image, and no task is to be seen: it started nothing": {
			log:  []Line{requested, submitting, {State: Submitting, Nonce: "me", Attempt: &Attempt{2, seconds(100)}}},
			seen: Seen{Submission: busy, Candidates: none, Listed: true}, now: seconds(90),
			want: Append{[]Line{{State: Queued, Delay: &Delay{Code: CodeImageBusy, Message: "busy", Next: seconds(390), Refused: true}}}},
		},
		"my second call met a busy image, and a task is to be seen: wait for proof": {
			log:  []Line{requested, submitting, {State: Submitting, Nonce: "me", Attempt: &Attempt{2, seconds(100)}}},
			seen: Seen{Submission: busy, Candidates: []TaskSeen{runs}, Listed: true}, now: seconds(90), want: Wait{70 * time.Second},
		},
		"my call was lost: look": {
			log: []Line{requested, mine}, seen: Seen{Submission: &Submission{}}, now: seconds(5), want: Ask{AskCandidates},
		},
		"another's claim: look": {
			log: []Line{requested, submitting}, now: seconds(5), want: Ask{AskCandidates},
		},
		"another's claim, tasks seen: look at objects": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: none}, now: seconds(5), want: Ask{AskObjects},
		},
		"another's claim that has not run out by every clock: wait for that": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: none, Listed: true}, now: seconds(35), want: Wait{40 * time.Second},
		},
		"another's claim that has run out, no trace: ECS may not show its task yet": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: none, Listed: true, Queue: aside}, now: seconds(615), want: Wait{153750 * time.Millisecond},
		},
		"the same without a place, which later orders would pass": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: none, Listed: true, Queue: &Queue{}}, now: seconds(615), want: Join{},
		},
		"another's claim that has run out, no trace: submit again": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: none, Listed: true, Queue: &Queue{}}, now: seconds(616),
			want: Append{[]Line{{State: Submitting, Attempt: &Attempt{2, seconds(631)}}}},
		},
		"another's claim that has run out, a task without proof runs: wait": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{runs}, Listed: true, Queue: aside}, now: seconds(80), want: Wait{20 * time.Second},
		},
		"the same without a place": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{runs}, Listed: true, Queue: &Queue{}}, now: seconds(80), want: Join{},
		},
		"the fifth claim has run out: its task may not be shown yet": {
			log:  []Line{requested, {State: Submitting, Attempt: &Attempt{5, seconds(15)}}},
			seen: Seen{Candidates: none, Listed: true, Queue: aside}, now: seconds(80), want: Wait{20 * time.Second},
		},
		"the fifth claim has run out: give up": {
			log:  []Line{requested, {State: Submitting, Attempt: &Attempt{5, seconds(15)}}},
			seen: Seen{Candidates: none, Listed: true}, now: seconds(616),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeUnconfirmed}}}},
		},
		"a task writes under our prefix: adopt it": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{ours}, Listed: true}, now: seconds(5),
			want: Append{[]Line{{State: Exporting, Task: &Task{ID: "t-9", CreatedAt: start}}}},
		},
		"an upload under our prefix and a task without proof: some task of ours": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{runs}, Listed: true, Uploads: true}, now: seconds(5),
			want: Append{[]Line{{State: Exporting}}},
		},
		"an object under our prefix and a task without proof: some task of ours": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{runs}, Listed: true, Objects: []Object{systemObject}}, now: seconds(5),
			want: Append{[]Line{{State: Exporting}}},
		},
		"task unknown: look for it": {
			log: []Line{requested, submitting, adopted}, now: seconds(5), want: Ask{AskCandidates},
		},
		"task unknown, now found": {
			log: []Line{requested, submitting, adopted}, seen: Seen{Candidates: []TaskSeen{ours}, Listed: true}, now: seconds(5),
			want: Append{[]Line{{State: Exporting, Task: &Task{ID: "t-9", CreatedAt: start}}}},
		},
		"task unknown, none runs, every disk there": {
			log: []Line{requested, submitting, adopted, system, data}, seen: Seen{Candidates: none, Listed: true, Objects: []Object{systemObject, dataObject}}, now: seconds(5),
			want: Append{[]Line{{State: Exported}}},
		},
		"task unknown, none runs, a disk is missing: wait for it to be visible": {
			log: []Line{requested, submitting, adopted, system}, seen: Seen{Candidates: none, Listed: true, Objects: []Object{systemObject}}, now: seconds(100),
			want: Wait{25 * time.Second},
		},
		"task unknown for long, none runs, a disk is missing": {
			log: []Line{requested, submitting, adopted, system}, seen: Seen{Candidates: none, Listed: true, Objects: []Object{systemObject}}, now: seconds(700),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeTaskVanished}}}},
		},
		"task unknown, the only one that there was has ended: others may not be shown yet": {
			log: []Line{requested, submitting, adopted}, seen: Seen{Candidates: []TaskSeen{canceled}, Listed: true}, now: seconds(100), want: Wait{25 * time.Second},
		},
		"task unknown, the only one that there was has ended: it is ours, whatever became of it": {
			log: []Line{requested, submitting, adopted}, seen: Seen{Candidates: []TaskSeen{canceled}, Listed: true}, now: seconds(700),
			want: Append{[]Line{{State: Exporting, Task: &Task{ID: "t-9", CreatedAt: start}}}},
		},
		"task unknown, adopted late: it was there a moment ago": {
			log: append(append([]Line{requested, submitting}, slices.Repeat([]Line{{State: Submitting}}, 698)...), adopted), seen: Seen{Candidates: none, Listed: true}, now: seconds(900),
			want: Wait{225 * time.Second},
		},
		"task unknown, adopted at once: the call may have come at the last moment": {
			log: []Line{requested, submitting, adopted}, seen: Seen{Candidates: none, Listed: true}, now: seconds(610), want: Wait{152500 * time.Millisecond},
		},
		"task unknown, one of two that there were": {
			log: []Line{requested, submitting, adopted}, seen: Seen{Candidates: []TaskSeen{canceled, canceled}, Listed: true}, now: seconds(700),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeTaskVanished}}}},
		},
		"submitting for too long, a task that may be anybody's runs": {
			log: []Line{requested, submitting}, seen: Seen{Candidates: []TaskSeen{runs}, Listed: true}, now: start.Add(73 * time.Hour),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeMaxAge}}}},
		},
		"exporting: ask about the task": {
			log: []Line{requested, submitting, exporting}, now: seconds(100), want: Ask{AskTask},
		},
		"exporting, task runs: wait a quarter of the age": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: task(TaskProcessing)}, now: seconds(100), want: Wait{25 * time.Second},
		},
		"exporting for long, task runs: wait at most LookMax": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: task(TaskWaiting)}, now: seconds(100000), want: Wait{5 * time.Minute},
		},
		"exporting, every disk landed, task still runs: look soon": {
			log: []Line{requested, submitting, exporting, system, data}, seen: Seen{Task: task(TaskProcessing)}, now: seconds(1000), want: Wait{15 * time.Second},
		},
		"exporting, a disk landed": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Objects: []Object{systemObject}}, now: seconds(100), want: Append{[]Line{system}},
		},
		"exporting, a disk landed that the log has": {
			log: []Line{requested, submitting, exporting, system}, seen: Seen{Objects: []Object{systemObject}}, now: seconds(100), want: Ask{AskTask},
		},
		"exporting, an empty object is no disk": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Objects: []Object{{Key: systemObject.Key, ETag: "A"}}}, now: seconds(100), want: Ask{AskTask},
		},
		"exporting, task finished": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: &TaskSeen{Task: Task{"t-1", start, seconds(60)}, Status: TaskFinished}}, now: seconds(100),
			want: Append{[]Line{{State: Exported, Task: &Task{"t-1", start, seconds(60)}}}},
		},
		"exporting, task failed: ask why": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: task(TaskFailed)}, now: seconds(100), want: Ask{AskFailure},
		},
		"exporting, task failed and why: see what landed": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: &TaskSeen{Status: TaskFailed, Failure: &Failure{Code: "X"}}}, now: seconds(100), want: Ask{AskObjects},
		},
		"exporting, task failed, why, and what landed": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: &TaskSeen{Status: TaskFailed, Failure: &Failure{Code: "X"}}, Listed: true}, now: seconds(100),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: "X"}}}},
		},
		"exporting, task canceled in the console": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: task(TaskDeleted)}, now: seconds(100),
			want: Append{[]Line{{State: Canceling, Task: &Task{ID: "t-1"}}}},
		},
		"exporting, task not visible yet": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: task(TaskGone)}, now: seconds(100), want: Wait{25 * time.Second},
		},
		"exporting, task vanished: see what landed": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: task(TaskGone)}, now: seconds(1000), want: Ask{AskObjects},
		},
		"exporting, task vanished with every disk": {
			log: []Line{requested, submitting, exporting, system, data}, seen: Seen{Task: task(TaskGone), Listed: true, Objects: []Object{systemObject, dataObject}}, now: seconds(1000),
			want: Append{[]Line{{State: Exported}}},
		},
		"exporting, task vanished without a disk that had landed": {
			log: []Line{requested, submitting, exporting, system, data}, seen: Seen{Task: task(TaskGone), Listed: true, Objects: []Object{systemObject}}, now: seconds(1000),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeTaskVanished}}}},
		},
		"exporting for too long": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Task: task(TaskProcessing), Listed: true}, now: start.Add(73 * time.Hour),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeMaxAge}}}},
		},
		"no answer is to be had: ask all the same": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Blind: "403"}, now: seconds(100), want: Ask{AskTask},
		},
		"no answer is to be had, and the export is too old: give up": {
			log: []Line{requested, submitting, exporting}, seen: Seen{Blind: "403"}, now: start.Add(73 * time.Hour),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeMaxAge}}}},
		},
		"exported: list the bucket": {
			log: []Line{requested, submitting, exporting, exported}, now: seconds(100), want: Ask{AskObjects},
		},
		"exported: events alone are not proof": {
			log:  []Line{requested, submitting, exporting, system, data, exported},
			seen: Seen{Objects: []Object{systemObject, dataObject}}, now: seconds(100), want: Ask{AskObjects},
		},
		"exported, both disks found by listing": {
			log:  []Line{requested, submitting, exporting, exported},
			seen: Seen{Listed: true, Objects: []Object{dataObject, systemObject}}, now: seconds(100),
			want: Append{[]Line{state(system, Exported), state(data, Exported)}},
		},
		"exported, a disk was replaced since": {
			log:  []Line{requested, submitting, exporting, disk(Object{Key: systemObject.Key, Size: 9, ETag: "old"}, System, "/dev/xvda"), data, exported},
			seen: Seen{Listed: true, Objects: []Object{dataObject, systemObject}}, now: seconds(100),
			want: Append{[]Line{state(system, Exported)}},
		},
		"exported, one disk is not there yet": {
			log:  []Line{requested, submitting, exporting, system, exported},
			seen: Seen{Listed: true, Objects: []Object{systemObject}}, now: seconds(64), want: Wait{30 * time.Second},
		},
		"exported, one disk never came": {
			log:  []Line{requested, submitting, exporting, system, exported},
			seen: Seen{Listed: true, Objects: []Object{systemObject}}, now: seconds(4000),
			want: Append{[]Line{{State: Failed, Failure: &Failure{Code: CodeDiskMissing}}}},
		},
		"exported, every disk there: the manifest first": {
			log:  []Line{requested, submitting, exporting, system, data, exported},
			seen: Seen{Listed: true, Objects: []Object{systemObject, dataObject}}, now: seconds(100), want: PutManifest{},
		},
		"exported, every disk and the manifest there": {
			log:  []Line{requested, submitting, exporting, system, data, exported},
			seen: Seen{Listed: true, Objects: []Object{systemObject, dataObject}, Manifest: true}, now: seconds(100),
			want: Append{[]Line{{State: Completed}}},
		},
		"completed": {
			log: []Line{requested, submitting, exporting, exported, {State: Completed}}, now: seconds(100), want: Done{},
		},
		"abandoned": {
			log: []Line{{State: Abandoned}}, now: seconds(100), want: Done{},
		},
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

// TestFailureMessage wants the message of a failure to be short enough for an
// event, however many names it would hold.
func TestFailureMessage(t *testing.T) {
	t.Parallel()
	x := logOf(t,
		Line{State: Requested},
		Line{State: Submitting, Attempt: &Attempt{Number: 1}},
		Line{State: Exporting, Task: &Task{ID: "t-1"}},
		Line{State: Exported},
	)
	seen := Seen{Listed: true}
	for i := range 5000 {
		seen.Objects = append(seen.Objects, Object{Key: fmt.Sprintf("%s_%d_中", demo.OSSPrefix, i), Size: 1})
	}
	act, ok := Decide(x, seen, policy, start.Add(time.Hour)).(Append)
	if !ok || act.Lines[0].Failure == nil {
		t.Fatalf("decided %+v", act)
	}
	if m := act.Lines[0].Failure.Message; len(m) > maxMessage+len("…") || !utf8.ValidString(m) {
		t.Errorf("a message of %d bytes: %.100q", len(m), m)
	}
}

// prose compares actions without their sentences.
var prose = cmp.FilterPath(func(p cmp.Path) bool {
	name := p.Last().String()
	return name == ".Reason" || name == ".Message"
}, cmp.Ignore())
