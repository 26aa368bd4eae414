package mns

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// A queue's messages are a bucket of four:
//
//	meta     sequence -> message, without its body
//	body     sequence -> body
//	active   priority, visible since, sequence -> nothing: what can be received, in the order in which it is
//	waiting  visible at, sequence -> nothing: delayed and received messages, in the order in which they become active
//
// A message is in exactly one of active and waiting. Sequences follow the time
// of sending, so that the first entries of meta are those that retention
// removes first.
var (
	bucketMeta    = []byte("meta")
	bucketBody    = []byte("body")
	bucketActive  = []byte("active")
	bucketWaiting = []byte("waiting")
)

const defaultPriority = 8

type messageState byte

const (
	stateActive messageState = iota
	stateDelayed
	stateInactive
)

// message is a message of a queue. Times are milliseconds since 1970.
type message struct {
	seq          uint64
	id           [16]byte
	bodyMD5      [16]byte
	state        messageState
	priority     uint8
	enqueued     int64
	visible      int64 // when it becomes, or became, active
	firstDequeue int64
	dequeues     uint32
	// handle is in the one receipt handle that is valid now; 0 if none is.
	handle uint64
}

func (m *message) messageID() string { return strings.ToUpper(fmt.Sprintf("%x", m.id)) }

func upperMD5(sum [16]byte) string { return strings.ToUpper(fmt.Sprintf("%x", sum)) }

func (m *message) encode() []byte {
	b := make([]byte, 0, 72)
	b = append(b, m.id[:]...)
	b = append(b, m.bodyMD5[:]...)
	b = append(b, byte(m.state), m.priority)
	b = binary.BigEndian.AppendUint64(b, uint64(m.enqueued))
	b = binary.BigEndian.AppendUint64(b, uint64(m.visible))
	b = binary.BigEndian.AppendUint64(b, uint64(m.firstDequeue))
	b = binary.BigEndian.AppendUint32(b, m.dequeues)
	return binary.BigEndian.AppendUint64(b, m.handle)
}

func decodeMessage(key, b []byte) (*message, error) {
	if len(key) != 8 || len(b) != 70 {
		return nil, errors.New("message is damaged")
	}
	m := &message{seq: binary.BigEndian.Uint64(key), state: messageState(b[32]), priority: b[33]}
	copy(m.id[:], b[:16])
	copy(m.bodyMD5[:], b[16:32])
	m.enqueued = int64(binary.BigEndian.Uint64(b[34:]))
	m.visible = int64(binary.BigEndian.Uint64(b[42:]))
	m.firstDequeue = int64(binary.BigEndian.Uint64(b[50:]))
	m.dequeues = binary.BigEndian.Uint32(b[58:])
	m.handle = binary.BigEndian.Uint64(b[62:])
	return m, nil
}

// messages gives access to a queue's messages within a transaction.
type messages struct {
	meta, body, active, waiting *bolt.Bucket
}

func messagesOf(tx *bolt.Tx, queue string) (*messages, error) {
	b := tx.Bucket(bucketMessages).Bucket([]byte(queue))
	if b == nil {
		return nil, errQueueNotExist
	}
	return &messages{b.Bucket(bucketMeta), b.Bucket(bucketBody), b.Bucket(bucketActive), b.Bucket(bucketWaiting)}, nil
}

