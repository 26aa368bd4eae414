package diskimage_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"ecs-image-export/shared/diskimage"

	"github.com/google/go-cmp/cmp"
)

// kind is what can be written: a format and its options, and what qemu-img calls
// the format.
type kind struct {
	name    string
	format  diskimage.Format
	options diskimage.Options
	qemu    string // "": qemu-img does not know it
	stream  bool   // can be read in one pass
}

var kinds = []kind{
	{"raw", diskimage.RAW, diskimage.Options{}, "raw", false},
	{"qcow2", diskimage.QCOW2, diskimage.Options{}, "qcow2", true},
	{"qcow2 zlib", diskimage.QCOW2, diskimage.Options{Compression: "zlib"}, "qcow2", true},
	{"qcow2 zstd", diskimage.QCOW2, diskimage.Options{Compression: "zstd", ClusterSize: 1 << 20}, "qcow2", true},
	{"vhd", diskimage.VHD, diskimage.Options{}, "vpc", true},
	{"vhd fixed", diskimage.VHD, diskimage.Options{Subformat: "fixed"}, "vpc", false},
	{"vdi", diskimage.VDI, diskimage.Options{}, "vdi", true},
	{"vmdk", diskimage.VMDK, diskimage.Options{Level: 1}, "vmdk", true},
	{"vmdk sparse", diskimage.VMDK, diskimage.Options{Subformat: "monolithicSparse"}, "vmdk", true},
	{"tar.gz", diskimage.TarGz, diskimage.Options{Level: 1}, "", true},
	{"tar.gz sparse", diskimage.TarGz, diskimage.Options{Subformat: "sparse"}, "", true},
}

// content is 3 MiB as a disk has it.
func content() []byte {
	b := make([]byte, 3<<20)
	copy(b[1<<20+512:], noise(1, 400_000))
	copy(b[2<<20:], text(600_000))
	b[len(b)-1] = 1
	return b
}

// write makes a file of the kind.
func write(t testing.TB, path string, f diskimage.Format, size int64, o diskimage.Options, from func(diskimage.Writer) error) {
	t.Helper()
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w, err := diskimage.NewWriter(f, size, diskimage.NewFile(out), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(from(w), w.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) (*os.File, int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return f, info.Size()
}

// Every kind becomes every other, by stream and by random access, and is the file
// that is made of the same content by itself.
func TestConvert(t *testing.T) {
	t.Parallel()
	want := content()
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := os.WriteFile(source, want, 0o600); err != nil {
		t.Fatal(err)
	}
	written := func(k kind) string { return filepath.Join(dir, k.name) }
	for _, k := range kinds {
		write(t, written(k), k.format, int64(len(want)), k.options, func(w diskimage.Writer) error {
			_, err := w.Write(want)
			return err
		})
		if k.qemu != "" {
			tool(t, "qemu-img", "compare", "-q", "-f", "raw", "-F", k.qemu, source, written(k))
		}
	}
	for _, from := range kinds {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "to")
			file, size := open(t, written(from))
			if f, err := diskimage.Detect(file, size); f != from.format || err != nil {
				t.Errorf("detected %q, %v", f, err)
			}
			img, openErr := diskimage.Open(file, size, diskimage.Limits{})
			if (from.format == diskimage.TarGz) != errors.Is(openErr, diskimage.ErrUnsupported) {
				t.Fatal(openErr)
			}
			s, err := diskimage.NewStream(file, diskimage.Limits{})
			if from.stream != (err == nil) || err != nil && !errors.Is(err, diskimage.ErrOrder) {
				t.Fatalf("stream: %v", err)
			}
			for _, to := range kinds {
				if openErr == nil {
					write(t, path, to.format, img.Size(), to.options, func(w diskimage.Writer) error { return diskimage.CopyImage(w, img) })
					if !same(t, path, written(to)) {
						t.Errorf("to %s by random access: another file", to.name)
					}
				}
				if from.stream {
					again, _ := open(t, written(from))
					if s, err = diskimage.NewStream(again, diskimage.Limits{}); err != nil {
						t.Fatal(err)
					}
					write(t, path, to.format, s.Size(), to.options, func(w diskimage.Writer) error { return diskimage.Copy(w, s) })
					if !same(t, path, written(to)) {
						t.Errorf("to %s by stream: another file", to.name)
					}
				}
			}
		})
	}
}

