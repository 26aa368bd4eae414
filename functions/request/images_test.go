package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
)

// TestImages wants every custom image of the account once, whatever the size of a
// page, with a verdict that the rules give.
func TestImages(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, cloud.Options{Speed: 1})
	b.config.SystemDiskGiBMax, b.config.Prices = 1, `{"currency":"USD","date":"2026-01-31","for":"here","storage":{"Standard":1},"requests":1,"outbound":1}`
	api := b.instance(t)
	var ids []string
	token := ""
	for range 5 {
		a := api.do(t, "GET", "/images?pageSize=2&pageToken="+token, "")
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		api.conforms(t, "ImagePage", a)
		var page imagePage
		a.into(t, &page)
		for _, i := range page.Images {
			ids = append(ids, i.ImageID)
			large := slices.ContainsFunc(i.Disks, func(d exportDisk) bool { return d.Role == "system" && d.SizeGiB > 1 })
			found := slices.ContainsFunc(i.Findings, func(f brokenRule) bool { return f.Rule == "system-disk-size" })
			if large != found || large != (i.Verdict == verdict(export.Refused)) {
				t.Errorf("%s: %s %+v", i.ImageID, i.Verdict, i.Findings)
			}
			if i.Fees.Currency != "USD" || i.Fees.StorageMonth == nil || *i.Fees.StorageMonth != float64(i.Fees.Bytes)/(1<<30) {
				t.Errorf("%s: fees %+v", i.ImageID, i.Fees)
			}
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	want := slices.Sorted(slices.Values(b.images))
	if slices.Sort(ids); !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}

	// What stands against all of them is said once, and counts for each.
	b.config.ExportBuckets = []string{"no-such-bucket"}
	b.role = b.administrator
	a := b.instance(t).do(t, "GET", "/images", "")
	var page imagePage
	a.into(t, &page)
	if len(page.Findings) == 0 || page.Findings[0].Rule != "bucket-exists" {
		t.Errorf("%+v", page.Findings)
	}
	for _, i := range page.Images {
		if i.Verdict != verdict(export.Refused) || slices.ContainsFunc(i.Findings, func(f brokenRule) bool { return f.Field == "bucket" }) {
			t.Errorf("%s: %s %+v", i.ImageID, i.Verdict, i.Findings)
		}
	}

	for _, token := range []string{"1.20", "2", "2.10", "0.20", "-1.20", "2.20.", "+2.20", "02.20", "9999999999999999999.20", "2000000.20", "x"} {
		p := api.do(t, "GET", "/images?pageToken="+strings.ReplaceAll(token, "+", "%2B"), "").problem(t)
		if p.Status != 400 || p.Code != codeBadToken {
			t.Errorf("token %q: %+v", token, p)
		}
	}
	b.meddle(func(call string, w http.ResponseWriter) bool {
		if call != "ecs DescribeImages" {
			return false
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"Code":"InternalError","Message":"out","RequestId":"r-1"}`)
		return true
	})
	if p := api.do(t, "GET", "/images", "").problem(t); p.Status != 503 {
		t.Errorf("%+v", p)
	}
}

// TestSamples wants the rules to agree with ECS: of each sample image the finding
// that refuses it has the code which ExportImage of the stand-in answers.
func TestSamples(t *testing.T) {
	t.Parallel()
	b := newBench(t, 0, cloud.Options{Speed: 1, Images: filepath.Join("..", "..", "local", "samples")})
	api := b.instance(t)
	warnings := map[string]string{"several-data-disks": "data-disk-empty fstab", "empty-data-disk": "data-disk-empty", "at-the-limits": "fstab", "five-data-disks": "fstab"}
	var page imagePage
	api.do(t, "GET", "/images?pageSize=100", "").into(t, &page)
	ids := map[string]bool{"m-bp1shared00000000000": true, "m-bp1community00000000": true, "m-bp1marketplace000000": true, "debian_12_10_x64_20G_alibase_20260101.vhd": true}
	for _, i := range page.Images {
		ids[i.ImageID] = true
	}
	if len(ids) < 16 {
		t.Errorf("only %d samples", len(ids))
	}
	for id := range ids {
		report := api.check(t, order("imageId", id))
		var errs, warned []string
		for _, f := range report.Findings {
			switch f.Severity {
			case export.Error:
				errs = append(errs, f.Code)
			case export.Warning:
				warned = append(warned, f.Rule)
			}
		}
		_, err := b.tracker.ECS.ExportImage(t.Context(), ecs.ExportRequest{ImageID: id, Bucket: b.config.ExportBuckets[0], Prefix: "sample", Role: b.config.ExportRole})
		if err == nil {
			if len(errs) > 0 || report.Verdict != verdict(export.Ready) {
				t.Errorf("%s: refused for %v, and ECS exports it", id, errs)
			}
		} else if refusal, _ := ecs.Refusal(err); refusal == nil || refusal.Status == http.StatusForbidden && strings.Contains(refusal.Code, "Quota") {
			if len(errs) > 0 {
				t.Errorf("%s: refused for %v, and ECS says %v", id, errs, err)
			}
		} else if !slices.Equal(errs, []string{refusal.Code}) {
			// The size of a system disk has no limit by default, neither here nor there.
			t.Errorf("%s: refused for %v, and by ECS for %s", id, errs, refusal.Code)
		}
		if want := warnings[report.ImageName]; strings.Join(warned, " ") != want {
			t.Errorf("%s: warnings %v, want %s", id, warned, want)
		}
	}
}

// FuzzImageToken wants no token but our own to be taken.
func FuzzImageToken(f *testing.F) {
	for _, token := range []string{"", "2.20", "1.20", "02.20", "2.020", "-2.20", "2", "2.20.20", "1000001.20"} {
		f.Add(token, 20)
	}
	f.Fuzz(func(t *testing.T, token string, size int) {
		number, ok := pageNumber(token, size)
		if ok && (number < 1 || number > maxImagePage || token != "" && token != imageToken(number, size)) {
			t.Errorf("%q is page %d", token, number)
		}
	})
}
