package mns_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
)

// always answers every request with the same.
type always struct {
	status int
	body   []byte
}

// RoundTrip is part of http.RoundTripper.
func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{Status: fmt.Sprintf("%d x", a.status), StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r}, nil
}

// FuzzAnswer lets a server answer every call with anything: there is a result or
// errors that a person can read and the table can explain, a batch fails for no
// message that was not in it, and nothing that may have been done is called a refusal.
func FuzzAnswer(f *testing.F) {
	f.Add(201, []byte(`<Message><MessageId>m</MessageId><MessageBodyMD5>x</MessageBodyMD5></Message>`))
	f.Add(200, []byte(`<Messages><Message><MessageId>m</MessageId><ReceiptHandle>h</ReceiptHandle><MessageBody>{"id":"9j86nkgt6mq1h"}</MessageBody><EnqueueTime>1250700979248</EnqueueTime><NextVisibleTime>1250700799348</NextVisibleTime><FirstDequeueTime>1250700779318</FirstDequeueTime><DequeueCount>1</DequeueCount></Message></Messages>`))
	f.Add(500, []byte(`<Messages><Message><ErrorCode>InternalServerError</ErrorCode><ErrorMessage>e</ErrorMessage></Message><Message><MessageId>m</MessageId></Message></Messages>`))
	f.Add(404, []byte(`<Errors><Error><ErrorCode>MessageNotExist</ErrorCode><ErrorMessage>e</ErrorMessage><ReceiptHandle>h</ReceiptHandle></Error></Errors>`))
	f.Add(404, []byte(`<Error xmlns="http://mns.aliyuncs.com/doc/v1/"><Code>MessageNotExist</Code><Message>m</Message><RequestId>r</RequestId></Error>`))
	f.Add(408, []byte(`<Error><Code>TimeExpired</Code></Error>`))
	f.Add(409, []byte(`<Error><Code>QueueAlreadyExist</Code></Error>`))
	f.Add(200, []byte(`<Queue><VisibilityTimeout>60</VisibilityTimeout><MessageRetentionPeriod>-1</MessageRetentionPeriod></Queue>`))
	f.Add(502, []byte("<html>\xff\x00"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		client, err := mns.New(mns.Config{Region: "cn-hangzhou", AccountID: account, Endpoint: "http://127.0.0.1:1", Credentials: static, Transport: always{status, body}, Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		more := []operation{
			{"receive one", false, true, func(ctx context.Context, c *mns.Client) error {
				_, err := c.Queue("q").Receive(ctx, 1, 0)
				return err
			}},
			{"delete two", true, true, func(ctx context.Context, c *mns.Client) error {
				gone, err := c.Queue("q").Delete(ctx, "h", "i")
				if len(gone) > 2 {
					t.Errorf("of 2 handles %d are gone", len(gone))
				}
				return err
			}},
			{"extend", false, true, func(ctx context.Context, c *mns.Client) error {
				_, err := c.Queue("q").ChangeVisibility(ctx, "h", time.Minute)
				return err
			}},
		}
		for _, op := range append(more, operations...) {
			err := op.do(t.Context(), client)
			if err == nil {
				continue
			}
			var e *mns.Error
			if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "mns: ") {
				t.Fatalf("%s: %T %v", op.name, err, err)
			}
			if c, ok := export.Explain(err); !ok || c.Remedy == "" || c.Do == export.DoRefuse {
				t.Errorf("%s: explained as %+v", op.name, c)
			}
			var batch *mns.BatchError
			if errors.As(err, &batch) {
				for _, failed := range batch.Failed {
					if failed.Index < 0 || failed.Index >= batch.Total {
						t.Errorf("%s: message %d of %d failed", op.name, failed.Index, batch.Total)
					}
				}
				continue // a part of a batch has no status of its own
			}
			refused := status >= 300 && status < 500 && (status != 408 || e.Code == "TimeExpired") || status == 501
			if got := errors.Is(err, mns.ErrUnsettled); got != (op.unsettled && !refused) && !errors.Is(err, mns.ErrExists) {
				t.Errorf("%s, %d: unsettled is %v: %v", op.name, status, got, err)
			}
		}
	})
}
