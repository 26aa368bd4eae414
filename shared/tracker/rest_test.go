package tracker_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/shared/rpc"
	"ecs-image-export/shared/tracker"
)

// TestRest wants no connection to outlive an event: in a frozen instance it would
// break unnoticed.
func TestRest(t *testing.T) {
	t.Parallel()
	var open, opened atomic.Int32
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
			opened.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	tr, err := tracker.New(tracker.Config{
		Region: "cn-hangzhou", AccountID: "1", RecordsBucket: "records", TaskQueue: "q", EventTopic: "t",
		OSSEndpoint: server.URL, MNSEndpoint: server.URL, ECSEndpoint: server.URL,
	}, func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: "id", Secret: "secret"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = tr.Records.Load(t.Context(), "x")
	_, _ = tr.Tasks.Receive(t.Context(), 1, 0)
	if opened.Load() == 0 {
		t.Fatal("no connection was opened")
	}
	tr.Rest()
	for deadline := time.Now().Add(10 * time.Second); open.Load() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections outlive the event", open.Load())
		}
	}
}
