package mns

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	sdk "github.com/aliyun/aliyun-mns-go-sdk"
)

// maxBatch is how many messages one request sends, receives or deletes.
const maxBatch = 16

// maxDelay, in which a message may be hidden at first, and maxVisibility.
const (
	maxDelay      = 7 * 24 * time.Hour
	maxVisibility = 12 * time.Hour
	maxWait       = 30 * time.Second
)

// Queue sends to and receives from one queue.
type Queue struct {
	client *Client
	name   string
}

// Name is the queue's name.
func (q *Queue) Name() string { return q.name }

func (q *Queue) request(op string, method sdk.Method, path string) (request, *Error) {
	r := request{op: op, method: method, resource: "queues/" + q.name, path: path}
	return r, r.named(q.name)
}

// Message is what SendBatch sends.
type Message struct {
	Body  string        // plain text that XML can hold, 1 to 65536 bytes
	Delay time.Duration // whole seconds, rounded up, 0 to 7 days
}

// The SDK's own type sends <Priority>0</Priority>, which the service refuses.
type messageXML struct {
	XMLName      xml.Name `xml:"Message"`
	MessageBody  string
	DelaySeconds int64
}

type messagesXML struct {
	XMLName  xml.Name `xml:"Messages"`
	Messages []messageXML
}

func (r request) message(m Message) (messageXML, *Error) {
	if m.Delay < 0 || m.Delay > maxDelay {
		return messageXML{}, r.invalid("delay %v: want 0 to %v", m.Delay, maxDelay)
	}
	return messageXML{MessageBody: m.Body, DelaySeconds: seconds(m.Delay)}, r.text(m.Body)
}

// seconds rounds up: half a second must not become none.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// Send puts one message into the queue, to be received after delay, and returns
// its id.
func (q *Queue) Send(ctx context.Context, body string, delay time.Duration) (id string, err error) {
	r, e := q.request("send", sdk.POST, "/messages")
	if e != nil {
		return "", e
	}
	if r.body, e = r.message(Message{Body: body, Delay: delay}); e != nil {
		return "", e
	}
	a, err := q.client.do(ctx, r, nil)
	if err != nil {
		return "", err
	}
	var sent sdk.MessageSendResponse
	if e := r.decode(a, &sent); e != nil {
		return "", e
	}
	return sent.MessageId, nil
}

// SendBatch puts messages into the queue, as many to a request as MNS takes (16, and
// 64 KiB of XML). Where some could not be sent the error is a *BatchError that names
// them; the others were sent. A message that cannot be sent at all fails alone.
func (q *Queue) SendBatch(ctx context.Context, messages []Message) error {
	r, e := q.request("send batch", sdk.POST, "/messages")
	if e != nil {
		return e
	}
	failed := &BatchError{Total: len(messages)}
	var batch []messageXML
	var index []int // of each in the batch
	size := 0
	flush := func() {
		if len(batch) > 0 {
			failed.Failed = append(failed.Failed, q.sendBatch(ctx, r, batch, index)...)
		}
		batch, index, size = nil, nil, 0
	}
	for i, m := range messages {
		x, e := r.message(m)
		if e != nil {
			failed.Failed = append(failed.Failed, Failure{i, e})
			continue
		}
		n := len(m.Body)
		if document, err := xml.Marshal(x); err == nil {
			n = len(document)
		}
		if len(batch) == maxBatch || size+n > maxBody {
			flush()
		}
		batch, index, size = append(batch, x), append(index, i), size+n
	}
	flush()
	if len(failed.Failed) == 0 {
		return nil
	}
	slices.SortFunc(failed.Failed, func(a, b Failure) int { return a.Index - b.Index })
	return failed
}

func (q *Queue) sendBatch(ctx context.Context, r request, batch []messageXML, index []int) (failed []Failure) {
	r.body = messagesXML{Messages: batch}
	// When only some failed, the status is 500 and the document the usual one.
	a, err := q.client.do(ctx, r, func(a answer) bool { return root(a.body) == "Messages" })
	var sent sdk.BatchMessageSendResponse
	if err == nil {
		if e := r.decode(a, &sent); e != nil {
			err = e
		} else if len(sent.Messages) != len(batch) {
			err = r.failed(answer{status: http.StatusOK, requestID: a.requestID}, fmt.Errorf("%d results for %d messages", len(sent.Messages), len(batch)))
		}
	}
	for i := range batch {
		switch {
		case err != nil:
			failed = append(failed, Failure{index[i], err})
		case sent.Messages[i].ErrorCode != "":
			failed = append(failed, Failure{index[i], r.part(a, sent.Messages[i].ErrorCode, sent.Messages[i].ErrorMessage)})
		}
	}
	return failed
}

// part makes the error of one part of a batch.
func (r request) part(a answer, code, message string) *Error {
	e := &Error{Op: r.op, Resource: r.resource, Code: code, Message: message, Status: a.status, RequestID: a.requestID}
	if s := sentinel(code, 0); s != nil {
		e.is = append(e.is, s)
	}
	return e
}

// Received is a message that is hidden from others until NextVisible.
type Received struct {
	ID       string
	Handle   string // for Delete and ChangeVisibility; another one at each receipt
	Body     string
	Dequeues int // how often it was received, this time included
	// Sent, FirstReceived and NextVisible are times of the service's clock.
	Sent, FirstReceived, NextVisible time.Time
}

