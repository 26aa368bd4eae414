package vmdk

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type sample struct {
	name   string
	size   int64
	pieces []piece
}

func samples(t testing.TB) []sample {
	return []sample{
		{"one sector", 512, []piece{{0, random(1, 512)}}},
		{"one sector of zeros", 512, nil},
		{"one byte", 1, []piece{{0, []byte{1}}}},
		{"all zero", 40 << 20, nil},
		{"all data", 2 << 20, []piece{{0, random(2, 2<<20)}}},
		{"last byte", 3<<30 + 512*7, []piece{{3<<30 + 512*7 - 1, []byte{7}}}},
		{"odd size", 5<<20 + 1000, []piece{{1 << 20, random(3, 100000)}, {5<<20 + 990, random(4, 10)}}},
		{"several tables", 100 << 20, []piece{{0, random(5, 1000)}, {32<<20 - 10, random(6, 200000)}, {70 << 20, random(7, 1<<20)}}},
		{"ext4", 12 << 20, []piece{{0, ext4(t)}}},
	}
}

// ext4 makes a file system with a few files.
func ext4(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	files := filepath.Join(dir, "files")
	if err := os.MkdirAll(filepath.Join(files, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	save(t, files, "etc/fstab", []byte("/dev/vda1 / ext4 defaults 0 1\n"))
	save(t, files, "data", random(11, 1<<20))
	image := filepath.Join(dir, "ext4")
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-d", files, image, "12M").CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What we write, qemu-img finds right and the same as the source, and we read it.
// 2 TiB are in package diskimage.
func TestWrittenImages(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		for name, o := range map[string]Options{
			typeStream: {},
			typeSparse: {Subformat: MonolithicSparse},
		} {
			t.Run(name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				b := write(t, s.size, s.pieces, o)
				image := save(t, dir, "disk.vmdk", b)
				judge(t, image, rawFile(t, dir, s.size, s.pieces), s.size)
				m := open(t, b)
				reading(t, m, s.size, s.pieces)
				if diff := cmp.Diff(qemuMap(t, image), extents(t, m)); diff != "" {
					t.Errorf("extents differ from qemu-img's (-) :\n%s", diff)
				}
				streaming(t, bytes.NewReader(b), s.size, s.pieces)
			})
		}
	}
}

// What qemu-img writes, we read.
func TestImagesOfQEMU(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		for name, options := range map[string]string{
			typeStream:      "subformat=streamOptimized",
			typeSparse:      "subformat=monolithicSparse",
			"zeroed grains": "subformat=monolithicSparse,zeroed_grain=on",
			"compat6":       "subformat=monolithicSparse,compat6=on,adapter_type=lsilogic",
		} {
			if s.name == "last byte" && name == "zeroed grains" {
				continue // qemu-img goes through it grain by grain
			}
			t.Run(name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				image := filepath.Join(dir, "disk.vmdk")
				arg := []string{"convert", "-f", "raw", "-O", "vmdk", "-o", options}
				if name == "zeroed grains" {
					arg = append(arg, "-S", "0")
				}
				qemu(t, append(arg, rawFile(t, dir, s.size, s.pieces), image)...)
				b, err := os.ReadFile(image)
				if err != nil {
					t.Fatal(err)
				}
				m := open(t, b)
				reading(t, m, s.size, s.pieces)
				if diff := cmp.Diff(qemuMap(t, image), extents(t, m)); diff != "" {
					t.Errorf("extents differ from qemu-img's (-) :\n%s", diff)
				}
				streaming(t, bytes.NewReader(b), s.size, s.pieces)
			})
		}
	}
}
