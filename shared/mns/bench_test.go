package mns_test

import (
	"net/http"
	"testing"
)

// What a call costs beside the network: signing, XML, and the lane that it borrows.
func BenchmarkSend(b *testing.B) {
	client, _ := serve(b, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("<Message><MessageId>1</MessageId></Message>"))
	})
	q := client.Queue("q")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.Send(b.Context(), "body", 0); err != nil {
			b.Fatal(err)
		}
	}
}
