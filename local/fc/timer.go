package fc

import (
	"encoding/json"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/faults"
	"ecs-image-export/local/syaml"

	"github.com/robfig/cron/v3"
)

// startTimers starts the enabled timers. Ticks that were missed while the
// service was stopped are not made up for.
func (s *Service) startTimers() {
	for _, f := range s.functions {
		for _, t := range f.Triggers {
			if t.Timer == nil || !t.Timer.Enable {
				continue
			}
			schedule, err := syaml.Schedule(t.Timer.Cron)
			if err != nil { // s.yaml was checked when it was read
				s.warn("%s: trigger %s: %v", f.Name, t.Name, err)
				continue
			}
			s.running.Go(func() { s.tick(f, t, schedule) })
		}
	}
}

// tick fires a timer at the times of its schedule, on a clock that starts now
// and runs Speed times as fast.
func (s *Service) tick(f *function, t syaml.Trigger, schedule cron.Schedule) {
	start := s.config.Now().UTC()
	fast := start // the schedule's own time
	for {
		fast = schedule.Next(fast)
		if fast.IsZero() {
			s.warn("%s: trigger %s never fires again", f.Name, t.Name)
			return
		}
		due := start.Add(time.Duration(float64(fast.Sub(start)) / s.config.Speed))
		timer := time.NewTimer(due.Sub(s.config.Now()))
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
			return
		}
		// A laptop that slept doesn't get all the ticks that it missed.
		if late := s.config.Now().Sub(due); late > time.Minute {
			start, fast = s.config.Now().UTC(), s.config.Now().UTC()
		}
		payload, err := json.Marshal(events.TimerEvent{TriggerTime: s.config.Now().UTC().Truncate(time.Second),
			TriggerName: t.Name, Payload: t.Timer.Payload})
		if err != nil {
			s.warn("%s: trigger %s: %v", f.Name, t.Name, err)
			return
		}
		p := pending{ID: newRequestID(s.config.Now()), Function: f.Name, Payload: payload, Source: "timer " + t.Name}
		if _, waiting := s.ticks.LoadOrStore(p.tick(), true); waiting && s.config.Speed > 1 {
			// Functions don't run faster with the clock: without this, ticks would
			// overlap here that are far apart in the cloud.
			continue
		}
		s.report(s.fire(faults.Timer, p))
	}
}

// tick names the timer that asked for p.
func (p pending) tick() string { return p.Function + " " + p.Source }