func same(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

func TestRAWStream(t *testing.T) {
	t.Parallel()
	want := content()
	for _, c := range []struct {
		name string
		size int64
		err  error
	}{
		{"right", int64(len(want)), nil},
		{"too long", int64(len(want)) - 1, diskimage.ErrFormat},
		{"too short", int64(len(want)) + 1, io.ErrUnexpectedEOF},
	} {
		s, err := diskimage.NewRAWStream(bytes.NewReader(want), c.size, diskimage.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var got collect
		w, err := diskimage.NewWriter(diskimage.RAW, c.size, &got, diskimage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := diskimage.Copy(w, s); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		} else if c.err == nil {
			if err := w.Close(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %v, or other bytes", c.name, err)
			}
		}
	}
	if _, err := diskimage.NewRAWStream(bytes.NewReader(want), 10, diskimage.Limits{Size: 9}); !errors.Is(err, diskimage.ErrLimit) {
		t.Errorf("limit: %v", err)
	}
}

// collect is a Sink for files without a head.
type collect []byte

func (c *collect) Part(_ int, content []byte) error { *c = append(*c, content...); return nil }

func TestDetect(t *testing.T) {
	t.Parallel()
	fixed := append(make([]byte, 1<<20), bytes.Repeat([]byte{0}, 512)...)
	copy(fixed[1<<20:], "conectix")
	both := bytes.Clone(fixed)
	copy(both, "QFI\xfb\x00\x00\x00\x03")
	type result struct {
		Format diskimage.Format
		Err    bool
	}
	for name, c := range map[string]struct {
		file []byte
		want result
		err  error
	}{
		"empty":        {nil, result{Format: diskimage.RAW}, nil},
		"zeros":        {make([]byte, 1<<20), result{Format: diskimage.RAW}, nil},
		"short":        {[]byte("QFI"), result{Format: diskimage.RAW}, nil},
		"fixed vhd":    {fixed, result{Format: diskimage.VHD}, nil},
		"two formats":  {both, result{Err: true}, diskimage.ErrFormat},
		"gzip, no tar": {[]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"), result{Err: true}, diskimage.ErrUnsupported},
		"vhdx":         {[]byte("vhdxfile"), result{Err: true}, diskimage.ErrUnsupported},
		"zip":          {[]byte("PK\x03\x04"), result{Err: true}, diskimage.ErrUnsupported},
	} {
		f, err := diskimage.Detect(bytes.NewReader(c.file), int64(len(c.file)))
		if diff := cmp.Diff(c.want, result{f, err != nil}); diff != "" || !errors.Is(err, c.err) {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	// Content cannot make a disk another format where the caller knows better.
	img, err := diskimage.OpenAs(diskimage.RAW, bytes.NewReader(both), int64(len(both)), diskimage.Limits{})
	if err != nil || img.Format() != diskimage.RAW || img.Size() != int64(len(both)) {
		t.Errorf("as RAW: %v, %v", img, err)
	}
	// The file is shorter than its owner says.
	if _, err := diskimage.Detect(bytes.NewReader(make([]byte, 100)), 1000); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("shorter file: %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format  diskimage.Format
		options diskimage.Options
	}{
		{diskimage.RAW, diskimage.Options{Level: 1}},
		{diskimage.RAW, diskimage.Options{Name: "x"}},
		{diskimage.QCOW2, diskimage.Options{Subformat: "v2"}},
		{diskimage.QCOW2, diskimage.Options{Compression: "lzma"}},
		{diskimage.QCOW2, diskimage.Options{ClusterSize: 1000}},
		{diskimage.VHD, diskimage.Options{Subformat: "sparse"}},
		{diskimage.VHD, diskimage.Options{Compression: "zlib"}},
		{diskimage.VMDK, diskimage.Options{Subformat: "monolithicSparse", Level: 1}},
		{diskimage.TarGz, diskimage.Options{ClusterSize: 512}},
		{diskimage.TarGz, diskimage.Options{Level: 10}},
		{"vhdx", diskimage.Options{}},
	} {
		if _, err := diskimage.NewWriter(c.format, 1<<20, &collect{}, c.options); err == nil {
			t.Errorf("%s, %+v: no error", c.format, c.options)
		}
	}
}

func TestCopyImageFails(t *testing.T) {
	t.Parallel()
	img, err := diskimage.OpenAs(diskimage.RAW, bytes.NewReader(make([]byte, 1<<20)), 9<<20, diskimage.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := diskimage.NewWriter(diskimage.RAW, img.Size(), &collect{}, diskimage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := diskimage.CopyImage(w, img); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that is too short: %v", err)
	}
}
