package export

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ossPrefix is what ExportImage takes as its OSSPrefix.
var ossPrefix = regexp.MustCompile(`^[0-9A-Za-z]{1,30}$`)

func TestParseObjectName(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]ObjectName{
		// Found in public code and documents.
		"benchtoolimg_m-uf6bf66km21460pwjcj5_system.raw.tar.gz": {"benchtoolimg", "m-uf6bf66km21460pwjcj5", System, "", RAW},
		"test_m-uf66lzx8rzvh3ht5tbz1_system.raw.tar.gz":         {"test", "m-uf66lzx8rzvh3ht5tbz1", System, "", RAW},
		"backup_m-2ze2gu2si5vs2n8en5mk_system.raw.tar.gz":       {"backup", "m-2ze2gu2si5vs2n8en5mk", System, "", RAW},
		"m-2ze2gu2si5vs2n8en5mk_system.raw.tar.gz":              {"", "m-2ze2gu2si5vs2n8en5mk", System, "", RAW},
		"m-2ze6tciolfdoydrr6ze3_data_xvdb.raw.tar.gz":           {"", "m-2ze6tciolfdoydrr6ze3", Data, "xvdb", RAW},
		// Old image ids are shorter.
		"m-23f8tcp8y_system.raw.tar.gz": {"", "m-23f8tcp8y", System, "", RAW},
		// The other formats are bare files.
		"a_m-23f8tcp8y_system.vhd":      {"a", "m-23f8tcp8y", System, "", VHD},
		"a_m-23f8tcp8y_system.qcow2":    {"a", "m-23f8tcp8y", System, "", QCOW2},
		"a_m-23f8tcp8y_data_xvdc.vdi":   {"a", "m-23f8tcp8y", Data, "xvdc", VDI},
		"a_m-23f8tcp8y_data_vdaa1.vmdk": {"a", "m-23f8tcp8y", Data, "vdaa1", VMDK},
		// The longest and the oddest prefix.
		strings.Repeat("Z", 30) + "_m-23f8tcp8y_system.vhd": {strings.Repeat("Z", 30), "m-23f8tcp8y", System, "", VHD},
		"m_m-23f8tcp8y_system.vhd":                          {"m", "m-23f8tcp8y", System, "", VHD},
	} {
		got, ok := ParseObjectName(key)
		if !ok {
			t.Errorf("%s is not recognized", key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
		if got.String() != key {
			t.Errorf("%s becomes %s", key, got)
		}
	}

	for name, key := range map[string]string{
		"blank":                                 "",
		"a manifest of ours":                    "demo7zzzzzzzzzzz0_m-bp1demo00000000000001_manifest.json",
		"the style of 2015, with the task's id": "MYOSSPRE_m-23f8tcp8y_t-23ym6mv8z.vhd",
		"a folder before it":                    "backups/m-23f8tcp8y_system.raw.tar.gz",
		"a folder as the prefix":                "a/b_m-23f8tcp8y_system.raw.tar.gz",
		"prefix too long":                       strings.Repeat("Z", 31) + "_m-23f8tcp8y_system.vhd",
		"blank prefix":                          "_m-23f8tcp8y_system.vhd",
		"two prefixes":                          "a_b_m-23f8tcp8y_system.vhd",
		"a hyphen in the prefix":                "a-b_m-23f8tcp8y_system.vhd",
		"a prefix without its separator":        "am-23f8tcp8y_system.vhd",
		"a prefix that is not ASCII":            "é_m-23f8tcp8y_system.vhd",
		"an image id in upper case":             "m-23F8TCP8Y_system.vhd",
		"no image id":                           "a_system.raw.tar.gz",
		"a public image":                        "win2008r2_64_ent_sp1_en-us_40G_alibase_20190318.vhd",
		"neither system nor data":               "m-23f8tcp8y_disk.vhd",
		"no role":                               "m-23f8tcp8y.vhd",
		"a data disk without its device":        "m-23f8tcp8y_data.raw.tar.gz",
		"a data disk with a blank device":       "m-23f8tcp8y_data_.raw.tar.gz",
		"a system disk with a device":           "m-23f8tcp8y_system_xvda.raw.tar.gz",
		"a RAW file that is not packed":         "m-23f8tcp8y_system.raw",
		"a packed file of another format":       "m-23f8tcp8y_system.qcow2.tar.gz",
		"another suffix":                        "m-23f8tcp8y_system.raw.tar.gz.sha256",
		"a suffix in upper case":                "m-23f8tcp8y_system.VHD",
		"no suffix":                             "m-23f8tcp8y_system",
		"a line break at the end":               "m-23f8tcp8y_system.vhd\n",
	} {
		if n, ok := ParseObjectName(key); ok {
			t.Errorf("%s: %s is taken for %+v", name, key, n)
		} else if n != (ObjectName{}) {
			t.Errorf("%s: %s is not recognized but parsed as %+v", name, key, n)
		}
	}
}

// objectNames draws names that ECS could give.
var objectNames = rapid.Custom(func(t *rapid.T) ObjectName {
	n := ObjectName{
		Prefix:  rapid.StringMatching(`[0-9A-Za-z]{0,30}`).Draw(t, "prefix"),
		ImageID: rapid.StringMatching(`m-[0-9a-z]{1,20}`).Draw(t, "image"),
		Role:    rapid.SampledFrom([]Role{System, Data}).Draw(t, "role"),
		Format:  rapid.SampledFrom(Formats).Draw(t, "format"),
	}
	if n.Role == Data {
		n.Device = rapid.StringMatching(`(xvd|vd|sd)[a-z]{1,2}[0-9]?`).Draw(t, "device")
	}
	return n
})

func TestObjectNameRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := objectNames.Draw(t, "name")
		if got, ok := ParseObjectName(want.String()); !ok || got != want {
			t.Errorf("%s: %+v, %v; want %+v", want, got, ok, want)
		}
	})
}

