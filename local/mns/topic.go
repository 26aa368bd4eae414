package mns

import (
	"context"
	"errors"
	"net/http"

	bolt "go.etcd.io/bbolt"
)

// topicRetention is how long a topic keeps trying to deliver a message, in
// seconds. It can't be set.
const topicRetention = 86400

// topic is a topic's record; times are seconds since 1970.
type topic struct {
	Name     string
	Created  int64
	Modified int64
	topicAttributes
}

type topicAttributes struct {
	MaximumSize    int64
	LoggingEnabled bool
}

var defaultTopic = topicAttributes{MaximumSize: maxMessageSize}

// apply checks a request's attributes; those that it does not have stay as
// they are in a.
func (a topicAttributes) apply(body []byte) (topicAttributes, error) {
	if len(body) == 0 {
		return a, nil
	}
	var t topicRequest
	if err := decodeXML(body, &t); err != nil {
		return a, err
	}
	var err error
	if a.MaximumSize, err = t.MaximumMessageSize.number("MaximumMessageSize", minMessageSize, maxMessageSize, a.MaximumSize, "bytes"); err != nil {
		return a, err
	}
	a.LoggingEnabled, err = t.LoggingEnabled.boolean("LoggingEnabled", a.LoggingEnabled)
	return a, err
}

// topicOf reads a topic's record, or errTopicNotExist.
func topicOf(tx *bolt.Tx, name string) (*topic, error) {
	var t topic
	ok, err := load(tx.Bucket(bucketTopics), []byte(name), &t)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errTopicNotExist
	}
	return &t, nil
}

func (s *Service) createTopic(_ context.Context, r *request) (response, error) {
	attributes, err := defaultTopic.apply(r.body)
	if err != nil {
		return response{}, err
	}
	functions := s.functionsOf(r.name)
	status := http.StatusCreated
	err = s.db.Update(func(tx *bolt.Tx) error {
		existing, err := topicOf(tx, r.name)
		switch {
		case err == nil && existing.topicAttributes == attributes:
			status = http.StatusNoContent
			return nil
		case err == nil:
			return errTopicExists
		case !errors.Is(err, errTopicNotExist):
			return err
		}
		now := s.now().Unix()
		if err := save(tx.Bucket(bucketTopics), []byte(r.name), topic{r.name, now, now, attributes}); err != nil {
			return err
		}
		// Functions may have subscribed before there was a topic.
		for _, f := range functions {
			if err := s.saveFunction(tx, r.name, f); err != nil {
				return err
			}
		}
		return nil
	})
	return response{status: status, location: r.url("/topics/" + r.name)}, err
}

func (s *Service) setTopicAttributes(_ context.Context, r *request) (response, error) {
	err := s.db.Update(func(tx *bolt.Tx) error {
		t, err := topicOf(tx, r.name)
		if err != nil {
			return err
		}
		if t.topicAttributes, err = t.apply(r.body); err != nil {
			return err
		}
		t.Modified = s.now().Unix()
		return save(tx.Bucket(bucketTopics), []byte(r.name), t)
	})
	return response{status: http.StatusNoContent}, err
}

func (s *Service) getTopicAttributes(_ context.Context, r *request) (response, error) {
	var doc topicXML
	err := s.db.View(func(tx *bolt.Tx) error {
		var err error
		doc, err = describeTopic(tx, r.name)
		return err
	})
	return response{status: http.StatusOK, body: doc}, err
}

func describeTopic(tx *bolt.Tx, name string) (topicXML, error) {
	t, err := topicOf(tx, name)
	if err != nil {
		return topicXML{}, err
	}
	pending, err := countPending(tx, name)
	if err != nil {
		return topicXML{}, err
	}
	retention := int64(topicRetention)
	return topicXML{
		TopicName:              t.Name,
		CreateTime:             &t.Created,
		LastModifyTime:         &t.Modified,
		MaximumMessageSize:     &t.MaximumSize,
		MessageRetentionPeriod: &retention,
		MessageCount:           &pending,
		LoggingEnabled:         titleBool(t.LoggingEnabled),
	}, nil
}

// deleteTopic deletes a topic with its subscriptions and what is still to be
// delivered. A topic that is not there counts as deleted.
// https://help.aliyun.com/zh/mns/deletetopic
func (s *Service) deleteTopic(_ context.Context, r *request) (response, error) {
	err := s.db.Update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketTopics).Delete([]byte(r.name)); err != nil {
			return err
		}
		subscriptions, err := subscriptionsOf(tx, r.name)
		if err != nil {
			return err
		}
		for _, sub := range subscriptions {
			if err := removeSubscription(tx, sub.key()); err != nil {
				return err
			}
		}
		return nil
	})
	return response{status: http.StatusNoContent}, err
}

func (s *Service) listTopics(_ context.Context, r *request) (response, error) {
	page, err := parsePage(r.http.Header)
	if err != nil {
		return response{}, err
	}
	var doc topicsXML
	err = s.db.View(func(tx *bolt.Tx) error {
		var names []string
		names, doc.NextMarker = page.of(tx.Bucket(bucketTopics), "")
		for _, name := range names {
			item := topicXML{}
			if page.meta {
				if item, err = describeTopic(tx, name); err != nil {
					return err
				}
			}
			item.TopicURL = r.url("/topics/" + name)
			doc.Topics = append(doc.Topics, item)
		}
		return nil
	})
	return response{status: http.StatusOK, body: doc}, err
}
