package tracker_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/rpc"
)

// TestCodesAndClients walks the table of codes and wants each client to make of an
// answer what the table says about it: what may have been done is never called a
// refusal, and what is refused never called open.
func TestCodesAndClients(t *testing.T) {
	t.Parallel()
	keys := func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: "id", Secret: "secret"}, nil
	}
	for _, c := range export.Codes {
		t.Run(c.Where+" "+c.Code, func(t *testing.T) {
			t.Parallel()
			cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.Where == export.ServiceOS || c.Where == export.ServiceMN {
					w.Header().Set("Content-Type", "application/xml")
					w.WriteHeader(c.Status)
					fmt.Fprintf(w, "<Error><Code>%s</Code><Message>as told</Message><RequestId>r-1</RequestId></Error>", c.Code)
					return
				}
				w.WriteHeader(c.Status)
				fmt.Fprintf(w, `{"Code":%q,"Message":"as told","RequestId":"r-1"}`, c.Code)
			}))
			t.Cleanup(cloud.Close)
			open := c.Status >= 500 && c.Status != http.StatusNotImplemented || c.Status == http.StatusRequestTimeout
			switch c.Where {
			case export.ServiceOS:
				client, err := oss.New(oss.Config{Region: "cn-hangzhou", Endpoint: cloud.URL, Credentials: keys})
				if err != nil {
					t.Fatal(err)
				}
				err = client.Bucket("image-exports").Create(t.Context(), "k", nil)
				var e *oss.Error
				if !errors.As(err, &e) || e.Code != c.Code || errors.Is(err, oss.ErrUnsettled) != (c.Status >= 500) {
					t.Errorf("got %v", err)
				}
				if open && c.Do != export.DoAdopt {
					t.Errorf("nobody knows what became of it, and we %s", c.Do)
				}
			case export.ServiceMN:
				client, err := mns.New(mns.Config{Region: "cn-hangzhou", AccountID: "1234567890123456", Endpoint: cloud.URL, Credentials: keys})
				if err != nil {
					t.Fatal(err)
				}
				_, err = client.Topic("image-export-events").Publish(t.Context(), "{}", "tag")
				if err == nil || errors.Is(err, mns.ErrUnsettled) != (c.Status >= 500) || errors.Is(err, mns.ErrThrottled) && c.Do != export.DoWait {
					t.Errorf("got %v", err)
				}
			default:
				client, err := ecs.New(ecs.Config{Region: "cn-hangzhou", Endpoint: cloud.URL, Credentials: keys})
				if err != nil {
					t.Fatal(err)
				}
				if c.Where == export.OpCancel {
					err = client.CancelTask(t.Context(), "t-1")
				} else {
					_, err = client.ExportImage(t.Context(), ecs.ExportRequest{ImageID: "m-1", Bucket: "b"})
				}
				refusal, refused := ecs.Refusal(err)
				if refused == open || refused && (refusal.Code != c.Code || refusal.Message != "as told") {
					t.Errorf("got %v", err)
				}
				if throttled := errors.Is(err, ecs.ErrThrottled); throttled && c.Limit != export.CallRate {
					t.Errorf("throttled, and limit %d", c.Limit)
				}
			}
		})
	}
}
