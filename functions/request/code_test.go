package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
)

// TestCodesOfExportImage walks the table of codes: ECS answers a submission with
// each, and the export must do what the table says about it.
func TestCodesOfExportImage(t *testing.T) {
	t.Parallel()
	var ends, others []export.Code
	for _, c := range export.Codes {
		switch {
		case c.Where != export.OpExport && c.Where != export.ServiceEC:
		case c.Do == export.DoRefuse || c.Do == export.DoGiveUp:
			ends = append(ends, c)
		default:
			others = append(others, c)
		}
	}
	others = append(others, export.CodeOf(export.OpExport, "Haunted", 502), export.CodeOf(export.OpExport, "Throttling.User", 400))
	ends = append(ends, export.CodeOf(export.OpExport, "InvalidImage.Haunted", 400))
	answer := func(b *bench, c export.Code) {
		b.meddle(func(call string, w http.ResponseWriter) bool {
			if call != "ecs ExportImage" {
				return false
			}
			w.WriteHeader(c.Status)
			fmt.Fprintf(w, `{"Code":%q,"Message":"as told","RequestId":"r-1"}`, c.Code)
			return true
		})
	}
	t.Run("ends", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, 1, cloud.Options{Speed: 1})
		api := b.instance(t)
		for _, c := range ends {
			answer(b, c)
			sum := api.create(t, order("imageId", b.images[0]))
			f := sum.Failure
			if sum.State != stateName(export.Failed) || f == nil || f.Code != c.Code || f.Message != "as told" || f.RequestID != "r-1" {
				t.Errorf("%s %d: %s %+v", c.Code, c.Status, sum.State, f)
				continue
			}
			if documented := c.Code != "InvalidImage.Haunted"; (f.Remedy != "") != documented {
				t.Errorf("%s: remedy %q", c.Code, f.Remedy)
			}
			if n := b.count("ecs ExportImage"); n != 1 {
				t.Errorf("%s: ExportImage was called %d times", c.Code, n)
			}
		}
	})
	for _, c := range others {
		t.Run(fmt.Sprint(c.Code, c.Status), func(t *testing.T) {
			b := newBench(t, 1, cloud.Options{Speed: 1})
			b.config.SubmitTimeout = 2 * time.Second
			answer(b, c)
			sum := b.instance(t).create(t, order("imageId", b.images[0]))
			want := export.Queued
			if c.Do == export.DoAdopt && c.Code != export.CodeImageBusy {
				// It may have begun: nobody calls again before the claim is over.
				want = export.Submitting
			}
			if sum.State != stateName(want) || sum.Failure != nil {
				t.Errorf("%s, want %s: %+v", sum.State, want, sum.Failure)
			}
			if n := b.count("ecs ExportImage"); n != 1 && c.Limit != export.CallRate {
				t.Errorf("ExportImage was called %d times", n)
			}
		})
	}
}