func FuzzParseObjectName(f *testing.F) {
	for _, key := range []string{
		"", "m-2ze2gu2si5vs2n8en5mk_system.raw.tar.gz", "a_m-23f8tcp8y_data_xvdc.vdi", "a/b_m-23f8tcp8y_system.raw.tar.gz",
		"Demo9j86nkgt6mq1h_m-bp1demo7k2h9x4c0qw3z_data_xvdb.qcow2", "m-1_system.vhd\n", "m-1_data_.vmdk",
	} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		n, ok := ParseObjectName(key)
		if !ok {
			return
		}
		if n.String() != key {
			t.Errorf("%q becomes %q", key, n)
		}
		if n.Prefix != "" && !ossPrefix.MatchString(n.Prefix) {
			t.Errorf("%q: ECS takes no prefix %q", key, n.Prefix)
		}
		if (n.Role == Data) != (n.Device != "") || n.Format == "" || n.ImageID == "" {
			t.Errorf("%q is taken for %+v", key, n)
		}
		if id, ok := n.ExportID(); ok && !strings.HasSuffix(n.Prefix, id) {
			t.Errorf("%q: the id %s is not in the prefix", key, id)
		}
	})
}

func TestExportID(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ prefix, want string }{
		"the id alone":               {"9j86nkgt6mq1h", "9j86nkgt6mq1h"},
		"a caller's prefix":          {"Demo9j86nkgt6mq1h", "9j86nkgt6mq1h"},
		"the longest prefix":         {strings.Repeat("x", MaxPrefix) + "9j86nkgt6mq1h", "9j86nkgt6mq1h"},
		"a prefix that is an id too": {"fzzzzzzzzzzzz9j86nkgt6mq1h", "9j86nkgt6mq1h"},
		"no prefix":                  {"", ""},
		"12 characters":              {"j86nkgt6mq1h", ""},
		"an id before something":     {"9j86nkgt6mq1hDemo", ""},
		"an id in upper case":        {"9J86NKGT6MQ1H", ""},
		"no digits of an id":         {"demolaunchuuu", ""},
		"a number beyond 64 bits":    {"g000000000000", ""},
	} {
		got, ok := ObjectName{Prefix: c.prefix, ImageID: "m-1", Role: System, Format: RAW}.ExportID()
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, c.want)
		}
	}
}

// TestKeys wants the export to be found in the name of each of its objects, and
// our own objects not to be taken for a disk's.
func TestKeys(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.StringMatching(`[0-9A-Za-z]{0,17}`).Draw(t, "prefix")
		id := newID(start, rapid.Uint32().Draw(t, "random"))
		r := Request{ImageID: "m-bp1demo00000000000001", OSSPrefix: prefix + id, Format: rapid.SampledFrom(Formats).Draw(t, "format")}
		if !Prefix.MatchString(prefix) || !ossPrefix.MatchString(r.OSSPrefix) {
			t.Errorf("ECS does not take %q", r.OSSPrefix)
		}
		for _, d := range demo.Disks {
			key := r.ObjectKey(d)
			n, ok := ParseObjectName(key)
			if !ok {
				t.Fatalf("%s is not recognized", key)
			}
			if got, ok := n.ExportID(); !ok || got != id {
				t.Errorf("%s names export %q, want %s", key, got, id)
			}
			if n.Role != d.Role || n.Role == Data && "/dev/"+n.Device != d.Device || n.Format != r.Format || n.ImageID != r.ImageID {
				t.Errorf("%s is taken for %+v", key, n)
			}
			if !strings.HasSuffix(key, r.Format.Suffix()) {
				t.Errorf("%s does not end with %s", key, r.Format.Suffix())
			}
		}
		if key := r.ManifestKey(); !strings.HasPrefix(key, r.OSSPrefix+"_") {
			t.Errorf("%s lies elsewhere than the disks", key)
		} else if n, ok := ParseObjectName(key); ok {
			t.Errorf("%s is taken for %+v", key, n)
		}
	})
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]bool{
		"": true, "Demo2026": true, strings.Repeat("a", MaxPrefix): true,
		strings.Repeat("a", MaxPrefix+1): false, "a-b": false, "a_b": false, "a/b": false, "é": false, "a\n": false, " ": false,
	} {
		if got := Prefix.MatchString(prefix); got != want {
			t.Errorf("prefix %q: %v, want %v", prefix, got, want)
		}
	}
}
