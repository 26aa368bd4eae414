package mns

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// Limits of https://help.aliyun.com/en/mns/product-overview/limits; seconds and
// bytes.
const (
	maxDelay       = 604800
	maxVisibility  = 43200
	minRetention   = 60
	maxRetention   = 604800
	maxPoll        = 30
	minMessageSize = 1024
	maxMessageSize = 65536
	maxBatch       = 16
)

// queue is a queue's record. Durations are unscaled seconds, times are seconds
// since 1970.
type queue struct {
	Name     string
	Created  int64
	Modified int64
	queueAttributes
}

// queueAttributes are what the caller may set.
type queueAttributes struct {
	Delay          int64
	MaximumSize    int64
	Retention      int64
	Visibility     int64
	PollingWait    int64
	LoggingEnabled bool
}

// defaultQueue is a queue for which nothing was set.
var defaultQueue = queueAttributes{MaximumSize: maxMessageSize, Retention: 345600, Visibility: 30}

// apply checks a request's attributes; those that it does not have stay as
// they are in a.
func (a queueAttributes) apply(body []byte) (queueAttributes, error) {
	if len(body) == 0 {
		return a, nil
	}
	var q queueRequest
	if err := decodeXML(body, &q); err != nil {
		return a, err
	}
	for _, f := range []struct {
		to        *int64
		from      *text
		name      string
		low, high int64
		unit      string
	}{
		{&a.Delay, q.DelaySeconds, "DelaySeconds", 0, maxDelay, "seconds"},
		{&a.MaximumSize, q.MaximumMessageSize, "MaximumMessageSize", minMessageSize, maxMessageSize, "bytes"},
		{&a.Retention, q.MessageRetentionPeriod, "MessageRetentionPeriod", minRetention, maxRetention, "seconds"},
		{&a.Visibility, q.VisibilityTimeout, "VisibilityTimeout", 1, maxVisibility, "seconds"},
		{&a.PollingWait, q.PollingWaitSeconds, "PollingWaitSeconds", 0, maxPoll, "seconds"},
	} {
		n, err := f.from.number(f.name, f.low, f.high, *f.to, f.unit)
		if err != nil {
			return a, err
		}
		*f.to = n
	}
	var err error
	a.LoggingEnabled, err = q.LoggingEnabled.boolean("LoggingEnabled", a.LoggingEnabled)
	return a, err
}

// queueOf reads a queue's record, or errQueueNotExist.
func queueOf(tx *bolt.Tx, name string) (*queue, error) {
	var q queue
	ok, err := load(tx.Bucket(bucketQueues), []byte(name), &q)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errQueueNotExist
	}
	return &q, nil
}

// settled opens a queue within a writable transaction and brings it to the
// present.
func (s *Service) settled(tx *bolt.Tx, name string, now int64) (*queue, *messages, error) {
	q, err := queueOf(tx, name)
	if err != nil {
		return nil, nil, err
	}
	m, err := messagesOf(tx, name)
	if err != nil {
		return nil, nil, err
	}
	return q, m, m.settle(now, s.scaled(q.Retention))
}

func (s *Service) createQueue(_ context.Context, r *request) (response, error) {
	attributes, err := defaultQueue.apply(r.body)
	if err != nil {
		return response{}, err
	}
	status := http.StatusCreated
	err = s.db.Update(func(tx *bolt.Tx) error {
		existing, err := queueOf(tx, r.name)
		switch {
		case err == nil && existing.queueAttributes == attributes:
			status = http.StatusNoContent
			return nil
		case err == nil:
			return errQueueExists
		case !errors.Is(err, errQueueNotExist):
			return err
		}
		now := s.now().Unix()
		if err := save(tx.Bucket(bucketQueues), []byte(r.name), queue{r.name, now, now, attributes}); err != nil {
			return err
		}
		return createMessages(tx, r.name)
	})
	return response{status: status, location: r.url("/queues/" + r.name)}, err
}

