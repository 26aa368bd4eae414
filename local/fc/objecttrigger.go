package fc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"ecs-image-export/events"
	"ecs-image-export/local/faults"
	"ecs-image-export/local/syaml"
)

// The services that fire triggers, as the trust policies of the triggers' roles
// name them.
const (
	ossService = "oss.aliyuncs.com"
	mnsService = "mns.aliyuncs.com"
)

// OnObjectEvent queues an asynchronous invocation for every OSS trigger that one
// of the event's records matches. They are on disk when it returns nil; after an
// error the caller delivers the event again, so that functions may see it twice.
//
// A trigger whose role can't be taken or may not invoke the function gets
// nothing, and only the log tells, as in the cloud.
func (s *Service) OnObjectEvent(ctx context.Context, e events.ObjectEvent) error {
	var all []pending
	for _, record := range e.Events {
		for _, f := range s.functions {
			for _, t := range f.Triggers {
				if t.OSS == nil || !s.matches(t, record) {
					continue
				}
				if err := s.mayInvoke(ctx, ossService, t.InvocationRole, f); err != nil {
					s.warn("%s: trigger %s does not fire for %s: %v", f.Name, t.Name, record.OSS.Object.Key, err)
					continue
				}
				one := record
				one.OSS.RuleID = triggerID(f, t)
				payload, err := json.Marshal(events.ObjectEvent{Events: []events.ObjectRecord{one}})
				if err != nil {
					return fmt.Errorf("encode object event for %s: %w", f.Name, err)
				}
				all = append(all, pending{ID: newRequestID(s.config.Now()), Function: f.Name, Payload: payload, Source: "trigger " + t.Name})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return s.fire(faults.OSS, all...)
}

// matches says whether a trigger is for a record: bucket, event, prefix and
// suffix all have to agree.
func (s *Service) matches(t syaml.Trigger, r events.ObjectRecord) bool {
	if t.OSS.Bucket != r.OSS.Bucket.Name ||
		t.SourceARN != s.bucketARN(t.OSS.Bucket) ||
		!strings.HasPrefix(r.OSS.Object.Key, t.OSS.Prefix) || !strings.HasSuffix(r.OSS.Object.Key, t.OSS.Suffix) {
		return false
	}
	for _, event := range t.OSS.Events {
		if syaml.MatchEvent(event, "oss:"+r.EventName) {
			return true
		}
	}
	return false
}

func (s *Service) bucketARN(bucket string) string {
	return fmt.Sprintf("acs:oss:%s:%s:%s", s.config.Region, s.config.AccountID, bucket)
}

// mayInvoke takes a trigger's role for the service that fires it and asks
// whether the role may invoke f.
func (s *Service) mayInvoke(ctx context.Context, service, role string, f *function) error {
	c, err := s.config.Roles.AssumeAs(ctx, service, role, "trigger", credentialLife)
	if err != nil {
		return fmt.Errorf("take role %s: %w", role, err)
	}
	id, err := s.config.Identities.Identify(c.AccessKeyID, c.SecurityToken)
	if err != nil {
		return fmt.Errorf("take role %s: %w", role, err)
	}
	// The trigger is of qualifier LATEST; a policy may name it or not.
	if !id.Allows("fc:InvokeFunction", f.arn) && !id.Allows("fc:InvokeFunction", f.arn+"/LATEST") {
		return fmt.Errorf("role %s may not fc:InvokeFunction on %s", role, f.arn)
	}
	return nil
}

// triggerID is an id that stays the same for a trigger.
func triggerID(f *function, t syaml.Trigger) string {
	sum := sha256.Sum256([]byte(f.arn + "/" + t.Name))
	return hex.EncodeToString(sum[:20])
}
