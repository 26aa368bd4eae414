// Package export is the domain: what an export is, the states that it passes
// through, and what to do next about one. It knows no service: Decide is a pure
// function over plain values, and others carry out what it says.
//
// An export is its log, a list of lines that only grows. A line says what
// changed and what was learned; everything else (the state, the manifest, the
// events) is computed from the lines.
package export

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Line is one entry of an export's log. Seq starts at 1 and has no gaps. Nonce
// names the append that wrote the line, so that a writer whose answer was lost
// can find out whether it won.
type Line struct {
	Seq   int       `json:"seq"`
	Time  time.Time `json:"time"`
	State State     `json:"state"`
	Nonce string    `json:"nonce"`

	// Request is in the first line. An abandoned export has only its ImageID.
	Request *Request `json:"request,omitempty"`
	// Attempt is in a line that claims the right to call ExportImage.
	Attempt *Attempt `json:"attempt,omitempty"`
	// Task holds what was learned of the ECS task.
	Task *Task `json:"task,omitempty"`
	// Disk is a disk object that landed in the bucket.
	Disk *Landed `json:"disk,omitempty"`
	// Failure says why a Failed export failed.
	Failure *Failure `json:"failure,omitempty"`
	// Cleared is what a Canceling export had left in the bucket, and has no more.
	Cleared *Cleared `json:"cleared,omitempty"`
	// Delay says why a Queued export waits.
	Delay *Delay `json:"delay,omitempty"`
	// Reason says in a sentence why the line was written, where its other
	// fields don't.
	Reason string `json:"reason,omitempty"`
}

// Request is what was asked for, and the image as it was then.
type Request struct {
	ImageID   string `json:"imageId"`
	ImageName string `json:"imageName"`
	RegionID  string `json:"regionId"`
	Bucket    string `json:"bucket"`
	OSSPrefix string `json:"ossPrefix"` // the caller's prefix and the id
	Format    Format `json:"format"`
	RoleName  string `json:"roleName"`
	Disks     []Disk `json:"disks"`
	// RequestedBy is the subject of the caller's token, as its issuer names it.
	RequestedBy string `json:"requestedBy,omitempty"`
	// Claim is the digest of the idempotency key that it was asked for with. It
	// proves that the log was begun for that key.
	Claim string `json:"claim,omitempty"`
	// StorageClass is the bucket's, Prices what the deployment reckons fees by:
	// both as they were when the export was asked for.
	StorageClass string          `json:"storageClass,omitempty"`
	Prices       *Prices         `json:"prices,omitempty"`
	Image        json.RawMessage `json:"image,omitempty"` // as DescribeImages gave it
}

// Disk is one disk of the image.
type Disk struct {
	Role    Role   `json:"role"`
	Device  string `json:"device"` // "/dev/xvdb"
	SizeGiB int    `json:"sizeGiB"`
}

// Name is the device without its folder: "xvdb".
func (d Disk) Name() string { return strings.TrimPrefix(d.Device, "/dev/") }

// Attempt is one claim to submit. Until is the time after which the claimant
// will not call ExportImage any more.
type Attempt struct {
	Number int       `json:"number"`
	Until  time.Time `json:"until"`
}

// Task is an ECS task. ECS gives its times to the minute.
type Task struct {
	ID         string    `json:"id,omitempty"`
	CreatedAt  time.Time `json:"createdAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
}

// Landed is a disk object in the bucket.
type Landed struct {
	Role     Role      `json:"role"`
	Device   string    `json:"device"`
	Key      string    `json:"key"`
	Size     int64     `json:"size"` // bytes
	ETag     string    `json:"etag"`
	CRC64    string    `json:"crc64"` // ECMA-182, decimal as OSS gives it
	LandedAt time.Time `json:"landedAt"`
}

// Format is what the object's name says, which is not what was asked for where
// ECS fell back to RAW; asked is for a name that says nothing.
func (l Landed) Format(asked Format) Format {
	if n, ok := ParseObjectName(l.Key); ok {
		return n.Format
	}
	return asked
}

// Failure is why an export failed. Code is the service's own where a service
// refused, else one of ours.
type Failure struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"requestId,omitempty"`
	// Refused says that it is ECS's answer to the latest attempt, which therefore
	// started nothing.
	Refused bool `json:"refused,omitempty"`
}

// Export is a log with what its lines add up to.
type Export struct {
	ID      string
	Lines   []Line
	Request Request
	State   State
	// Attempt is the latest claim to submit, AttemptNonce its line's nonce.
	Attempt      *Attempt
	AttemptNonce string
	// Doubt counts the attempts that may have reached ECS for all the log says.
	Doubt int
	// Delay is why the export was queued last; nil if it never was.
	Delay  *Delay
	Task   Task
	Landed map[string]Landed // by device
	// EmptySince is when a look first found nothing of a Canceling export in the
	// bucket, or nothing any more, with no find since.
	EmptySince time.Time
	Failure    *Failure
	CreatedAt  time.Time
	UpdatedAt  time.Time
	// Since is when the current state began, Started when the export was asked
	// for or left the queue last.
	Since, Started time.Time
}

