package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	mns "github.com/aliyun/aliyun-mns-go-sdk"
)

// subscriber is a queue that the topic delivers to.
type subscriber struct{ queue mns.AliMNSQueue }

const subscriberQueue = "demo-subscriber"

// event is a CloudEvent as the topic delivers it.
type event struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Subject string    `json:"subject"`
	Time    time.Time `json:"time"`
	Data    struct {
		Disk struct {
			Device string `json:"device"`
			Key    string `json:"key"`
		} `json:"disk"`
		TaskID      string `json:"taskId"`
		ManifestKey string `json:"manifestKey"`
		Reason      string `json:"reason"`
		Failure     struct {
			Code string `json:"code"`
		} `json:"failure"`
	} `json:"data"`
}

func subscribe(environment map[string]string) (subscriber, error) {
	client := mns.NewAliMNSClientWithConfig(mns.AliMNSClientConfig{
		EndPoint: environment["MNS_ENDPOINT"], AccessKeyId: environment["ACCESS_KEY_ID"], AccessKeySecret: environment["ACCESS_KEY_SECRET"],
		TimeoutSecond: mns.DefaultTimeout, MaxConnsPerHost: mns.DefaultMaxConnsPerHost,
	})
	if err := mns.NewMNSQueueManager(client).CreateSimpleQueue(subscriberQueue); err != nil {
		return subscriber{}, fmt.Errorf("create the subscriber's queue: %w", err)
	}
	topic := mns.NewMNSTopic(environment["EVENT_TOPIC"], client)
	err := topic.Subscribe(subscriberQueue, mns.MessageSubsribeRequest{
		Endpoint:            fmt.Sprintf("acs:mns:%s:%s:queues/%s", environment["REGION"], environment["ACCOUNT_ID"], subscriberQueue),
		NotifyContentFormat: mns.SIMPLIFIED,
	})
	if err != nil {
		return subscriber{}, fmt.Errorf("subscribe: %w", err)
	}
	// The SDK's own rate limit stalls rather than limits; switch it off.
	return subscriber{mns.NewMNSQueue(subscriberQueue, client, math.MaxInt32)}, nil
}

// receive waits up to half a minute for the export's end, and returns its events
// without duplicates, in the order of their sequence.
func (s subscriber) receive(ctx context.Context, exportID string) ([]event, error) {
	byID := map[string]event{}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; {
		messages := make(chan mns.BatchMessageReceiveResponse, 1)
		errs := make(chan error, 1)
		s.queue.BatchReceiveMessage(messages, errs, 16, 2)
		ended := false
		select {
		case err := <-errs:
			if !mns.ERR_MNS_MESSAGE_NOT_EXIST.IsEqual(err) {
				return nil, err
			}
		case batch := <-messages:
			for _, m := range batch.Messages {
				var e event
				if err := json.Unmarshal([]byte(m.MessageBody), &e); err != nil {
					return nil, fmt.Errorf("a message that is no CloudEvent: %w", err)
				}
				// A message that is visible again comes again.
				if err := s.queue.DeleteMessage(m.ReceiptHandle); err != nil && !mns.ERR_MNS_MESSAGE_NOT_EXIST.IsEqual(err) {
					return nil, err
				}
				if e.Subject == exportID {
					byID[e.ID] = e
				}
			}
		}
		for _, e := range byID {
			ended = ended || strings.HasSuffix(e.Type, ".completed") || strings.HasSuffix(e.Type, ".failed")
		}
		if ended {
			events := make([]event, 0, len(byID))
			for _, e := range byID {
				events = append(events, e)
			}
			sort.Slice(events, func(i, j int) bool { return sequence(events[i]) < sequence(events[j]) })
			return events, nil
		}
	}
	return nil, errors.Join(errors.New("the subscriber was not told of the end of the export"), ctx.Err())
}

func sequence(e event) int {
	_, seq, _ := strings.Cut(e.ID, "/")
	n, _ := strconv.Atoi(seq)
	return n
}

func (s subscriber) print(ctx context.Context, exportID string) error {
	events, err := s.receive(ctx, exportID)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "   TIME\tID\tTYPE\tWHAT")
	for _, e := range events {
		d := e.Data
		what := d.Disk.Key
		for _, s := range []string{d.Failure.Code, d.ManifestKey, d.Reason, d.TaskID} {
			if what == "" {
				what = s
			}
		}
		fmt.Fprintf(w, "   %s\t%s\t%s\t%s\n", e.Time.Format("15:04:05.000"), e.ID, e.Type, what)
	}
	return w.Flush()
}
