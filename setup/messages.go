package main

import (
	"context"
	"time"

	"ecs-image-export/shared/mns"
)

// taskQueue keeps nudges as long as MNS can: one that is lost costs the time until
// the sweep finds its export. The poller works through what it received in less than
// its minute, so what is still there after two has lost its poller.
var taskQueue = mns.QueueAttributes{Retention: 7 * 24 * time.Hour, Visibility: 2 * time.Minute}

func (r *report) messages(ctx context.Context, cfg Config, client *mns.Client) {
	outcome, err := client.EnsureQueue(ctx, cfg.TaskQueue, taskQueue)
	r.line("queue", cfg.TaskQueue, outcome.String(), err)
	outcome, err = client.EnsureTopic(ctx, cfg.EventTopic)
	r.line("topic", cfg.EventTopic, outcome.String(), err)
}