// New adds up a log. It returns an error if the lines can't be a log: a gap in
// the sequence, an unknown state, a change of state that the table forbids, a
// submission without an attempt.
func New(id string, lines []Line) (Export, error) {
	x := Export{ID: id, Landed: map[string]Landed{}}
	lines = slices.Clone(lines)
	for i, l := range lines {
		var err error
		if x, err = x.learn(l); err != nil {
			return Export{}, err
		}
		x.Lines = lines[:i+1] // a log may have thousands: none is copied for the next
	}
	return x, nil
}

// With returns the export with one more line. It leaves x as it is.
func (x Export) With(l Line) (Export, error) {
	longer, err := x.learn(l)
	if err != nil {
		return Export{}, err
	}
	longer.Lines = append(slices.Clip(x.Lines), l)
	return longer, nil
}

// learn returns what the next line makes of the export, without the line.
func (x Export) learn(l Line) (Export, error) {
	if want := x.Seq() + 1; l.Seq != want {
		return Export{}, fmt.Errorf("export %s: line %d where %d should be", x.ID, l.Seq, want)
	}
	if !CanFollow(x.State, l.State) {
		return Export{}, fmt.Errorf("export %s: line %d goes from state %q to %q", x.ID, l.Seq, x.State, l.State)
	}
	if l.Seq == 1 {
		if l.Request == nil {
			return Export{}, fmt.Errorf("export %s: the first line holds no request", x.ID)
		}
		x.CreatedAt, x.Started, x.Request = l.Time, l.Time, *l.Request
	}
	if l.State == Submitting && x.Attempt == nil && l.Attempt == nil {
		return Export{}, fmt.Errorf("export %s: line %d submits without an attempt", x.ID, l.Seq)
	}
	if x.State == Queued && l.State != Queued {
		x.Started = l.Time
	}
	if l.State != x.State {
		x.Since = l.Time
	}
	x.State, x.UpdatedAt = l.State, l.Time
	if l.Attempt != nil {
		x.Attempt, x.AttemptNonce, x.Doubt = l.Attempt, l.Nonce, l.Attempt.Number
	}
	if l.Delay != nil {
		x.Delay = l.Delay
		if l.Delay.Refused {
			x.Doubt--
		}
	}
	if t := l.Task; t != nil {
		// A second task would break our promise of one; keep the first, the
		// log shows both.
		if x.Task.ID == "" {
			x.Task.ID = t.ID
			x.EmptySince = time.Time{} // what it wrote may come yet
		}
		if !t.CreatedAt.IsZero() {
			x.Task.CreatedAt = t.CreatedAt
		}
		if !t.FinishedAt.IsZero() {
			x.Task.FinishedAt = t.FinishedAt
		}
	}
	switch {
	case l.Cleared == nil:
	case *l.Cleared != Cleared{}:
		x.EmptySince = time.Time{}
	default: // also where a look had found what was gone when it should be removed
		x.EmptySince = l.Time
	}
	if l.State == Canceled || l.State == Deleted {
		x.Landed = map[string]Landed{} // removed from the bucket
	} else if l.Disk != nil {
		x.Landed = maps.Clone(x.Landed)
		x.Landed[l.Disk.Device] = *l.Disk
	}
	if l.Failure != nil {
		x.Failure = l.Failure
		if l.Failure.Refused {
			x.Doubt--
		}
	}
	return x, nil
}

// Seq is the sequence number of the last line, 0 if there is none.
func (x Export) Seq() int { return len(x.Lines) }

// Abandoned says that the export never was more than an entry under active/.
func (x Export) Abandoned() bool { return len(x.Lines) > 0 && x.Lines[0].State == Abandoned }

// Missing lists the disks that have not landed.
func (x Export) Missing() []Disk {
	var missing []Disk
	for _, d := range x.Request.Disks {
		if _, ok := x.Landed[d.Device]; !ok {
			missing = append(missing, d)
		}
	}
	return missing
}

// Kind says what a line announces to subscribers: the name of the new state,
// "disk" for a disk that landed, "" if it announces nothing.
func (x Export) Kind(l Line) string {
	switch {
	case l.Disk != nil:
		return "disk"
	case x.Quiet(l):
		return ""
	case l.Seq == 1 || x.Lines[l.Seq-2].State != l.State:
		return string(l.State)
	}
	return ""
}
