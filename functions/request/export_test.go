package main

import (
	"encoding/json"
	"errors"
	"hash/crc64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
)

// TestLife takes an export through the calls that a person would make.
func TestLife(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, cloud.Options{Speed: 1, TaskPerGiB: time.Millisecond, TaskLeast: time.Second, Tasks: 4})
	api := b.instance(t)
	image := b.images[1] // with a data disk

	sum := api.create(t, order("imageId", image, "prefix", "Demo", "format", "RAW"))
	if sum.TaskID == nil || sum.State != "exporting" || sum.Format != "raw" || sum.OSSPrefix != "Demo"+sum.ID ||
		sum.Bucket != b.environment["EXPORT_BUCKET"] || sum.RegionID != b.environment["REGION"] || sum.ImageName == "" ||
		sum.RoleName != "AliyunECSImageExportDefaultRole" {
		t.Errorf("answer to the order: %+v", sum)
	}
	wantDisks := []exportDisk{{Role: "system", Device: "/dev/xvda", SizeGiB: 1}, {Role: "data", Device: "/dev/xvdb", SizeGiB: 1}}
	if d := cmp.Diff(wantDisks, sum.Disks); d != "" {
		t.Errorf("disks (-want +got):\n%s", d)
	}
	path := "/exports/" + sum.ID
	api.conforms(t, "ExportDetail", api.do(t, "GET", path, ""))
	if p := api.do(t, "GET", path+"/manifest", "").problem(t); p.Status != 409 || !strings.Contains(p.Detail, "exporting") {
		t.Errorf("manifest of a running export: %+v", p)
	}
	if p := api.do(t, "GET", path+"/disks/xvdb/download", "").problem(t); p.Status != 409 || p.Code != codeNotLanded {
		t.Errorf("download of a disk that has not landed: %+v", p)
	}

	x := b.follow(t, sum.ID, func(x export.Export) bool { return x.State.Terminal() })
	if x.State != export.Completed {
		t.Fatalf("the export is %s: %+v", x.State, x.Failure)
	}
	var detail exportDetail
	api.do(t, "GET", path, "").into(t, &detail)
	if detail.State != "completed" || detail.Progress == nil || *detail.Progress != 100 || detail.EstimatedCompletionAt != nil {
		t.Errorf("completed export: %+v", detail)
	}
	if n := len(detail.History); n != len(x.Lines) || detail.History[0].State != "requested" || detail.History[n-1].State != "completed" {
		t.Errorf("history: %+v", detail.History)
	}
	checkDownloads(t, api, detail)
	checkManifest(t, api, x)
	api.conforms(t, "ExportDetail", api.do(t, "GET", path, ""))
	api.conforms(t, "ExportPage", api.do(t, "GET", "/exports", ""))
	api.conforms(t, "Manifest", api.do(t, "GET", path+"/manifest", ""))
	api.conforms(t, "Problem", api.do(t, "GET", "/exports?pageSize=0", ""))
}

func checkDownloads(t *testing.T, api *instance, detail exportDetail) {
	t.Helper()
	for _, d := range detail.Disks {
		if d.Key == "" || d.Size == nil || d.CRC64 == "" || d.ETag == "" || d.CataloguedAt == nil {
			t.Errorf("disk that landed: %+v", d)
			continue
		}
		name := strings.TrimPrefix(d.Device, "/dev/")
		for _, spelling := range []string{name, "%2Fdev%2F" + name, "dev%2F" + name} {
			a := api.do(t, "GET", "/exports/"+detail.ID+"/disks/"+spelling+"/download", "")
			if a.status != http.StatusFound {
				t.Fatalf("download %s: %d %s", spelling, a.status, a.body)
			}
			checkLink(t, a.header["Location"], d)
		}
	}
	if p := api.do(t, "GET", "/exports/"+detail.ID+"/disks/xvdz/download", "").problem(t); p.Status != 404 || p.Code != codeNoDisk {
		t.Errorf("unknown disk: %+v", p)
	}
}

