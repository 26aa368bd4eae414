package mns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"
)

// Values of a subscription's fields.
// https://help.aliyun.com/en/mns/developer-reference/notifystrategy
const (
	// BackoffRetry tries 3 more times, 10 to 20 seconds apart.
	BackoffRetry = "BACKOFF_RETRY"
	// ExponentialDecayRetry tries 176 more times, 1, 2, 4 … 512 seconds apart,
	// which takes a day.
	ExponentialDecayRetry = "EXPONENTIAL_DECAY_RETRY"

	formatXML        = "XML"
	formatJSON       = "JSON"
	formatSimplified = "SIMPLIFIED"
	// FormatStream hands a function the message's body as it was published.
	FormatStream = "STREAM"
	// FormatJSON hands a function a JSON object that describes the message.
	FormatJSON = formatJSON

	maxTag           = 16 // characters
	maxSubscriptions = 100
)

// subscriptionKey names a subscription.
type subscriptionKey struct{ topic, name string }

// bytes is the key in the store.
func (k subscriptionKey) bytes() []byte { return []byte(k.topic + "\x00" + k.name) }

func parseSubscriptionKey(b []byte) subscriptionKey {
	topic, name, _ := strings.Cut(string(b), "\x00")
	return subscriptionKey{topic, name}
}

// subscription is a subscription's record; times are seconds since 1970.
type subscription struct {
	Topic    string
	Name     string
	Created  int64
	Modified int64
	Function bool // is delivered by a FunctionSubscription
	subscriptionAttributes
}

type subscriptionAttributes struct {
	Endpoint string
	Tag      string
	Strategy string
	Format   string
}

func (s *subscription) key() subscriptionKey { return subscriptionKey{s.Topic, s.Name} }

// wants says whether a message with this tag goes to the subscription.
func (s *subscription) wants(tag string) bool { return s.Tag == "" || s.Tag == tag }

// subscriptionsOf reads a topic's subscriptions in the order of their names.
func subscriptionsOf(tx *bolt.Tx, topic string) ([]*subscription, error) {
	var all []*subscription
	prefix := subscriptionKey{topic: topic}.bytes()
	c := tx.Bucket(bucketSubscriptions).Cursor()
	for key, raw := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, raw = c.Next() {
		var sub subscription
		if err := json.Unmarshal(raw, &sub); err != nil {
			return nil, fmt.Errorf("subscription %s: %w", key, err)
		}
		all = append(all, &sub)
	}
	return all, nil
}

// subscriptionOf reads a subscription, errTopicNotExist or errSubscriberNotExist.
func subscriptionOf(tx *bolt.Tx, key subscriptionKey) (*subscription, error) {
	if _, err := topicOf(tx, key.topic); err != nil {
		return nil, err
	}
	var sub subscription
	ok, err := load(tx.Bucket(bucketSubscriptions), key.bytes(), &sub)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errSubscriberNotExist
	}
	return &sub, nil
}

// removeSubscription removes a subscription and its pending deliveries.
func removeSubscription(tx *bolt.Tx, key subscriptionKey) error {
	if err := tx.Bucket(bucketSubscriptions).Delete(key.bytes()); err != nil {
		return err
	}
	return deleteBucket(tx.Bucket(bucketDeliveries), key.bytes())
}

// endpoint is where a subscription's messages go: one of the fields is set.
type endpoint struct {
	queue string
	url   *url.URL
}

