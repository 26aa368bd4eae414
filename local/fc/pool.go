package fc

import (
	"context"
	"slices"
	"sync"
	"time"
)

// pool keeps the instances of one function: it hands out idle ones, the last
// used first, lets the caller start further ones up to its limit, and makes
// callers wait in order beyond.
type pool struct {
	limit     int
	idleAfter time.Duration

	mu      sync.Mutex
	closed  bool
	slots   int // taken by instances that run or are being started
	all     map[*instance]bool
	idle    []*instance
	waiting []chan *instance // each gets an instance, or nil: a slot to start one
}

func newPool(limit int, idleAfter time.Duration) *pool {
	return &pool{limit: limit, idleAfter: idleAfter, all: map[*instance]bool{}}
}

// acquire returns an idle instance, or nil when the caller holds a slot to start
// one. Either is given back with giveBack or drop.
func (p *pool) acquire(ctx context.Context) (*instance, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosing
	}
	for len(p.idle) > 0 {
		i := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if i.wake() {
			p.mu.Unlock()
			return i, nil
		}
		delete(p.all, i)
		p.slots--
	}
	if p.slots < p.limit {
		p.slots++
		p.mu.Unlock()
		return nil, nil
	}
	turn := make(chan *instance, 1)
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	select {
	case i, ok := <-turn:
		if !ok {
			return nil, errClosing
		}
		return i, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	n := slices.Index(p.waiting, turn)
	if n >= 0 {
		p.waiting = slices.Delete(p.waiting, n, n+1)
	}
	p.mu.Unlock()
	if n < 0 {
		// It was this caller's turn at the same moment: pass it on.
		if i, ok := <-turn; ok {
			p.giveBack(i)
		}
	}
	return nil, context.Cause(ctx)
}

// add makes a new instance known. It returns false when the pool is closed.
func (p *pool) add(i *instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.all[i] = true
	return true
}

// giveBack returns an instance that can take another request, or with nil a slot
// that was not used.
func (p *pool) giveBack(i *instance) {
	if i == nil || i.gone() {
		p.drop(i)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if turn := p.next(); turn != nil {
		turn <- i
		return
	}
	i.rest(p.idleAfter, func() { p.expire(i) })
	p.idle = append(p.idle, i)
}

// drop frees the slot of an instance that is gone, or of none.
func (p *pool) drop(i *instance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i != nil {
		delete(p.all, i)
	}
	if p.closed {
		return
	}
	if turn := p.next(); turn != nil {
		turn <- nil
		return
	}
	p.slots--
}

func (p *pool) next() chan *instance {
	if len(p.waiting) == 0 {
		return nil
	}
	turn := p.waiting[0]
	p.waiting = p.waiting[1:]
	return turn
}

// expire ends an instance that rested too long.
func (p *pool) expire(i *instance) {
	p.mu.Lock()
	n := slices.Index(p.idle, i)
	if n >= 0 {
		p.idle = slices.Delete(p.idle, n, n+1)
	}
	p.mu.Unlock()
	if n < 0 {
		return
	}
	i.end()
	p.drop(i)
}

// close ends every instance and turns away whoever waits.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for i := range p.all {
		i.end()
	}
	for _, turn := range p.waiting {
		close(turn)
	}
	p.idle, p.waiting = nil, nil
}

// size is how many instances run or are being started.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slots
}
