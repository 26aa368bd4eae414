package rpc_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"ecs-image-export/shared/rpc"
)

// A call with the SDK's client made for it, against a server that answers at
// once: what hiding the SDK's traps costs is in here.
func BenchmarkCall(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, good) }))
	defer s.Close()
	c, err := rpc.New(rpc.Config{Product: "Ecs", Version: "2014-05-26", Endpoint: s.URL, Region: "cn-hangzhou", Credentials: static})
	if err != nil {
		b.Fatal(err)
	}
	for name, options := range map[string][]rpc.Option{"read on a kept connection": {rpc.Read}, "on a fresh connection": nil} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Call(b.Context(), "DescribeTasks", nil, nil, options...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
