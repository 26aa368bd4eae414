package mns

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"time"

	sdk "github.com/aliyun/aliyun-mns-go-sdk"
)

// Outcome is what a set-up call found to do.
type Outcome int

const (
	Unchanged Outcome = iota // it was there as asked for
	Made                     // it was not there
	Changed                  // it was there with other attributes, which were set
)

func (o Outcome) String() string {
	return [...]string{"already there", "made", "changed"}[o]
}

// QueueAttributes of a queue, in whole seconds, rounded up.
type QueueAttributes struct {
	Retention   time.Duration // 1 minute to 7 days; older messages vanish
	Visibility  time.Duration // 1 second to 12 hours; how long a received message is hidden
	PollingWait time.Duration // 0 to 30 seconds; for receivers that do not say how long they wait
}

type queueXML struct {
	XMLName                xml.Name `xml:"Queue"`
	DelaySeconds           int64
	MaximumMessageSize     int64
	MessageRetentionPeriod int64
	VisibilityTimeout      int64
	PollingWaitSeconds     int64
}

// EnsureQueue makes the queue, or gives it these attributes where it has others.
// Messages may have 64 KiB and are not delayed but by their senders.
func (c *Client) EnsureQueue(ctx context.Context, name string, want QueueAttributes) (Outcome, error) {
	r := request{op: "ensure queue", method: sdk.PUT, resource: "queues/" + name, idempotent: true, query: true}
	if e := r.named(name); e != nil {
		return Unchanged, e
	}
	attributes := queueXML{
		MaximumMessageSize:     maxBody,
		MessageRetentionPeriod: seconds(want.Retention),
		VisibilityTimeout:      seconds(want.Visibility),
		PollingWaitSeconds:     seconds(want.PollingWait),
	}
	// The SDK's own check allows a retention that the service refuses.
	if want.Retention < time.Minute || want.Retention > maxDelay || want.Visibility < time.Second ||
		want.Visibility > maxVisibility || want.PollingWait < 0 || want.PollingWait > maxWait {
		return Unchanged, r.invalid("queue attributes %+v", want)
	}
	r.body = attributes
	return c.ensure(ctx, r, func(document []byte) (same bool, err error) {
		var is queueXML
		err = xml.Unmarshal(document, &is)
		is.XMLName = xml.Name{}
		return is == attributes, err
	})
}

// EnsureTopic makes the topic, for messages of up to 64 KiB.
func (c *Client) EnsureTopic(ctx context.Context, name string) (Outcome, error) {
	type topicXML struct {
		XMLName            xml.Name `xml:"Topic"`
		MaximumMessageSize int64
	}
	r := request{op: "ensure topic", method: sdk.PUT, resource: "topics/" + name, idempotent: true, query: true}
	if e := r.named(name); e != nil {
		return Unchanged, e
	}
	r.body = topicXML{MaximumMessageSize: maxBody}
	return c.ensure(ctx, r, func(document []byte) (same bool, err error) {
		var is topicXML
		err = xml.Unmarshal(document, &is)
		return is.MaximumMessageSize == maxBody, err
	})
}

// Subscription says where a topic's messages go.
type Subscription struct {
	Endpoint  string // an URL, or what QueueEndpoint returns
	FilterTag string // only messages with this tag; blank: all
	Strategy  string // BACKOFF_RETRY or EXPONENTIAL_DECAY_RETRY
	Format    string // XML, JSON or SIMPLIFIED: the body alone
}

// EnsureSubscription subscribes to the topic under a name. Of one that is there
// already only the strategy can be changed; where something else differs the error is
// ErrExists, and somebody has to delete it first.
func (c *Client) EnsureSubscription(ctx context.Context, topic, name string, want Subscription) (Outcome, error) {
	r := request{op: "ensure subscription", method: sdk.PUT, resource: "topics/" + topic + "/subscriptions/" + name, idempotent: true, query: true}
	if e := r.named(topic, name); e != nil {
		return Unchanged, e
	}
	if want.Endpoint == "" || !messageTag.MatchString(want.FilterTag) {
		return Unchanged, r.invalid("subscription %+v", want)
	}
	r.body = sdk.MessageSubsribeRequest{
		Endpoint: want.Endpoint, FilterTag: want.FilterTag,
		NotifyStrategy: sdk.NotifyStrategyType(want.Strategy), NotifyContentFormat: sdk.NotifyContentFormatType(want.Format),
	}
	change := sdk.SetSubscriptionAttributesRequest{NotifyStrategy: sdk.NotifyStrategyType(want.Strategy)}
	return c.ensureAs(ctx, r, change, func(document []byte) (same bool, err error) {
		var is sdk.SubscriptionAttribute
		if err := xml.Unmarshal(document, &is); err != nil {
			return false, err
		}
		if is.Endpoint != want.Endpoint || is.FilterTag != want.FilterTag || string(is.NotifyContentFormat) != want.Format {
			e := r.invalid("it sends to %s, tag %q, format %s; want %s, tag %q, format %s",
				is.Endpoint, is.FilterTag, is.NotifyContentFormat, want.Endpoint, want.FilterTag, want.Format)
			e.is = []error{ErrExists}
			return false, e
		}
		return string(is.NotifyStrategy) == want.Strategy, nil
	})
}

func (c *Client) ensure(ctx context.Context, r request, same func([]byte) (bool, error)) (Outcome, error) {
	return c.ensureAs(ctx, r, r.body, same)
}

// ensureAs makes what r asks for. Where it is there with other attributes it looks
// at them, and sends the change unless they are the same as far as we care.
func (c *Client) ensureAs(ctx context.Context, r request, change any, same func([]byte) (bool, error)) (Outcome, error) {
	a, err := c.do(ctx, r, nil)
	switch {
	case err == nil && a.status == http.StatusCreated:
		return Made, nil
	case err == nil:
		return Unchanged, nil
	case !errors.Is(err, ErrExists):
		return Unchanged, err
	}
	look := r
	look.method, look.body = sdk.GET, nil
	if a, err = c.do(ctx, look, nil); err != nil {
		return Unchanged, err
	}
	ok, err := same(a.body)
	if err != nil {
		if e, ours := err.(*Error); ours {
			return Unchanged, e
		}
		return Unchanged, r.failed(a, err)
	}
	if ok {
		return Unchanged, nil
	}
	set := r
	set.path, set.body = "?metaoverride=true", change
	if _, err = c.do(ctx, set, nil); err != nil {
		return Unchanged, err
	}
	return Changed, nil
}
