package fc

import (
	"encoding/json"
	"strings"
	"time"
)

// Waits of an invocation that did not reach its function (throttled, role not
// taken): they double from the first to the last.
const (
	firstBackOff = 500 * time.Millisecond
	lastBackOff  = time.Minute
	maxRetryWait = 5 * time.Minute // between tries that failed in the function
)

// enqueue accepts asynchronous invocations: they are on disk when it returns.
func (s *Service) enqueue(all ...pending) error {
	now := s.config.Now()
	for i := range all {
		all[i].Accepted, all[i].Due = now, now.Add(all[i].late)
	}
	return s.queue.add(all...)
}

// dispatch runs what is due until the service closes. Each runs on its own and
// waits for an instance in the function's pool.
func (s *Service) dispatch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for s.ctx.Err() == nil {
		p, wait, err := s.queue.take(s.config.Now())
		if err != nil {
			s.warn("%v", err)
			continue
		}
		if p != nil {
			s.running.Go(func() { s.attempt(*p) })
			continue
		}
		if wait == 0 {
			wait = time.Hour
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.queue.changed:
		case <-s.ctx.Done():
		}
	}
}

// attempt runs p once and decides what becomes of it.
func (s *Service) attempt(p pending) {
	f := s.byName[p.Function]
	if f == nil {
		s.warn("%s of %s is dropped: s.yaml no longer has the function", p.ID, p.Function)
		s.report(s.queue.remove(p))
		return
	}
	expires := p.Accepted.Add(f.Async.EventAge)
	out := s.invoke(s.ctx, f, request{id: p.ID, payload: p.Payload, retries: p.Tries,
		expired: func() bool { return s.config.Now().After(expires) }})
	now := s.config.Now()
	switch {
	case out.refused == errClosing || s.ctx.Err() != nil && (out.refused != nil || out.errorType != ""):
		return // it stays in the queue for the next start
	case out.refused == errExpired:
		s.give(f, p, out, "its event is older than "+f.Async.EventAge.String())
	case out.refused != nil:
		wait := backOff(firstBackOff, lastBackOff, p.Refused)
		p.Refused++
		p.Due = now.Add(wait)
		s.warn("%s of %s (%s) did not reach it, again in %v: %v", p.ID, f.Name, p.Source, wait, out.refused)
		s.report(s.queue.again(p))
	case out.errorType == "":
		s.ticks.Delete(p.tick())
		s.report(s.queue.remove(p, s.destination(f.Async.OnSuccess, f, p, out, now)...))
	case p.Tries >= f.Async.Retries:
		s.give(f, p, out, "tries are used up")
	default:
		wait := backOff(s.config.RetryWait, maxRetryWait, p.Tries)
		p.Tries++
		p.Refused = 0
		p.Due = now.Add(wait)
		s.warn("%s of %s (%s) failed, again in %v: %s", p.ID, f.Name, p.Source, wait, out.payload)
		s.report(s.queue.again(p))
	}
}

// give gives p up.
func (s *Service) give(f *function, p pending, out outcome, why string) {
	s.ticks.Delete(p.tick())
	if out.refused != nil {
		out.payload = []byte(out.refused.Error())
	}
	s.warn("%s of %s (%s) is given up after %d tries, %s: %s", p.ID, f.Name, p.Source, p.Tries+1, why, out.payload)
	s.report(s.queue.remove(p, s.destination(f.Async.OnFailure, f, p, out, s.config.Now())...))
}

func (s *Service) report(err error) {
	if err != nil {
		s.warn("%v", err)
	}
}

func backOff(first, last time.Duration, n int) time.Duration {
	if n > 30 || first<<n > last {
		return max(first, last)
	}
	return first << n
}

// destination is the invocation of the function at arn that tells how p ended,
// or none. The form is that of edition 2, the latest that is published.
func (s *Service) destination(arn string, f *function, p pending, out outcome, now time.Time) []pending {
	_, name, ok := strings.Cut(arn, ":functions/")
	name, _, _ = strings.Cut(name, "/")
	if !ok {
		return nil
	}
	if s.byName[name] == nil {
		s.warn("%s: destination %s is not a function of s.yaml", f.Name, arn)
		return nil
	}
	var told struct {
		Timestamp      int64 `json:"timestamp"`
		RequestContext struct {
			RequestID   string `json:"requestId"`
			FunctionARN string `json:"functionArn"`
			Condition   string `json:"condition"`
			Count       int    `json:"approximateInvokeCount"`
		} `json:"requestContext"`
		RequestPayload  string `json:"requestPayload"`
		ResponseContext struct {
			StatusCode    int    `json:"statusCode"`
			FunctionError string `json:"functionError"`
		} `json:"responseContext"`
		ResponsePayload string `json:"responsePayload"`
	}
	told.Timestamp = now.UnixMilli()
	told.RequestContext.RequestID, told.RequestContext.FunctionARN = p.ID, f.arn
	told.RequestContext.Condition, told.RequestContext.Count = out.errorType, p.Tries+1
	told.ResponseContext.StatusCode, told.ResponseContext.FunctionError = 200, out.errorType
	if out.refused != nil {
		told.RequestContext.Condition, told.ResponseContext.StatusCode = out.refused.Code, out.refused.Status
	}
	told.RequestPayload, told.ResponsePayload = string(p.Payload), string(out.payload)
	payload, err := json.Marshal(told)
	if err != nil {
		s.warn("%s: destination %s: %v", f.Name, arn, err)
		return nil
	}
	return []pending{{ID: newRequestID(now), Function: name, Payload: payload, Source: "destination of " + f.Name,
		Accepted: now, Due: now}}
}
