package tracker_test

import (
	"strings"
	"testing"
	"time"

	"ecs-image-export/shared/tracker"
)

func TestQueueWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wait    time.Duration
		refused bool
	}{
		{20 * time.Minute, false},
		{time.Millisecond, false}, // of a stand-in at high speed
		{0, true},
		{-time.Minute, true},
		{7 * 24 * time.Hour, false},
		{7*24*time.Hour + time.Second, true}, // more than a message waits
	} {
		err := tracker.Config{
			LookMin: time.Second, LookMax: time.Minute, VanishedAfter: time.Minute, ArrivalGrace: time.Minute, MaxAge: time.Hour,
			SubmitTimeout: time.Second, ClockSkew: time.Minute, CancelGrace: time.Minute, MaxQueued: time.Hour, QueueWait: c.wait,
		}.Validate()
		if (err != nil) != c.refused {
			t.Errorf("%v: %v", c.wait, err)
		}
		if c.refused && (err == nil || !strings.Contains(err.Error(), "QUEUE_WAIT is "+c.wait.String())) {
			t.Errorf("%v: %v does not name it", c.wait, err)
		}
	}
}
