package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/shared/rpc"
)

// FuzzAnswer lets ECS answer every call with anything: there is a result about what
// was asked for, or an error.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"TotalCount":1,"Images":{"Image":[{"ImageId":"m-1","Size":"40","Progress":"100%","CreationTime":"2020-11-24T12:50Z","ImageOwnerId":0,"IsPublic":"false","DiskDeviceMappings":{"DiskDeviceMapping":[{"Type":"data","Device":"/dev/xvdb","Size":"","Encrypted":true}]}}]}}`))
	f.Add([]byte(`{"TotalCount":"2","TaskSet":{"Task":[{"TaskId":"t-1","TaskStatus":"Finished","SupportCancel":"true","CreationTime":"2020-11-24T12:50Z","FinishedTime":"","ResourceId":"m-1"}]}}`))
	f.Add([]byte(`{"TaskId":"t-1","TaskProcess":"45%","TotalCount":1,"OperationProgressSet":{"OperationProgress":[{"ErrorCode":"","RelatedItemSet":{"RelatedItem":[{"Name":"OSSObject","Value":"a_b"}]}}]}}`))
	f.Add([]byte(`{"TaskId":7}`))
	f.Add([]byte(`{"Images":{"Image":[null,7,[]]},"TaskSet":null}`))
	var body atomic.Pointer[[]byte]
	ecs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(*body.Load())
	}))
	f.Cleanup(ecs.Close)
	c, err := New(Config{Region: "cn-hangzhou", Endpoint: ecs.URL, Credentials: func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: "id", Secret: "secret"}, nil
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		// What is no JSON is FuzzRefusal's of package rpc; a read would be repeated.
		if !json.Valid(answer) {
			return
		}
		body.Store(&answer)
		// Shorter than the pause before a read is repeated.
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}
		if image, err := c.Image(short(), "m-1"); err == nil && image.ID != "m-1" {
			t.Errorf("asked for m-1, got %q", image.ID)
		}
		if images, _, err := c.OwnImages(short(), 1, MaxImages); err != nil && images != nil {
			t.Errorf("images %v and %v", images, err)
		}
		// Both read the same document.
		_, byImage := c.TasksByImage(short(), "m-1")
		if _, err := c.Tasks(short(), []string{"t-1"}); byImage == nil && err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("by image they can be read, by id not: %v", err)
		}
		if a, err := c.TaskAttribute(short(), "t-1"); err == nil {
			if a.ID != "t-1" || a.Percent != nil && (*a.Percent < 0 || *a.Percent > 100) {
				t.Errorf("%+v", a)
			}
		}
		if id, err := c.ExportImage(short(), ExportRequest{ImageID: "m-1", Bucket: "b"}); (id == "") != (err != nil) || err != nil && !rpc.Ambiguous(err) && !rpc.NotSent(err) {
			t.Errorf("task %q, %v", id, err)
		}
	})
}
