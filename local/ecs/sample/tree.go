package sample

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// tree is a folder that becomes a file system. The first error stops it.
type tree struct {
	dir   string
	paths []string // absolute in the file system, in the order made
	err   error
}

func newTree(dir string) *tree {
	return &tree{dir: dir, err: os.Mkdir(dir, 0o755)}
}

// at remembers a path and returns where it lies here.
func (t *tree) at(path string) string {
	t.paths = append(t.paths, path)
	return filepath.Join(t.dir, filepath.FromSlash(path))
}

func (t *tree) mkdir(mode os.FileMode, paths ...string) {
	for _, p := range paths {
		if t.err != nil {
			return
		}
		here := t.at(p)
		// Mkdir's mode is cut by the umask.
		t.err = errors.Join(os.Mkdir(here, 0o700), os.Chmod(here, mode))
	}
}

func (t *tree) file(path string, mode os.FileMode, write func(io.Writer) error) {
	if t.err != nil {
		return
	}
	here := t.at(path)
	f, err := os.Create(here)
	if err != nil {
		t.err = err
		return
	}
	t.err = errors.Join(write(f), f.Chmod(mode), f.Close())
}

func (t *tree) text(path, content string) {
	t.file(path, 0o644, func(w io.Writer) error { _, err := io.WriteString(w, content); return err })
}

func (t *tree) symlink(target, path string) {
	if t.err == nil {
		t.err = os.Symlink(target, t.at(path))
	}
}

func (t *tree) link(old, path string) {
	if t.err == nil {
		t.err = os.Link(filepath.Join(t.dir, filepath.FromSlash(old)), t.at(path))
	}
}

// sparse writes a file of size bytes with a little data at its start, in its
// middle and at its end.
func (t *tree) sparse(path string, size int64) {
	if t.err != nil {
		return
	}
	here := t.at(path)
	f, err := os.Create(here)
	if err != nil {
		t.err = err
		return
	}
	for i, at := range []int64{0, size/2 - 1000, size - 5000} {
		block := make([]byte, 5000)
		_, err := io.ReadFull(newNoise(uint64(i)), block)
		if err == nil {
			_, err = f.WriteAt(block, at)
		}
		t.err = errors.Join(t.err, err)
	}
	t.err = errors.Join(t.err, f.Close())
}

// noise is a stream of bytes that no compressor makes smaller. It depends on
// its seed alone.
type noise struct{ source *rand.PCG }

func newNoise(seed uint64) *noise { return &noise{rand.NewPCG(seed, 0x6f1d0c529c1b4a7e)} }

func (n *noise) Read(p []byte) (int, error) {
	var v uint64
	for i := range p {
		if i%8 == 0 {
			v = n.source.Uint64()
		}
		p[i], v = byte(v), v>>8
	}
	return len(p), nil
}

func random(seed uint64, size int64) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.CopyN(w, newNoise(seed), size); return err }
}

// binaryLike writes what programs look like to a compressor: half noise, half
// a pattern.
func binaryLike(seed uint64, size int) func(io.Writer) error {
	return func(w io.Writer) error {
		b := make([]byte, size)
		if _, err := newNoise(seed).Read(b); err != nil {
			return err
		}
		copy(b, "\x7fELF\x02\x01\x01")
		for at := 64; at < size; at += 128 {
			for i := at; i < min(at+64, size); i++ {
				b[i] = byte(i / 1024)
			}
		}
		_, err := w.Write(b)
		return err
	}
}

var words = strings.Fields("image export disk snapshot bucket object region task system data mount point queue event " +
	"the of a to in is and for with on as by from at each it every when only or while")

// prose writes size bytes of words.
func prose(seed uint64, size int) func(io.Writer) error {
	return func(w io.Writer) error {
		source := rand.NewPCG(seed, 1)
		var b strings.Builder
		for b.Len() < size {
			v := source.Uint64()
			b.WriteString(words[v%uint64(len(words))])
			if v>>32%12 == 0 {
				b.WriteString(".\n")
			} else {
				b.WriteByte(' ')
			}
		}
		_, err := io.WriteString(w, b.String()[:size])
		return err
	}
}

// log writes lines as a system log has them.
func log(seed uint64, lines int) func(io.Writer) error {
	return func(w io.Writer) error {
		source := rand.NewPCG(seed, 2)
		var b strings.Builder
		for i := range lines {
			v := source.Uint64()
			fmt.Fprintf(&b, "2026-01-01T%02d:%02d:%02dZ demo app[%d]: request %016x took %d ms, status %d\n",
				i/3600%24, i/60%60, i%60, 400+v%8, v, v%900, 200+v>>60)
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
}
