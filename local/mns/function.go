package mns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// FunctionSubscription subscribes a function of this process to a topic, as
// Function Compute does for a trigger of type mns_topic. It is listed like any
// other subscription.
type FunctionSubscription struct {
	// Name is the subscription's name: letters, digits, hyphens and, as triggers
	// may have them, underscores.
	Name string
	// Tag lets only messages with this tag through; blank: all of them. At most
	// 16 characters.
	Tag string
	// Format is FormatStream (the default) or FormatJSON.
	Format string
	// Strategy is BackoffRetry (the default) or ExponentialDecayRetry.
	Strategy string
	// Endpoint is what the subscription shows as its endpoint; default:
	// acs:fc:<region>:<account>:functions/<Name>.
	Endpoint string
	// Deliver takes the event. An error makes the service try again as Strategy
	// says. Its context ends when the service is closed.
	Deliver func(ctx context.Context, payload []byte) error
}

// SubscribeFunction subscribes s to a topic, which need not exist yet. The
// subscription lasts until UnsubscribeFunction, also over a restart: what is
// published meanwhile waits, for as long as the topic retains it, until the
// function subscribes again. Subscribing a name again replaces it.
func (s *Service) SubscribeFunction(topic string, f FunctionSubscription) error {
	if err := checkName(topic, errTopicName, errTopicNameLength, true); err != nil {
		return fmt.Errorf("subscribe function %s to topic %s: %w", f.Name, topic, err)
	}
	if err := checkName(strings.ReplaceAll(f.Name, "_", "-"), errSubscriptionName, errSubscriptionLength, true); err != nil {
		return fmt.Errorf("subscribe function %s to topic %s: %w", f.Name, topic, err)
	}
	if f.Format == "" {
		f.Format = FormatStream
	}
	if f.Strategy == "" {
		f.Strategy = BackoffRetry
	}
	if f.Endpoint == "" {
		f.Endpoint = fmt.Sprintf("acs:fc:%s:%s:functions/%s", s.region, s.accountID, f.Name)
	}
	switch {
	case f.Deliver == nil:
		return fmt.Errorf("subscribe function %s to topic %s: Deliver is required", f.Name, topic)
	case f.Format != FormatStream && f.Format != FormatJSON:
		return fmt.Errorf("subscribe function %s to topic %s: format %q is neither STREAM nor JSON", f.Name, topic, f.Format)
	case !validStrategy(f.Strategy):
		return fmt.Errorf("subscribe function %s to topic %s: unknown strategy %q", f.Name, topic, f.Strategy)
	case len([]rune(f.Tag)) > maxTag:
		return fmt.Errorf("subscribe function %s to topic %s: tag %q is longer than %d characters", f.Name, topic, f.Tag, maxTag)
	}
	key := subscriptionKey{topic, f.Name}
	s.mu.Lock()
	s.functions[key] = f
	s.mu.Unlock()
	err := s.db.Update(func(tx *bolt.Tx) error {
		if _, err := topicOf(tx, topic); err != nil {
			if errors.Is(err, errTopicNotExist) {
				return nil // createTopic makes it good
			}
			return err
		}
		return s.saveFunction(tx, topic, f)
	})
	if err != nil {
		return fmt.Errorf("subscribe function %s to topic %s: %w", f.Name, topic, err)
	}
	s.dispatch(key)
	return nil
}

// UnsubscribeFunction ends a function's subscription and drops what waits for
// it. It is no error if there is none.
func (s *Service) UnsubscribeFunction(topic, name string) error {
	key := subscriptionKey{topic, name}
	s.mu.Lock()
	delete(s.functions, key)
	s.mu.Unlock()
	err := s.db.Update(func(tx *bolt.Tx) error { return removeSubscription(tx, key) })
	if err != nil {
		return fmt.Errorf("unsubscribe function %s from topic %s: %w", name, topic, err)
	}
	return nil
}

// saveFunction writes the subscription of a function to a topic that exists.
func (s *Service) saveFunction(tx *bolt.Tx, topic string, f FunctionSubscription) error {
	key := subscriptionKey{topic, f.Name}
	now := s.now().Unix()
	sub, err := subscriptionOf(tx, key)
	if errors.Is(err, errSubscriberNotExist) {
		sub, err = &subscription{Topic: topic, Name: f.Name, Created: now}, nil
	}
	if err != nil {
		return err
	}
	sub.Modified, sub.Function = now, true
	sub.subscriptionAttributes = subscriptionAttributes{
		Endpoint: f.Endpoint, Tag: f.Tag, Strategy: f.Strategy, Format: f.Format,
	}
	return save(tx.Bucket(bucketSubscriptions), key.bytes(), sub)
}

// functionsOf are the functions that subscribed to a topic, by name.
func (s *Service) functionsOf(topic string) []FunctionSubscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []FunctionSubscription
	for _, key := range slices.SortedFunc(maps.Keys(s.functions), func(a, b subscriptionKey) int {
		return bytes.Compare(a.bytes(), b.bytes())
	}) {
		if key.topic == topic {
			found = append(found, s.functions[key])
		}
	}
	return found
}

// functionOf is the function behind a subscription, if it has subscribed since
// the service was opened.
func (s *Service) functionOf(key subscriptionKey) (FunctionSubscription, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.functions[key]
	return f, ok
}
