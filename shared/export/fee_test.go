package export

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func testPrices(t *testing.T) Prices {
	t.Helper()
	p, err := ParsePrices(DefaultPrices)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFees(t *testing.T) {
	t.Parallel()
	p := testPrices(t)
	for _, test := range []struct {
		name                         string
		class                        string
		objects                      []int64
		storage, requests, downloads float64
	}{
		{"nothing", "Standard", nil, 0, 0, 0},
		{"a GB", "Standard", []int64{gib}, 0.12, 0.0101, 0.5},
		{"40 and 500 GB", "Standard", []int64{40 * gib, 500 * gib}, 64.8, 0.0201, 270},
		{"a byte costs something", "Standard", []int64{1}, 0.0001, 0.0001, 0.0001},
		{"200 KiB is two parts", "Standard", []int64{200 << 10}, 0.0001, 0.0001, 0.0001},
	} {
		f := FeesOf(p, test.class, test.objects...)
		if f.StorageMonth == nil || *f.StorageMonth != test.storage || f.Requests != test.requests || f.Download != test.downloads {
			t.Errorf("%s: %+v", test.name, f)
		}
		if f.Currency != "CNY" || f.Date != "2018-01-03" || f.StorageClass != test.class {
			t.Errorf("%s: by which prices? %+v", test.name, f)
		}
	}
	// A class without a price has no sum rather than none to pay.
	if f := FeesOf(p, "Archive", gib); f.StorageMonth != nil || f.Download != 0.5 {
		t.Errorf("%+v", f)
	}
	// The estimate is what full disks that don't compress would cost.
	disks := []Disk{{Role: System, Device: "/dev/xvda", SizeGiB: 40}, {Role: Data, Device: "/dev/xvdb", SizeGiB: 500}}
	if f := EstimateFees(p, "Standard", disks); f.Bytes != 540*gib || *f.StorageMonth != 64.8 {
		t.Errorf("%+v", f)
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`x`:  "price list",
		`{}`: "currency",
		`{"currency":"CNY","date":"2026-01-01","storage":{"Standard":0.1},"request":1}`:        `"request"`,
		`{"currency":"CNY","date":"yesterday","storage":{"Standard":0.1}}`:                     "date",
		`{"currency":"CNY","date":"2026-01-01"}`:                                               "storage",
		`{"currency":"CNY","date":"2026-01-01","storage":{"Standard":-0.1}}`:                   "storage Standard",
		`{"currency":"CNY","date":"2026-01-01","storage":{"Standard":0.1},"outbound":"cheap"}`: "outbound",
		`{"currency":"CNY","date":"2026-01-01","storage":{"Standard":0.1}} {}`:                 "more behind",
	} {
		if _, err := ParsePrices(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestManifestFees wants the sums of the measured bytes in the manifest, by the
// prices of the order, in the form that its schema describes.
func TestManifestFees(t *testing.T) {
	t.Parallel()
	x := finished(t, demoTask)
	if m := x.Manifest(); m.Fees != nil {
		t.Errorf("without prices: %+v", m.Fees)
	}
	p := testPrices(t)
	for _, class := range []string{"Standard", "IA"} {
		x.Request.Prices, x.Request.StorageClass = &p, class
		m := x.Manifest()
		bytes := int64(0)
		for _, d := range m.Disks {
			bytes += d.Bytes
		}
		want := FeesOf(p, class, m.Disks[0].Bytes, m.Disks[1].Bytes)
		if d := cmp.Diff(&want, m.Fees); d != "" || m.Fees.Bytes != bytes || (m.Fees.StorageMonth == nil) != (class == "IA") {
			t.Errorf("%s (-want +got):\n%s", class, d)
		}
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(string(m.JSON())))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiledManifestSchema(t).Validate(instance); err != nil {
			t.Error(err)
		}
	}
}
