package mns

import "sync"

// gates wakes those who wait for a change of a queue. Every change opens the
// gate for all who wait: each looks again, so that no wake-up is lost.
type gates struct {
	mu      sync.Mutex
	waiting map[string]*gate
}

type gate struct {
	opened  chan struct{}
	waiters int
}

// wait gives a channel that is closed at the next change of the queue. Take it
// before looking at the queue, and call leave when done with it.
func (g *gates) wait(queue string) (opened <-chan struct{}, leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting == nil {
		g.waiting = map[string]*gate{}
	}
	w := g.waiting[queue]
	if w == nil {
		w = &gate{opened: make(chan struct{})}
		g.waiting[queue] = w
	}
	w.waiters++
	return w.opened, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if w.waiters--; w.waiters == 0 && g.waiting[queue] == w {
			delete(g.waiting, queue)
		}
	}
}

// open wakes all who wait for the queue.
func (g *gates) open(queue string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.waiting[queue]; w != nil {
		close(w.opened)
		delete(g.waiting, queue)
	}
}

// waiters counts those who wait for the queue.
func (g *gates) waiters(queue string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.waiting[queue]; w != nil {
		return w.waiters
	}
	return 0
}
