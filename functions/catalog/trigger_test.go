package main

import (
	"slices"
	"strings"
	"testing"

	"ecs-image-export/local/syaml"
	"ecs-image-export/shared/export"
)

// TestTriggers wants the function to be told of every disk object when it is
// whole, and of nothing that we write ourselves.
func TestTriggers(t *testing.T) {
	t.Parallel()
	project, err := syaml.Load("../../s.yaml", syaml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, f := range export.Formats {
		want = append(want, f.Suffix())
	}
	r := export.Request{OSSPrefix: "Demo7zzzzzzzzzzz0", ImageID: "m-bp1demo7k2h9x4c0qw3z"}
	ours := []string{r.ManifestKey(), "exports/7zzzzzzzzzzz0", "active/7zzzzzzzzzzz0", "by-image/m-bp1demo7k2h9x4c0qw3z/7zzzzzzzzzzz0", "sweep-cursor"}
	for _, f := range project.Functions {
		for _, trigger := range f.Triggers {
			if trigger.OSS == nil {
				continue
			}
			if f.Name != "ecs-image-export-catalog" {
				t.Errorf("%s has a trigger of OSS", f.Name)
			}
			got = append(got, trigger.OSS.Suffix)
			if trigger.OSS.Bucket != "image-exports" || trigger.OSS.Prefix != "" {
				t.Errorf("%s: bucket %q, prefix %q", trigger.Name, trigger.OSS.Bucket, trigger.OSS.Prefix)
			}
			for _, key := range ours {
				if strings.HasSuffix(key, trigger.OSS.Suffix) {
					t.Errorf("%s fires for %s", trigger.Name, key)
				}
			}
			for event, fires := range map[string]bool{
				"ObjectCreated:CompleteMultipartUpload": true,
				"ObjectCreated:PutObject":               true,
				"ObjectCreated:PostObject":              true,
				"ObjectCreated:CopyObject":              true,
				"ObjectCreated:InitiateMultipartUpload": false,
				"ObjectCreated:UploadPart":              false,
				"ObjectCreated:UploadPartCopy":          false,
				"ObjectCreated:AppendObject":            false,
				"ObjectRemoved:DeleteObject":            false,
			} {
				matches := slices.ContainsFunc(trigger.OSS.Events, func(pattern string) bool { return syaml.MatchEvent(pattern, "oss:"+event) })
				if matches != fires {
					t.Errorf("%s fires on %s: %v", trigger.Name, event, matches)
				}
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("triggers for %v, want %v", got, want)
	}
}
