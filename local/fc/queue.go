package fc

import (
	"container/heap"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"ecs-image-export/local/boltfile"

	"go.etcd.io/bbolt"
)

// pending is an asynchronous invocation that was accepted and has not ended.
type pending struct {
	ID       string    `json:"id"` // request id, the same in every try
	Function string    `json:"function"`
	Payload  []byte    `json:"payload"`
	Source   string    `json:"source"` // what asked for it, for people
	Accepted time.Time `json:"accepted"`
	Due      time.Time `json:"due"`
	Tries    int       `json:"tries"`   // that failed in the function
	Refused  int       `json:"refused"` // in a row, that did not reach it

	sequence uint64
	late     time.Duration // how long a fault holds it up, before it is in the queue
}

// queue keeps pending invocations on disk and tells which one is due next.
type queue struct {
	db      *bbolt.DB
	changed chan struct{} // gets a value when there is something new to look at

	mu     sync.Mutex
	inLine line
}

var pendingBucket = []byte("pending")

// openQueue opens the queue at path; what was pending is in line again.
func openQueue(path string) (*queue, error) {
	// NoSync: the data survives a killed process, not a power cut, which is all
	// that a laptop's cloud needs.
	db, err := boltfile.Open(path, 0o600, &bbolt.Options{NoSync: true, Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("open fc queue %s: %w", path, err)
	}
	q := &queue{db: db, changed: make(chan struct{}, 1)}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(pendingBucket)
		if err != nil {
			return err
		}
		return b.ForEach(func(k, v []byte) error {
			var p pending
			if err := json.Unmarshal(v, &p); err != nil {
				return err
			}
			q.inLine = append(q.inLine, place{binary.BigEndian.Uint64(k), p.Due})
			return nil
		})
	})
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("read fc queue %s: %w", path, err)
	}
	heap.Init(&q.inLine)
	return q, nil
}

// add puts invocations in the queue, all of them or none; they are on disk when
// it returns.
func (q *queue) add(all ...pending) error {
	places := make([]place, len(all))
	err := q.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(pendingBucket)
		for i, p := range all {
			sequence, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := put(b, sequence, p); err != nil {
				return err
			}
			places[i] = place{sequence, p.Due}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue invocation: %w", err)
	}
	q.stand(places...)
	return nil
}

func put(b *bbolt.Bucket, sequence uint64, p pending) error {
	value, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return b.Put(key(sequence), value)
}

func key(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// again writes p back for another try at p.Due.
func (q *queue) again(p pending) error {
	err := q.db.Update(func(tx *bbolt.Tx) error { return put(tx.Bucket(pendingBucket), p.sequence, p) })
	if err != nil {
		return fmt.Errorf("queue invocation %s again: %w", p.ID, err)
	}
	q.stand(place{p.sequence, p.Due})
	return nil
}

// remove ends p and adds what follows from it in one transaction.
func (q *queue) remove(p pending, follow ...pending) error {
	var places []place
	err := q.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(pendingBucket)
		for _, f := range follow {
			sequence, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := put(b, sequence, f); err != nil {
				return err
			}
			places = append(places, place{sequence, f.Due})
		}
		return b.Delete(key(p.sequence))
	})
	if err != nil {
		return fmt.Errorf("end invocation %s: %w", p.ID, err)
	}
	q.stand(places...)
	return nil
}

func (q *queue) stand(places ...place) {
	q.mu.Lock()
	for _, p := range places {
		heap.Push(&q.inLine, p)
	}
	q.mu.Unlock()
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// take returns what is due at now and takes it out of the line; it stays on disk
// until remove. Otherwise it returns nil and how long to wait, or zero where
// nothing is in line.
func (q *queue) take(now time.Time) (*pending, time.Duration, error) {
	q.mu.Lock()
	if len(q.inLine) == 0 {
		q.mu.Unlock()
		return nil, 0, nil
	}
	if wait := q.inLine[0].due.Sub(now); wait > 0 {
		q.mu.Unlock()
		return nil, wait, nil
	}
	next := heap.Pop(&q.inLine).(place)
	q.mu.Unlock()
	var p pending
	err := q.db.View(func(tx *bbolt.Tx) error {
		return json.Unmarshal(tx.Bucket(pendingBucket).Get(key(next.sequence)), &p)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read invocation %d: %w", next.sequence, err)
	}
	p.sequence = next.sequence
	return &p, 0, nil
}

func (q *queue) close() error { return q.db.Close() }

// size is how many invocations have not ended.
func (q *queue) size() (n int) {
	_ = q.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(pendingBucket).Stats().KeyN
		return nil
	})
	return n
}

// line is a heap of places, the first due first.
type line []place

type place struct {
	sequence uint64
	due      time.Time
}

func (l line) Len() int      { return len(l) }
func (l line) Swap(i, j int) { l[i], l[j] = l[j], l[i] }
func (l *line) Push(x any)   { *l = append(*l, x.(place)) }
func (l line) Less(i, j int) bool {
	if !l[i].due.Equal(l[j].due) {
		return l[i].due.Before(l[j].due)
	}
	return l[i].sequence < l[j].sequence
}

func (l *line) Pop() any {
	old := *l
	last := old[len(old)-1]
	*l = old[:len(old)-1]
	return last
}
