package mns

import (
	"context"
	"errors"
	"math"
	"net/http"
	"time"

	bolt "go.etcd.io/bbolt"
)

// errNothing says that a queue has no active message now.
var errNothing = errors.New("no active message")

// receiveMessages is ReceiveMessage and BatchReceiveMessage. It waits for the
// first message only; a batch may be short.
func (s *Service) receiveMessages(ctx context.Context, r *request) (response, error) {
	n, several, err := r.query.number("numOfMessages", 1, maxBatch, "messages")
	if err != nil {
		return response{}, err
	}
	if !several {
		n = 1
	}
	wait, given, err := r.query.number("waitseconds", 0, maxPoll, "seconds")
	if err != nil {
		return response{}, err
	}
	var deadline time.Time
	for first := true; ; first = false {
		opened, leave := s.gates.wait(r.name)
		received, next, err := s.receive(ctx, r.name, int(n))
		if !errors.Is(err, errNothing) {
			leave()
			if err != nil {
				return response{}, err
			}
			return batchOrOne(received.messages, several), nil
		}
		if first {
			if !given {
				wait = received.polling
			}
			deadline = time.Now().Add(time.Duration(wait) * time.Second)
		}
		ended := !s.await(ctx, opened, next, deadline)
		leave()
		if ended {
			return response{}, errMessageNotExist
		}
	}
}

// await waits until the queue changes or its next message is due; it gives
// false when the wait is over.
func (s *Service) await(ctx context.Context, opened <-chan struct{}, next int64, deadline time.Time) bool {
	left := time.Until(deadline)
	if left <= 0 {
		return false
	}
	if next != math.MaxInt64 {
		left = min(left, max(time.Millisecond, time.UnixMilli(next).Sub(s.now())))
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-opened:
	case <-timer.C:
	case <-ctx.Done():
		return false
	case <-s.ctx.Done():
		return false
	}
	return true
}

// received is what receive took, or the queue's polling wait in seconds.
type received struct {
	messages []messageXML
	polling  int64
}

// receive hands out up to n active messages. It gives errNothing, and when the
// next message becomes visible, if there are none. Nothing is taken for a
// caller that has gone.
func (s *Service) receive(ctx context.Context, name string, n int) (out received, next int64, err error) {
	now := s.millis()
	// Looking first keeps idle polls from writing.
	err = s.db.View(func(tx *bolt.Tx) error {
		q, err := queueOf(tx, name)
		if err != nil {
			return err
		}
		out.polling = q.PollingWait
		m, err := messagesOf(tx, name)
		if err != nil {
			return err
		}
		var ready bool
		if ready, next = m.ready(now); !ready {
			return errNothing
		}
		return nil
	})
	if err != nil {
		return out, next, err
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		now := s.millis()
		q, m, err := s.settled(tx, name, now)
		if err != nil {
			return err
		}
		found, err := m.first(n)
		if err != nil {
			return err
		}
		for _, msg := range found {
			if err := m.receive(msg, now, now+s.scaled(q.Visibility)); err != nil {
				return err
			}
			out.messages = append(out.messages, describe(m, msg, true))
		}
		_, next = m.ready(now)
		return ctx.Err() // undoes it all for a caller that has gone meanwhile
	})
	if err == nil && len(out.messages) == 0 {
		err = errNothing
	}
	return out, next, err
}

// describe gives a message as a receiver, or one who only peeks, sees it.
func describe(m *messages, msg *message, receiving bool) messageXML {
	body := string(m.body.Get(bigEndian(msg.seq)))
	dequeues, priority := int64(msg.dequeues), int64(msg.priority)
	out := messageXML{
		MessageID:        msg.messageID(),
		MessageBody:      &body,
		MessageBodyMD5:   upperMD5(msg.bodyMD5),
		EnqueueTime:      &msg.enqueued,
		FirstDequeueTime: &msg.firstDequeue,
		DequeueCount:     &dequeues,
		Priority:         &priority,
	}
	if receiving {
		out.ReceiptHandle = handleOf(msg)
		out.NextVisibleTime = &msg.visible
	}
	return out
}

func batchOrOne(found []messageXML, several bool) response {
	if several {
		return response{status: http.StatusOK, body: messagesXML{Messages: found}}
	}
	return response{status: http.StatusOK, body: found[0]}
}

