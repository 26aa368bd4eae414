package mns

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"
)

// notice is a published message; Time is milliseconds since 1970.
type notice struct {
	ID         string
	Topic      string
	Body       string
	MD5        string
	Tag        string            `json:",omitempty"`
	Attributes map[string]string `json:",omitempty"`
	Time       int64
	// Base is the address at which the publisher reached the service.
	Base string
}

// publishMessage accepts a message. What has to be delivered is stored in the
// same transaction; a queue of this service has its copy when it ends.
func (s *Service) publishMessage(_ context.Context, r *request) (response, error) {
	var body publishRequest
	if err := decodeXML(r.body, &body); err != nil {
		return response{}, err
	}
	if body.MessageBody == nil || *body.MessageBody == "" {
		return response{}, errNoBody
	}
	n := notice{
		ID:    newMessageID(),
		Topic: r.name,
		Body:  string(*body.MessageBody),
		MD5:   upperMD5(md5.Sum([]byte(*body.MessageBody))),
		Tag:   body.MessageTag.trimmed(),
		Time:  s.millis(),
		Base:  base(r.http),
	}
	if utf8.RuneCountInString(n.Tag) > maxTag {
		return response{}, between("MessageTag", 0, maxTag, "characters")
	}
	for _, a := range body.MessageAttributes.Attributes {
		if n.Attributes == nil {
			n.Attributes = map[string]string{}
		}
		n.Attributes[a.XMLName.Local] = a.Value
	}
	var queues []string
	var couriers []subscriptionKey
	err := s.db.Update(func(tx *bolt.Tx) error {
		t, err := topicOf(tx, r.name)
		if err != nil {
			return err
		}
		if int64(len(n.Body)) > t.MaximumSize {
			return between("MessageBody", 1, t.MaximumSize, "bytes")
		}
		all, err := subscriptionsOf(tx, r.name)
		if err != nil {
			return err
		}
		for _, sub := range all {
			if !sub.wants(n.Tag) {
				continue
			}
			queue, err := s.deliverToQueue(tx, sub, &n)
			if err != nil {
				return err
			}
			if queue != "" {
				queues = append(queues, queue)
				continue
			}
			if err := addDelivery(tx, sub.key(), &delivery{Notice: n}, n.Time); err != nil {
				return err
			}
			couriers = append(couriers, sub.key())
		}
		return nil
	})
	if err != nil {
		return response{}, err
	}
	for _, queue := range queues {
		s.gates.open(queue)
	}
	for _, key := range couriers {
		s.dispatch(key)
	}
	return response{status: http.StatusCreated, body: messageXML{MessageID: n.ID, MessageBodyMD5: n.MD5}}, nil
}

// deliverToQueue puts the message into the queue that sub's endpoint names. It
// gives "" if the endpoint is something else, or the queue does not exist.
func (s *Service) deliverToQueue(tx *bolt.Tx, sub *subscription, n *notice) (string, error) {
	if sub.Function {
		return "", nil
	}
	to, err := s.parseEndpoint(sub.Endpoint)
	if err != nil || to.queue == "" {
		return "", nil
	}
	q, m, err := s.settled(tx, to.queue, s.millis())
	if errors.Is(err, errQueueNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	_, err = m.add(s.millis(), s.payload(sub, n), defaultPriority, s.scaled(q.Delay))
	return to.queue, err
}

func newMessageID() string {
	var b [16]byte
	rand.Read(b[:])
	return strings.ToUpper(fmt.Sprintf("%x", b))
}

// notification is what a subscriber gets in the formats XML and JSON.
type notification struct {
	XMLName          xml.Name `xml:"Notification" json:"-"`
	TopicOwner       string
	TopicName        string
	Subscriber       string
	SubscriptionName string
	MessageID        string `xml:"MessageId" json:"MessageId"`
	Message          string
	MessageMD5       string
	MessageTag       string `xml:",omitempty" json:",omitempty"`
	PublishTime      string // milliseconds since 1970
}

// payload is what a queue or an HTTP server receives.
// https://help.aliyun.com/en/mns/developer-reference/notifycontentformat
func (s *Service) payload(sub *subscription, n *notice) []byte {
	doc := notification{
		TopicOwner:       s.accountID,
		TopicName:        n.Topic,
		Subscriber:       s.accountID,
		SubscriptionName: sub.Name,
		MessageID:        n.ID,
		Message:          n.Body,
		MessageMD5:       n.MD5,
		MessageTag:       n.Tag,
		PublishTime:      strconv.FormatInt(n.Time, 10),
	}
	switch sub.Format {
	case formatSimplified:
		return []byte(n.Body)
	case formatJSON:
		return encodeJSON(doc)
	}
	return encodeXML(doc)
}

// functionPayload is the event that a function gets. PublishTime is a number
// here, and message attributes stand beside the other fields.
func (s *Service) functionPayload(sub *subscription, n *notice) []byte {
	if sub.Format == FormatStream {
		if len(n.Attributes) == 0 {
			return []byte(n.Body)
		}
		return encodeJSON(map[string]any{"body": n.Body, "attrs": n.Attributes})
	}
	event := map[string]any{}
	for name, value := range n.Attributes {
		event[name] = value
	}
	event["TopicOwner"] = s.accountID
	event["Message"] = n.Body
	event["Subscriber"] = s.accountID
	event["PublishTime"] = n.Time
	event["SubscriptionName"] = sub.Name
	event["MessageMD5"] = n.MD5
	event["TopicName"] = n.Topic
	event["MessageId"] = n.ID
	return encodeJSON(event)
}

// encodeJSON leaves <, > and & as they are.
func encodeJSON(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // strings and numbers can always be encoded
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