func checkLink(t *testing.T, link string, d exportDisk) {
	t.Helper()
	resp, body := download(t, link)
	sum := crc64.Checksum(body, crc64.MakeTable(crc64.ECMA))
	if int64(len(body)) != *d.Size || strconv.FormatUint(sum, 10) != d.CRC64 {
		t.Errorf("%s: %d bytes, CRC-64 %d; the export says %d, %s", d.Key, len(body), sum, *d.Size, d.CRC64)
	}
	if got, want := resp.Header.Get("Content-Disposition"), "attachment; filename="+d.Key; got != want {
		t.Errorf("Content-Disposition: got %q, want %q", got, want)
	}
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Hostname() != "localhost" {
		t.Errorf("link is not on the public endpoint: %s", link)
	}
	if q.Get("x-oss-signature-version") != "OSS4-HMAC-SHA256" || q.Get("x-oss-security-token") == "" {
		t.Errorf("link is not signed with V4 as a role: %s", link)
	}
	if seconds, err := strconv.Atoi(q.Get("x-oss-expires")); err != nil || seconds > 3600 || seconds < 1800 {
		t.Errorf("link lives %q seconds", q.Get("x-oss-expires"))
	}
}

func checkManifest(t *testing.T, api *instance, x export.Export) {
	t.Helper()
	a := api.do(t, "GET", "/exports/"+x.ID+"/manifest", "")
	if a.status != 200 || a.header["Content-Type"] != "application/json" {
		t.Fatalf("manifest: %d %v %s", a.status, a.header, a.body)
	}
	stored, _, err := api.bench.tracker.OSS.Bucket(x.Request.Bucket).Get(t.Context(), x.Request.ManifestKey())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(stored), a.body); d != "" {
		t.Errorf("the manifest served is not the one beside the disks (-stored +served):\n%s", d)
	}
	var m export.Manifest
	a.into(t, &m)
	if len(m.Disks) != 2 || m.ID != x.ID {
		t.Errorf("manifest: %+v", m)
	}
}

// TestHead wants the headers of GET and no body.
func TestHead(t *testing.T) {
	t.Parallel()
	api := lone(t)
	get, head := api.do(t, "GET", "/healthz", ""), api.do(t, "HEAD", "/healthz", "")
	if get.status != 200 || get.body != "{\"status\":\"ok\"}\n" {
		t.Errorf("GET /healthz: %+v", get)
	}
	if head.status != 200 || head.body != "" || cmp.Diff(get.header, head.header) != "" {
		t.Errorf("HEAD /healthz: %+v, GET: %+v", head, get)
	}
}

