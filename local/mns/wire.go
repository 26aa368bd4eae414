package mns

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// namespace is that of every document that the service writes. Those that it
// reads may have it or none: the Go SDK sends none.
const (
	namespace   = "http://mns.aliyuncs.com/doc/v1/"
	declaration = `<?xml version="1.0" encoding="utf-8"?>` + "\n"
)

type errorXML struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string   `xml:"Code"`
	Message   string   `xml:"Message"`
	RequestID string   `xml:"RequestId"`
	HostID    string   `xml:"HostId"`
}

type openServiceXML struct {
	XMLName xml.Name `xml:"OpenService"`
	OrderID string   `xml:"OrderId"`
}

// queueXML is a queue as GetQueueAttributes and the lists give it. Times are
// seconds since 1970.
type queueXML struct {
	XMLName                xml.Name `xml:"Queue"`
	QueueURL               string   `xml:"QueueURL,omitempty"`
	QueueName              string   `xml:"QueueName,omitempty"`
	CreateTime             *int64   `xml:"CreateTime,omitempty"`
	LastModifyTime         *int64   `xml:"LastModifyTime,omitempty"`
	VisibilityTimeout      *int64   `xml:"VisibilityTimeout,omitempty"`
	MaximumMessageSize     *int64   `xml:"MaximumMessageSize,omitempty"`
	MessageRetentionPeriod *int64   `xml:"MessageRetentionPeriod,omitempty"`
	DelaySeconds           *int64   `xml:"DelaySeconds,omitempty"`
	PollingWaitSeconds     *int64   `xml:"PollingWaitSeconds,omitempty"`
	ActiveMessages         *int64   `xml:"ActiveMessages,omitempty"`
	InactiveMessages       *int64   `xml:"InactiveMessages,omitempty"`
	DelayMessages          *int64   `xml:"DelayMessages,omitempty"`
	LoggingEnabled         string   `xml:"LoggingEnabled,omitempty"`
}

type queuesXML struct {
	XMLName    xml.Name `xml:"Queues"`
	Queues     []queueXML
	NextMarker string `xml:"NextMarker,omitempty"`
}

type topicXML struct {
	XMLName                xml.Name `xml:"Topic"`
	TopicURL               string   `xml:"TopicURL,omitempty"`
	TopicName              string   `xml:"TopicName,omitempty"`
	CreateTime             *int64   `xml:"CreateTime,omitempty"`
	LastModifyTime         *int64   `xml:"LastModifyTime,omitempty"`
	MaximumMessageSize     *int64   `xml:"MaximumMessageSize,omitempty"`
	MessageRetentionPeriod *int64   `xml:"MessageRetentionPeriod,omitempty"`
	MessageCount           *int64   `xml:"MessageCount,omitempty"`
	LoggingEnabled         string   `xml:"LoggingEnabled,omitempty"`
}

type topicsXML struct {
	XMLName    xml.Name `xml:"Topics"`
	Topics     []topicXML
	NextMarker string `xml:"NextMarker,omitempty"`
}

type subscriptionXML struct {
	XMLName             xml.Name `xml:"Subscription"`
	SubscriptionURL     string   `xml:"SubscriptionURL,omitempty"`
	SubscriptionName    string   `xml:"SubscriptionName,omitempty"`
	Subscriber          string   `xml:"Subscriber,omitempty"`
	TopicOwner          string   `xml:"TopicOwner,omitempty"`
	TopicName           string   `xml:"TopicName,omitempty"`
	Endpoint            string   `xml:"Endpoint,omitempty"`
	NotifyStrategy      string   `xml:"NotifyStrategy,omitempty"`
	NotifyContentFormat string   `xml:"NotifyContentFormat,omitempty"`
	FilterTag           string   `xml:"FilterTag,omitempty"`
	CreateTime          *int64   `xml:"CreateTime,omitempty"`
	LastModifyTime      *int64   `xml:"LastModifyTime,omitempty"`
}

type subscriptionsXML struct {
	XMLName       xml.Name `xml:"Subscriptions"`
	Subscriptions []subscriptionXML
	NextMarker    string `xml:"NextMarker,omitempty"`
}

// messageXML is a message as sent, received or peeked at; each answer leaves
// out what it does not give. Times are milliseconds since 1970.
type messageXML struct {
	XMLName          xml.Name `xml:"Message"`
	ErrorCode        string   `xml:"ErrorCode,omitempty"`
	ErrorMessage     string   `xml:"ErrorMessage,omitempty"`
	MessageID        string   `xml:"MessageId,omitempty"`
	ReceiptHandle    string   `xml:"ReceiptHandle,omitempty"`
	MessageBody      *string  `xml:"MessageBody,omitempty"`
	MessageBodyMD5   string   `xml:"MessageBodyMD5,omitempty"`
	EnqueueTime      *int64   `xml:"EnqueueTime,omitempty"`
	NextVisibleTime  *int64   `xml:"NextVisibleTime,omitempty"`
	FirstDequeueTime *int64   `xml:"FirstDequeueTime,omitempty"`
	DequeueCount     *int64   `xml:"DequeueCount,omitempty"`
	Priority         *int64   `xml:"Priority,omitempty"`
}

type messagesXML struct {
	XMLName  xml.Name `xml:"Messages"`
	Messages []messageXML
}

