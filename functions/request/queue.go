package main

import (
	"context"
	"log/slog"
	"time"

	"ecs-image-export/shared/export"
)

// queuePlace is why an export waits, and where.
type queuePlace struct {
	Place     *int       `json:"place" minimum:"1" doc:"How many would have to go for it to be the first, and one: the order is that of arrival, and one whose image is being exported is passed by others. Null where it is not known."`
	Code      string     `json:"code" example:"ConcurrentQuotaExceed.ExportImage" doc:"The code of ECS that it waits for; OthersWait, or TasksAtOnceExceeded for a limit of this deployment."`
	Message   string     `json:"message"`
	NextTryAt *time.Time `json:"nextTryAt" doc:"When the first in the queue asks ECS again unless a task ends before; null where others have to go first."`
}

// summary is an export as a list shows it, with its place if it waits.
func (s *server) summary(ctx context.Context, x export.Export) ExportSummary {
	sums := []ExportSummary{summarize(x)}
	s.queued(ctx, []export.Export{x}, sums)
	return sums[0]
}

// queued adds to exports that wait where they do. One listing tells it for all.
func (s *server) queued(ctx context.Context, exports []export.Export, sums []ExportSummary) {
	var q *export.Queue
	for i, x := range exports {
		if x.State != export.Queued || x.Delay == nil {
			continue
		}
		if q == nil {
			read, err := s.tracker.Records.Queue(ctx)
			if err != nil {
				slog.WarnContext(ctx, "queue", "error", err)
			}
			q = &read
		}
		sums[i].Queue = placeOf(x, *q, s.tracker.Now())
	}
}

func placeOf(x export.Export, q export.Queue, now time.Time) *queuePlace {
	p := &queuePlace{Code: x.Delay.Code, Message: x.Delay.Message}
	next := x.Delay.Next
	me, i := q.Find(x.ID)
	if i >= 0 {
		n := i + 1
		p.Place = &n
	}
	if me.ImageID == "" && q.Holds(now) {
		p.Code, p.Message, next = q.Hold.Code, q.Hold.Message, q.Hold.Next
	}
	if next.After(now) && p.Code != export.CodeOthersWait {
		p.NextTryAt = &next
	}
	return p
}
