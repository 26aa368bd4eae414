package targz

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// GNU tar is the judge, in both directions. Without it these tests fail.

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	c := exec.Command(name, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	if stderr.Len() > 0 {
		t.Errorf("%s %s: %s", name, strings.Join(args, " "), stderr.Bytes())
	}
	return out
}

func save(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGNUTarUnpacks(t *testing.T) {
	t.Parallel()
	for name, want := range disks() {
		for _, o := range []Options{{}, {Level: 1}, {Sparse: true}, {Name: "dir/" + strings.Repeat("n", 150)}, {Name: strings.Repeat("n", 95), Sparse: true}} {
			t.Run(fmt.Sprintf("%s/%v/%d", name, o.Sparse, len(o.Name)), func(t *testing.T) {
				t.Parallel()
				path := save(t, "disk.tar.gz", pack(t, want, o))
				run(t, "gzip", "-t", path)
				member := o.Name
				if member == "" {
					member = "disk.raw"
				}
				if got := string(run(t, "tar", "tzf", path)); got != member+"\n" {
					t.Errorf("tar lists %q", got)
				}
				for _, flag := range []string{"xzf", "xSzf"} {
					dir := t.TempDir()
					run(t, "tar", flag, path, "-C", dir)
					got, err := os.ReadFile(filepath.Join(dir, member))
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, want) {
						t.Errorf("tar %s: content differs", flag)
					}
				}
			})
		}
	}
}

// A sparse archive becomes a sparse file, without any option.
func TestGNUTarMakesHoles(t *testing.T) {
	t.Parallel()
	const size = 20<<30 + 5
	f := file{}
	w, err := NewWriter(size, f, Options{Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Skip(10 << 30); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("here")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run(t, "tar", "xzf", save(t, "disk.tar.gz", f.bytes(t)), "-C", dir)
	info, err := os.Stat(filepath.Join(dir, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	if stored := info.Sys().(*syscall.Stat_t).Blocks * 512; info.Size() != size || stored > 1<<20 {
		t.Errorf("%d bytes, %d stored", info.Size(), stored)
	}
}

func TestReadsGNUTar(t *testing.T) {
	t.Parallel()
	// Forty holes: more than fit into one block of the old form's map.
	many := make([]byte, 40*256<<10+77)
	for i := range 40 {
		copy(many[i*256<<10+100_000:], content(4096+i, uint64(i)))
	}
	all := disks()
	all["many holes"] = many
	all["many holes, hole in the end"] = append(bytes.Clone(many), make([]byte, 1<<20)...)
	forms := map[string][]string{
		"v7": {"--format=v7"}, "oldgnu": {"--format=oldgnu"}, "gnu": {"--format=gnu"}, "ustar": {"--format=ustar"}, "pax": {"--format=pax"},
		"gnu sparse":     {"--format=gnu", "-S", "--hole-detection=raw"},
		"oldgnu sparse":  {"--format=oldgnu", "-S", "--hole-detection=raw"},
		"pax sparse 0.0": {"--format=pax", "-S", "--hole-detection=raw", "--sparse-version=0.0"},
		"pax sparse 0.1": {"--format=pax", "-S", "--hole-detection=raw", "--sparse-version=0.1"},
		"pax sparse 1.0": {"--format=pax", "-S", "--hole-detection=raw", "--sparse-version=1.0"},
	}
	for name, want := range all {
		dir := t.TempDir()
		long := filepath.Join("d", strings.Repeat("long", 40))
		for _, file := range []string{"disk.raw", long} {
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o700); err != nil {
				t.Fatal(err)
			}
			writeSparse(t, filepath.Join(dir, file), want)
		}
		for form, flags := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				for _, member := range []string{"disk.raw", long, "d"} {
					if member != "disk.raw" && (form == "v7" || form == "ustar" || len(want) > 6<<20) {
						continue // the name is too long for the form, or the disk has no need of it
					}
					path := filepath.Join(t.TempDir(), "a.tar.gz")
					run(t, "tar", append(flags, "-czf", path, "-C", dir, member)...)
					f, err := os.Open(path)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					got, err := unpack(f, disk.Limits{})
					if err != nil {
						t.Fatalf("%s: %v", member, err)
					}
					if !bytes.Equal(got, want) {
						t.Errorf("%s: content differs", member)
					}
				}
			})
		}
	}
}

// GNU tar's archive in several members, as `cat a.gz b.gz` and pigz -i make it.
func TestReadsMembersOfGzip(t *testing.T) {
	t.Parallel()
	want := content(2<<20+77, 5)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "disk.raw"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	tar := run(t, "tar", "-cf", "-", "-C", dir, "disk.raw")
	var file []byte
	for level := 1; len(tar) > 0; level++ {
		n := min(len(tar), 400_001)
		file = append(file, run(t, "gzip", fmt.Sprintf("-%d", level), "-c", save(t, "part", tar[:n]))...)
		tar = tar[n:]
	}
	run(t, "gzip", "-t", save(t, "disk.tar.gz", file))
	got, err := unpack(bytes.NewReader(file), disk.Limits{})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, or other content", err)
	}
}

// writeSparse leaves out 4 KiB blocks of zeros.
func writeSparse(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := 0; at < len(b); at += 4096 {
		if block := b[at:min(at+4096, len(b))]; bytes.Count(block, []byte{0}) < len(block) {
			if _, err := f.WriteAt(block, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Truncate(int64(len(b))); err != nil {
		t.Fatal(err)
	}
}

// Sizes over 8 GiB in each form that can say them; the holes are not delivered,
// where the form has them.
func TestReadsLargeGNUTar(t *testing.T) {
	t.Parallel()
	const size = 9<<30 + 3
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("end"), size-3); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{
		{"--format=gnu", "-S"}, {"--format=pax", "-S", "--sparse-version=0.0"}, {"--format=pax", "-S", "--sparse-version=0.1"}, {"--format=pax", "-S"},
	} {
		path := filepath.Join(t.TempDir(), "a.tar.gz")
		run(t, "tar", append(flags, "-czf", path, "-C", dir, "disk.raw")...)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewStream(bytes.NewReader(b), disk.Limits{})
		if err != nil {
			t.Fatalf("%v: %v", flags, err)
		}
		var stored int
		var last []byte
		for {
			p, err := s.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%v: %v", flags, err)
			}
			stored += len(p.Data)
			last = bytes.Clone(p.Data)
		}
		if s.Size() != size || stored > 1<<20 || !bytes.HasSuffix(last, []byte("end")) {
			t.Errorf("%v: size %d, %d bytes delivered", flags, s.Size(), stored)
		}
	}
	// Not sparse: the header alone, so that nobody packs 9 GiB.
	for _, format := range []string{"gnu", "pax"} {
		c := exec.Command("tar", "--format="+format, "-cf", "-", "-C", dir, "disk.raw")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		start := make([]byte, 4096)
		if _, err := io.ReadFull(out, start); err != nil {
			t.Fatal(err)
		}
		out.Close()
		_ = c.Wait() // ends by a broken pipe
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		if _, err := w.Write(start); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := NewStream(&z, disk.Limits{})
		if err != nil || s.Size() != size {
			t.Errorf("%s: %v", format, err)
		}
	}
}