func (s *Service) setQueueAttributes(_ context.Context, r *request) (response, error) {
	err := s.db.Update(func(tx *bolt.Tx) error {
		q, err := queueOf(tx, r.name)
		if err != nil {
			return err
		}
		if q.queueAttributes, err = q.apply(r.body); err != nil {
			return err
		}
		q.Modified = s.now().Unix()
		return save(tx.Bucket(bucketQueues), []byte(r.name), q)
	})
	return response{status: http.StatusNoContent}, err
}

func (s *Service) getQueueAttributes(_ context.Context, r *request) (response, error) {
	var doc queueXML
	err := s.db.Update(func(tx *bolt.Tx) error {
		var err error
		doc, err = s.describeQueue(tx, r.name)
		return err
	})
	return response{status: http.StatusOK, body: doc}, err
}

func (s *Service) describeQueue(tx *bolt.Tx, name string) (queueXML, error) {
	q, m, err := s.settled(tx, name, s.millis())
	if err != nil {
		return queueXML{}, err
	}
	active, inactive, delayed := m.count()
	return queueXML{
		QueueName:              q.Name,
		CreateTime:             &q.Created,
		LastModifyTime:         &q.Modified,
		VisibilityTimeout:      &q.Visibility,
		MaximumMessageSize:     &q.MaximumSize,
		MessageRetentionPeriod: &q.Retention,
		DelaySeconds:           &q.Delay,
		PollingWaitSeconds:     &q.PollingWait,
		ActiveMessages:         &active,
		InactiveMessages:       &inactive,
		DelayMessages:          &delayed,
		LoggingEnabled:         titleBool(q.LoggingEnabled),
	}, nil
}

// titleBool spells a boolean as the service does, "True" or "False"; SDKs
// accept that and "true".
func titleBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// deleteQueue deletes a queue with its messages. A queue that is not there
// counts as deleted, as the documents say of topics and subscriptions.
func (s *Service) deleteQueue(_ context.Context, r *request) (response, error) {
	err := s.db.Update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketQueues).Delete([]byte(r.name)); err != nil {
			return err
		}
		return deleteBucket(tx.Bucket(bucketMessages), []byte(r.name))
	})
	s.gates.open(r.name)
	return response{status: http.StatusNoContent}, err
}

func (s *Service) listQueues(_ context.Context, r *request) (response, error) {
	page, err := parsePage(r.http.Header)
	if err != nil {
		return response{}, err
	}
	var doc queuesXML
	err = s.db.Update(func(tx *bolt.Tx) error {
		var names []string
		names, doc.NextMarker = page.of(tx.Bucket(bucketQueues), "")
		for _, name := range names {
			item := queueXML{QueueURL: r.url("/queues/" + name)}
			if page.meta {
				described, err := s.describeQueue(tx, name)
				if err != nil {
					return err
				}
				described.QueueURL = item.QueueURL
				item = described
			}
			doc.Queues = append(doc.Queues, item)
		}
		return nil
	})
	return response{status: http.StatusOK, body: doc}, err
}

// page is what a list asks for in its headers.
type page struct {
	prefix, marker string
	size           int
	meta           bool
}

func parsePage(h http.Header) (page, error) {
	p := page{prefix: h.Get("x-mns-prefix"), marker: h.Get("x-mns-marker"), size: 1000}
	if v := h.Get("x-mns-ret-number"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > 1000 {
			return p, between("x-mns-ret-number", 1, 1000, "items")
		}
		p.size = n
	}
	switch h.Get("x-mns-with-meta") {
	case "", "false", "False":
	case "true", "True":
		p.meta = true
	default:
		return p, invalidArgument("The value of x-mns-with-meta should be true or false.")
	}
	return p, nil
}

// of lists the keys of b that start with scope, without it. next is where the
// next page starts, "" after the last one.
func (p page) of(b *bolt.Bucket, scope string) (names []string, next string) {
	start := max(scope+p.prefix, scope+p.marker)
	c := b.Cursor()
	for key, _ := c.Seek([]byte(start)); key != nil; key, _ = c.Next() {
		name, ok := strings.CutPrefix(string(key), scope)
		if !ok || !strings.HasPrefix(name, p.prefix) {
			break
		}
		if len(names) == p.size {
			return names, name
		}
		names = append(names, name)
	}
	return names, ""
}