// Receive takes 1 to most (at most 16) messages and hides them from others for the
// queue's visibility time-out. Where there is none it waits for one, at most for
// wait (rounded down to seconds, 30 at most; 0 does not wait, whatever the queue's
// own setting), and returns nil without an error when none came. The wait is cut
// to end 2 seconds before the deadline of ctx: messages that nobody reads any more
// would stay hidden.
func (q *Queue) Receive(ctx context.Context, most int, wait time.Duration) ([]Received, error) {
	r, e := q.request("receive", sdk.GET, "")
	if e != nil {
		return nil, e
	}
	if most < 1 || most > maxBatch || wait < 0 || wait > maxWait {
		return nil, r.invalid("receive %d messages within %v: want 1 to %d within 0 to %v", most, wait, maxBatch, maxWait)
	}
	if deadline, ok := ctx.Deadline(); ok {
		wait = max(0, min(wait, time.Until(deadline)-2*time.Second))
	}
	wait = wait.Truncate(time.Second)
	r.wait = wait
	r.path = fmt.Sprintf("/messages?numOfMessages=%d&waitseconds=%d", most, int(wait/time.Second))
	a, err := q.client.do(ctx, r, nil)
	if err != nil {
		if e, ok := err.(*Error); ok && e.Code == "MessageNotExist" {
			return nil, nil
		}
		return nil, err
	}
	var batch sdk.BatchMessageReceiveResponse
	if root(a.body) == "Message" {
		batch.Messages = make([]sdk.MessageReceiveResponse, 1)
		e = r.decode(a, &batch.Messages[0])
	} else {
		e = r.decode(a, &batch)
	}
	if e != nil {
		return nil, e
	}
	received := make([]Received, len(batch.Messages))
	for i, m := range batch.Messages {
		received[i] = Received{
			ID: m.MessageId, Handle: m.ReceiptHandle, Body: m.MessageBody, Dequeues: int(m.DequeueCount),
			Sent: time.UnixMilli(m.EnqueueTime), FirstReceived: time.UnixMilli(m.FirstDequeueTime), NextVisible: time.UnixMilli(m.NextVisibleTime),
		}
	}
	return received, nil
}

// Delete removes messages by their handles, 16 to a request. A message that is gone
// already, or was received again since and so has another handle, is no error; those
// handles are returned. Where some could not be deleted for another reason the error
// is a *BatchError that names them.
func (q *Queue) Delete(ctx context.Context, handles ...string) (gone []string, err error) {
	r, e := q.request("delete", sdk.DELETE, "/messages")
	if e != nil {
		return nil, e
	}
	r.idempotent = true
	failed := &BatchError{Total: len(handles)}
	done := 0
	for chunk := range slices.Chunk(handles, maxBatch) {
		r.body = sdk.ReceiptHandles{ReceiptHandles: chunk}
		a, err := q.client.do(ctx, r, func(a answer) bool { return root(a.body) == "Errors" })
		var report sdk.BatchMessageDeleteErrorResponse
		if err == nil && a.status/100 != 2 {
			if e := r.decode(a, &report); e != nil {
				err = e
			}
		}
		for i, handle := range chunk {
			if err != nil {
				failed.Failed = append(failed.Failed, Failure{done + i, err})
				continue
			}
			j := slices.IndexFunc(report.FailedMessages, func(f sdk.MessageDeleteFailEntry) bool { return f.ReceiptHandle == handle })
			switch {
			case j < 0:
			case codes[report.FailedMessages[j].ErrorCode] == ErrGone:
				gone = append(gone, handle)
			default:
				failed.Failed = append(failed.Failed, Failure{done + i, r.part(a, report.FailedMessages[j].ErrorCode, report.FailedMessages[j].ErrorMessage)})
			}
		}
		done += len(chunk)
	}
	if len(failed.Failed) > 0 {
		return gone, failed
	}
	return gone, nil
}

// ChangeVisibility hides a received message for d from now on (whole seconds,
// rounded up, 1 second to 12 hours) and returns its new handle; the old one is good
// no longer. ErrGone: it was not hidden any more.
func (q *Queue) ChangeVisibility(ctx context.Context, handle string, d time.Duration) (next string, err error) {
	r, e := q.request("change visibility", sdk.PUT, "")
	if e != nil {
		return "", e
	}
	if d <= 0 || d > maxVisibility || handle == "" {
		return "", r.invalid("handle %q, visibility %v: want a handle and up to %v", handle, d, maxVisibility)
	}
	r.path = fmt.Sprintf("/messages?ReceiptHandle=%s&VisibilityTimeout=%d", url.QueryEscape(handle), seconds(d))
	a, err := q.client.do(ctx, r, nil)
	if err != nil {
		return "", err
	}
	var changed sdk.MessageVisibilityChangeResponse
	if e := r.decode(a, &changed); e != nil {
		return "", e
	}
	return changed.ReceiptHandle, nil
}

// root is the name of a document's outermost element, blank where it has none.
func root(document []byte) string {
	var element struct{ XMLName xml.Name }
	if xml.Unmarshal(document, &element) != nil {
		return ""
	}
	return element.XMLName.Local
}
