package qcow2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// judge reads an image of qemu-img in all ways and compares it with what qemu-img
// itself reads from it.
func judge(t *testing.T, path string, inOrder bool) {
	t.Helper()
	raw := path + ".raw"
	qemuImg(t, "convert", "-f", "qcow2", "-O", "raw", path, raw)
	want, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, m := readImage(t, file)
	mustEqual(t, "ReadAt", got, want)
	random := rand.New(rand.NewPCG(5, 6))
	for range 12 {
		if m.Size() == 0 {
			break
		}
		at := random.Int64N(m.Size())
		n := min(m.Size()-at, random.Int64N(200<<10))
		b := make([]byte, n)
		if _, err := m.ReadAt(b, at); err != nil {
			t.Fatalf("ReadAt: %v", err)
		}
		mustEqual(t, fmt.Sprintf("ReadAt %d", at), b, want[at:at+n])
	}
	if err := m.Check(); err != nil {
		t.Errorf("Check: %v", err)
	}
	mustEqual(t, "extents", extents(t, m), mapped(t, path, m.Size()))
	got, err = readStream(bytes.NewReader(file))
	switch {
	case err == nil:
		mustEqual(t, "stream", got, want)
	case inOrder || !errors.Is(err, disk.ErrOrder):
		t.Errorf("stream: %v", err)
	}
}

func TestReadsWhatQEMUConverts(t *testing.T) {
	t.Parallel()
	all := disks(t)
	for name, args := range map[string][]string{
		"default":      {},
		"v2":           {"-o", "compat=0.10"},
		"zlib":         {"-c"},
		"zstd":         {"-c", "-o", "compression_type=zstd"},
		"v2 zlib":      {"-c", "-o", "compat=0.10"},
		"unordered":    {"-W", "-m", "8"},
		"512":          {"-o", "cluster_size=512"},
		"4096 zlib":    {"-c", "-o", "cluster_size=4096"},
		"2M":           {"-o", "cluster_size=2M"},
		"2M zlib":      {"-c", "-o", "cluster_size=2M"},
		"2M zstd":      {"-c", "-o", "cluster_size=2M,compression_type=zstd"},
		"extended":     {"-o", "extended_l2=on"},
		"extended 16K": {"-o", "extended_l2=on,cluster_size=16K"},
		"extended -c":  {"-c", "-o", "extended_l2=on"},
		"lazy":         {"-o", "lazy_refcounts=on"},
		"refcount 1":   {"-o", "refcount_bits=1"},
		"refcount 8":   {"-o", "refcount_bits=8"},
		"refcount 64":  {"-o", "refcount_bits=64"},
	} {
		for content, b := range all {
			if content != "mixed" && len(args) > 0 && !(content == "one sector" || content == "ext4" && name == "zlib") {
				continue
			}
			t.Run(name+"/"+content, func(t *testing.T) {
				t.Parallel()
				raw := writeFile(t, "disk", b)
				path := raw + ".qcow2"
				qemuImg(t, append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, args...), raw, path)...)
				judge(t, path, name != "unordered")
			})
		}
	}
}

