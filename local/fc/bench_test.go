package fc

import (
	"testing"
	"time"
)

// An invocation on an instance that is there.
func BenchmarkWarm(b *testing.B) {
	c := open(b, "fn", nil)
	c.call("fn", `{}`)
	for b.Loop() {
		c.invoke(b.Context(), c.byName["fn"], request{id: newRequestID(time.Now()), payload: []byte(`{}`)})
	}
}

// An invocation that starts its instance: process, runtime, first next.
func BenchmarkCold(b *testing.B) {
	c := open(b, "fn", nil)
	for b.Loop() {
		c.invoke(b.Context(), c.byName["fn"], request{id: newRequestID(time.Now()), payload: []byte(`{"do":"exit"}`)})
	}
}

// An asynchronous invocation until it is on disk.
func BenchmarkEnqueue(b *testing.B) {
	c := open(b, "fn\nrole: nobody", nil)
	for b.Loop() {
		if err := c.queue.add(pending{ID: "1", Function: "fn", Payload: []byte(`{}`), Due: time.Now().Add(time.Hour)}); err != nil {
			b.Fatal(err)
		}
	}
}