// peekMessages is PeekMessage and BatchPeekMessage: active messages, left as
// they are.
func (s *Service) peekMessages(_ context.Context, r *request) (response, error) {
	n, several, err := r.query.number("numOfMessages", 1, maxBatch, "messages")
	if err != nil {
		return response{}, err
	}
	if !several {
		n = 1
	}
	var found []messageXML
	err = s.db.Update(func(tx *bolt.Tx) error {
		_, m, err := s.settled(tx, r.name, s.millis())
		if err != nil {
			return err
		}
		first, err := m.first(int(n))
		for _, msg := range first {
			found = append(found, describe(m, msg, false))
		}
		return err
	})
	if err != nil {
		return response{}, err
	}
	if len(found) == 0 {
		return response{}, errMessageNotExist
	}
	return batchOrOne(found, several), nil
}

// handle reads the receipt handle in the query.
func (r *request) handle() (receiptHandle, error) {
	v, ok := r.query["receipthandle"]
	if !ok || v == "" {
		return receiptHandle{}, errMissingReceiptHandle
	}
	return parseHandle(v)
}

func (s *Service) deleteMessage(_ context.Context, r *request) (response, error) {
	h, err := r.handle()
	if err != nil {
		return response{}, err
	}
	err = s.db.Update(func(tx *bolt.Tx) error {
		_, m, err := s.settled(tx, r.name, s.millis())
		if err != nil {
			return err
		}
		msg, err := m.held(h)
		if err != nil {
			return err
		}
		return m.remove(msg)
	})
	return response{status: http.StatusNoContent}, err
}

// deleteMessages is BatchDeleteMessage. Those that can be deleted are, whatever
// happens to the others.
// https://www.alibabacloud.com/help/doc-detail/35139.htm
func (s *Service) deleteMessages(_ context.Context, r *request) (response, error) {
	var handles handlesRequest
	if err := decodeXML(r.body, &handles); err != nil {
		return response{}, err
	}
	if len(handles.Handles) < 1 || len(handles.Handles) > maxBatch {
		return response{}, between("ReceiptHandles", 1, maxBatch, "handles")
	}
	var failed deleteErrorsXML
	err := s.db.Update(func(tx *bolt.Tx) error {
		_, m, err := s.settled(tx, r.name, s.millis())
		if err != nil {
			return err
		}
		for _, handle := range handles.Handles {
			h, err := parseHandle(string(handle))
			var msg *message
			if err == nil {
				msg, err = m.held(h)
			}
			if err == nil {
				if err := m.remove(msg); err != nil {
					return err
				}
				continue
			}
			e := asWireError(err)
			failed.Errors = append(failed.Errors, deleteErrorXML{
				ErrorCode: e.code, ErrorMessage: e.message, ReceiptHandle: string(handle),
			})
		}
		return nil
	})
	if err != nil {
		return response{}, err
	}
	if len(failed.Errors) > 0 {
		return response{}, &partialFailure{http.StatusNotFound, failed}
	}
	return response{status: http.StatusNoContent}, nil
}

// changeVisibility counts the new timeout from now, not from the receive.
// https://help.aliyun.com/en/mns/developer-reference/changemessagevisibility
func (s *Service) changeVisibility(_ context.Context, r *request) (response, error) {
	h, err := r.handle()
	if err != nil {
		return response{}, err
	}
	seconds, ok, err := r.query.number("VisibilityTimeout", 1, maxVisibility, "seconds")
	if err != nil {
		return response{}, err
	}
	if !ok {
		return response{}, errMissingVisibility
	}
	var doc visibilityXML
	err = s.db.Update(func(tx *bolt.Tx) error {
		now := s.millis()
		_, m, err := s.settled(tx, r.name, now)
		if err != nil {
			return err
		}
		msg, err := m.held(h)
		if err != nil {
			return err
		}
		if err := m.postpone(msg, now+s.scaled(seconds)); err != nil {
			return err
		}
		doc = visibilityXML{ReceiptHandle: handleOf(msg), NextVisibleTime: msg.visible}
		return nil
	})
	if err != nil {
		return response{}, err
	}
	s.gates.open(r.name) // a poll may wait for the time that was
	return response{status: http.StatusOK, body: doc}, nil
}
