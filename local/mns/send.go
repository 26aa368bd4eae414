package mns

import (
	"context"
	"net/http"

	bolt "go.etcd.io/bbolt"
)

// outgoing is a checked message of a send request. Delay is unscaled seconds,
// -1 for the queue's.
type outgoing struct {
	body     []byte
	delay    int64
	priority uint8
}

// check checks one message of a send. An absent priority is 8; an explicit 0 is
// refused.
func (m sendRequest) check() (outgoing, error) {
	if m.MessageBody == nil || *m.MessageBody == "" {
		return outgoing{}, errNoBody
	}
	delay, err := m.DelaySeconds.number("DelaySeconds", 0, maxDelay, -1, "seconds")
	if err != nil {
		return outgoing{}, err
	}
	priority, err := m.Priority.number("Priority", 1, 16, defaultPriority, "levels")
	if err != nil {
		return outgoing{}, err
	}
	return outgoing{[]byte(*m.MessageBody), delay, uint8(priority)}, nil
}

// sendMessages is SendMessage and BatchSendMessage. Of a batch, a message that
// is longer than the queue allows fails alone; anything else that is wrong
// fails the whole.
func (s *Service) sendMessages(_ context.Context, r *request) (response, error) {
	requests, batch, err := decodeMessages(r.body)
	if err != nil {
		return response{}, err
	}
	if len(requests) < 1 || len(requests) > maxBatch {
		return response{}, errBatchSize
	}
	outgoing := make([]outgoing, len(requests))
	total := 0
	for i, m := range requests {
		if outgoing[i], err = m.check(); err != nil {
			return response{}, err
		}
		total += len(outgoing[i].body)
	}
	if batch && total > maxMessageSize {
		return response{}, errBatchBytes
	}
	var answers []messageXML
	failed, sent := 0, 0
	var tooLong *wireError
	err = s.db.Update(func(tx *bolt.Tx) error {
		q, err := queueOf(tx, r.name)
		if err != nil {
			return err
		}
		m, err := messagesOf(tx, r.name)
		if err != nil {
			return err
		}
		now := s.millis()
		for _, o := range outgoing {
			if int64(len(o.body)) > q.MaximumSize {
				failed++
				tooLong = between("MessageBody", 1, q.MaximumSize, "bytes")
				answers = append(answers, messageXML{ErrorCode: tooLong.code, ErrorMessage: tooLong.message})
				continue
			}
			if o.delay < 0 {
				o.delay = q.Delay
			}
			added, err := m.add(now, o.body, o.priority, s.scaled(o.delay))
			if err != nil {
				return err
			}
			sent++
			answer := messageXML{MessageID: added.messageID(), MessageBodyMD5: upperMD5(added.bodyMD5)}
			if added.state == stateDelayed {
				answer.ReceiptHandle = handleOf(added)
			}
			answers = append(answers, answer)
		}
		return nil
	})
	if err != nil {
		return response{}, err
	}
	if sent > 0 {
		s.gates.open(r.name)
	}
	switch {
	case !batch && failed > 0:
		return response{}, tooLong
	case !batch:
		return response{status: http.StatusCreated, body: answers[0]}, nil
	case failed > 0:
		return response{}, &partialFailure{http.StatusInternalServerError, messagesXML{Messages: answers}}
	}
	return response{status: http.StatusCreated, body: messagesXML{Messages: answers}}, nil
}
