package blockstest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Disk is a disk to be written.
type Disk struct {
	Name    string
	Content []byte
}

// Disks are those of the judge's list that fit into memory.
func Disks(t testing.TB) []Disk {
	t.Helper()
	last := make([]byte, 5<<20)
	last[len(last)-1] = 1
	odd := make([]byte, 3<<20+700)
	copy(odd[1<<20:], Noise(2<<20))
	odd[len(odd)-1] = 7
	return []Disk{
		{"empty", nil},
		{"a byte", []byte{1}},
		{"a sector", Noise(512)},
		{"a sector of zeros", make([]byte, 512)},
		{"a block and a byte", append(Noise(2<<20), 1)},
		{"all zero", make([]byte, 5<<20)},
		{"all data", Noise(5 << 20)},
		{"a byte at the end", last},
		{"no whole sectors", odd},
		{"ext4", Ext4(t)},
	}
}

// Noise is data without zeros, and no block of it is like another.
func Noise(n int) []byte {
	b := make([]byte, n)
	for at := 0; at < n; at += copy(b[at:], noise()) {
	}
	return b
}

// noise has a prime number of bytes, so that it never begins where a block does.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 999_983)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return bytes.ReplaceAll(b, []byte{0}, []byte{0xA5})
})

// Ext4 is a file system with some files.
func Ext4(t testing.TB) []byte {
	t.Helper()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	for i := range 40 {
		sub := filepath.Join(root, fmt.Sprint("directory", i%7))
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(i)), Noise(1<<(i%18)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "disk")
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		mke2fs = "/sbin/mke2fs"
	}
	if out, err := exec.Command(mke2fs, "-q", "-t", "ext4", "-d", root, path, "10M").CombinedOutput(); err != nil {
		t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