// parseEndpoint reads an endpoint. The stand-in reaches queues of its own
// account and region, and HTTP servers on this machine.
func (s *Service) parseEndpoint(v string) (endpoint, error) {
	scheme, rest, _ := strings.Cut(v, ":")
	switch scheme {
	case "acs":
		name, ok := strings.CutPrefix(rest, fmt.Sprintf("mns:%s:%s:queues/", s.region, s.accountID))
		if !ok || checkName(name, errQueueName, errQueueNameLength, false) != nil {
			return endpoint{}, errEndpoint
		}
		return endpoint{queue: name}, nil
	case "http", "https":
		u, err := url.Parse(v)
		if err != nil || u.User != nil || u.Fragment != "" || !loopback(u.Hostname()) {
			return endpoint{}, errEndpoint
		}
		if u.Path == "" {
			u.Path = "/notifications"
		}
		return endpoint{url: u}, nil
	case "mail", "directmail":
		return endpoint{}, notImplemented("Delivery to a mail endpoint")
	case "sms":
		return endpoint{}, notImplemented("Delivery to an SMS endpoint")
	}
	return endpoint{}, errEndpoint
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func validStrategy(v string) bool { return v == BackoffRetry || v == ExponentialDecayRetry }

// parseSubscription checks the body of a Subscribe.
func (s *Service) parseSubscription(body []byte) (subscriptionAttributes, error) {
	var r subscriptionRequest
	if err := decodeXML(body, &r); err != nil {
		return subscriptionAttributes{}, err
	}
	a := subscriptionAttributes{
		Endpoint: r.Endpoint.trimmed(),
		Tag:      r.FilterTag.trimmed(),
		Strategy: r.NotifyStrategy.trimmed(),
		Format:   r.NotifyContentFormat.trimmed(),
	}
	if _, err := s.parseEndpoint(a.Endpoint); err != nil {
		return a, err
	}
	if utf8.RuneCountInString(a.Tag) > maxTag {
		return a, between("FilterTag", 0, maxTag, "characters")
	}
	switch a.Strategy {
	case "":
		a.Strategy = BackoffRetry
	case BackoffRetry, ExponentialDecayRetry:
	default:
		return a, schema("NotifyStrategy")
	}
	switch a.Format {
	case "":
		a.Format = formatXML
	case formatXML, formatJSON, formatSimplified:
	default:
		return a, schema("NotifyContentFormat")
	}
	return a, nil
}

func (s *Service) subscribe(_ context.Context, r *request) (response, error) {
	attributes, err := s.parseSubscription(r.body)
	if err != nil {
		return response{}, err
	}
	key := subscriptionKey{r.name, r.sub}
	status := http.StatusCreated
	err = s.db.Update(func(tx *bolt.Tx) error {
		existing, err := subscriptionOf(tx, key)
		switch {
		case err == nil && existing.subscriptionAttributes == attributes:
			status = http.StatusNoContent
			return nil
		case err == nil:
			return errSubscriptionExists
		case !errors.Is(err, errSubscriberNotExist):
			return err
		}
		all, err := subscriptionsOf(tx, r.name)
		if err != nil {
			return err
		}
		if len(all) >= maxSubscriptions {
			return errSubscriptionsPerTopic
		}
		now := s.now().Unix()
		return save(tx.Bucket(bucketSubscriptions), key.bytes(), subscription{
			Topic: r.name, Name: r.sub, Created: now, Modified: now, subscriptionAttributes: attributes,
		})
	})
	return response{status: status, location: r.url("/topics/" + r.name + "/subscriptions/" + r.sub)}, err
}

// setSubscriptionAttributes changes the strategy, the only attribute that can
// be changed.
func (s *Service) setSubscriptionAttributes(_ context.Context, r *request) (response, error) {
	var body subscriptionRequest
	if err := decodeXML(r.body, &body); err != nil {
		return response{}, err
	}
	strategy := body.NotifyStrategy.trimmed()
	if strategy != "" && !validStrategy(strategy) {
		return response{}, schema("NotifyStrategy")
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		sub, err := subscriptionOf(tx, subscriptionKey{r.name, r.sub})
		if err != nil || strategy == "" {
			return err
		}
		sub.Strategy, sub.Modified = strategy, s.now().Unix()
		return save(tx.Bucket(bucketSubscriptions), sub.key().bytes(), sub)
	})
	return response{status: http.StatusNoContent}, err
}

func (s *Service) getSubscriptionAttributes(_ context.Context, r *request) (response, error) {
	var doc subscriptionXML
	err := s.db.View(func(tx *bolt.Tx) error {
		sub, err := subscriptionOf(tx, subscriptionKey{r.name, r.sub})
		if err == nil {
			doc = s.describeSubscription(sub)
		}
		return err
	})
	return response{status: http.StatusOK, body: doc}, err
}

func (s *Service) describeSubscription(sub *subscription) subscriptionXML {
	return subscriptionXML{
		SubscriptionName:    sub.Name,
		Subscriber:          s.accountID,
		TopicOwner:          s.accountID,
		TopicName:           sub.Topic,
		Endpoint:            sub.Endpoint,
		NotifyStrategy:      sub.Strategy,
		NotifyContentFormat: sub.Format,
		FilterTag:           sub.Tag,
		CreateTime:          &sub.Created,
		LastModifyTime:      &sub.Modified,
	}
}

// unsubscribe removes a subscription. One that is not there counts as removed.
// https://help.aliyun.com/zh/mns/developer-reference/unsubscribe
func (s *Service) unsubscribe(_ context.Context, r *request) (response, error) {
	err := s.db.Update(func(tx *bolt.Tx) error {
		return removeSubscription(tx, subscriptionKey{r.name, r.sub})
	})
	return response{status: http.StatusNoContent}, err
}

func (s *Service) listSubscriptions(_ context.Context, r *request) (response, error) {
	page, err := parsePage(r.http.Header)
	if err != nil {
		return response{}, err
	}
	var doc subscriptionsXML
	err = s.db.View(func(tx *bolt.Tx) error {
		if _, err := topicOf(tx, r.name); err != nil {
			return err
		}
		var names []string
		names, doc.NextMarker = page.of(tx.Bucket(bucketSubscriptions), r.name+"\x00")
		for _, name := range names {
			item := subscriptionXML{}
			if page.meta {
				sub, err := subscriptionOf(tx, subscriptionKey{r.name, name})
				if err != nil {
					return err
				}
				item = s.describeSubscription(sub)
			}
			item.SubscriptionURL = r.url("/topics/" + r.name + "/subscriptions/" + name)
			doc.Subscriptions = append(doc.Subscriptions, item)
		}
		return nil
	})
	return response{status: http.StatusOK, body: doc}, err
}
