package mns_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/shared/mns"
)

type messages struct {
	Message []struct {
		MessageBody  string
		DelaySeconds int
		Priority     *int
	}
}

func TestBatchesKeepTheLimits(t *testing.T) {
	t.Parallel()
	var sizes []int
	var bodies []string
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		document, _ := io.ReadAll(r.Body)
		var m messages
		if err := xml.Unmarshal(document, &m); err != nil {
			t.Error(err)
		}
		sum := 0
		var answer strings.Builder
		for i, one := range m.Message {
			if one.Priority != nil {
				t.Error("a priority was sent")
			}
			sum += len(one.MessageBody)
			bodies = append(bodies, one.MessageBody[:1])
			fmt.Fprintf(&answer, "<Message><MessageId>%d</MessageId></Message>", i)
		}
		if sum > 64<<10 {
			t.Errorf("%d bytes in a batch", sum)
		}
		sizes = append(sizes, len(m.Message))
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "<Messages>%s</Messages>", &answer)
	})
	var batch []mns.Message
	for i := range 20 {
		batch = append(batch, mns.Message{Body: string(rune('a' + i))})
	}
	batch = append(batch, mns.Message{Body: "X" + strings.Repeat("x", 64<<10-1)}, mns.Message{Body: "y"}, mns.Message{Body: "z" + strings.Repeat("z", 40<<10)},
		mns.Message{Body: "w" + strings.Repeat("w", 40<<10)})
	if err := client.Queue("q").SendBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{16, 4, 1, 2, 1}, sizes); diff != "" {
		t.Error(diff)
	}
	if got := strings.Join(bodies, ""); got != "abcdefghijklmnopqrstXyzw" {
		t.Errorf("order %s", got)
	}
	if err := client.Queue("q").SendBatch(t.Context(), nil); err != nil {
		t.Errorf("nothing to send: %v", err)
	}
}

func TestBatchTellsWhatFailed(t *testing.T) {
	t.Parallel()
	client, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `<Messages xmlns="http://mns.aliyuncs.com/doc/v1/"><Message><MessageId>1</MessageId></Message>`+
			`<Message><ErrorCode>InvalidArgument</ErrorCode><ErrorMessage>no</ErrorMessage></Message></Messages>`)
	})
	err := client.Queue("q").SendBatch(t.Context(), []mns.Message{{Body: "bad \x00"}, {Body: "a"}, {Body: "b"}, {Body: strings.Repeat("x", 64<<10+1)}})
	var batch *mns.BatchError
	if !errors.As(err, &batch) {
		t.Fatalf("%T %v", err, err)
	}
	var index []int
	for _, f := range batch.Failed {
		index = append(index, f.Index)
	}
	if diff := cmp.Diff([]int{0, 2, 3}, index); diff != "" || batch.Total != 4 || !errors.Is(err, mns.ErrInvalid) || errors.Is(err, mns.ErrUnsettled) {
		t.Errorf("%v %s", err, diff)
	}
	// A server that answers about fewer messages than it got.
	err = client.Queue("q").SendBatch(t.Context(), []mns.Message{{Body: "a"}, {Body: "b"}, {Body: "c"}})
	if !errors.As(err, &batch) || len(batch.Failed) != 3 || !errors.Is(err, mns.ErrUnsettled) {
		t.Errorf("%v", err)
	}
}

func TestDeleteTellsGoneFromFailed(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	client, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		document, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(document), "<ReceiptHandle>gone</ReceiptHandle>") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `<Errors><Error><ErrorCode>MessageNotExist</ErrorCode><ErrorMessage>Message not exist.</ErrorMessage><ReceiptHandle>gone</ReceiptHandle></Error>`+
			`<Error><ErrorCode>ReceiptHandleError</ErrorCode><ErrorMessage>The receipt handle you provide is not valid.</ErrorMessage><ReceiptHandle>garbled</ReceiptHandle></Error></Errors>`)
	})
	gone, err := client.Queue("q").Delete(t.Context(), "good", "gone", "garbled")
	var batch *mns.BatchError
	if !errors.As(err, &batch) || len(batch.Failed) != 1 || batch.Failed[0].Index != 2 || !errors.Is(err, mns.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{"gone"}, gone); diff != "" {
		t.Error(diff)
	}
	hits.Store(0)
	if gone, err := client.Queue("q").Delete(t.Context(), make([]string, 33)...); gone != nil || err != nil || hits.Load() != 3 {
		t.Errorf("%v %v after %d requests", gone, err, hits.Load())
	}
	if _, err := client.Queue("q").Delete(t.Context()); err != nil || hits.Load() != 3 {
		t.Errorf("no handles: %v", err)
	}
}

