package diskimage_test

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage"

	"github.com/google/go-cmp/cmp"
)

// What qemu-img converts to each format and sub-format, we read, extents included.
func TestReadsWhatQEMUConverts(t *testing.T) {
	t.Parallel()
	all := sources(t)
	for _, c := range []struct {
		format, options string
		stream          bool
	}{
		{"qcow2", "", true}, {"qcow2", "-c", true}, {"qcow2", "-c -o compression_type=zstd", true},
		{"qcow2", "-o cluster_size=4k,extended_l2=off,compat=0.10", false}, {"qcow2", "-o extended_l2=on,cluster_size=128k", false},
		{"qcow2", "-o preallocation=metadata", false}, {"qcow2", "-o preallocation=full", false},
		{"vpc", "", true}, {"vpc", "-o force_size=on", true}, {"vpc", "-o subformat=fixed,force_size=on", false},
		{"vdi", "", true}, {"vdi", "-o static=on", true}, {"vdi", "-o preallocation=falloc", true},
		{"vmdk", "-o subformat=monolithicSparse", true}, {"vmdk", "-o subformat=streamOptimized", true},
		{"raw", "", false}, {"raw", "-S 0", false},
	} {
		for name, s := range all {
			if s.size == 0 || c.options == "" && name != "xfs" && name != "mixed" && name != "no multiple of anything" ||
				c.options != "" && name != "ext4" && name != "one sector" && name != "one byte at the very end" && name != "all zero" {
				continue
			}
			t.Run(c.format+" "+c.options+"/"+name, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "image")
				args := append([]string{"convert", "-f", "raw", "-O", c.format}, strings.Fields(c.options)...)
				tool(t, "qemu-img", append(args, s.path, path)...)
				readsQEMU(t, c.format, path, s, c.stream)
			})
		}
	}
}

// What qemu marks as zeros is Zero, what it never wrote is Absent.
func TestReadsZerosOfQEMU(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format, options string
		rest            diskimage.Kind // what was not written to
	}{
		{"qcow2", "compat=1.1", diskimage.Absent},
		{"qcow2", "extended_l2=on", diskimage.Absent},
		{"qcow2", "preallocation=metadata", diskimage.Data},
		{"vmdk", "subformat=monolithicSparse,zeroed_grain=on", diskimage.Absent},
	} {
		t.Run(c.format+" "+c.options, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "image")
			tool(t, "qemu-img", "create", "-q", "-f", c.format, "-o", c.options, path, "8M")
			tool(t, "qemu-io", "-f", c.format, "-c", "write -P 7 1M 1M", "-c", "write -z 1088k 128k", "-c", "write -z 4M 1M", path)
			content := path + ".raw"
			tool(t, "qemu-img", "convert", "-f", c.format, "-O", "raw", path, content)
			readsQEMU(t, c.format, path, openSource(t, content), true)

			file, length := open(t, path)
			img, err := diskimage.Open(file, length, diskimage.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			want := map[int64]diskimage.Kind{
				0: c.rest, 1 << 20: diskimage.Data, 1088 << 10: diskimage.Zero, 1215 << 10: diskimage.Zero, 1216 << 10: diskimage.Data,
				2 << 20: c.rest, 4 << 20: diskimage.Zero, 5<<20 - 1: diskimage.Zero, 7 << 20: c.rest,
			}
			got := map[int64]diskimage.Kind{}
			for _, e := range extents(t, img) {
				for at := range want {
					if e.Offset <= at && at < e.Offset+e.Length {
						got[at] = e.Kind
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("kinds by offset (-want):\n%s", diff)
			}
		})
	}
}

