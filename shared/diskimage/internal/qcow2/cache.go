package qcow2

import (
	"container/list"
	"sync"
)

// cache holds the values that were used last.
type cache[V any] struct {
	mu     sync.Mutex
	most   int
	order  *list.List // of slot[V], the one used last in front
	places map[int64]*list.Element
}

type slot[V any] struct {
	key   int64
	value V
}

func newCache[V any](most int) *cache[V] {
	return &cache[V]{most: most, order: list.New(), places: map[int64]*list.Element{}}
}

// get gives the value of a key. What is missing is made; two callers may make the
// same value at once.
func (c *cache[V]) get(key int64, make func() (V, error)) (V, error) {
	c.mu.Lock()
	if e, ok := c.places[key]; ok {
		c.order.MoveToFront(e)
		c.mu.Unlock()
		return e.Value.(slot[V]).value, nil
	}
	c.mu.Unlock()
	value, err := make()
	if err != nil {
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.places[key]; !ok {
		c.places[key] = c.order.PushFront(slot[V]{key, value})
	}
	if c.order.Len() > c.most {
		old := c.order.Back()
		delete(c.places, old.Value.(slot[V]).key)
		c.order.Remove(old)
	}
	return value, nil
}
