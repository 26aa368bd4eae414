package oss_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/rpc"
)

const bucket = "image-export-records"

func static(context.Context) (rpc.Credentials, error) {
	return rpc.Credentials{ID: "id", Secret: "secret", Token: "token"}, nil
}

// serve starts a server that answers badly, and returns a bucket in it and the
// number of requests that came.
func serve(t testing.TB, h http.HandlerFunc, change ...func(*oss.Config)) (*oss.Bucket, *atomic.Int64) {
	t.Helper()
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	cfg := oss.Config{Region: "cn-hangzhou", Endpoint: server.URL, Credentials: static, Attempts: 3, Timeout: 30 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	client, err := oss.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client.Bucket(bucket), &hits
}

func refuse(status int, code string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("x-oss-request-id", "5C3D9175B6FC201293AD****")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>because</Message><RequestId>x</RequestId></Error>`, code)
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
	for _, test := range []struct {
		name string
		cfg  oss.Config
		want []string
	}{
		{"nothing set", oss.Config{}, []string{"region", "credentials"}},
		{"endpoint without scheme", oss.Config{Region: "cn-hangzhou", Credentials: static, Endpoint: "oss-cn-hangzhou.aliyuncs.com"}, []string{"endpoint"}},
		{"endpoint with a path", oss.Config{Region: "cn-hangzhou", Credentials: static, Endpoint: "http://localhost/a"}, []string{"endpoint"}},
		{"both endpoints", oss.Config{Region: "cn-hangzhou", Credentials: static, Endpoint: "ftp://a", PublicEndpoint: "http://"}, []string{`"ftp://a"`, `"http://"`}},
		{"region with a path", oss.Config{Region: "../x", Credentials: static}, []string{"region"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := oss.New(test.cfg)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not mention %s", err, want)
				}
			}
		})
	}
}
