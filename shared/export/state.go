package export

import "slices"

// State of an export.
type State string

// The states. An export is asked for (Requested), then some function claims the
// right to call ExportImage (Submitting), ECS works (Exporting) and finishes its
// task (Exported); when every disk of the image is in the bucket it is
// Completed. It waits for a quota or for its image as Queued. An export that
// somebody cancels is Canceling until nothing of it is left, then Canceled.
// Abandoned is an export whose caller never got an answer, Deleted one whose
// objects were removed after its end.
const (
	Requested  State = "requested"
	Queued     State = "queued"
	Submitting State = "submitting"
	Exporting  State = "exporting"
	Exported   State = "exported"
	Completed  State = "completed"
	Failed     State = "failed"
	Canceling  State = "canceling"
	Canceled   State = "canceled"
	Abandoned  State = "abandoned"
	Deleted    State = "deleted"
)

// edges holds every change of state that a log may show. A state may always
// follow itself: such a line records a fact, not a change.
var edges = map[State][]State{
	"":         {Requested, Abandoned},
	Requested:  {Queued, Submitting, Failed, Canceling},
	Queued:     {Submitting, Failed, Canceling},
	Submitting: {Queued, Exporting, Failed, Canceling},
	Exporting:  {Exported, Failed, Canceling},
	Exported:   {Completed, Failed, Canceling},
	Completed:  {Deleted},
	Failed:     {Deleted},
	Canceling:  {Canceled},
	Canceled:   {Deleted},
	Abandoned:  {Deleted},
	Deleted:    {},
}

// States lists every state in the order in which an export can pass through.
var States = []State{Requested, Queued, Submitting, Exporting, Exported, Completed, Failed, Canceling, Canceled, Abandoned, Deleted}

// CanFollow says whether an export in state from may go on to state to.
func CanFollow(from, to State) bool {
	return from != "" && from == to || slices.Contains(edges[from], to)
}

// Terminal says whether the export has ended: nothing happens to it any more
// unless somebody deletes what it left.
func (s State) Terminal() bool {
	next, known := edges[s]
	return known && !slices.ContainsFunc(next, func(s State) bool { return s != Deleted })
}
