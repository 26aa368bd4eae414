package mns

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxInFlight is how many deliveries of one subscription run at a time.
const maxInFlight = 16

// delivery is a message that a subscriber is still to get.
type delivery struct {
	Notice   notice
	Attempts int // made so far, all in vain
}

// courier makes the deliveries of one subscription, for as long as there are
// any.
type courier struct {
	wake chan struct{}
}

// addDelivery stores a delivery that is due at a time in milliseconds.
func addDelivery(tx *bolt.Tx, key subscriptionKey, d *delivery, due int64) error {
	b, err := tx.Bucket(bucketDeliveries).CreateBucketIfNotExists(key.bytes())
	if err != nil {
		return err
	}
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	return save(b, bigEndian(uint64(due), seq), d)
}

// countPending counts the messages of a topic that someone is still to get.
func countPending(tx *bolt.Tx, topic string) (int64, error) {
	all, err := subscriptionsOf(tx, topic)
	if err != nil {
		return 0, err
	}
	ids := map[string]bool{}
	for _, sub := range all {
		b := tx.Bucket(bucketDeliveries).Bucket(sub.key().bytes())
		if b == nil {
			continue
		}
		err := b.ForEach(func(_, raw []byte) error {
			var d delivery
			if err := json.Unmarshal(raw, &d); err != nil {
				return err
			}
			ids[d.Notice.ID] = true
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("count deliveries of topic %s: %w", topic, err)
		}
	}
	return int64(len(ids)), nil
}

// resume starts the couriers of what was pending when the service was closed.
func (s *Service) resume() error {
	return s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketDeliveries).ForEachBucket(func(key []byte) error {
			s.dispatch(parseSubscriptionKey(key))
			return nil
		})
	})
}

// dispatch makes sure that a courier looks at the subscription's deliveries.
func (s *Service) dispatch(key subscriptionKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if c := s.couriers[key]; c != nil {
		select {
		case c.wake <- struct{}{}:
		default:
		}
		return
	}
	c := &courier{wake: make(chan struct{}, 1)}
	s.couriers[key] = c
	s.active.Add(1)
	go s.run(key, c)
}

// retire ends a courier unless it was woken meanwhile.
func (s *Service) retire(key subscriptionKey, c *courier) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-c.wake:
		return false
	default:
		delete(s.couriers, key)
		return true
	}
}

// run is a courier's life. A delivery stays in the store until it has
// succeeded or was given up, so that a restart repeats what was under way.
func (s *Service) run(key subscriptionKey, c *courier) {
	defer s.active.Done()
	running := map[string]bool{}
	done := make(chan string)
	defer func() {
		for range running {
			<-done
		}
	}()
	for s.ctx.Err() == nil {
		due, next := s.due(key, running)
		for _, p := range due {
			running[p.key] = true
			go func() {
				s.attempt(key, p)
				done <- p.key
			}()
		}
		if len(running) == 0 && next == math.MaxInt64 {
			if s.retire(key, c) {
				return
			}
			continue // woken since it looked
		}
		var timer <-chan time.Time
		if next != math.MaxInt64 {
			timer = time.After(max(time.Millisecond, time.UnixMilli(next).Sub(s.now())))
		}
		select {
		case <-c.wake:
		case <-timer:
		case finished := <-done:
			delete(running, finished)
		case <-s.ctx.Done():
			return
		}
	}
}

// pending is a delivery with its key in the store.
type pending struct {
	key string
	delivery
}