// TestProgress wants one question to ECS however many ask us, at however many
// instances, and an answer from all of them.
func TestProgress(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, cloud.Options{Speed: 1, TaskLeast: 20 * time.Second, Tasks: 4})
	instances := []*instance{b.instance(t), b.instance(t)}
	sum := instances[0].create(t, order("imageId", b.images[0]))
	b.count("ecs")
	var group sync.WaitGroup
	for n := range 20 {
		group.Go(func() {
			if a := instances[n%2].do(t, "GET", "/exports/"+sum.ID, ""); a.status != 200 {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	group.Wait()
	var fields map[string]json.RawMessage
	instances[0].do(t, "GET", "/exports/"+sum.ID, "").into(t, &fields)
	if string(fields["progress"]) == "null" {
		t.Errorf("no progress after ECS was asked: %s", fields["progress"])
	}
	if n := b.count("ecs DescribeTaskAttribute"); n != 1 {
		t.Errorf("ECS was asked %d times, want once", n)
	}

	// An export that nobody has asked about, and an ECS that doesn't answer.
	b.meddle(func(call string, w http.ResponseWriter) bool {
		if call == "ecs DescribeTaskAttribute" {
			http.Error(w, `{"Code":"Forbidden.RAM","Message":"no"}`, http.StatusForbidden)
			return true
		}
		return false
	})
	other := instances[0].create(t, order("imageId", b.images[1]))
	a := instances[0].do(t, "GET", "/exports/"+other.ID, "")
	a.into(t, &fields)
	if a.status != 200 || string(fields["progress"]) != "null" || string(fields["estimatedCompletionAt"]) != "null" {
		t.Errorf("with ECS silent: %d %s", a.status, a.body)
	}
}

// TestCreateWhenServicesFail wants a clear answer, and an export that is on record
// to be told of as such.
func TestCreateWhenServicesFail(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4, cloud.Options{Speed: 1000, Tasks: 4})
	api := b.instance(t)
	fail := func(calls ...string) {
		b.meddle(func(call string, w http.ResponseWriter) bool {
			for _, c := range calls {
				if strings.HasPrefix(call, c) {
					http.Error(w, `{"Code":"Forbidden.RAM","Message":"no","RequestId":"r-1"}`, http.StatusForbidden)
					return true
				}
			}
			return false
		})
	}
	records := b.environment["RECORDS_BUCKET"]

	for name, test := range map[string]struct{ call, says string }{
		"the image can't be looked up": {"ecs DescribeImages", "DescribeImages answered Forbidden.RAM (request r-1)."},
		"nothing can be recorded":      {"oss PUT " + records + "/active/", "OSS gave no answer"},
		"the log can't be begun":       {"oss POST " + records + "/exports/", "OSS gave no answer"},
	} {
		fail(test.call)
		a := api.do(t, "POST", "/exports", order("imageId", b.images[0]))
		if p := a.problem(t); p.Status != 500 || p.Code != codeRefused || a.header["Retry-After"] != "" || !strings.Contains(p.Detail, test.says) {
			t.Errorf("%s: %v %+v", name, a.header, p)
		}
	}
	if n := b.count("ecs ExportImage"); n != 0 {
		t.Errorf("ExportImage was called %d times for exports that were not recorded", n)
	}

	// From the record on it is accepted, whatever else fails.
	fail("mns", "ecs DescribeTasks")
	if sum := api.create(t, order("imageId", b.images[1])); sum.State != "requested" {
		t.Errorf("with MNS down: %+v", sum)
	}
	fail()
	a := api.do(t, "POST", "/exports", order("imageId", b.images[2], "format", "vmdk", "roleName", "NoSuchRole"))
	var sum ExportSummary
	if a.into(t, &sum); a.status != 202 || sum.State != "failed" || sum.Failure == nil || sum.Failure.Code == "" {
		t.Errorf("refused by ECS: %+v", sum)
	}
	api.conforms(t, "CreatedExport", a)
}

// TestOrderOfUnknownFate wants that nobody is invited to send an order again that
// may have been recorded, unless a key makes that safe.
func TestOrderOfUnknownFate(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	api := b.instance(t)
	records := b.environment["RECORDS_BUCKET"]
	const retry = "Send the order again with the same"
	for _, test := range []struct {
		name, cut, key string // cut: where writing is cut off, and then reading
		says           []string
		again          bool
	}{
		{"the log, no key", "/exports/", "", []string{"not known whether the export was recorded", "GET /exports?imageId=" + b.images[0]}, false},
		{"the log, a key", "/exports/", "log", []string{"not known whether the export was recorded", retry + " Idempotency-Key, which is safe"}, true},
		{"the claim of a key", "/idempotency/", "claim", []string{"not known whether the Idempotency-Key was recorded", "nothing was submitted", retry + " key, which is safe"}, true},
	} {
		var writing atomic.Bool
		b.meddle(func(call string, w http.ResponseWriter) bool {
			posts := strings.HasPrefix(call, "oss POST "+records+test.cut)
			if posts {
				writing.Store(true)
			}
			if posts || writing.Load() && strings.HasPrefix(call, "oss GET "+records+test.cut) {
				panic(http.ErrAbortHandler) // cuts the connection
			}
			return false
		})
		a := api.do(t, "POST", "/exports", order("imageId", b.images[0]), "Idempotency-Key", test.key)
		p := a.problem(t)
		for _, text := range test.says {
			if !strings.Contains(p.Detail, text) {
				t.Errorf("%s: %q does not say %q", test.name, p.Detail, text)
			}
		}
		if p.Status != 503 || (a.header["Retry-After"] != "") != test.again || strings.Contains(p.Detail, retry) != test.again {
			t.Errorf("%s: %v %+v", test.name, a.header, p)
		}
		b.meddle(nil)
		if !test.again {
			continue
		}
		// What is said is so.
		var ids []string
		for range 2 {
			var sum ExportSummary
			api.do(t, "POST", "/exports", order("imageId", b.images[0]), "Idempotency-Key", test.key).into(t, &sum)
			ids = append(ids, sum.ID)
		}
		if ids[0] == "" || ids[0] != ids[1] {
			t.Errorf("%s: sent again, the order makes %v", test.name, ids)
		}
	}
}

// TestNotLanded is the table of what is said of a disk that can't be downloaded.
func TestNotLanded(t *testing.T) {
	t.Parallel()
	disk := export.Disk{Role: export.System, Device: "/dev/xvda", SizeGiB: 1}
	landed := &export.Landed{Device: disk.Device, Key: "k"}
	const givenUp = "given up 24h0m0s after the cancel: task t-1 is Processing. Cancel what still runs; DELETE /exports/7kq3m9x2q4r8w removes the rest"
	for _, test := range []struct {
		name  string
		lines []export.Line // behind the first
		says  string
		not   string
	}{
		{"it runs", nil, "has not landed; the export is requested. Try again later.", ""},
		{"it failed", []export.Line{{State: export.Failed}}, "has not landed; the export is failed.", "Try again"},
		{"it was canceled", []export.Line{{State: export.Canceling, Disk: landed}, {State: export.Canceled}}, "The export is canceled, and its objects have been removed.", ""},
		{"nothing was there to remove", []export.Line{{State: export.Canceling}, {State: export.Canceled, Reason: "nothing had been submitted"}}, "The export is canceled: nothing had been submitted.", "removed"},
		{"the cancel was given up", []export.Line{{State: export.Canceling, Disk: landed}, {State: export.Canceled, Reason: givenUp}}, "The export is canceled: " + givenUp + ".", "have been removed"},
		{"what was left of that was deleted", []export.Line{{State: export.Canceling}, {State: export.Canceled, Reason: givenUp}, {State: export.Deleted}}, "The export is deleted, and its objects have been removed.", "given up"},
	} {
		lines := []export.Line{{State: export.Requested, Request: &export.Request{Disks: []export.Disk{disk}}}}
		lines = append(lines, test.lines...)
		for i := range lines {
			lines[i].Seq = i + 1
		}
		x, err := export.New("7kq3m9x2q4r8w", lines)
		if err != nil {
			t.Fatal(err)
		}
		_, err = find(x, "xvda")
		var p *problem
		if !errors.As(err, &p) || p.Status != http.StatusConflict || p.Code != codeNotLanded {
			t.Fatalf("%s: %v", test.name, err)
		}
		if !strings.Contains(p.Detail, test.says) || test.not != "" && strings.Contains(p.Detail, test.not) {
			t.Errorf("%s: %s", test.name, p.Detail)
		}
	}
}

// TestConcurrentOrders submits many at once, at one instance.
func TestConcurrentOrders(t *testing.T) {
	t.Parallel()
	const n = 24
	b := newBench(t, n, cloud.Options{Speed: 1000, Tasks: n})
	api := b.instance(t)
	var group sync.WaitGroup
	for _, image := range b.images {
		group.Go(func() {
			a := api.do(t, "POST", "/exports", order("imageId", image))
			if a.status != http.StatusAccepted {
				t.Errorf("%s: %d %s", image, a.status, a.body)
			}
		})
	}
	group.Wait()
	if got := b.count("ecs ExportImage"); got != n {
		t.Errorf("ExportImage was called %d times, want %d", got, n)
	}
}

// TestSession wants credentials kept while a link of half an hour can be made with
// them, and renewed after.
func TestSession(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000, Tasks: 1})
	api := b.instance(t)
	sum := api.create(t, order("imageId", b.images[0]))
	b.follow(t, sum.ID, func(x export.Export) bool { return x.State.Terminal() })
	for range 5 {
		if a := api.do(t, "GET", "/exports/"+sum.ID+"/disks/xvda/download", ""); a.status != http.StatusFound {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if n := b.count("sts AssumeRole"); n != 1 {
		t.Errorf("the role was taken %d times, want once", n)
	}
}