func TestCodesBecomeSentinels(t *testing.T) {
	t.Parallel()
	send := func(ctx context.Context, c *mns.Client) error { _, err := c.Queue("q").Send(ctx, "b", 0); return err }
	all := []error{mns.ErrNoQueue, mns.ErrNoTopic, mns.ErrNoSubscription, mns.ErrGone, mns.ErrExists, mns.ErrDenied, mns.ErrThrottled, mns.ErrInvalid, mns.ErrUnsettled}
	for _, test := range []struct {
		status int
		code   string
		want   error
	}{
		{404, "QueueNotExist", mns.ErrNoQueue},
		{404, "TopicNotExist", mns.ErrNoTopic},
		{404, "SubscriberNotExist", mns.ErrNoSubscription},
		{404, "MessageNotExist", mns.ErrGone},
		{400, "ReceiptHandleError", mns.ErrInvalid},
		{400, "InvalidArgument", mns.ErrInvalid},
		{400, "QpsLimitExceeded", mns.ErrThrottled},
		{409, "QueueAlreadyExist", mns.ErrExists},
		{403, "AccessDenied", mns.ErrDenied},
		{403, "InvalidAccessKeyId", mns.ErrDenied},
		{403, "SignatureDoesNotMatch", mns.ErrDenied},
		{408, "TimeExpired", nil},
		{400, "SomethingNew", nil},
		{500, "InternalServerError", mns.ErrUnsettled},
	} {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			client, _ := serve(t, refuse(test.status, test.code))
			err := send(t.Context(), client)
			var e *mns.Error
			if !errors.As(err, &e) || e.Code != test.code || e.Status != test.status || e.Message != "because" || e.RequestID != "512B2A634403E52B1956****" {
				t.Fatalf("%+v", err)
			}
			for _, sentinel := range all {
				if got := errors.Is(err, sentinel); got != (sentinel == test.want) {
					t.Errorf("is %q: %v", sentinel, got)
				}
			}
		})
	}
}

func TestWhatCannotBeIsNotSent(t *testing.T) {
	t.Parallel()
	client, hits := serve(t, refuse(500, "InternalError"))
	q := client.Queue("q")
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	for _, name := range []string{"", "..", "a/b", "a b", "-a", "q?x=1", strings.Repeat("a", 121)} {
		_, send := client.Queue(name).Send(t.Context(), "b", 0)
		_, receive := client.Queue(name).Receive(t.Context(), 1, 0)
		_, remove := client.Queue(name).Delete(t.Context(), "h")
		_, hide := client.Queue(name).ChangeVisibility(t.Context(), "h", time.Second)
		_, publish := client.Topic(name).Publish(t.Context(), "b", "")
		_, queue := client.EnsureQueue(t.Context(), name, mns.QueueAttributes{Retention: time.Hour, Visibility: time.Minute})
		_, topic := client.EnsureTopic(t.Context(), name)
		_, subscription := client.EnsureSubscription(t.Context(), "t", name, mns.Subscription{Endpoint: "http://a"})
		for _, err := range []error{send, receive, remove, hide, publish, queue, topic, subscription, client.Queue(name).SendBatch(t.Context(), []mns.Message{{Body: "b"}})} {
			check(err)
		}
	}
	for _, body := range []string{"", "\x00", "\x1b", "a\xff", "\ufffe", strings.Repeat("x", 64<<10+1)} {
		_, err := q.Send(t.Context(), body, 0)
		check(err)
		_, err = client.Topic("t").Publish(t.Context(), body, "")
		check(err)
	}
	for _, delay := range []time.Duration{-1, 7*24*time.Hour + 1} {
		_, err := q.Send(t.Context(), "b", delay)
		check(err)
	}
	for _, tag := range []string{"seventeen-letters", "a b", "ü"} {
		_, err := client.Topic("t").Publish(t.Context(), "b", tag)
		check(err)
	}
	for _, n := range []int{0, 17} {
		_, err := q.Receive(t.Context(), n, 0)
		check(err)
	}
	_, err := q.Receive(t.Context(), 1, 31*time.Second)
	check(err)
	_, err = q.ChangeVisibility(t.Context(), "h", 13*time.Hour)
	check(err)
	_, err = client.EnsureQueue(t.Context(), "q", mns.QueueAttributes{Retention: 8 * 24 * time.Hour, Visibility: time.Minute})
	check(err)
	for i, err := range errs {
		if !errors.Is(err, mns.ErrInvalid) || errors.Is(err, mns.ErrUnsettled) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests", hits.Load())
	}
}
