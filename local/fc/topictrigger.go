package fc

import (
	"context"
	"fmt"

	"ecs-image-export/local/faults"
	"ecs-image-export/local/syaml"
)

// TopicTrigger is an mns_topic trigger, to be connected to the topic by whoever
// runs both services.
type TopicTrigger struct {
	Function string
	Name     string // of the trigger
	Topic    string
	// FilterTag, ContentFormat (JSON or STREAM) and Strategy are the
	// subscription's.
	FilterTag     string
	ContentFormat string
	Strategy      string
	// Deliver queues an asynchronous invocation with the message as its event, in
	// the form that ContentFormat asks for. It is on disk when it returns nil. An
	// error means that the trigger's role does not allow it, or that it should be
	// tried again.
	Deliver func(ctx context.Context, event []byte) error
}

// TopicTriggers lists the mns_topic triggers of all functions.
func (s *Service) TopicTriggers() []TopicTrigger {
	var all []TopicTrigger
	for _, f := range s.functions {
		for _, t := range f.Triggers {
			if t.MNSTopic == nil {
				continue
			}
			all = append(all, TopicTrigger{
				Function: f.Name, Name: t.Name, Topic: t.MNSTopic.Topic, FilterTag: t.MNSTopic.FilterTag,
				ContentFormat: t.MNSTopic.ContentFormat, Strategy: t.MNSTopic.Strategy,
				Deliver: func(ctx context.Context, event []byte) error { return s.onMessage(ctx, f, t, event) },
			})
		}
	}
	return all
}

func (s *Service) onMessage(ctx context.Context, f *function, t syaml.Trigger, event []byte) error {
	if len(event) > maxAsyncPayload {
		return fmt.Errorf("invoke %s: the message takes %d bytes, at most %d are allowed", f.Name, len(event), maxAsyncPayload)
	}
	if err := s.mayInvoke(ctx, mnsService, t.InvocationRole, f); err != nil {
		s.warn("%s: trigger %s does not fire: %v", f.Name, t.Name, err)
		return err
	}
	return s.fire(faults.MNSTopic, pending{ID: newRequestID(s.config.Now()), Function: f.Name, Payload: event, Source: "trigger " + t.Name})
}
