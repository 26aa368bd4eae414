package export

import "slices"

// State of an export.
type State string

// The states. An export is asked for (Requested), then some function claims the
// right to call ExportImage (Submitting), ECS works (Exporting) and finishes its
// task (Exported); when every disk of the image is in the bucket it is
// Completed. Abandoned is an export whose caller never got an answer.
const (
	Requested  State = "requested"
	Submitting State = "submitting"
	Exporting  State = "exporting"
	Exported   State = "exported"
	Completed  State = "completed"
	Failed     State = "failed"
	Abandoned  State = "abandoned"
)

// edges holds every change of state that a log may show. A state may always
// follow itself: such a line records a fact, not a change.
var edges = map[State][]State{
	"":         {Requested, Abandoned},
	Requested:  {Submitting, Failed},
	Submitting: {Exporting, Failed},
	Exporting:  {Exported, Failed},
	Exported:   {Completed, Failed},
	Completed:  {},
	Failed:     {},
	Abandoned:  {},
}

// States lists every state in the order in which an export can pass through.
var States = []State{Requested, Submitting, Exporting, Exported, Completed, Failed, Abandoned}

// CanFollow says whether an export in state from may go on to state to.
func CanFollow(from, to State) bool {
	return from != "" && from == to || slices.Contains(edges[from], to)
}

// Terminal says whether no other state can follow.
func (s State) Terminal() bool {
	next, known := edges[s]
	return known && len(next) == 0
}
