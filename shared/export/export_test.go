package export

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNew(t *testing.T) {
	t.Parallel()
	first := Line{Seq: 1, Time: start, State: Requested, Request: &demo}
	for name, c := range map[string]struct {
		lines []Line
		want  string // in the error; blank: none
	}{
		"no line":                         {nil, ""},
		"one line":                        {[]Line{first}, ""},
		"abandoned":                       {[]Line{{Seq: 1, State: Abandoned, Request: &Request{ImageID: "m-1"}}}, ""},
		"a fact after the end":            {[]Line{first, {Seq: 2, State: Failed}, {Seq: 3, State: Failed, Task: &Task{ID: "t-1"}}}, ""},
		"starts at 0":                     {[]Line{{Seq: 0, State: Requested, Request: &demo}}, "line 0 where 1"},
		"starts at 2":                     {[]Line{{Seq: 2, State: Requested, Request: &demo}}, "line 2 where 1"},
		"submits without an attempt":      {[]Line{first, {Seq: 2, State: Submitting}}, "line 2 submits without an attempt"},
		"a gap":                           {[]Line{first, {Seq: 3, State: Submitting}}, "line 3 where 2"},
		"a line twice":                    {[]Line{first, first}, "line 1 where 2"},
		"no request":                      {[]Line{{Seq: 1, State: Requested}}, "no request"},
		"starts in the middle":            {[]Line{{Seq: 1, State: Exporting, Request: &demo}}, `from state "" to "exporting"`},
		"no state":                        {[]Line{{Seq: 1, Request: &demo}}, `from state "" to ""`},
		"a state that does not exist":     {[]Line{first, {Seq: 2, State: "paused"}}, `to "paused"`},
		"a state left out":                {[]Line{first, {Seq: 2, State: Exporting}}, `from state "requested" to "exporting"`},
		"goes on after the end":           {[]Line{first, {Seq: 2, State: Failed}, {Seq: 3, State: Submitting}}, `from state "failed" to "submitting"`},
		"abandoned after it was recorded": {[]Line{first, {Seq: 2, State: Abandoned}}, `to "abandoned"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, err := New("7zzzzzzzzzzz0", c.lines)
			switch {
			case c.want == "" && err != nil:
				t.Fatal(err)
			case c.want == "":
				if x.Seq() != len(c.lines) || x.ID != "7zzzzzzzzzzz0" {
					t.Errorf("%d lines of %s, want %d", x.Seq(), x.ID, len(c.lines))
				}
			case err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "7zzzzzzzzzzz0"):
				t.Errorf("error %v, want the export's id and %q", err, c.want)
			}
		})
	}
}

// TestNewCopiesNoLog wants a log that is read to be copied once, not once a line: the
// head of the queue may have tried thousands of times.
func TestNewCopiesNoLog(t *testing.T) {
	lines := []Line{{Seq: 1, State: Requested, Request: &demo}}
	try, no := &Attempt{Number: 1}, &Delay{Code: codeConcurrent, Refused: true}
	for range 500 {
		lines = append(lines, Line{Seq: len(lines) + 1, State: Submitting, Attempt: try}, Line{Seq: len(lines) + 2, State: Queued, Delay: no})
	}
	allocations := testing.AllocsPerRun(1, func() {
		if x, err := New("7zzzzzzzzzzz0", lines); err != nil || x.Seq() != len(lines) || x.Doubt != 0 {
			t.Errorf("%d lines, %d attempts in doubt, %v", x.Seq(), x.Doubt, err)
		}
	})
	if allocations > 100 {
		t.Errorf("%v allocations for %d lines", allocations, len(lines))
	}
	// What was read is nobody else's.
	x, err := New("7zzzzzzzzzzz0", lines)
	if err != nil {
		t.Fatal(err)
	}
	lines[1].State = Failed
	if x.Lines[1].State != Submitting {
		t.Error("the export changes with the lines that it was made of")
	}
	a, errA := x.With(Line{Seq: x.Seq() + 1, State: Failed})
	b, errB := x.With(Line{Seq: x.Seq() + 1, State: Canceling})
	if errA != nil || errB != nil || a.Lines[x.Seq()].State != Failed || b.Lines[x.Seq()].State != Canceling {
		t.Errorf("two ways to go on share a line: %v, %v", errA, errB)
	}
}

// TestEdges compares every pair of states with the table of the design.
func TestEdges(t *testing.T) {
	t.Parallel()
	may := map[string]bool{}
	for _, edge := range []string{
		" requested", " abandoned",
		"requested queued", "requested submitting", "requested failed", "requested canceling",
		"queued submitting", "queued failed", "queued canceling",
		"submitting queued", "submitting exporting", "submitting failed", "submitting canceling",
		"exporting exported", "exporting failed", "exporting canceling",
		"exported completed", "exported failed", "exported canceling",
		"canceling canceled",
		"completed deleted", "failed deleted", "canceled deleted", "abandoned deleted",
	} {
		may[edge] = true
	}
	all := append([]State{"", "paused"}, States...)
	for _, from := range all {
		for _, to := range all {
			want := may[fmt.Sprint(from, " ", to)] || from == to && from != ""
			if got := CanFollow(from, to); got != want {
				t.Errorf("from %q to %q: %v, want %v", from, to, got, want)
			}
		}
	}
	ends := map[State]bool{Completed: true, Failed: true, Canceled: true, Abandoned: true, Deleted: true}
	for _, s := range all {
		if s.Terminal() != ends[s] {
			t.Errorf("%q is an end: %v, want %v", s, s.Terminal(), ends[s])
		}
	}
	if len(States) != len(edges)-1 {
		t.Errorf("%d states are listed, %d have edges", len(States), len(edges)-1)
	}
}

func landed(o Object, role Role, device string) *Landed {
	return &Landed{Role: role, Device: device, Key: o.Key, Size: o.Size, ETag: o.ETag, CRC64: o.CRC64, LandedAt: o.LastModified}
}

func TestFold(t *testing.T) {
	t.Parallel()
	seconds := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	first := &Attempt{Number: 1, Until: seconds(10)}
	second := &Attempt{Number: 2, Until: seconds(20)}
	again := systemObject
	again.ETag, again.Size = "C", 30
	x := logOf(t,
		Line{State: Requested},
		Line{State: Submitting, Attempt: first, Nonce: "w1"},
		Line{State: Submitting, Attempt: second, Nonce: "w2"},
		Line{State: Exporting, Reason: "adopted"},
		Line{State: Exporting, Disk: landed(systemObject, System, "/dev/xvda")},
		Line{State: Exporting, Task: &Task{ID: "t-1", CreatedAt: start}},
		Line{State: Exporting, Task: &Task{ID: "t-2"}},
		Line{State: Exporting, Disk: landed(again, System, "/dev/xvda")},
		Line{State: Exported, Task: &Task{ID: "t-1", FinishedAt: seconds(60)}},
		Line{State: Failed, Failure: &Failure{Code: CodeDiskMissing, Message: "gone"}},
	)
	got := x
	got.Lines = nil
	want := Export{
		ID: "7zzzzzzzzzzz0", Request: demo, State: Failed,
		Attempt: second, AttemptNonce: "w2", Doubt: 2,
		// The first task stays, with all that was learned of its times.
		Task:      Task{ID: "t-1", CreatedAt: start, FinishedAt: seconds(60)},
		Landed:    map[string]Landed{"/dev/xvda": *landed(again, System, "/dev/xvda")},
		Failure:   &Failure{Code: CodeDiskMissing, Message: "gone"},
		CreatedAt: start, UpdatedAt: seconds(9), Since: seconds(9), Started: start,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Disk{{Data, "/dev/xvdb", 100}}, x.Missing()); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	x := logOf(t,
		Line{State: Requested},
		Line{State: Submitting, Attempt: &Attempt{Number: 1}},
		Line{State: Exporting},
		Line{State: Exporting, Disk: landed(systemObject, System, "/dev/xvda")},
	)
	if want := start.Add(2 * time.Second); !x.Since.Equal(want) {
		t.Errorf("exporting since %v, want %v", x.Since, want)
	}
	if want := start.Add(3 * time.Second); !x.UpdatedAt.Equal(want) {
		t.Errorf("updated at %v, want %v", x.UpdatedAt, want)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	x := logOf(t, Line{State: Requested}, Line{State: Submitting, Attempt: &Attempt{Number: 1}}, Line{State: Exporting})
	if diff := cmp.Diff(demo.Disks, x.Missing()); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	for i, l := range []*Landed{landed(dataObject, Data, "/dev/xvdb"), landed(systemObject, System, "/dev/xvda")} {
		var err error
		if x, err = x.With(Line{Seq: 4 + i, State: Exporting, Disk: l}); err != nil {
			t.Fatal(err)
		}
	}
	if m := x.Missing(); len(m) != 0 {
		t.Errorf("missing at the end: %v", m)
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	lines := []struct {
		line Line
		want string
	}{
		{Line{State: Requested}, "requested"},
		{Line{State: Requested, Reason: "a fact"}, ""},
		{Line{State: Submitting, Attempt: &Attempt{Number: 1}}, "submitting"},
		{Line{State: Submitting, Attempt: &Attempt{Number: 2}}, ""},
		{Line{State: Exporting, Task: &Task{ID: "t-1"}}, "exporting"},
		{Line{State: Exporting, Disk: landed(systemObject, System, "/dev/xvda")}, "disk"},
		{Line{State: Exporting, Task: &Task{CreatedAt: start}}, ""},
		{Line{State: Exported}, "exported"},
		{Line{State: Exported, Disk: landed(dataObject, Data, "/dev/xvdb")}, "disk"},
		{Line{State: Completed}, "completed"},
		{Line{State: Completed, Task: &Task{ID: "t-2"}}, ""},
	}
	var all []Line
	for _, l := range lines {
		all = append(all, l.line)
	}
	x := logOf(t, all...)
	for i, l := range lines {
		if got := x.Kind(x.Lines[i]); got != l.want {
			t.Errorf("line %d announces %q, want %q", i+1, got, l.want)
		}
	}
	gone := logOf(t, Line{State: Abandoned})
	if got := gone.Kind(gone.Lines[0]); got != "abandoned" {
		t.Errorf("an abandoned export announces %q", got)
	}
}

// logs draws the lines of any log that there can be.
var logs = rapid.Custom(func(t *rapid.T) []Line {
	states := []State{""}
	var lines []Line
	for n := rapid.IntRange(0, 12).Draw(t, "lines"); len(lines) < n; {
		from := states[len(states)-1]
		next := append([]State{from}, edges[from]...)
		if from == "" {
			next = edges[from]
		}
		l := Line{
			Seq: len(lines) + 1, Time: start.Add(time.Duration(len(lines)) * time.Second),
			State: rapid.SampledFrom(next).Draw(t, "state"), Nonce: fmt.Sprint(len(lines)),
		}
		if l.Seq == 1 {
			request := demo
			l.Request = &request
		}
		switch rapid.IntRange(0, 4).Draw(t, "fact") {
		case 1:
			l.Disk = landed(systemObject, System, "/dev/xvda")
		case 2:
			l.Disk = landed(dataObject, Data, "/dev/xvdb")
		case 3:
			l.Task = &Task{ID: rapid.StringMatching(`t-[0-9]`).Draw(t, "task")}
		case 4:
			l.Attempt = &Attempt{Number: l.Seq}
		}
		if l.State == Submitting {
			l.Attempt = &Attempt{Number: l.Seq}
		}
		lines, states = append(lines, l), append(states, l.State)
	}
	return lines
})

// TestWith wants an export to stay as it is whatever is made of it.
func TestWith(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines := logs.Draw(t, "log")
		x, err := New("7zzzzzzzzzzz0", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range lines {
			before, err := New(x.ID, lines[:i])
			if err != nil {
				t.Fatal(err)
			}
			longer, err := x.With(l)
			if err != nil {
				t.Fatal(err)
			}
			// Another line in the same place: one of two that race for it.
			rival := Line{Seq: l.Seq, State: l.State, Nonce: "rival", Request: l.Request, Attempt: l.Attempt, Disk: landed(dataObject, Data, "/dev/xvdz")}
			other, err := x.With(rival)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, x); diff != "" {
				t.Fatalf("line %d changed what it was added to:\n%s", l.Seq, diff)
			}
			if diff := cmp.Diff(l, longer.Lines[i]); diff != "" {
				t.Fatalf("line %d was overwritten by its rival:\n%s", l.Seq, diff)
			}
			if _, leaked := longer.Landed["/dev/xvdz"]; leaked {
				t.Fatalf("line %d has the disk of its rival", l.Seq)
			}
			if diff := cmp.Diff(rival, other.Lines[i]); diff != "" {
				t.Fatalf("the rival of line %d changed:\n%s", l.Seq, diff)
			}
			if _, err := x.With(Line{Seq: l.Seq + 1, State: l.State}); err == nil {
				t.Fatalf("line %d may be left out", l.Seq)
			}
			x = longer
		}
		// Line by line is the same as all at once.
		whole, err := New(x.ID, lines)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, x); diff != "" {
			t.Errorf("(-at once +line by line):\n%s", diff)
		}
		if got, all := len(x.Missing())+len(x.Landed), len(x.Request.Disks); got != all {
			t.Errorf("%d disks are missing or landed, the image has %d", got, all)
		}
	})
}
