package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
)

// check asks what would become of an order.
func (i *instance) check(t *testing.T, body string) checkReport {
	t.Helper()
	a := i.do(t, "POST", "/exports/check", body)
	if a.status != http.StatusOK {
		t.Fatalf("POST /exports/check: %d %s", a.status, a.body)
	}
	var report checkReport
	a.into(t, &report)
	i.conforms(t, "CheckReport", a)
	return report
}

func (r checkReport) rules() []string {
	var rules []string
	for _, f := range r.Findings {
		rules = append(rules, f.Rule)
	}
	return rules
}

// TestCheck wants what POST /exports would do, with every broken rule and the
// fees, and nothing recorded by asking.
func TestCheck(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1})
	bucketElsewhere(t, b)
	b.role = b.administrator // the deployed role may not look at the buckets that are wrong
	api := b.instance(t)
	image := b.images[0]

	r := api.check(t, order("imageId", image))
	if slices.ContainsFunc(r.Findings, func(f brokenRule) bool { return f.Severity == export.Error || f.Severity == export.Waits }) || r.Verdict != verdict(export.Ready) {
		t.Errorf("a good order: %s %+v", r.Verdict, r.Findings)
	}
	if r.Bucket != b.config.ExportBuckets[0] || r.Format != "raw" || r.RoleName != "AliyunECSImageExportDefaultRole" || r.RegionID != "cn-hangzhou" || len(r.Disks) == 0 {
		t.Errorf("what it would be: %+v", r)
	}
	bytes := int64(0)
	for _, d := range r.Disks {
		bytes += int64(d.SizeGiB) << 30
	}
	if r.Fees == nil || r.Fees.Currency != "CNY" || r.Fees.Bytes != bytes || r.Fees.StorageMonth == nil || *r.Fees.StorageMonth <= 0 || r.Fees.Download <= 0 {
		t.Errorf("fees: %+v", r.Fees)
	}

	// Everything wrong at once is a report, not a refusal.
	r = api.check(t, order("imageId", "m-bp1000000000000000xx", "bucket", "bucket-elsewhere", "prefix", "a-b", "format", "iso"))
	if d := cmp.Diff([]string{"image-exists", "format-valid", "prefix-form", "bucket-region"}, r.rules()[:4]); d != "" || r.Verdict != verdict(export.Refused) {
		t.Errorf("%s (-want +got):\n%s", r.Verdict, d)
	}
	f := r.Findings[3]
	if f.Code != "InvalidOSSBucket.NotFound" || f.Field != "bucket" || !strings.Contains(f.Found, "cn-beijing") || !strings.Contains(f.Remedy, "cn-hangzhou") || f.Page == "" {
		t.Errorf("%+v", f)
	}
	if r.Fees != nil {
		t.Errorf("fees of an image that is not known: %+v", r.Fees)
	}
	for _, test := range []struct{ field, value, rule string }{
		{"bucket", "no-such-bucket", "bucket-exists"},
		{"bucket", "somebody-elses", "bucket-allowed"},
		{"format", "VHD", "format-region"},
		{"roleName", "mine", "role-exists"},
		{"prefix", strings.Repeat("a", 18), "prefix-form"},
		{"imageId", "ubuntu_22_04_x64_20G_alibase.vhd", "image-exists"},
		{"imageId", "../m-1", "image-exists"},
	} {
		fields := map[string]string{"imageId": image}
		fields[test.field] = test.value
		var list []string
		for name, value := range fields {
			list = append(list, name, value)
		}
		if r := api.check(t, order(list...)); !slices.Contains(r.rules(), test.rule) {
			t.Errorf("%s %q: %v, want %s", test.field, test.value, r.rules(), test.rule)
		}
	}

	if p := api.do(t, "POST", "/exports/check", `{"prefix":"x"}`).problem(t); p.Status != 422 || p.Errors[0].Location != "body.imageId" {
		t.Errorf("no image: %+v", p)
	}
	if ids := b.recorded(t); len(ids) != 0 {
		t.Errorf("recorded: %v", ids)
	}
	if n := b.count("ecs ExportImage"); n != 0 {
		t.Errorf("ExportImage was called %d times", n)
	}
}

// TestCheckOfAnotherBucket wants nothing told about a bucket that is not the
// deployment's, not even what the role may do with it.
func TestCheckOfAnotherBucket(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1})
	api := b.instance(t)
	a := b.account(t)
	a.policies(a.policy("exports", `{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":["acs:oss:*:*:image-exports","acs:oss:*:*:image-exports/*"]}]}`))
	for bucket, want := range map[string][]string{"": nil, "payroll": {"bucket-allowed"}, "*": {"bucket-allowed"}} {
		if r := api.check(t, order("imageId", b.images[0], "bucket", bucket)); !slices.Equal(r.rules(), want) {
			t.Errorf("bucket %q: %+v, want %v", bucket, r.Findings, want)
		}
	}
}

