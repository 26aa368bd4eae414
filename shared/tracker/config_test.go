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

// TestLongestOpen wants no export to be open for longer than the lifecycle rules of
// the buckets leave what it stands on.
func TestLongestOpen(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		age, queued time.Duration
		want        []string // in the error
	}{
		{72 * time.Hour, 336 * time.Hour, nil},
		{7 * day, 14 * day, nil},
		{day, 26 * day, nil},
		{7*day + time.Second, 14 * day, []string{"MAX_AGE is 168h0m1s", "at most 168h0m0s", "uploads"}},
		{7 * day, 14*day + time.Second, []string{"MAX_QUEUED is 336h0m1s", "at most 336h0m0s", "twice MAX_AGE", "672h0m0s"}},
		{day, 30 * day, []string{"MAX_QUEUED is 720h0m0s", "at most 624h0m0s"}},
		{100 * day, 100 * day, []string{"MAX_AGE is 2400h0m0s", "MAX_QUEUED is 2400h0m0s"}},
		{1<<63 - 1, 1<<63 - 1, []string{"MAX_AGE", "MAX_QUEUED"}},
	} {
		err := tracker.Config{
			LookMin: time.Second, LookMax: time.Minute, VanishedAfter: time.Minute, ArrivalGrace: time.Minute, MaxAge: c.age,
			SubmitTimeout: time.Second, ClockSkew: time.Minute, CancelGrace: time.Minute, MaxQueued: c.queued, QueueWait: time.Minute,
		}.Validate()
		if (err != nil) != (c.want != nil) {
			t.Errorf("%v and %v: %v", c.age, c.queued, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v and %v: %v, want %s", c.age, c.queued, err, want)
			}
		}
	}
}