// readsQEMU reads an image of qemu-img. It may be larger than the source.
func readsQEMU(t testing.TB, format, path string, s *source, mustStream bool) {
	t.Helper()
	file, length := open(t, path)
	f := map[string]diskimage.Format{"vpc": diskimage.VHD}[format]
	if f == "" {
		f = diskimage.Format(format)
	}
	img, err := diskimage.OpenAs(f, file, length, diskimage.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := diskimage.Check(img); err != nil {
		t.Errorf("Check: %v", err)
	}
	sameImage(t, img, s)
	if diff := cmp.Diff(mapped(t, format, path, img.Size()), extents(t, img)); diff != "" {
		t.Errorf("extents differ from those of qemu-img (-):\n%s", diff)
	}
	stream, err := diskimage.NewStream(file, diskimage.Limits{})
	if err != nil {
		if mustStream || !errors.Is(err, diskimage.ErrOrder) {
			t.Errorf("stream: %v", err)
		}
		return
	}
	err = drained(stream)
	switch {
	case err == nil:
		again, _ := open(t, path)
		if stream, err = diskimage.NewStream(again, diskimage.Limits{}); err != nil {
			t.Fatal(err)
		}
		sameStream(t, stream, s)
	case mustStream || !errors.Is(err, diskimage.ErrOrder):
		t.Errorf("stream: %v", err)
	}
}

func drained(s diskimage.Stream) error {
	for {
		if _, err := s.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Images that qemu changed after it made them: tables moved, clusters freed and
// used again, entries of an older version.
func TestReadsWhatQEMUChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		format, options, size string
		commands              []string // of qemu-io where they begin with "io", else of qemu-img; @ is the image
	}{
		"grown":         {"qcow2", "cluster_size=512", "1M", []string{"io write -P 1 0 64k", "resize -q -f qcow2 @ 90M", "io write -P 2 80M 64k"}},
		"shrunk":        {"qcow2", "cluster_size=512", "9M", []string{"io write -P 1 8M 64k", "io write -P 2 1M 64k", "resize -q -f qcow2 --shrink @ 3M"}},
		"grown, full":   {"qcow2", "extended_l2=on", "4M", []string{"io write -P 1 0 1k", "resize -q -f qcow2 --preallocation=full @ 5M"}},
		"to version 2":  {"qcow2", "compat=v3", "4M", []string{"io write -P 1 0 1M", "io write -z 0 128k", "io write -z 2M 128k", "amend -f qcow2 -o compat=v2 @"}},
		"to version 3":  {"qcow2", "compat=v2", "4M", []string{"io write -P 1 0 1M", "io write -c -P 2 1M 64k", "amend -f qcow2 -o compat=v3 @"}},
		"refcounts":     {"qcow2", "compat=v3", "4M", []string{"io write -P 1 0 1M", "amend -f qcow2 -o refcount_bits=64 @"}},
		"snapshots":     {"qcow2", "cluster_size=4k", "4M", []string{"io write -c -P 1 0 4k", "io write -P 2 1M 64k", "snapshot -c one @", "io write -P 3 0 4k", "io write -c -P 4 8k 4k", "snapshot -c two @", "io write -P 5 1M 4k", "snapshot -a one @", "snapshot -d two @"}},
		"packed again":  {"qcow2", "compat=v3", "4M", []string{"io write -c -P 1 0 64k", "io write -c -P 2 64k 64k", "io write -P 3 0 64k", "io discard 64k 64k", "io write -c -P 4 128k 64k", "io discard 0 64k", "io write -c -P 5 0 64k"}},
		"subclusters":   {"qcow2", "extended_l2=on,compression_type=zstd", "1M", []string{"io write -c -P 1 0 64k", "io write -z 0 64k", "io write -P 2 2k 2k", "io discard 0 64k", "io write -P 3 64k 3k"}},
		"zeroed grains": {"vmdk", "zeroed_grain=on", "100M", []string{"io write -P 1 90M 1M", "io write -P 2 0 3k", "io write -z 0 64k", "io write -z -u 90M 64k"}},
		"vdi":           {"vdi", "static=off", "20M", []string{"io write -P 1 15M 1M", "io write -P 2 0 3k", "io write -z 15M 1M"}},
		"vdi, static":   {"vdi", "static=on", "3M", []string{"io write -P 1 1M 1M"}},
		"vhd":           {"vpc", "subformat=dynamic", "20M", []string{"io write -P 1 15M 1M", "io write -P 2 0 3k"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "image")
			tool(t, "qemu-img", "create", "-q", "-f", c.format, "-o", c.options, path, c.size)
			for _, command := range c.commands {
				if op, ok := strings.CutPrefix(command, "io "); ok {
					tool(t, "qemu-io", "-f", c.format, "-c", op, path)
				} else {
					tool(t, "qemu-img", strings.Fields(strings.ReplaceAll(command, "@", path))...)
				}
			}
			content := path + ".raw"
			tool(t, "qemu-img", "convert", "-f", c.format, "-O", "raw", path, content)
			readsQEMU(t, c.format, path, openSource(t, content), false)
		})
	}
}
