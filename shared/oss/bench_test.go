package oss_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// What a call costs beside the network: an SDK client of its own, and the signature.
func BenchmarkGet(b *testing.B) {
	bucket, _ := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("content")) })
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := bucket.Get(b.Context(), "exports/y7k3m9x2q4r8w"); err != nil {
			b.Fatal(err)
		}
	}
}

// The same request without any of it.
func BenchmarkPlainGet(b *testing.B) {
	server, _ := plain(b)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := http.Get(server)
		if err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

func plain(b *testing.B) (string, *httptest.Server) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("content")) }))
	b.Cleanup(server.Close)
	return server.URL, server
}
