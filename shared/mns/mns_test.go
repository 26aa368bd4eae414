package mns_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/rpc"
)

const account = "1234567890123456"

func static(context.Context) (rpc.Credentials, error) {
	return rpc.Credentials{ID: "id", Secret: "secret", Token: "token"}, nil
}

// serve starts a server that answers as h does, and returns a client of it and the
// number of requests that came.
func serve(t testing.TB, h http.HandlerFunc, change ...func(*mns.Config)) (*mns.Client, *atomic.Int64) {
	t.Helper()
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	cfg := mns.Config{Region: "cn-hangzhou", AccountID: account, Endpoint: server.URL, Credentials: static, Attempts: 3, Timeout: 30 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	client, err := mns.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client, &hits
}

func refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-mns-request-id", "512B2A634403E52B1956****")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error xmlns="http://mns.aliyuncs.com/doc/v1/"><Code>%s</Code><Message>because</Message><RequestId>x</RequestId><HostId>h</HostId></Error>`, code)
	}
}

// breakOff closes the connection before a byte of the answer.
func breakOff(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := mns.New(mns.Config{Endpoint: "mns.example.com"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"account id", "region", "credentials", "endpoint"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention the %s", err, want)
		}
	}
}

// Every way to write an endpoint that the bare SDK takes, panics at, or sends to the
// wrong place.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	var seen atomic.Value
	_, _ = serve(t, refuse(404, "MessageNotExist"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.RequestURI)
		refuse(404, "MessageNotExist")(w, r)
	}))
	t.Cleanup(server.Close)
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	const path = "/queues/q/messages?numOfMessages=1&waitseconds=0"
	for endpoint, want := range map[string]string{
		server.URL:                path,
		server.URL + "/":          path,
		server.URL + "/.":         path,
		"http://localhost" + port: path,
		"http://localhost" + port + "/" + account + ".mns.cn-hangzhou.aliyuncs.com": "/" + account + ".mns.cn-hangzhou.aliyuncs.com" + path,
		"http://127.0.0.1" + port + "/a/b/":                                         "/a/b" + path,
	} {
		client, err := mns.New(mns.Config{Region: "cn-hangzhou", AccountID: account, Endpoint: endpoint, Credentials: static})
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		if _, err := client.Queue("q").Receive(t.Context(), 1, 0); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
		if got := seen.Load(); got != want {
			t.Errorf("%s: requested %s, want %s", endpoint, got, want)
		}
	}
}
