package ecs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/rpc"
)

func static(context.Context) (rpc.Credentials, error) {
	return rpc.Credentials{ID: "id", Secret: "secret"}, nil
}

func client(t *testing.T, h http.HandlerFunc) *ecs.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := ecs.New(ecs.Config{Region: "cn-hangzhou", Endpoint: s.URL, Credentials: static})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func say(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestExportImage(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		got := []string{q.Get("Action"), q.Get("RegionId"), q.Get("ImageId"), q.Get("OSSBucket"), q.Get("OSSPrefix"), q.Get("ImageFormat"), q.Get("RoleName")}
		want := []string{"ExportImage", "cn-hangzhou", "m-1", "b", "p", "raw", "r"}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		_, _ = io.WriteString(w, `{"RequestId":"R","RegionId":"cn-hangzhou","TaskId":"t-1"}`)
	})
	id, err := c.ExportImage(t.Context(), ecs.ExportRequest{ImageID: "m-1", Bucket: "b", Prefix: "p", Format: "RAW", Role: "r"})
	if id != "t-1" || err != nil {
		t.Errorf("got %q, %v", id, err)
	}
}

func TestExportImageFailures(t *testing.T) {
	t.Parallel()
	code := func(status int, code string) http.HandlerFunc {
		return say(status, `{"RequestId":"R","Code":"`+code+`","Message":"m"}`)
	}
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		is      []error
		refused bool
	}{
		"image exporting":     {code(403, "ImageIsExporting"), []error{ecs.ErrImageIsExporting}, true},
		"concurrent quota":    {code(403, "ConcurrentQuotaExceed.ExportImage"), []error{ecs.ErrQuota, ecs.ErrConcurrentQuota}, true},
		"weekly quota":        {code(403, "WeeklyQuotaExceed.ExportImage"), []error{ecs.ErrQuota, ecs.ErrWeeklyQuota}, true},
		"throttled":           {code(400, "Throttling.User"), []error{ecs.ErrThrottled}, true},
		"no image":            {code(404, "InvalidImageId.NotFound"), []error{ecs.ErrImageNotFound}, true},
		"image not available": {code(400, "IncorrectImageStatus"), []error{ecs.ErrImageNotAvailable}, true},
		"license":             {code(403, "InvalidImageLicense.NotSupported"), []error{ecs.ErrImageNotExportable}, true},
		"bucket":              {code(400, "InvalidOSSBucket.NotFound"), []error{ecs.ErrBucket}, true},
		"role":                {code(403, "NoSetRoletoECSServiceAcount"), []error{ecs.ErrRole}, true},
		"own permission":      {code(403, "Forbidden.RAM"), []error{ecs.ErrForbidden}, true},
		"risk control":        {code(403, "Forbidden.RiskControl"), []error{ecs.ErrForbidden}, true},
		"unknown code":        {code(400, "Something.New"), nil, true},
		"internal error":      {code(500, "InternalError"), nil, false},
		"throttled by 503":    {code(503, "Throttling"), []error{ecs.ErrThrottled}, false},
		"no task id":          {say(200, `{"RequestId":"R"}`), nil, false},
		"garbage":             {say(200, `ok`), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			id, err := client(t, func(w http.ResponseWriter, r *http.Request) {
				count.Add(1)
				c.answer(w, r)
			}).ExportImage(t.Context(), ecs.ExportRequest{ImageID: "m-1", Bucket: "b"})
			if err == nil || id != "" {
				t.Fatalf("got task %q", id)
			}
			for _, want := range c.is {
				if !errors.Is(err, want) {
					t.Errorf("%v is not %v", err, want)
				}
			}
			e, refused := ecs.Refusal(err)
			if refused != c.refused || refused == rpc.Ambiguous(err) {
				t.Errorf("refused: %v, ambiguous: %v", refused, rpc.Ambiguous(err))
			}
			if refused && (e.Message != "m" || e.RequestID != "R") {
				t.Errorf("got %+v", e)
			}
			if count.Load() != 1 {
				t.Errorf("%d requests", count.Load())
			}
		})
	}
}

const sampleImage = `{"ImageId":"m-1","ImageName":"web","ImageOwnerAlias":"self","ImageOwnerId":123,"OSType":"linux","OSName":"Ubuntu 22.04","Platform":"Ubuntu","Architecture":"x86_64","Size":40,"Status":"Available","Progress":"100%","ProductCode":"","IsSelfShared":"","CreationTime":"2019-11-15T06:07:05Z","Unknown":{"a":[1]},
"DiskDeviceMappings":{"DiskDeviceMapping":[{"Type":"system","Device":"/dev/xvda","Size":"40","SnapshotId":"s-1","Format":"","Encrypted":false},{"Type":"data","Device":"/dev/xvdb","Size":60,"SnapshotId":"s-2","Encrypted":"true"}]}}`

