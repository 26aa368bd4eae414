package export

import "time"

// Action is what to do next: one of those below, those of the queue (Join,
// StandAside, StepBack, Hold) and those of a cancel (CancelTask, Clear).
type Action interface{ action() }

// Ask wants the answer to a question before it can decide.
type Ask struct{ Question Question }

// Submit calls ExportImage, which must not start after Until.
type Submit struct{ Until time.Time }

// Append adds lines to the log, in one piece or not at all. Their Seq, Time and
// Nonce are for the writer to fill in.
type Append struct{ Lines []Line }

// PutManifest puts the manifest beside the disk objects.
type PutManifest struct{}

// Wait has nothing to do for now.
type Wait struct{ For time.Duration }

// Done has nothing to do ever again.
type Done struct{}

func (Ask) action()         {}
func (Submit) action()      {}
func (Append) action()      {}
func (PutManifest) action() {}
func (Wait) action()        {}
func (Done) action()        {}
