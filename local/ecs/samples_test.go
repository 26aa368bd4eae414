package ecs_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecs-image-export/local/ecs"
	"ecs-image-export/local/ecs/image"

	"github.com/google/go-cmp/cmp"
)

// TestSamples walks the folder of sample images: each is refused for the one rule
// that it breaks, in the documented way, and its description says so.
func TestSamples(t *testing.T) {
	t.Parallel()
	const folder = "../samples"
	want := map[string]string{
		"exportable":            "",
		"several-data-disks":    "",
		"empty-data-disk":       "",
		"at-the-limits":         "",
		"being-made":            "400 IncorrectImageStatus",
		"deprecated":            "400 IncorrectImageStatus",
		"system-image":          "403 InvalidImageCategory.NotSupported",
		"shared":                "403 InvalidImageCategory.NotSupported",
		"community":             "403 InvalidImageCategory.NotSupported",
		"marketplace":           "403 InvalidImageCategory.NotSupported",
		"from-marketplace":      "403 ImageNotSupported",
		"windows":               "403 InvalidImageLicense.NotSupported",
		"encrypted-system-disk": "400 ImageNotSupported",
		"encrypted-data-disk":   "400 ImageNotSupported",
		"five-data-disks":       "400 InvalidImage.DiskAmountOrSize",
		"large-data-disk":       "400 InvalidImage.DiskAmountOrSize",
		"large-system-disk":     "400 InvalidImage.DiskAmountOrSize",
	}
	c := newCloud(t, folder, func(c *ecs.Config) { c.MaxSystemDiskGiB = 500 })
	images, err := image.Load(folder, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := images.Close(); err != nil {
			t.Error(err)
		}
	})
	got := map[string]string{}
	for _, img := range images.Images() {
		_, err := c.call("ExportImage", params{"ImageId": img.ImageID, "OSSBucket": bucket, "DryRun": "true"})
		code := refused(err)
		if code == "400 DryRunOperation" { // it passed
			code = ""
		}
		got[img.ImageName] = code
		switch _, told, _ := strings.Cut(img.Description, ": "); {
		case code == "" && !strings.HasPrefix(img.Description, "Breaks no rule"):
			t.Errorf("%s is not refused, and its description is %q", img.ImageName, img.Description)
		case code != "" && told != code+".":
			t.Errorf("%s is refused with %s, and its description is %q", img.ImageName, code, img.Description)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), names); diff != "" {
		t.Errorf("images are not named as their files (-image +file):\n%s", diff)
	}
}

// The two samples that can be exported with data disks are, an empty disk with
// them.
func TestExportOfSamples(t *testing.T) {
	t.Parallel()
	c := newCloud(t, "../samples", nil)
	for _, id := range []string{"m-bp1exportable0000000", "m-bp1severaldatadisks0"} {
		c.await(c.export(params{"ImageId": id}), "Finished")
	}
	_, content := unpack(t, c.download("m-bp1severaldatadisks0_data_xvdc.raw.tar.gz"))
	if len(content) == 0 || strings.Trim(string(content), "\x00") != "" {
		t.Errorf("the empty disk holds %d bytes: %.20q", len(content), content)
	}
	_, content = unpack(t, c.download("m-bp1severaldatadisks0_data_xvdd.raw.tar.gz"))
	if !strings.HasPrefix(string(content), "Every disk") {
		t.Errorf("a disk with content holds %.20q", content)
	}
}
