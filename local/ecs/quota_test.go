package ecs_test

import (
	"errors"
	"testing"
	"time"

	"ecs-image-export/local/ecs"

	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
)

func threeImages(t *testing.T) string {
	system := disk("system", "xvda", "1", "a.raw")
	return folder(t, map[string][]byte{"a.raw": []byte("x")}, with("m-1", system), with("m-2", system), with("m-3", system))
}

// The quotas count what runs and waits, and what was started in the week,
// however that ended.
func TestQuotas(t *testing.T) {
	t.Parallel()
	// A Sunday, one second before the week ends in UTC+8.
	now := time.Date(2026, 11, 22, 15, 59, 59, 0, time.UTC)
	c := newCloud(t, threeImages(t), func(c *ecs.Config) {
		c.Concurrent, c.ConcurrentQuota, c.WeeklyQuota, c.Speed = 1, 2, 3, 1
		c.PerGiB, c.Least = 1, time.Hour
	})
	clock := func(at time.Time) {
		c.closeECS()
		c.config.Now = func() time.Time { return at }
		c.open()
	}
	clock(now)
	export := func(id string) string {
		_, err := c.call("ExportImage", params{"ImageId": id, "OSSBucket": bucket})
		return refused(err)
	}
	first, second := c.export(params{"ImageId": "m-1"}), c.export(params{"ImageId": "m-2"})
	if got := c.task(second)["TaskStatus"]; got != "Waiting" {
		t.Fatalf("the second task is %v, want Waiting", got)
	}
	if got := export("m-1"); got != "403 ImageIsExporting" {
		t.Errorf("an image that is being exported: %q", got)
	}
	if got := export("m-3"); got != "403 ConcurrentQuotaExceed.ExportImage" {
		t.Errorf("with a running and a waiting task: %q", got)
	}
	clock(now) // a restart forgets nothing
	if got := export("m-3"); got != "403 ConcurrentQuotaExceed.ExportImage" {
		t.Errorf("after a restart: %q", got)
	}
	c.must("CancelTask", params{"TaskId": first})
	c.export(params{"ImageId": "m-1"}) // the third of the week
	c.await(second, "Processing")
	c.must("CancelTask", params{"TaskId": second})
	if got := export("m-3"); got != "403 WeeklyQuotaExceed.ExportImage" {
		t.Errorf("the fourth of the week: %q", got)
	}
	clock(now.Add(time.Second))
	if got := export("m-3"); got != "" {
		t.Errorf("in the next week: %q", got)
	}
}

// At a speed of N the week of the quota is over N times as soon.
func TestWeekFollowsTheSpeed(t *testing.T) {
	t.Parallel()
	monday := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	c := newCloud(t, threeImages(t), func(c *ecs.Config) {
		c.WeeklyQuota, c.Speed = 1, 7*24 // a week is an hour
	})
	at := func(now time.Time, image string) string {
		c.closeECS()
		c.config.Now = func() time.Time { return now }
		c.open()
		_, err := c.call("ExportImage", params{"ImageId": image, "OSSBucket": bucket})
		return refused(err)
	}
	for _, test := range []struct {
		after       time.Duration
		image, want string
	}{
		{0, "m-1", ""},
		{time.Hour - time.Second, "m-2", "403 WeeklyQuotaExceed.ExportImage"},
		{time.Hour, "m-2", ""},
	} {
		if got := at(monday.Add(test.after), test.image); got != test.want {
			t.Errorf("%v after the week's start: got %q, want %q", test.after, got, test.want)
		}
	}
}

// The task operations refuse in the words of their pages, which clients show.
func TestRefusalsOfCancelTask(t *testing.T) {
	t.Parallel()
	c := newCloud(t, threeImages(t), func(c *ecs.Config) { c.Concurrent, c.Speed, c.Least = 1, 1, time.Hour })
	running, waiting := c.export(params{"ImageId": "m-1"}), c.export(params{"ImageId": "m-2"})
	for _, test := range []struct {
		name    string
		p       params
		want    string
		message string
	}{
		{"no region", params{"RegionId": "", "TaskId": running}, "400 MissingParameter", `An input parameter "RegionId" that is mandatory for processing the request is not supplied.`},
		{"another region", params{"RegionId": "cn-nowhere", "TaskId": running}, "400 InvalidRegionId.NotFound", "The specified RegionId does not exist."},
		{"no task", nil, "400 MissingParameter", `An input parameter "TaskId" that is mandatory for processing the request is not supplied.`},
		{"unknown task", params{"TaskId": "t-none"}, "400 InvalidTaskId.NotFound", `The specified "TaskId" is not found.`},
		{"waiting task", params{"TaskId": waiting}, "403 InvalidTaskId.IncorrectTaskStatus", "The specified task status is not invalid."},
		{"running task", params{"TaskId": running}, "", ""},
		{"canceled task", params{"TaskId": running}, "403 InvalidTaskId.IncorrectTaskStatus", "The specified task status is not invalid."},
	} {
		_, err := c.call("CancelTask", test.p)
		if got := refused(err); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if e := (*sdkerrors.ServerError)(nil); errors.As(err, &e) && e.Message() != test.message {
			t.Errorf("%s: message %q, want %q", test.name, e.Message(), test.message)
		}
	}
	// The place is free: what waited runs, and can be canceled now.
	c.await(waiting, "Processing")
	c.must("CancelTask", params{"TaskId": waiting})
}