func qemuIO(t *testing.T, path string, commands ...string) {
	t.Helper()
	args := []string{"-f", "qcow2"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	if out, err := exec.Command("qemu-io", append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-io %q: %v\n%s", commands, err, out)
	}
}

func TestReadsWhatQEMUMakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options  string
		commands []string
	}{
		"empty":         {"compat=1.1", nil},
		"partial":       {"compat=1.1", []string{"write -P 7 1M 4k"}},
		"partial subs":  {"extended_l2=on", []string{"write -P 7 1M 1k"}},
		"metadata":      {"preallocation=metadata", []string{"write -P 7 1M 2M"}},
		"falloc":        {"preallocation=falloc", []string{"write -P 7 1M 100k"}},
		"full":          {"preallocation=full", []string{"write -P 7 1M 100k"}},
		"zeros":         {"compat=1.1", []string{"write -P 7 1M 1M", "write -z 1M 128k", "write -z -u 1216k 128k", "discard 1536k 64k", "write -z 4M 1M"}},
		"discard v2":    {"compat=0.10", []string{"write -P 7 1M 1M", "discard 1536k 64k"}},
		"subclusters":   {"extended_l2=on", []string{"write -P 7 1M 10k", "write -P 8 1100k 3k", "write -z 1024k 2k", "write -z 1200k 8k"}},
		"prealloc subs": {"extended_l2=on,preallocation=metadata", []string{"write -P 7 1M 10k", "write -z 1024k 2k"}},
		"backwards":     {"compat=1.1", []string{"write -P 1 7M 1M", "write -P 2 5M 1M", "write -P 3 0 1M"}},
		"packed":        {"compat=1.1", []string{"write -c -P 1 0 64k", "write -c -P 2 64k 64k", "write -P 3 64k 4k"}},
		"2 TiB":         {"", []string{"write -P 1 0 64k", "write -P 2 1T 64k", "write -P 3 2199023190016 64k"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "disk.qcow2")
			if name == "2 TiB" {
				qemuImg(t, "create", "-f", "qcow2", path, "2T")
				qemuIO(t, path, c.commands...)
				readSparse(t, path)
				return
			}
			qemuImg(t, "create", "-f", "qcow2", "-o", c.options, path, "8M")
			if c.commands != nil {
				qemuIO(t, path, c.commands...)
			}
			judge(t, path, name != "backwards")
		})
	}
}

func readSparse(t *testing.T, path string) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(f, info.Size(), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
	var got []disk.Extent
	for e, err := range m.Extents() {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == disk.Data {
			got = append(got, e)
			b := make([]byte, 1)
			if _, err := m.ReadAt(b, e.Offset+e.Length-1); err != nil || int(b[0]) != len(got) {
				t.Errorf("%+v has %d: %v", e, b[0], err)
			}
		}
	}
	if len(got) != 3 || got[1].Offset != 1<<40 {
		t.Errorf("extents %+v", got)
	}
}

func TestSnapshotsDoNoHarm(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	qemuImg(t, "create", "-f", "qcow2", path, "8M")
	qemuIO(t, path, "write -P 7 1M 1M", "write -P 8 4M 1M")
	qemuImg(t, "snapshot", "-c", "one", path)
	qemuIO(t, path, "write -P 9 1M 64k")
	qemuImg(t, "snapshot", "-c", "two", path)
	qemuImg(t, "bitmap", "--add", "-f", "qcow2", path, "marks")
	judge(t, path, false)
}

func TestDirtyBitIsRead(t *testing.T) {
	t.Parallel()
	content := disks(t)["data"]
	file := write(t, content, Options{})
	binary.BigEndian.PutUint64(file[72:], featureDirty)
	binary.BigEndian.PutUint64(file[80:], 1) // lazy refcounts
	// The refcounts are wrong, as after a power cut.
	m, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var block int64
	if err := m.eachRefBlock(func(_, offset int64) error { block = offset; return nil }); err != nil {
		t.Fatal(err)
	}
	clear(file[block : block+m.cluster()])
	got, m := readImage(t, file)
	mustEqual(t, "ReadAt", got, content)
	if err := m.Check(); err != nil {
		t.Errorf("Check of a dirty image: %v", err)
	}
	binary.BigEndian.PutUint64(file[72:], 0)
	_, m = readImage(t, file)
	if err := m.Check(); !errors.Is(err, disk.ErrFormat) {
		t.Errorf("Check with wrong refcounts: %v", err)
	}
}

func TestReadAtIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	content := disks(t)["mixed"]
	file := write(t, content, Options{Compression: Zstd, ClusterSize: 4096})
	m, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(n)))
			for range 200 {
				at := random.IntN(len(content))
				b := make([]byte, min(len(content)-at, random.IntN(64<<10)))
				if _, err := m.ReadAt(b, int64(at)); err != nil || !bytes.Equal(b, content[at:at+len(b)]) {
					t.Errorf("ReadAt %d bytes at %d: %v", len(b), at, err)
				}
			}
		})
	}
	all.Wait()
}