type visibilityXML struct {
	XMLName         xml.Name `xml:"ChangeVisibility"`
	ReceiptHandle   string   `xml:"ReceiptHandle"`
	NextVisibleTime int64    `xml:"NextVisibleTime"`
}

type deleteErrorXML struct {
	XMLName       xml.Name `xml:"Error"`
	ErrorCode     string   `xml:"ErrorCode"`
	ErrorMessage  string   `xml:"ErrorMessage"`
	ReceiptHandle string   `xml:"ReceiptHandle"`
}

type deleteErrorsXML struct {
	XMLName xml.Name `xml:"Errors"`
	Errors  []deleteErrorXML
}

// partialFailure answers a batch of which some succeeded.
type partialFailure struct {
	status int
	body   any
}

func (*partialFailure) Error() string { return "some of the batch failed" }

// text is the character data of an element that may have no elements in it;
// nil where the element is absent.
type text string

func (t *text) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	var b strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.CharData:
			b.Write(token)
		case xml.StartElement:
			return errors.New("element in text")
		case xml.EndElement:
			*t = text(b.String())
			return nil
		}
	}
}

// number is the value of t between low and high, or otherwise where t is nil.
func (t *text) number(name string, low, high, otherwise int64, unit string) (int64, error) {
	if t == nil {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(*t)), 10, 64)
	if err != nil {
		return 0, schema(name)
	}
	if n < low || n > high {
		return 0, between(name, low, high, unit)
	}
	return n, nil
}

func (t *text) boolean(name string, otherwise bool) (bool, error) {
	if t == nil {
		return otherwise, nil
	}
	switch strings.ToLower(strings.TrimSpace(string(*t))) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, schema(name)
}

// trimmed is the text without the space around it, "" where absent.
func (t *text) trimmed() string {
	if t == nil {
		return ""
	}
	return strings.TrimSpace(string(*t))
}

type queueRequest struct {
	XMLName                xml.Name `xml:"Queue"`
	DelaySeconds           *text    `xml:"DelaySeconds"`
	MaximumMessageSize     *text    `xml:"MaximumMessageSize"`
	MessageRetentionPeriod *text    `xml:"MessageRetentionPeriod"`
	VisibilityTimeout      *text    `xml:"VisibilityTimeout"`
	PollingWaitSeconds     *text    `xml:"PollingWaitSeconds"`
	LoggingEnabled         *text    `xml:"LoggingEnabled"`
}

type topicRequest struct {
	XMLName            xml.Name `xml:"Topic"`
	MaximumMessageSize *text    `xml:"MaximumMessageSize"`
	LoggingEnabled     *text    `xml:"LoggingEnabled"`
}

type subscriptionRequest struct {
	XMLName             xml.Name `xml:"Subscription"`
	Endpoint            *text    `xml:"Endpoint"`
	FilterTag           *text    `xml:"FilterTag"`
	NotifyStrategy      *text    `xml:"NotifyStrategy"`
	NotifyContentFormat *text    `xml:"NotifyContentFormat"`
}

type sendRequest struct {
	MessageBody  *text `xml:"MessageBody"`
	DelaySeconds *text `xml:"DelaySeconds"`
	Priority     *text `xml:"Priority"`
}

type publishRequest struct {
	XMLName           xml.Name `xml:"Message"`
	MessageBody       *text    `xml:"MessageBody"`
	MessageTag        *text    `xml:"MessageTag"`
	MessageAttributes struct {
		Attributes []attribute `xml:",any"`
	} `xml:"MessageAttributes"`
}

type attribute struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

type handlesRequest struct {
	XMLName xml.Name `xml:"ReceiptHandles"`
	Handles []text   `xml:"ReceiptHandle"`
}

// decodeXML reads one document whose root has v's name and nothing after it.
func decodeXML(body []byte, v any) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(v); err != nil {
		return errMalformedXML
	}
	return rest(d)
}

// rest wants nothing but space and comments after the root.
func rest(d *xml.Decoder) error {
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errMalformedXML
		}
		switch token := token.(type) {
		case xml.Comment, xml.ProcInst:
		case xml.CharData:
			if len(bytes.TrimSpace(token)) > 0 {
				return errMalformedXML
			}
		default:
			return errMalformedXML
		}
	}
}

// decodeMessages reads the body of a send: one <Message>, or <Messages> with
// one or more of them.
func decodeMessages(body []byte) (messages []sendRequest, batch bool, err error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return nil, false, errMalformedXML
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "Message":
			var m sendRequest
			if err := d.DecodeElement(&m, &start); err != nil {
				return nil, false, errMalformedXML
			}
			messages = []sendRequest{m}
		case "Messages":
			var all struct {
				Messages []sendRequest `xml:"Message"`
			}
			if err := d.DecodeElement(&all, &start); err != nil {
				return nil, false, errMalformedXML
			}
			messages, batch = all.Messages, true
		default:
			return nil, false, schema(start.Name.Local)
		}
		return messages, batch, rest(d)
	}
}

// encodeXML writes v with the namespace on its root.
func encodeXML(v any) []byte {
	b, err := xml.Marshal(v)
	if err != nil {
		panic(err) // the types above can always be encoded
	}
	root, inner, _ := bytes.Cut(b, []byte(">"))
	return fmt.Appendf(nil, `%s%s xmlns="%s">%s`, declaration, root, namespace, inner)
}
