package oss

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net"
	"time"

	"ecs-image-export/events"

	"go.etcd.io/bbolt"
)

const (
	deliveryBatch    = 256
	deliveryRetryMin = 200 * time.Millisecond
	deliveryRetryMax = 30 * time.Second
)

// recordEvent puts the event of a change in the outbox, in the transaction of
// the change.
func (s *Service) recordEvent(tx *bbolt.Tx, r *request, key string, o *object, delta int64, name string) error {
	if s.cfg.Deliver == nil {
		return nil
	}
	var e events.ObjectRecord
	e.EventName = name
	e.EventSource = "acs:oss"
	e.EventTime = s.now()
	e.EventVersion = "1.0"
	e.OSS.Bucket.ARN = "acs:oss:" + s.cfg.Region + ":" + s.cfg.AccountID + ":" + r.bucket
	e.OSS.Bucket.Name = r.bucket
	e.OSS.Bucket.OwnerIdentity = s.cfg.AccountID
	e.OSS.Object.DeltaSize = delta
	e.OSS.Object.ETag = o.ETag
	e.OSS.Object.Key = key
	e.OSS.Object.Size = o.Size
	if o.Headers != nil {
		m := &events.ObjectMeta{MimeType: o.Headers["Content-Type"]}
		for name, value := range o.Meta {
			if m.UserMeta == nil {
				m.UserMeta = map[string]string{}
			}
			m.UserMeta["x-oss-meta-"+name] = value
		}
		e.OSS.Object.ObjectMeta = m
	}
	e.OSS.SchemaVersion = "1.0"
	e.Region = s.cfg.Region
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		e.RequestParameters.SourceIPAddress = host
	}
	e.ResponseElements.RequestID = r.id
	e.UserIdentity.PrincipalID = s.cfg.AccountID
	if r.caller != nil && r.caller.AccountID != "" {
		e.UserIdentity.PrincipalID = r.caller.AccountID
	}
	outbox := tx.Bucket(outboxRoot)
	n, err := outbox.NextSequence()
	if err != nil {
		return err
	}
	return putJSON(outbox, binary.BigEndian.AppendUint64(nil, n), events.ObjectEvent{Events: []events.ObjectRecord{e}})
}

// wakeDelivery tells the delivery that a transaction may have added events.
func (s *Service) wakeDelivery() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// queued is an event in the outbox.
type queued struct {
	key   []byte
	event events.ObjectEvent
}

// deliverEvents hands the events of the outbox over, oldest first, until ctx is
// done. An event that is refused stays: it is tried again after a while, longer
// each time nothing is accepted, and holds up nothing behind it.
func (s *Service) deliverEvents(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	retry := deliveryRetryMin
	var tried []byte // the last event that was tried
	waiting := false // some event was refused and the timer runs for it
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake: // only what is new
		case <-timer.C: // everything
			tried, waiting = nil, false
		}
		last, accepted, refused := s.deliverAfter(ctx, tried)
		tried = last
		if accepted {
			retry = deliveryRetryMin
		}
		if refused && !waiting {
			waiting = true
			timer.Reset(retry)
			retry = min(2*retry, deliveryRetryMax)
		}
	}
}

// deliverAfter tries every event behind a key once. It returns the key of the
// last, and whether any was accepted or refused.
func (s *Service) deliverAfter(ctx context.Context, key []byte) (last []byte, accepted, refused bool) {
	for last = key; ctx.Err() == nil; {
		batch, err := s.outbox(last)
		if err != nil {
			return last, accepted, true
		}
		if len(batch) == 0 {
			break
		}
		var done [][]byte
		for _, q := range batch {
			if ctx.Err() != nil {
				break
			}
			last = q.key
			if err := s.cfg.Deliver(ctx, q.event); err != nil {
				refused = true
				continue
			}
			done = append(done, q.key)
		}
		if err := s.dropEvents(done); err != nil {
			return last, accepted, true
		}
		accepted = accepted || len(done) > 0
	}
	return last, accepted, refused
}

func (s *Service) outbox(after []byte) (batch []queued, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(outboxRoot).Cursor()
		k, v := c.First()
		if after != nil {
			if k, v = c.Seek(after); string(k) == string(after) {
				k, v = c.Next()
			}
		}
		for ; k != nil && len(batch) < deliveryBatch; k, v = c.Next() {
			q := queued{key: append([]byte(nil), k...)}
			if err := json.Unmarshal(v, &q.event); err != nil {
				return err
			}
			batch = append(batch, q)
		}
		return nil
	})
	return batch, err
}

func (s *Service) dropEvents(keys [][]byte) error {
	if len(keys) == 0 {
		return nil
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, k := range keys {
			if err := tx.Bucket(outboxRoot).Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}
