package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
)

// TestLimits wants the vendor's limits by default, and the deployment's where it
// has its own.
func TestLimits(t *testing.T) {
	t.Parallel()
	c := validConfig()
	want := export.DefaultLimits()
	want.RegionID, want.AccountID, want.Buckets = "cn-hangzhou", "1234567890123456", []string{"image-exports"}
	if d := cmp.Diff(want, c.limits()); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
	if p, err := c.prices(); err != nil || p.Currency != "CNY" || p.Storage["Standard"] != 0.12 {
		t.Errorf("default prices: %+v, %v", p, err)
	}
	e := validEnvironment()
	e["DATA_DISKS_MAX"], e["DATA_DISK_GIB_MAX"], e["SYSTEM_DISK_GIB_MAX"] = "16", "2048", "500"
	e["FORMAT_REGIONS"], e["TASKS_AT_ONCE"], e["EXPORT_ROLE"] = "cn-hangzhou,eu-west-1", "3", "exporter"
	e["PRICES"] = `{"currency":"USD","date":"2026-01-31","for":"us-east-1","storage":{"Standard":0.02},"requests":0.01,"outbound":0.076}`
	c, err := function.Decode[Config](e)
	if err != nil {
		t.Fatal(err)
	}
	want.DataDisks, want.DataDiskGiB, want.SystemDiskGiB, want.Tasks = 16, 2048, 500, 3
	want.FormatRegions, want.RoleName = []string{"cn-hangzhou", "eu-west-1"}, "exporter"
	if d := cmp.Diff(want, c.limits()); d != "" {
		t.Errorf("configured (-want +got):\n%s", d)
	}
	if p, err := c.prices(); err != nil || p.Currency != "USD" || p.Outbound != 0.076 {
		t.Errorf("prices: %+v, %v", p, err)
	}
	e["DATA_DISKS_MAX"], e["DATA_DISK_GIB_MAX"], e["SYSTEM_DISK_GIB_MAX"] = "-1", "0", "-1"
	e["FORMAT_REGIONS"], e["PRICES"] = "eu-west-1, us-east-1", `{"currency":"USD"}`
	_, err = function.Decode[Config](e)
	for _, name := range []string{"DATA_DISKS_MAX", "DATA_DISK_GIB_MAX", "SYSTEM_DISK_GIB_MAX", "FORMAT_REGIONS", "PRICES: price list: date", "storage of Standard has no price"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not in: %v", name, err)
		}
	}
}
