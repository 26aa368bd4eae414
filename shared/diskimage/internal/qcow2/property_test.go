package qcow2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// randomDisk draws content: runs of noise, text and zeros, at places that fit nothing.
func randomDisk(t *rapid.T) []byte {
	b := make([]byte, rapid.IntRange(1, 1<<20).Draw(t, "size"))
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	for at := 0; at < len(b); {
		n := min(1+random.IntN(300<<10), len(b)-at)
		switch part := b[at : at+n]; random.IntN(4) {
		case 0:
			for i := range part {
				part[i] = byte(random.Uint32())
			}
		case 1:
			copy(part, bytes.Repeat([]byte("said again. "), n/12+1))
		case 2:
			part[random.IntN(n)] = 1
		}
		at += n
	}
	return b
}

// What we write of a random disk, in any cluster size and compression, qemu-img
// finds right and the same, and we read it back.
func TestRandomDisksAreWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, raw := filepath.Join(dir, "disk.qcow2"), filepath.Join(dir, "disk.raw")
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		if runs++; runs > 30 {
			return
		}
		content := randomDisk(r)
		o := Options{
			Compression: rapid.SampledFrom([]Compression{None, Zlib, Zstd}).Draw(r, "compression"),
			ClusterSize: 1 << rapid.IntRange(9, 21).Draw(r, "cluster_bits"),
		}
		file := write(r, content, o)
		got, m := readImage(r, file)
		mustEqual(r, "ReadAt", got, padded(content))
		if err := m.Check(); err != nil {
			r.Fatalf("Check: %v", err)
		}
		got, err := readStream(bytes.NewReader(file))
		if err != nil {
			r.Fatalf("stream: %v", err)
		}
		mustEqual(r, "stream", got, padded(content))
		if runs%3 != 1 {
			return // the judge is slow
		}
		for name, b := range map[string][]byte{path: file, raw: content} {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				r.Fatal(err)
			}
		}
		qemuImg(r, "check", "-q", "-f", "qcow2", path)
		qemuImg(r, "compare", "-q", "-f", "raw", "-F", "qcow2", raw, path)
		mustEqual(r, "extents", extents(r, m), mapped(r, path, m.Size()))
	})
}

// Images that qemu makes with any options, and writes to in any order, we read,
// extents included.
func TestRandomImagesOfQEMU(t *testing.T) {
	t.Parallel()
	runs := 0
	rapid.Check(t, func(r *rapid.T) {
		if runs++; runs > 15 { // three programs each
			return
		}
		bits := rapid.IntRange(9, 18).Draw(r, "cluster_bits")
		options := fmt.Sprintf("cluster_size=%d", 1<<bits)
		v2 := rapid.Bool().Draw(r, "v2")
		if v2 {
			options += ",compat=0.10"
		} else {
			if bits >= 14 && rapid.Bool().Draw(r, "extended_l2") {
				options += ",extended_l2=on"
			}
			if rapid.Bool().Draw(r, "zstd") {
				options += ",compression_type=zstd"
			}
			options += fmt.Sprintf(",refcount_bits=%d", 1<<rapid.IntRange(3, 6).Draw(r, "refcount_order"))
			if rapid.Bool().Draw(r, "lazy") {
				options += ",lazy_refcounts=on"
			}
		}
		preallocated := rapid.IntRange(0, 3).Draw(r, "preallocation") == 0
		if preallocated {
			options += ",preallocation=metadata"
		}
		const size = 2 << 20
		path := filepath.Join(t.TempDir(), "disk.qcow2")
		qemuImg(r, "create", "-q", "-f", "qcow2", "-o", options, path, fmt.Sprint(size))
		var commands []string
		if !preallocated {
			// Qemu compresses only into clusters that are not there yet.
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, size>>bits-1), 0, 4, rapid.ID[int]).Draw(r, "compressed") {
				commands = append(commands, fmt.Sprintf("write -c -P %d %d %d", 100+n%100, n<<bits, 1<<bits))
			}
		}
		for i := range rapid.IntRange(1, 12).Draw(r, "commands") {
			at := rapid.Int64Range(0, size/512-1).Draw(r, "sector") * 512
			n := min(size-at, rapid.Int64Range(1, 600).Draw(r, "sectors")*512)
			switch kind := rapid.SampledFrom([]string{"write", "write", "zero", "unmap", "discard"}).Draw(r, "kind"); {
			case kind == "zero":
				commands = append(commands, fmt.Sprintf("write -z %d %d", at, n))
			case kind == "unmap":
				commands = append(commands, fmt.Sprintf("write -z -u %d %d", at, n))
			case kind == "discard":
				commands = append(commands, fmt.Sprintf("discard %d %d", at, n))
			default:
				commands = append(commands, fmt.Sprintf("write -P %d %d %d", i+1, at, n))
			}
		}
		qemuIO(t, path, commands...)
		judge(t, path, false)
	})
}
