package export

import (
	"encoding/json"
	"fmt"
	"math"
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
	// Nothing costs nothing, not less.
	if f := FeesOf(p, "Standard"); math.Signbit(*f.StorageMonth) || math.Signbit(f.Requests) || math.Signbit(f.Download) {
		t.Errorf("nothing costs %v, %v, %v", *f.StorageMonth, f.Requests, f.Download)
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
	// list is a price list in which the value of a name is another, or missing.
	list := func(name, value string) string {
		fields := map[string]string{
			"currency": `"CNY"`, "date": `"2026-01-01"`, "for": `"cn-hangzhou"`, "storage": `{"Standard":0.1}`, "requests": "0.01", "outbound": "0.5",
		}
		if fields[name] = value; value == "" {
			delete(fields, name)
		}
		var parts []string
		for name, value := range fields {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	classes := "Standard, IA, Archive, ColdArchive, DeepColdArchive"
	for text, want := range map[string][]string{
		`x`:                                  {"must be a JSON object like {"},
		`null`:                               {"currency", "date", "storage", "requests", "outbound"},
		`{}`:                                 {"currency", "date", `"for" is missing`, "storage", "requests", "outbound"},
		list("request", "1"):                 {`"request"`},
		list("currency", `"yuan"`):           {`currency is "yuan"`, "CNY"},
		list("date", `"yesterday"`):          {`date is "yesterday"`, "2006-01-02"},
		list("date", `"2026-02-30"`):         {`date is "2026-02-30"`},
		list("for", `" "`):                   {`"for" is missing`, "region"},
		list("storage", ""):                  {"storage of Standard has no price"},
		list("storage", "null"):              {"storage of Standard has no price"},
		list("storage", `{"IA":0.08}`):       {"storage of Standard has no price"},
		list("storage", `{"Standard":null}`): {"storage of Standard has no price", "0 if it costs nothing"},
		list("storage", `{"Standard":1,"Standrd":1,"ia":1}`): {`storage has class "Standrd"`, `storage has class "ia"`, classes},
		list("storage", `{"Standard":-0.1}`):                 {"storage of Standard is -0.1", "0 to 1000000"},
		list("requests", ""):                                 {"requests has no price", "10,000 requests", "0 if it costs nothing"},
		list("outbound", "null"):                             {"outbound has no price", "a GB"},
		list("outbound", "1e305"):                            {"outbound is 1e+305", "0 to 1000000"},
		list("outbound", "1e999"):                            {"outbound"},
		list("outbound", `"cheap"`):                          {"outbound"},
		list("", "") + " {}":                                 {"more behind"},
	} {
		_, err := ParsePrices(text)
		for _, want := range want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
		}
	}
	// What costs nothing has to be said, and can be.
	p, err := ParsePrices(list("storage", `{"Standard":0,"IA":0.08,"Archive":0.033,"ColdArchive":0.015,"DeepColdArchive":0.0075}`))
	if err != nil || len(p.Storage) != 5 || p.Storage["Standard"] != 0 || p.Outbound != 0.5 || p.Requests != 0.01 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, price := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		p.Outbound = price
		if p.problems() == nil {
			t.Errorf("%v is taken for a price", price)
		}
	}
	// The dearest list and the largest image there may be make sums that JSON has.
	p.Storage, p.Requests, p.Outbound = map[string]float64{"Standard": maxPrice}, maxPrice, maxPrice
	disks := make([]Disk, 100)
	for i := range disks {
		disks[i].SizeGiB = 1 << 16
	}
	if _, err := json.Marshal(EstimateFees(p, "Standard", disks)); err != nil {
		t.Error(err)
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
