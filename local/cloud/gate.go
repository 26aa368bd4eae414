package cloud

import (
	"net/http"
	"sync"
	"time"
)

// gateWait is how long a gate waits for calls that do not notice that their
// caller has gone.
const gateWait = 10 * time.Second

// gate lets calls into the services until it is shut. http.Server.Close does not
// wait for the calls that it cuts off, and one that still wrote would find its
// service closed and its folder gone.
type gate struct {
	inside sync.RWMutex
	isShut bool
}

func (g *gate) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.inside.RLock()
		defer g.inside.RUnlock()
		if g.isShut {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	})
}

// shut returns when no call is inside any more.
func (g *gate) shut() {
	empty := make(chan struct{})
	go func() {
		defer close(empty)
		g.inside.Lock()
		defer g.inside.Unlock()
		g.isShut = true
	}()
	select {
	case <-empty:
	case <-time.After(gateWait):
	}
}