func createMessages(tx *bolt.Tx, queue string) error {
	b, err := tx.Bucket(bucketMessages).CreateBucket([]byte(queue))
	if err != nil {
		return err
	}
	for _, name := range [][]byte{bucketMeta, bucketBody, bucketActive, bucketWaiting} {
		if _, err := b.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

// place puts the message into the index of its state and stores it.
func (q *messages) place(m *message) error {
	var err error
	if m.state == stateActive {
		err = q.active.Put(activeKey(m), nil)
	} else {
		err = q.waiting.Put(bigEndian(uint64(m.visible), m.seq), []byte{byte(m.state)})
	}
	return errors.Join(err, q.meta.Put(bigEndian(m.seq), m.encode()))
}

// unplace takes the message out of its index.
func (q *messages) unplace(m *message) error {
	if m.state == stateActive {
		return q.active.Delete(activeKey(m))
	}
	return q.waiting.Delete(bigEndian(uint64(m.visible), m.seq))
}

func activeKey(m *message) []byte {
	return append([]byte{m.priority}, bigEndian(uint64(m.visible), m.seq)...)
}

func (q *messages) get(seq uint64) (*message, error) {
	key := bigEndian(seq)
	raw := q.meta.Get(key)
	if raw == nil {
		return nil, errMessageNotExist
	}
	return decodeMessage(key, raw)
}

func (q *messages) remove(m *message) error {
	key := bigEndian(m.seq)
	return errors.Join(q.unplace(m), q.meta.Delete(key), q.body.Delete(key))
}

// add stores a new message that becomes visible after delay milliseconds.
func (q *messages) add(now int64, body []byte, priority uint8, delay int64) (*message, error) {
	seq, err := q.meta.NextSequence()
	if err != nil {
		return nil, err
	}
	m := &message{
		seq:      seq,
		bodyMD5:  md5.Sum(body),
		priority: priority,
		enqueued: now,
		visible:  now + delay,
	}
	rand.Read(m.id[:])
	if delay > 0 {
		m.state = stateDelayed
		m.handle = newHandle()
	}
	return m, errors.Join(q.place(m), q.body.Put(bigEndian(seq), body))
}

// settle brings the queue to the present: what is due becomes active, what
// retention ends goes. retention is in milliseconds.
func (q *messages) settle(now, retention int64) error {
	for {
		key, _ := q.waiting.Cursor().First()
		if key == nil || int64(binary.BigEndian.Uint64(key)) > now {
			break
		}
		m, err := q.get(binary.BigEndian.Uint64(key[8:]))
		if err != nil {
			return fmt.Errorf("settle: %w", err)
		}
		if err := q.unplace(m); err != nil {
			return err
		}
		m.state, m.handle = stateActive, 0
		if err := q.place(m); err != nil {
			return err
		}
	}
	for {
		key, raw := q.meta.Cursor().First()
		if key == nil {
			return nil
		}
		m, err := decodeMessage(key, raw)
		if err != nil {
			return err
		}
		if m.enqueued+retention > now {
			return nil
		}
		if err := q.remove(m); err != nil {
			return err
		}
	}
}

// ready says whether something may be received now, and if not, when the next
// message becomes visible (math.MaxInt64: none is waiting).
func (q *messages) ready(now int64) (ready bool, next int64) {
	if key, _ := q.active.Cursor().First(); key != nil {
		return true, now
	}
	key, _ := q.waiting.Cursor().First()
	if key == nil {
		return false, math.MaxInt64
	}
	next = int64(binary.BigEndian.Uint64(key))
	return next <= now, next
}

// first gives up to n active messages in the order of receiving.
func (q *messages) first(n int) ([]*message, error) {
	var found []*message
	c := q.active.Cursor()
	for key, _ := c.First(); key != nil && len(found) < n; key, _ = c.Next() {
		m, err := q.get(binary.BigEndian.Uint64(key[9:]))
		if err != nil {
			return nil, fmt.Errorf("first: %w", err)
		}
		found = append(found, m)
	}
	return found, nil
}

// receive hands m out until visible.
func (q *messages) receive(m *message, now, visible int64) error {
	if err := q.unplace(m); err != nil {
		return err
	}
	m.state, m.visible, m.handle = stateInactive, visible, newHandle()
	if m.dequeues == 0 {
		m.firstDequeue = now
	}
	m.dequeues++
	return q.place(m)
}

// held finds the message that a receipt handle was given for, if the handle is
// still the valid one. A handle that was valid once, or whose message is gone,
// gives errMessageNotExist.
// https://help.aliyun.com/en/mns/developer-reference/changemessagevisibility
func (q *messages) held(h receiptHandle) (*message, error) {
	m, err := q.get(h.seq)
	if err != nil {
		return nil, err
	}
	if m.handle == 0 || m.handle != h.nonce {
		return nil, errMessageNotExist
	}
	return m, nil
}

// postpone makes m visible at another time, under a new handle.
func (q *messages) postpone(m *message, visible int64) error {
	if err := q.unplace(m); err != nil {
		return err
	}
	m.visible, m.handle = visible, newHandle()
	return q.place(m)
}

// count counts the messages by state.
func (q *messages) count() (active, inactive, delayed int64) {
	c := q.active.Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		active++
	}
	c = q.waiting.Cursor()
	for key, state := c.First(); key != nil; key, state = c.Next() {
		if bytes.Equal(state, []byte{byte(stateDelayed)}) {
			delayed++
		} else {
			inactive++
		}
	}
	return active, inactive, delayed
}
