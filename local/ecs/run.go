package ecs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errCanceled is the cause of a stop by CancelTask.
var errCanceled = errors.New("the task was canceled")

// run is a task at work.
type run struct {
	cancel context.CancelCauseFunc
	// at is the disk that is being exported; it changes under Service.mu.
	at *diskRun
}

// diskRun measures the export of one disk.
type diskRun struct {
	index int
	start time.Time     // real time, whatever Config.Now says
	least time.Duration // how long it takes at least
	bytes atomic.Int64  // read so far
	total int64
}

// scaled divides a duration by the speed.
func (s *Service) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.Speed)
}

// share is how much of the disk is done, from 0 to 1: of the bytes or of the
// time, whichever is behind.
func (d *diskRun) share() float64 {
	part := 1.0
	if d.total > 0 {
		part = float64(d.bytes.Load()) / float64(d.total)
	}
	if d.least > 0 {
		part = min(part, float64(time.Since(d.start))/float64(d.least))
	}
	return part
}

// percent is the progress of a task, by the sizes of its disks. Service.mu is
// held.
func (s *Service) percent(t *task) int {
	if t.ended() {
		return t.Percent
	}
	var done, all float64
	run := s.running[t.ID]
	for i, d := range t.Disks {
		size := float64(d.SizeGiB)
		all += size
		switch {
		case d.Status == success:
			done += size
		case run != nil && run.at != nil && run.at.index == i:
			done += size * run.at.share()
		}
	}
	if all == 0 {
		return 0
	}
	return min(99, int(100*done/all)) // 100 is said by a finished task alone
}

// schedule starts waiting tasks while there is room. Service.mu is held.
func (s *Service) schedule() {
	for _, t := range s.tasks {
		if len(s.running) >= s.Concurrent || s.ctx.Err() != nil {
			return
		}
		if t.Status == waiting {
			s.start(t)
		}
	}
}

// start runs a task. Service.mu is held.
func (s *Service) start(t *task) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.running[t.ID] = &run{cancel: cancel}
	t.Status = processing
	s.store(t)
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer cancel(nil)
		s.run(ctx, t)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.running, t.ID)
		s.schedule()
	}()
}

// resume goes on with what a close or a kill interrupted.
func (s *Service) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tasks {
		switch {
		case t.Status == processing:
			s.start(t)
		case t.ended():
			for i := range t.Disks {
				if t.Disks[i].UploadID != "" {
					s.work.Add(1)
					go func() {
						defer s.work.Done()
						s.discard(t, i)
					}()
				}
			}
		}
	}
	s.schedule()
}

// run exports the disks one after the other.
func (s *Service) run(ctx context.Context, t *task) {
	for i := range t.Disks {
		s.mu.Lock()
		done := t.Disks[i].Status == success
		s.mu.Unlock()
		if done {
			continue
		}
		err := context.Cause(ctx)
		if err == nil {
			err = s.exportDisk(ctx, t, i)
		}
		if errors.Is(context.Cause(ctx), errClosing) {
			return // as it is, to go on after the next Open
		}
		if err != nil {
			s.fail(t, i, err)
			return
		}
	}
	s.conclude(t, func() error { return s.end(t, finished) })
}

// fail ends a task for an error in a disk, and clears away the unfinished part.
func (s *Service) fail(t *task, i int, cause error) {
	s.conclude(t, func() error {
		if t.Status != processing { // but canceled
			return nil
		}
		d := &t.Disks[i]
		before := *d
		d.Status = failed
		d.ErrorCode, d.ErrorMsg = subTaskError(cause)
		if err := s.end(t, failed); err != nil {
			*d = before
			return err
		}
		s.Log.Warn("export failed", "task", t.ID, "image", t.ImageID, "disk", d.Device, "error", cause)
		return nil
	})
	s.discard(t, i)
}

// conclude ends a task that has run as soon as its end can be stored, or leaves
// it to the next Open. The task keeps its place meanwhile.
func (s *Service) conclude(t *task, end func() error) {
	for {
		s.mu.Lock()
		err := end()
		s.mu.Unlock()
		if err == nil {
			return
		}
		s.Log.Error("end export", "task", t.ID, "error", err)
		if wait(s.ctx, time.Second) != nil {
			return
		}
	}
}

// end gives a task its last status, unless it has one. What cannot be stored has
// not happened: after a restart the task would run again. Service.mu is held.
func (s *Service) end(t *task, status string) error {
	if t.ended() {
		return nil
	}
	percent := s.percent(t)
	if status == finished {
		percent = 100
	}
	before := t.Status
	t.Status, t.Percent, t.Finished = status, percent, s.Now().UTC()
	if err := s.save(t); err != nil {
		t.Status, t.Percent, t.Finished = before, 0, time.Time{}
		return err
	}
	return nil
}

// store saves a change that can be made again after a restart, so that an
// error is only logged. Service.mu is held.
func (s *Service) store(t *task) {
	if err := s.save(t); err != nil {
		s.Log.Error("store task", "task", t.ID, "error", err)
	}
}

// wait returns once d has passed, or with the cause of ctx.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
