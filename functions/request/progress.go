package main

import (
	"context"
	"log/slog"
	"time"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
)

// progress is how far an export is; nil where that is not known.
type progress struct {
	percent *int
	end     *time.Time // of the copying, estimated
}

// progress asks ECS how far an export is, unless somebody asked it a moment ago.
// An answer about an export is worth having without it: errors are logged.
func (s *server) progress(ctx context.Context, x export.Export) progress {
	switch {
	case x.State == export.Exported || x.State == export.Completed:
		all := 100
		return progress{percent: &all}
	case x.State != export.Exporting || x.Task.ID == "":
		return progress{}
	}
	last, known, err := s.latest(ctx, x)
	if err != nil {
		slog.WarnContext(ctx, "progress", "export", x.ID, "error", err)
	}
	if !known {
		return progress{}
	}
	return progress{percent: &last.Percent, end: estimate(x.Since, last.At, last.Percent, s.tracker.Now())}
}

// latest is what ECS said last. Of all callers within an interval one asks; the
// others get the answer to an earlier question, if there was one.
func (s *server) latest(ctx context.Context, x export.Export) (last record.Progress, known bool, err error) {
	last, known, err = s.tracker.Records.Progress(ctx, x.ID)
	if err != nil || known && s.tracker.Now().Sub(last.At) < s.config.ProgressInterval {
		return last, known, err
	}
	mine, err := s.tracker.Records.ClaimProgress(ctx, x.ID, s.config.ProgressInterval)
	if err != nil || !mine {
		return last, known, err
	}
	task, err := s.tracker.ECS.TaskAttribute(ctx, x.Task.ID)
	if err != nil || task.Percent == nil {
		return last, known, err
	}
	last = record.Progress{Percent: *task.Percent, At: s.tracker.Now().UTC()}
	return last, true, s.tracker.Records.SetProgress(ctx, x.ID, last)
}

// estimate is when work that began at start and had done percent of itself at
// asked will be done, if it goes on at that speed: rounded up to the second, and
// not before now. It is nil where percent tells nothing.
func estimate(start, asked time.Time, percent int, now time.Time) *time.Time {
	spent := asked.Sub(start)
	if percent <= 0 || percent > 100 || spent <= 0 {
		return nil
	}
	end := start.Add(spent / time.Duration(percent) * 100)
	if end.Before(now) {
		end = now
	}
	end = end.UTC().Add(time.Second - 1).Truncate(time.Second)
	return &end
}