func TestImage(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("ImageId") != "m-1" || strings.Count(q.Get("Status"), ",") != 5 {
			t.Errorf("asked for %v", q)
		}
		_, _ = io.WriteString(w, `{"RequestId":"R","TotalCount":1,"Images":{"Image":[`+sampleImage+`]}}`)
	})
	got, err := c.Image(t.Context(), "m-1")
	if err != nil {
		t.Fatal(err)
	}
	want := ecs.Image{
		ID: "m-1", Name: "web", Status: "Available", Progress: "100%", OwnerAlias: "self", OwnerID: "123", OSType: "linux", OSName: "Ubuntu 22.04", Platform: "Ubuntu",
		Architecture: "x86_64", SizeGiB: 40, CreatedAt: time.Date(2019, 11, 15, 6, 7, 5, 0, time.UTC), Raw: []byte(sampleImage),
		Disks: []ecs.Disk{
			{Role: "system", Device: "/dev/xvda", SizeGiB: 40, SnapshotID: "s-1"},
			{Role: "data", Device: "/dev/xvdb", SizeGiB: 60, SnapshotID: "s-2", Encrypted: true},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhatTheListAsksForAndWhoOwnsTheImages(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		// Without the status, ECS lists available images only.
		if q.Get("ImageOwnerAlias") != "self" || strings.Count(q.Get("Status"), ",") != 5 || q.Get("PageNumber") != "3" || q.Get("PageSize") != "50" {
			t.Errorf("asked for %v", q)
		}
		_, _ = io.WriteString(w, `{"TotalCount":104,"Images":{"Image":[
			{"ImageId":"m-1","ImageOwnerId":1234567890123456,"IsPublic":true,"Progress":"12%","Status":"Creating"},
			{"ImageId":"m-2","ImageOwnerId":"1234567890123456","IsPublic":"false"},
			{"ImageId":"m-3","ImageOwnerId":0},
			{"ImageId":"m-4"}]}}`)
	})
	images, total, err := c.OwnImages(t.Context(), 3, 50)
	if err != nil || total != 104 {
		t.Fatalf("%d, %v", total, err)
	}
	for i := range images {
		images[i].Raw = nil
	}
	want := []ecs.Image{
		{ID: "m-1", OwnerID: "1234567890123456", Public: true, Progress: "12%", Status: "Creating"},
		{ID: "m-2", OwnerID: "1234567890123456"}, {ID: "m-3"}, {ID: "m-4"},
	}
	if d := cmp.Diff(want, images); d != "" {
		t.Error(d)
	}
}

func TestNoImage(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty list": `{"Images":{"Image":[]}}`, "no list": `{}`, "another": `{"Images":{"Image":[{"ImageId":"m-2"}]}}`,
	} {
		if _, err := client(t, say(200, body)).Image(t.Context(), "m-1"); !errors.Is(err, ecs.ErrImageNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// tasks answers DescribeTasks as ECS does, out of n tasks of one image.
func tasks(t *testing.T, n int, calls *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		q := r.URL.Query()
		size, _ := strconv.Atoi(q.Get("PageSize"))
		page, _ := strconv.Atoi(q.Get("PageNumber"))
		if size != 100 || q.Get("TaskStatus") != "" {
			t.Errorf("asked for %v", q)
		}
		var ids []string
		if list := q.Get("TaskIds"); list != "" {
			ids = strings.Split(list, ",")
			if len(ids) > 100 {
				t.Errorf("%d ids", len(ids))
			}
		} else {
			if q.Get("TaskAction") != "ExportImage" || q.Get("ResourceIds.1") != "m-1" {
				t.Errorf("asked for %v", q)
			}
			for i := (page - 1) * size; i < min(page*size, n); i++ {
				ids = append(ids, fmt.Sprint("t-", i))
			}
		}
		var items []string
		for _, id := range ids {
			items = append(items, `{"TaskId":"`+id+`","TaskAction":"ExportImage","TaskStatus":"Waiting","SupportCancel":"true","ResourceId":"m-1","CreationTime":"2020-11-24T12:50Z","FinishedTime":""}`)
		}
		_, _ = fmt.Fprintf(w, `{"TotalCount":%d,"PageSize":%d,"TaskSet":{"Task":[%s]}}`, n, size, strings.Join(items, ","))
	}
}

func TestTasks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ n, calls int }{{0, 0}, {1, 1}, {100, 1}, {101, 2}, {250, 3}} {
		var calls atomic.Int32
		c := client(t, tasks(t, tc.n, &calls))
		var ids []string
		for i := range tc.n {
			ids = append(ids, fmt.Sprint("t-", i))
		}
		got, err := c.Tasks(t.Context(), ids)
		if err != nil || len(got) != tc.n || int(calls.Load()) != tc.calls {
			t.Errorf("%d: got %d in %d calls, %v", tc.n, len(got), calls.Load(), err)
		}
		calls.Store(0)
		got, err = c.TasksByImage(t.Context(), "m-1")
		if err != nil || len(got) != tc.n || int(calls.Load()) != max(1, tc.calls) {
			t.Errorf("by image %d: got %d in %d calls, %v", tc.n, len(got), calls.Load(), err)
		}
		if tc.n == 1 {
			want := ecs.Task{ID: "t-0", Action: "ExportImage", Status: ecs.TaskWaiting, ImageID: "m-1", CanCancel: true, CreatedAt: time.Date(2020, 11, 24, 12, 50, 0, 0, time.UTC)}
			if d := cmp.Diff(want, got[0]); d != "" {
				t.Error(d)
			}
		}
	}
}

