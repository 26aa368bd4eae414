package export

import "time"

// Policy holds the intervals and limits that a deployment chooses.
type Policy struct {
	// LookMin and LookMax bound the time between two looks at an export.
	LookMin, LookMax time.Duration
	// SubmitTimeout is how long a claim to call ExportImage lasts, ClockSkew
	// how much later everybody else may believe that it has ended.
	SubmitTimeout, ClockSkew time.Duration
	// VanishedAfter is how long after the submission a task that ECS does not
	// know is taken for vanished rather than not yet visible.
	VanishedAfter time.Duration
	// ArrivalGrace is how long after its task finished a disk object may stay
	// away before the export fails.
	ArrivalGrace time.Duration
	// CancelGrace is how long after a look that found nothing of a canceled
	// export another must find nothing too. No function lives so long, not by
	// the slowest clock, and ECS writes nothing of an ended task so late.
	CancelGrace time.Duration
	// MaxAge ends an export that nothing else ends, and a cancel too. It counts from when the
	// export left the queue, MaxQueued from its arrival while it is in it.
	MaxAge, MaxQueued time.Duration
	// QueueWait is the time between two looks at an export that waits, and
	// between two calls against a weekly quota.
	QueueWait time.Duration
	// Tasks is how many tasks this deployment lets run at once; 0 leaves that to
	// ECS.
	Tasks int
}
