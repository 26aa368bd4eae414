package cloud

import (
	"net"
	"testing"
)

func TestListenOnLocalhost(t *testing.T) {
	t.Parallel()
	listeners, err := listen("localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners {
		if host, _, _ := net.SplitHostPort(l.Addr().String()); host != "127.0.0.1" {
			t.Errorf("listens on %s, want 127.0.0.1", l.Addr())
		}
		l.Close()
	}
}
