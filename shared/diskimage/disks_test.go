package diskimage_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage"
)

// source is a disk in a RAW file with holes.
type source struct {
	path  string
	size  int64
	image diskimage.Image
	data  []diskimage.Extent // where there may be content
}

func openSource(t testing.TB, path string) *source {
	t.Helper()
	file, size := open(t, path)
	img, err := diskimage.OpenAs(diskimage.RAW, file, size, diskimage.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s := &source{path: path, size: size, image: img}
	for e, err := range img.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == diskimage.Data {
			s.data = append(s.data, e)
		}
	}
	return s
}

// run is some content of a disk; the rest is zeros.
type run struct {
	at      int64
	content []byte
}

func sourceOf(t testing.TB, size int64, runs ...run) *source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		if _, err := f.WriteAt(r.content, r.at); err != nil {
			t.Fatal(err)
		}
	}
	return openSource(t, path)
}

// noise is content that nothing can compress much, text the contrary.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func text(n int) []byte {
	return bytes.Repeat([]byte("what a disk has in it, again and again; "), n/40+1)[:n]
}

const tib = int64(1) << 40

// sources are the disks of the judge's list. A sparse one of 2 TiB is apart.
func sources(t testing.TB) map[string]*source {
	t.Helper()
	var mixed []run
	random := rand.New(rand.NewPCG(1, 2))
	for at := int64(0); at < 8<<20; at += int64(random.IntN(400 << 10)) {
		c := text(random.IntN(200 << 10))
		if random.IntN(2) == 0 {
			c = noise(byte(at), len(c))
		}
		mixed = append(mixed, run{at, c})
		at += int64(len(c))
	}
	return map[string]*source{
		"empty":                    sourceOf(t, 0),
		"one sector":               sourceOf(t, 512, run{0, noise(1, 512)}),
		"one sector of zeros":      sourceOf(t, 512),
		"all zero":                 sourceOf(t, 3<<20),
		"zeros that are no hole":   sourceOf(t, 3<<20, run{0, make([]byte, 3<<20)}),
		"all data":                 sourceOf(t, 3<<20, run{0, noise(2, 3<<20)}),
		"one byte at the very end": sourceOf(t, 3<<20, run{3<<20 - 1, []byte{1}}),
		"no multiple of anything":  sourceOf(t, 3<<20+777, run{1 << 20, text(1<<20 + 300)}, run{3<<20 + 770, []byte("the end")}),
		"ext4":                     ext4(t),
		"xfs":                      xfs(t),
		"mixed":                    sourceOf(t, 9<<20, mixed...),
	}
}

// tree makes some files.
func tree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for i := range 30 {
		sub := filepath.Join(dir, fmt.Sprint("directory", i%5))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		content := text(1 << (i % 20))
		if i%2 == 0 {
			content = noise(byte(i), len(content))
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprint("file", i)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func ext4(t testing.TB) *source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ext4")
	tool(t, "mke2fs", "-q", "-t", "ext4", "-d", tree(t), path, "8M")
	return openSource(t, path)
}

// xfs fills a file system by a prototype, so that nothing need be mounted.
func xfs(t testing.TB) *source {
	t.Helper()
	dir := tree(t)
	var proto strings.Builder
	proto.WriteString("/none\n0 0\nd--755 0 0\n")
	directories, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range directories {
		fmt.Fprintf(&proto, "%s d--755 0 0\n", d.Name())
		files, err := os.ReadDir(filepath.Join(dir, d.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			fmt.Fprintf(&proto, "%s ---644 0 0 %s\n", f.Name(), filepath.Join(dir, d.Name(), f.Name()))
		}
		proto.WriteString("$\n")
	}
	proto.WriteString("$\n")
	list := filepath.Join(t.TempDir(), "prototype")
	if err := os.WriteFile(list, []byte(proto.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	path := sourceOf(t, 16<<20).path
	// From xfsprogs 5.19 on, less than 300 MiB needs a flag, which older ones do
	// not know.
	if out, err := exec.Command(find("mkfs.xfs"), "-q", "--unsupported", "-p", list, path).CombinedOutput(); err != nil {
		t.Logf("mkfs.xfs --unsupported: %v: %s", err, out)
		tool(t, "mkfs.xfs", "-q", "-f", "-p", list, path)
	}
	return openSource(t, path)
}

// find looks for a program where it may be without being on the PATH.
func find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join("/sbin", name)
}

// tool runs a program, which must succeed: a judge that is missing is a failure.
func tool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	c := exec.Command(find(name), args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr.Bytes())
	}
	return out
}