// TestCheckWaits wants to be told what an order would wait for.
func TestCheckWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2, cloud.Options{Speed: 1})
	api := b.instance(t)
	running := api.create(t, order("imageId", b.images[0]))
	r := api.check(t, order("imageId", b.images[0]))
	if !slices.Contains(r.rules(), "image-busy") || r.Verdict != verdict(export.Queues) {
		t.Errorf("of a running image: %s %v", r.Verdict, r.rules())
	}
	if r := api.check(t, order("imageId", b.images[1])); r.Verdict != verdict(export.Ready) {
		t.Errorf("of another image: %s %v", r.Verdict, r.rules())
	}
	if running.TaskID == nil || !strings.Contains(r.Findings[0].Found, *running.TaskID) {
		t.Errorf("which task? %+v", r.Findings[0])
	}
	// Held by a quota, and behind another.
	for code, rule := range map[string]string{
		"ConcurrentQuotaExceed.ExportImage": "quota-concurrent", "WeeklyQuotaExceed.ExportImage": "quota-weekly", export.CodeTaskLimit: "tasks-limit",
	} {
		if err := b.tracker.Records.SetHold(t.Context(), export.Delay{Code: code, Next: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if r := api.check(t, order("imageId", b.images[1])); !slices.Equal(r.rules(), []string{rule}) || r.Verdict != verdict(export.Queues) {
			t.Errorf("%s: %s %v, want %s", code, r.Verdict, r.rules(), rule)
		}
	}
	if err := b.tracker.Records.Join(t.Context(), export.Waiting{ID: running.ID, Arrived: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if r := api.check(t, order("imageId", b.images[1])); !slices.Contains(r.rules(), "queue") {
		t.Errorf("behind another: %v", r.rules())
	}
}

// TestCheckUnanswered wants a service that is out to be called that, not a finding.
func TestCheckUnanswered(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1})
	api := b.instance(t)
	for _, out := range []string{"ecs DescribeImages", "ecs DescribeTasks", "oss GET " + b.config.ExportBuckets[0]} {
		b.meddle(func(call string, w http.ResponseWriter) bool {
			if !strings.HasPrefix(call, out) {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"Code":"InternalError","Message":"out","RequestId":"r-1"}`)
			return true
		})
		if p := api.do(t, "POST", "/exports/check", order("imageId", b.images[0])).problem(t); p.Status != 503 {
			t.Errorf("%s: %+v", out, p)
		}
	}
}

// TestCreatedWithFindings wants an order that is taken to be answered with what
// somebody should know about it.
func TestCreatedWithFindings(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, cloud.Options{Speed: 1, Images: filepath.Join("..", "..", "local", "samples")})
	api := b.instance(t)
	for image, want := range map[string][]string{"m-bp1severaldatadisks0": {"data-disk-empty", "fstab"}, "m-bp1exportable0000000": nil} {
		a := api.do(t, "POST", "/exports", order("imageId", image))
		var created createdExport
		a.into(t, &created)
		api.conforms(t, "CreatedExport", a)
		var got []string
		for _, f := range created.Findings {
			got = append(got, f.Rule)
		}
		if a.status != http.StatusAccepted || created.State != stateName(export.Exporting) || !slices.Equal(got, want) {
			t.Errorf("%s: %d %s %v, want %v", image, a.status, created.State, got, want)
		}
	}
}

// TestCreatedWithWaits wants an order that is taken to be told what it waits for, as
// the check tells it, and taken all the same where that can't be learnt.
func TestCreatedWithWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t, 5, cloud.Options{Speed: 1, TaskLeast: time.Hour, Tasks: 3})
	api := b.instance(t)
	create := func(image string) createdExport {
		t.Helper()
		a := api.do(t, "POST", "/exports", order("imageId", image))
		var created createdExport
		if a.into(t, &created); a.status != http.StatusAccepted {
			t.Fatalf("%d %s", a.status, a.body)
		}
		api.conforms(t, "CreatedExport", a)
		return created
	}
	first := create(b.images[0])
	if len(first.Findings) > 0 || first.State != "exporting" {
		t.Errorf("nothing to wait for: %s %+v", first.State, first.Findings)
	}
	checked := api.check(t, order("imageId", b.images[0]))
	second := create(b.images[0])
	if d := cmp.Diff(checked.Findings, second.Findings); d != "" || !slices.Contains(checked.rules(), "image-busy") || second.State != "queued" {
		t.Errorf("%s (-checked +created):\n%s", second.State, d)
	}
	for n, out := range []string{"ecs DescribeTasks", "oss GET " + b.environment["RECORDS_BUCKET"]} {
		b.meddle(func(call string, w http.ResponseWriter) bool {
			if !strings.HasPrefix(call, out) || strings.Contains(call, "/exports/") {
				return false
			}
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"Code":"Forbidden.RAM","Message":"no","RequestId":"r-1"}`)
			return true
		})
		if created := create(b.images[n+1]); len(created.Findings) > 0 {
			t.Errorf("without %s: %+v", out, created.Findings)
		}
	}
	b.meddle(nil)
	if err := b.tracker.Records.SetHold(t.Context(), export.Delay{Code: "WeeklyQuotaExceed.ExportImage", Next: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	held := create(b.images[4])
	if len(held.Findings) == 0 || held.Findings[0].Rule != "quota-weekly" || held.State != "queued" {
		t.Errorf("held by a quota: %s %+v", held.State, held.Findings)
	}
}

// TestRefusedByRules wants POST /exports to refuse with the findings of the check
// and their rules, and warnings told only with an error.
func TestRefusedByRules(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1})
	b.role = b.administrator
	api := b.instance(t)
	p := api.do(t, "POST", "/exports", order("imageId", b.images[0], "bucket", "no-such-bucket", "format", "vhd", "prefix", "a b")).problem(t)
	var got []string
	for _, f := range p.Errors {
		got = append(got, f.Rule+" "+f.Severity+" "+f.Code)
		if f.Message != strings.TrimSpace(f.Message) || !strings.HasSuffix(f.Message, f.Remedy) || f.Remedy == "" || f.Limit == "" || f.Page == "" {
			t.Errorf("%+v", f)
		}
	}
	want := []string{
		"prefix-form error InvalidOSSPrefix.Malformed", "bucket-exists error InvalidOSSBucket.NotFound",
		"format-region warning InvalidImageFormat.RegionNotSupported",
	}
	if d := cmp.Diff(want, got); d != "" || p.Status != 422 {
		t.Errorf("%d (-want +got):\n%s", p.Status, d)
	}
}