// due finds deliveries to start now, and when the next one is due
// (math.MaxInt64: none is, or none that can be started before another ends).
func (s *Service) due(key subscriptionKey, running map[string]bool) (found []pending, next int64) {
	next = math.MaxInt64
	now := s.millis()
	err := s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketDeliveries).Bucket(key.bytes())
		if b == nil {
			return nil
		}
		sub, err := subscriptionOf(tx, key)
		if err != nil {
			return err
		}
		// A function that has not subscribed since the restart gets nothing yet,
		// but what its topic no longer retains goes.
		_, here := s.functionOf(key)
		absent := sub.Function && !here
		c := b.Cursor()
		for k, raw := c.First(); k != nil; k, raw = c.Next() {
			if running[string(k)] {
				continue
			}
			if len(running)+len(found) >= maxInFlight {
				return nil
			}
			if at := int64(binary.BigEndian.Uint64(k)); at > now {
				next = at
				return nil
			}
			p := pending{key: string(k)}
			if err := json.Unmarshal(raw, &p.delivery); err != nil {
				return err
			}
			if absent && !s.expired(&p.Notice) {
				return nil
			}
			found = append(found, p)
		}
		return nil
	})
	if err != nil {
		return nil, math.MaxInt64
	}
	return found, next
}

// expired says whether its topic no longer retains a message.
func (s *Service) expired(n *notice) bool { return s.millis()-n.Time >= s.scaled(topicRetention) }

// errGone says that the subscription was removed while a delivery was pending.
var errGone = errors.New("subscription is gone")

// attempt tries a delivery once and stores what follows from it.
func (s *Service) attempt(key subscriptionKey, p pending) {
	var sub *subscription
	err := s.db.View(func(tx *bolt.Tx) error {
		var err error
		sub, err = subscriptionOf(tx, key)
		return err
	})
	if err != nil {
		return // its deliveries went with it
	}
	expired := s.expired(&p.Notice)
	if !expired {
		err = s.deliver(s.ctx, sub, p)
		if err != nil && s.ctx.Err() != nil {
			return // closed: try again after the next Open
		}
	}
	// The store outlives its couriers, so an update can only fail for a full
	// disk; the delivery is then repeated.
	_ = s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketDeliveries).Bucket(key.bytes())
		if b == nil || b.Get([]byte(p.key)) == nil {
			return nil
		}
		if err := b.Delete([]byte(p.key)); err != nil {
			return err
		}
		if err == nil || expired {
			return nil
		}
		p.Attempts++
		wait, more := retryWait(sub.Strategy, p.Attempts, rand.Float64())
		if !more {
			return nil
		}
		scaled := max(1, int64(float64(wait.Milliseconds())/s.speed))
		return addDelivery(tx, key, &p.delivery, s.millis()+scaled)
	})
}

// deliver hands a message to its subscriber.
func (s *Service) deliver(ctx context.Context, sub *subscription, p pending) error {
	if sub.Function {
		f, ok := s.functionOf(sub.key())
		if !ok {
			return errGone
		}
		return f.Deliver(ctx, s.functionPayload(sub, &p.Notice))
	}
	to, err := s.parseEndpoint(sub.Endpoint)
	if err != nil {
		return err
	}
	if to.url != nil {
		return s.pushTo(ctx, to.url, sub, &p.Notice)
	}
	// The copy and the end of the delivery are one transaction.
	var queue string
	err = s.db.Update(func(tx *bolt.Tx) error {
		var err error
		if queue, err = s.deliverToQueue(tx, sub, &p.Notice); err != nil {
			return err
		}
		if queue == "" {
			return errQueueNotExist
		}
		return tx.Bucket(bucketDeliveries).Bucket(sub.key().bytes()).Delete([]byte(p.key))
	})
	if err == nil {
		s.gates.open(queue)
	}
	return err
}

// retryWait is how long to wait after the given number of failed attempts, at
// speed 1; more is false when that was the last one. random is in [0, 1).
// https://help.aliyun.com/en/mns/developer-reference/notifystrategy
func retryWait(strategy string, attempts int, random float64) (wait time.Duration, more bool) {
	if strategy == ExponentialDecayRetry {
		if attempts > 176 {
			return 0, false
		}
		return time.Second << min(attempts-1, 9), true
	}
	if attempts > 3 {
		return 0, false
	}
	return 10*time.Second + time.Duration(random*float64(10*time.Second)), true
}
