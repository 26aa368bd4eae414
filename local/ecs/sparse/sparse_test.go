package sparse

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ecs-image-export/shared/diskimage"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// What is read is the file, and what is a hole has zeros.
func TestOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	rapid.Check(t, func(t *rapid.T) {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		size := rapid.Int64Range(0, 100_000).Draw(t, "size")
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 5).Draw(t, "writes") {
			at := rapid.Int64Range(0, size).Draw(t, "at")
			b := bytes.Repeat([]byte{0xa5}, int(min(size-at, rapid.Int64Range(0, 10_000).Draw(t, "n"))))
			if _, err := f.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		img, err := Open(f)
		if err != nil {
			t.Fatal(err)
		}
		// A dirty buffer: holes must be read as zeros.
		got := bytes.Repeat([]byte{0xff}, len(want))
		if _, err := img.ReadAt(got, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || img.Size() != size || img.Format() != diskimage.RAW {
			t.Error("differs from the file")
		}
		var last diskimage.Extent
		for e, err := range img.Extents() {
			if err != nil {
				t.Fatal(err)
			}
			if e.Offset != last.Offset+last.Length || e.Length <= 0 || e.Kind == last.Kind {
				t.Errorf("%v follows %v", e, last)
			}
			if e.Kind == diskimage.Absent && len(bytes.Trim(want[e.Offset:e.Offset+e.Length], "\x00")) > 0 {
				t.Errorf("%v has data", e)
			}
			last = e
		}
		if last.Offset+last.Length != size {
			t.Errorf("the last is %v of %d bytes", last, size)
		}
	})
}

// TestHoles wants a hole of 100 GiB to be seen as one.
func TestHoles(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(100 << 30); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 1<<20), 50<<30); err != nil {
		t.Fatal(err)
	}
	img, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	var got []diskimage.Extent
	for e, err := range img.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	want := []diskimage.Extent{
		{Offset: 0, Length: 50 << 30, Kind: diskimage.Absent},
		{Offset: 50 << 30, Length: 1 << 20, Kind: diskimage.Data},
		{Offset: 50<<30 + 1<<20, Length: 50<<30 - 1<<20, Kind: diskimage.Absent},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What stops early is not asked on.
	for range img.Extents() {
		break
	}
}