func TestTaskAttribute(t *testing.T) {
	t.Parallel()
	// The sample of the API's page, with a second sub-task that failed.
	const body = `{"CreationTime":"2015-11-23T02:13Z","OperationProgressSet":{"OperationProgress":[
		{"RelatedItemSet":{"RelatedItem":[{"Name":"OSSBucket","Value":"image-temp"},{"Name":"OSSObject","Value":"MYOSSPRE_m-1_t-1.vhd"},{"Name":"ImageFormat","Value":"vhd"},{"Name":"Other","Value":1}]},"ErrorMsg":"","ErrorCode":"","OperationStatus":"Success"},
		{"ErrorMsg":"No space.","ErrorCode":"Full","OperationStatus":"Failed"}]},
		"FinishedTime":"2015-11-23T02:19Z","FailedCount":1,"SupportCancel":true,"TotalCount":"2","SuccessCount":1,"RequestId":"R","RegionId":"cn-hangzhou","TaskAction":"ExportImage","TaskStatus":"Finished","TaskProcess":"100%","TaskId":"t-1"}`
	got, err := client(t, say(200, body)).TaskAttribute(t.Context(), "t-1")
	if err != nil {
		t.Fatal(err)
	}
	hundred := 100
	want := ecs.TaskDetail{
		Task: ecs.Task{
			ID: "t-1", Action: "ExportImage", Status: ecs.TaskFinished, CanCancel: true,
			CreatedAt: time.Date(2015, 11, 23, 2, 13, 0, 0, time.UTC), FinishedAt: time.Date(2015, 11, 23, 2, 19, 0, 0, time.UTC),
		},
		Percent: &hundred, Total: 2, Succeeded: 1, Failed: 1,
		Operations: []ecs.Operation{
			{Status: "Success", OSSBucket: "image-temp", OSSObject: "MYOSSPRE_m-1_t-1.vhd", Format: "vhd"},
			{Status: "Failed", ErrorCode: "Full", ErrorMessage: "No space."},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestProgressThatIsNone(t *testing.T) {
	t.Parallel()
	for _, p := range []string{`""`, `"soon"`, `"101%"`, `"-1%"`, `null`} {
		got, err := client(t, say(200, `{"TaskId":"t-1","TaskProcess":`+p+`}`)).TaskAttribute(t.Context(), "t-1")
		if err != nil || got.Percent != nil {
			t.Errorf("%s: %v, %v", p, got.Percent, err)
		}
	}
}

func TestNoTask(t *testing.T) {
	t.Parallel()
	_, err := client(t, say(400, `{"Code":"InvalidTaskId.NotFound","Message":"The specified \"TaskId\" is not found."}`)).TaskAttribute(t.Context(), "t-1")
	if !errors.Is(err, ecs.ErrTaskNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := client(t, say(200, `{"TaskId":"t-2"}`)).TaskAttribute(t.Context(), "t-1"); err == nil || errors.Is(err, ecs.ErrTaskNotFound) {
		t.Errorf("about another: %v", err)
	}
}

func TestCancelTask(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("Action") != "CancelTask" || q.Get("RegionId") == "" || q.Get("TaskId") != "t-1" {
			t.Errorf("asked %v", q)
		}
		say(http.StatusOK, `{"RequestId":"R"}`)(w, r)
	})
	if err := c.CancelTask(t.Context(), "t-1"); err != nil {
		t.Error(err)
	}
	for code, meaning := range map[string]error{
		"InvalidTaskId.NotFound": ecs.ErrTaskNotFound, "InvalidTaskId.TaskActionNotSupport": nil,
		"InvalidTaskId.IncorrectTaskStatus": nil, "CancelTaskFailed": nil, "Forbidden.RAM": ecs.ErrForbidden,
	} {
		c := client(t, say(http.StatusForbidden, `{"Code":"`+code+`","Message":"no","RequestId":"R"}`))
		err := c.CancelTask(t.Context(), "t-1")
		if refusal, ok := ecs.Refusal(err); !ok || refusal.Code != code || meaning != nil && !errors.Is(err, meaning) {
			t.Errorf("%s: %v", code, err)
		}
	}
}
