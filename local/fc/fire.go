package fc

import (
	"errors"
	"fmt"
	"time"

	"ecs-image-export/local/faults"
)

// errFault is what the source of an event gets when a fault keeps it from knowing
// that the event was taken.
var errFault = errors.New("a fault of the table of faults")

// fire queues the invocations of an event of a trigger, as far as no fault gets
// in the way. After an error the source of the event sends it again if it is one
// that does; a part may have been queued.
func (s *Service) fire(trigger string, all ...pending) error {
	var queued []pending
	var err error
	for _, p := range all {
		what, struck := s.config.Faults.Strike(faults.FC, trigger)
		if !struck {
			queued = append(queued, p)
			continue
		}
		p.late = time.Duration(what.Delay)
		if what.Cut || what.Drop {
			err = fmt.Errorf("%s for %s: %w", p.Source, p.Function, errFault)
		}
		if what.Cut || what.Lose {
			s.ticks.Delete(p.tick())
			continue
		}
		queued = append(queued, p)
		if what.Duplicate {
			p.ID = newRequestID(s.config.Now())
			queued = append(queued, p)
		}
	}
	if len(queued) == 0 {
		return err
	}
	return errors.Join(s.enqueue(queued...), err)
}
