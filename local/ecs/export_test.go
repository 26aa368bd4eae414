package ecs_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecs-image-export/local/ecs"

	"github.com/google/go-cmp/cmp"
)

// noise is n bytes that do not compress.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	key := [32]byte{seed}
	_, _ = rand.NewChaCha8(key).Read(b) // never returns an error
	return b
}

// unpack lets GNU tar take the one member out of an object.
func unpack(t *testing.T, object string) (name string, content []byte) {
	t.Helper()
	list, err := exec.Command("tar", "tzf", object).Output()
	if err != nil {
		t.Fatalf("tar tzf: %v", err)
	}
	content, err = exec.Command("tar", "xzOf", object).Output()
	if err != nil {
		t.Fatalf("tar xzOf: %v", err)
	}
	return strings.TrimSpace(string(list)), content
}

func TestExport(t *testing.T) {
	t.Parallel()
	system, data := noise(20<<20, 1), append(make([]byte, 5<<20), noise(1000, 2)...) // system: three parts
	c := newCloud(t, folder(t, map[string][]byte{"a.raw": system, "b.raw": data, "c.raw": make([]byte, 1<<20)},
		// The system disk goes first wherever it stands.
		with("m-bp1abc", disk("data", "xvdb", "2", "b.raw"), disk("system", "xvda", "1", "a.raw"), disk("data", "xvdc", "1", "c.raw"))), nil)

	for prefix, before := range map[string]string{"Demo7": "Demo7_", "": ""} {
		id := c.export(params{"ImageId": "m-bp1abc", "OSSPrefix": prefix})
		got := c.await(id, "Finished", "Failed")
		delete(got, "RequestId")
		for _, name := range []string{"CreationTime", "FinishedTime"} {
			if _, err := time.Parse("2006-01-02T15:04Z", got[name].(string)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			delete(got, name)
		}
		item := func(k, v string) any { return map[string]any{"Name": k, "Value": v} }
		progress := func(object string) any {
			return map[string]any{"OperationStatus": "Success", "ErrorCode": "", "ErrorMsg": "", "RelatedItemSet": map[string]any{
				"RelatedItem": []any{item("OSSBucket", bucket), item("OSSObject", object), item("ImageFormat", "raw")},
			}}
		}
		objects := []string{before + "m-bp1abc_system.raw.tar.gz", before + "m-bp1abc_data_xvdb.raw.tar.gz", before + "m-bp1abc_data_xvdc.raw.tar.gz"}
		want := map[string]any{
			"TaskId": id, "RegionId": region, "TaskAction": "ExportImage", "TaskStatus": "Finished", "TaskProcess": "100%",
			"SupportCancel": true, "TotalCount": 3.0, "SuccessCount": 3.0, "FailedCount": 0.0,
			"OperationProgressSet": map[string]any{"OperationProgress": []any{progress(objects[0]), progress(objects[1]), progress(objects[2])}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("task (-want +got):\n%s", diff)
		}
		for i, source := range [][]byte{system, data, make([]byte, 1<<20)} {
			name, content := unpack(t, c.download(objects[i]))
			if name != strings.TrimSuffix(objects[i], ".tar.gz") || !bytes.Equal(content, source) {
				t.Errorf("%s holds %s with %d bytes, want %d", objects[i], name, len(content), len(source))
			}
		}
	}
	if got := c.uploads(); len(got) != 0 {
		t.Errorf("uploads left: %v", got)
	}
}

// hold makes ECS wait at the first call to OSS of a kind until released.
func (c *cloud) hold(kind func(*http.Request) bool) (reached, release chan struct{}) {
	reached, release = make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.through(func(_ http.ResponseWriter, r *http.Request) bool {
		if kind(r) {
			// A caller that goes away is noticed only once its body was read.
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return false
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			once.Do(func() { close(reached) })
			select {
			case <-release:
			case <-r.Context().Done():
				return true
			}
		}
		return false
	})
	return reached, release
}

func partUpload(r *http.Request) bool { return r.URL.Query().Has("partNumber") }

func twoDisks(t *testing.T) string {
	return folder(t, map[string][]byte{"a.raw": noise(2<<20, 1), "b.raw": noise(1<<20, 2)},
		with("m-1", disk("system", "xvda", "1", "a.raw"), disk("data", "xvdb", "1", "b.raw")),
		with("m-2", disk("system", "xvda", "1", "a.raw")), with("m-3", disk("system", "xvda", "1", "b.raw")))
}

func TestCancel(t *testing.T) {
	t.Parallel()
	c := newCloud(t, twoDisks(t), func(c *ecs.Config) { c.Concurrent = 1 })
	// Hold the second disk, so that the first is there.
	reached, release := c.hold(func(r *http.Request) bool { return partUpload(r) && strings.Contains(r.URL.Path, "xvdb") })
	id := c.export(params{"ImageId": "m-1", "OSSPrefix": "p"})
	<-reached
	if got := c.uploads(); !cmp.Equal(got, []string{"p_m-1_data_xvdb.raw.tar.gz"}) {
		t.Errorf("uploads while it runs: %v", got)
	}
	running := c.task(id)
	if running["TaskStatus"] != "Processing" || running["FinishedTime"] != "" || running["SuccessCount"] != 1.0 {
		t.Errorf("while it runs: %v", running)
	}
	// Only the disk that has ended names its object.
	named := 0
	for _, p := range running["OperationProgressSet"].(map[string]any)["OperationProgress"].([]any) {
		named += len(p.(map[string]any)["RelatedItemSet"].(map[string]any)["RelatedItem"].([]any))
	}
	if named != 3 {
		t.Errorf("%d related items, want the 3 of the first disk", named)
	}

	waiting := c.export(params{"ImageId": "m-2"})
	if got := c.task(waiting); got["TaskStatus"] != "Waiting" || got["TaskProcess"] != "0%" {
		t.Errorf("second task: %v", got)
	}
	for _, test := range []struct{ id, want string }{
		{waiting, "403 InvalidTaskId.IncorrectTaskStatus"},
		{"t-none", "400 InvalidTaskId.NotFound"},
		{"", "400 MissingParameter"},
		{id, ""},
		{id, "403 InvalidTaskId.IncorrectTaskStatus"}, // twice
	} {
		if _, err := c.call("CancelTask", params{"TaskId": test.id}); refused(err) != test.want {
			t.Errorf("cancel %q: got %q, want %q", test.id, refused(err), test.want)
		}
	}
	if got := c.task(id); got["TaskStatus"] != "Deleted" || got["FinishedTime"] == "" || got["SuccessCount"] != 1.0 || got["FailedCount"] != 0.0 {
		t.Errorf("after cancel: %v", got)
	}
	close(release)
	eventually(t, func() bool { return !slices.Contains(c.uploads(), "p_m-1_data_xvdb.raw.tar.gz") }, func() string { return "the upload stays" })
	c.await(waiting, "Finished") // the place is free again
	if diff := cmp.Diff([]string{"m-2_system.raw.tar.gz", "p_m-1_system.raw.tar.gz"}, c.keys()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	// The image can be exported again.
	c.await(c.export(params{"ImageId": "m-1", "OSSPrefix": "q"}), "Finished")
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	c := newCloud(t, twoDisks(t), nil) // two at once
	reached, release := c.hold(partUpload)
	var ids []string
	for _, img := range []string{"m-1", "m-2", "m-3"} {
		ids = append(ids, c.export(params{"ImageId": img}))
	}
	<-reached
	var got []any
	for _, id := range ids {
		got = append(got, c.task(id)["TaskStatus"])
	}
	if diff := cmp.Diff([]any{"Processing", "Processing", "Waiting"}, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	close(release)
	for _, id := range ids {
		c.await(id, "Finished")
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	c := newCloud(t, twoDisks(t), func(c *ecs.Config) { c.Concurrent = 1 })
	reached, _ := c.hold(func(r *http.Request) bool { return partUpload(r) && strings.Contains(r.URL.Path, "xvdb") })
	id := c.export(params{"ImageId": "m-1"})
	second := c.export(params{"ImageId": "m-2"})
	<-reached
	before := c.task(id)
	c.closeECS()
	if got := c.uploads(); len(got) != 1 {
		t.Errorf("uploads after the stop: %v", got)
	}

	var first, aborted atomic.Int32
	c.through(func(_ http.ResponseWriter, r *http.Request) bool {
		if partUpload(r) && strings.Contains(r.URL.Path, "system") && strings.Contains(r.URL.Path, "m-1") {
			first.Add(1)
		}
		if r.Method == http.MethodDelete {
			aborted.Add(1)
		}
		return false
	})
	c.open()
	after := c.await(id, "Finished")
	if after["CreationTime"] != before["CreationTime"] || after["SuccessCount"] != 2.0 {
		t.Errorf("after: %v", after)
	}
	c.await(second, "Finished")
	if first.Load() != 0 || aborted.Load() != 1 {
		t.Errorf("the finished disk was sent %d times again, %d uploads were aborted, want 0 and 1", first.Load(), aborted.Load())
	}
	if got := c.uploads(); len(got) != 0 {
		t.Errorf("uploads left: %v", got)
	}
	_, content := unpack(t, c.download("m-1_data_xvdb.raw.tar.gz"))
	if !bytes.Equal(content, noise(1<<20, 2)) {
		t.Error("the disk differs")
	}
}

// A cancel whose upload could not be aborted before the stop is finished later.
func TestRestartAfterCancel(t *testing.T) {
	t.Parallel()
	c := newCloud(t, twoDisks(t), nil)
	reached, _ := c.hold(func(r *http.Request) bool { return partUpload(r) || r.Method == http.MethodDelete })
	id := c.export(params{"ImageId": "m-1"})
	<-reached
	c.must("CancelTask", params{"TaskId": id})
	c.closeECS()
	if got := c.uploads(); len(got) != 1 {
		t.Fatalf("uploads after the stop: %v", got)
	}
	c.through(func(http.ResponseWriter, *http.Request) bool { return false })
	c.open()
	eventually(t, func() bool { return len(c.uploads()) == 0 }, func() string { return "the upload stays" })
	if got := c.task(id)["TaskStatus"]; got != "Deleted" {
		t.Errorf("task is %v", got)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	refuse := func(status int, code string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !partUpload(r) {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code><Message>no</Message></Error>`)
			return true
		}
	}
	for _, test := range []struct {
		name string
		gate func(http.ResponseWriter, *http.Request) bool
		harm func(path string) error // to the disk's file, after the start
		want string
	}{
		{"permission lost", refuse(http.StatusForbidden, "AccessDenied"), nil, "InvalidOSS.NotAuthorized"},
		{"bucket gone", refuse(http.StatusNotFound, "NoSuchBucket"), nil, "InvalidOSSBucket.NotFound"},
		{"refused otherwise", refuse(http.StatusBadRequest, "InvalidArgument"), nil, "ExportImageFailed"},
		{"disk file gone", nil, os.Remove, "ExportImageFailed"},
		{"disk file of another kind", nil, func(path string) error { return os.WriteFile(path, []byte("vhdxfile"), 0o600) }, "ExportImageFailed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := twoDisks(t)
			c := newCloud(t, dir, nil)
			if test.gate != nil {
				c.through(test.gate)
			}
			if test.harm != nil {
				if err := test.harm(filepath.Join(dir, "a.raw")); err != nil {
					t.Fatal(err)
				}
			}
			got := c.await(c.export(params{"ImageId": "m-1"}), "Failed", "Finished")
			if got["TaskStatus"] != "Failed" || got["FailedCount"] != 1.0 || got["SuccessCount"] != 0.0 || got["FinishedTime"] == "" {
				t.Errorf("task: %v", got)
			}
			first := got["OperationProgressSet"].(map[string]any)["OperationProgress"].([]any)[0].(map[string]any)
			if first["OperationStatus"] != "Failed" || first["ErrorCode"] != test.want || strings.Contains(first["ErrorMsg"].(string), "a.raw") {
				t.Errorf("disk: %v, want %s", first, test.want)
			}
			c.through(func(http.ResponseWriter, *http.Request) bool { return false })
			eventually(t, func() bool { return len(c.uploads()) == 0 }, func() string { return "the upload stays" })
			list := c.must("DescribeTasks", params{"TaskStatus": "Failed"})
			task := list["TaskSet"].(map[string]any)["Task"].([]any)[0].(map[string]any)
			if task["FailedReason"] == "" {
				t.Errorf("listed: %v", task)
			}
		})
	}
}

// What passes by itself is tried again.
func TestHiccups(t *testing.T) {
	t.Parallel()
	c := newCloud(t, twoDisks(t), nil)
	var n atomic.Int32
	c.through(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.Method == http.MethodHead || n.Add(1)%3 == 0 { // two of three calls fail
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	if got := c.await(c.export(params{"ImageId": "m-1"}), "Finished", "Failed"); got["TaskStatus"] != "Finished" {
		t.Errorf("task: %v", got)
	}
}

// A long export outlives the credentials that it began with.
func TestCredentialsAreRenewed(t *testing.T) {
	t.Parallel()
	c := newCloud(t, folder(t, map[string][]byte{"a.raw": noise(60<<20, 1)}, with("m-1", disk("system", "xvda", "1", "a.raw"))), nil)
	c.account.ttl = time.Second
	c.through(func(_ http.ResponseWriter, r *http.Request) bool {
		if partUpload(r) {
			<-time.After(300 * time.Millisecond)
		}
		return false
	})
	if got := c.await(c.export(params{"ImageId": "m-1"}), "Finished", "Failed"); got["TaskStatus"] != "Finished" {
		t.Errorf("task: %v", got)
	}
	c.account.mu.Lock()
	defer c.account.mu.Unlock()
	if c.account.taken < 3 {
		t.Errorf("the role was assumed %d times", c.account.taken)
	}
}

func TestProgressFollowsTheClock(t *testing.T) {
	t.Parallel()
	c := newCloud(t, twoDisks(t), func(c *ecs.Config) { c.Speed, c.PerGiB, c.Least = 1, 300*time.Millisecond, 1 })
	start := time.Now()
	id := c.export(params{"ImageId": "m-1"})
	seen := map[any]bool{}
	eventually(t, func() bool {
		got := c.task(id)
		seen[got["TaskProcess"]] = true
		return got["TaskStatus"] == "Finished"
	}, func() string { return "not finished" })
	if took := time.Since(start); took < 600*time.Millisecond {
		t.Errorf("two disks of 1 GiB took %v, want 600 ms or more", took)
	}
	if len(seen) < 4 || !seen["100%"] {
		t.Errorf("progress seen: %v", seen)
	}
}
