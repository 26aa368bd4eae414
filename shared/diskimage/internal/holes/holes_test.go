package holes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"ecs-image-export/shared/diskimage/disk"

	"github.com/google/go-cmp/cmp"
)

func extents(t *testing.T, r io.ReaderAt, size int64) []disk.Extent {
	t.Helper()
	var all []disk.Extent
	for e, err := range Extents(r, size) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func TestHolesOfAFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("holes are asked for on Linux alone")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := bytes.Repeat([]byte{1}, 64<<10)
	for _, at := range []int64{1 << 20, 3 << 20} {
		if _, err := f.WriteAt(block, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(5, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		size int64
		want []disk.Extent
	}{
		{0, nil},
		{1 << 20, []disk.Extent{{Offset: 0, Length: 1 << 20, Kind: disk.Absent}}},
		{1<<20 + 100, []disk.Extent{{Offset: 0, Length: 1 << 20, Kind: disk.Absent}, {Offset: 1 << 20, Length: 100, Kind: disk.Data}}},
		{1 << 40, []disk.Extent{
			{Offset: 0, Length: 1 << 20, Kind: disk.Absent}, {Offset: 1 << 20, Length: 64 << 10, Kind: disk.Data},
			{Offset: 1<<20 + 64<<10, Length: 2<<20 - 64<<10, Kind: disk.Absent}, {Offset: 3 << 20, Length: 64 << 10, Kind: disk.Data},
			{Offset: 3<<20 + 64<<10, Length: 1<<40 - 3<<20 - 64<<10, Kind: disk.Absent},
		}},
	} {
		if diff := cmp.Diff(c.want, extents(t, f, c.size)); diff != "" {
			t.Errorf("%d bytes: %s", c.size, diff)
		}
	}
	if at, err := f.Seek(0, io.SeekCurrent); at != 5 || err != nil {
		t.Errorf("the file's position is %d, %v", at, err)
	}
}

func TestWhatIsNoFileIsData(t *testing.T) {
	t.Parallel()
	want := []disk.Extent{{Length: 1000, Kind: disk.Data}}
	if diff := cmp.Diff(want, extents(t, bytes.NewReader(make([]byte, 1000)), 1000)); diff != "" {
		t.Error(diff)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if diff := cmp.Diff(want, extents(t, f, 1000)); diff != "" {
		t.Errorf("a device: %s", diff)
	}
}

// What a file does not have is no hole: it was cut, or its size is not the disk's.
func TestFileThatEndsEarly(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	err = nil
	for _, e := range Extents(f, 1<<20) {
		err = e
	}
	if runtime.GOOS == "linux" && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v, want an unexpected EOF", err)
	}
}
