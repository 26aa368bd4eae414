package diskimage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage"
)

// imageOf makes a file of a kind in memory.
func imageOf(t testing.TB, k kind, content []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	write(t, path, k.format, int64(len(content)), k.options, func(w diskimage.Writer) error {
		_, err := w.Write(content)
		return err
	})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A file that fits two formats is an error, whichever way it is read, and though
// it may be right as one of them.
func TestTwoFormats(t *testing.T) {
	t.Parallel()
	content := text(1 << 20)
	footer := imageOf(t, kind{format: diskimage.VHD, options: diskimage.Options{Subformat: "fixed"}}, content)
	footer = footer[len(footer)-512:]
	for _, k := range kinds {
		if k.format == diskimage.RAW {
			continue // what fits another format is that
		}
		file := imageOf(t, k, content)
		if k.format != diskimage.VHD {
			twoFormats(t, k.name+" with the footer of a VHD", append(bytes.Clone(file), footer...), k.stream)
			if k.format != diskimage.TarGz {
				twoFormats(t, k.name+" with the cookie of a VHD at its end", append(bytes.Clone(file), append([]byte("conectix"), make([]byte, 504)...)...), k.stream)
			}
		}
		if k.format != diskimage.VDI && k.format != diskimage.TarGz {
			both := bytes.Clone(file)
			binary.LittleEndian.PutUint32(both[64:], 0xBEDA107F)
			twoFormats(t, k.name+" with the signature of a VDI", both, k.stream)
		}
	}
	// A gzip member may have any bytes in its header.
	archive := imageOf(t, kind{format: diskimage.TarGz}, content)
	extra := append([]byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 80, 0, 'x', 'x', 76, 0}, make([]byte, 76)...)
	binary.LittleEndian.PutUint32(extra[64:], 0xBEDA107F)
	both := append(append(extra, archive[10:]...), make([]byte, 100)...)
	twoFormats(t, "tar.gz with the signature of a VDI", both, true)
}

func twoFormats(t *testing.T, name string, file []byte, stream bool) {
	t.Helper()
	if f, err := diskimage.Detect(bytes.NewReader(file), int64(len(file))); !errors.Is(err, diskimage.ErrFormat) || !strings.Contains(fmt.Sprint(err), "more than one") {
		t.Errorf("%s: Detect: %q, %v", name, f, err)
	}
	if _, err := diskimage.Open(bytes.NewReader(file), int64(len(file)), diskimage.Limits{}); !errors.Is(err, diskimage.ErrFormat) {
		t.Errorf("%s: Open: %v", name, err)
	}
	if !stream {
		return
	}
	s, err := diskimage.NewStream(bytes.NewReader(file), diskimage.Limits{})
	if err == nil {
		err = drained(s)
		if _, again := s.Next(); again == nil || errors.Is(again, io.EOF) {
			t.Errorf("%s: the stream ends, after %v", name, err)
		}
	}
	if !errors.Is(err, diskimage.ErrFormat) {
		t.Errorf("%s: stream: %v", name, err)
	}
}

// What qemu-img makes that is more than one file, or a secret, is refused with an
// error that says so.
func TestOtherFilesAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	secret := []string{"--object", "secret,id=key,data=a-word-of-length"}
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"base.qcow2", []string{"-f", "qcow2", at("base.qcow2"), "4M"}, ""},
		{"backing.qcow2", []string{"-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", at("backing.qcow2")}, "backing file"},
		{"data.qcow2", []string{"-f", "qcow2", "-o", "data_file=" + at("data.raw"), at("data.qcow2"), "4M"}, "external data file"},
		{"luks.qcow2", append(secret, "-f", "qcow2", "-o", "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10", at("luks.qcow2"), "4M"), "encrypted (LUKS)"},
		{"aes.qcow2", append(secret, "-f", "qcow2", "-o", "encrypt.format=aes,encrypt.key-secret=key", at("aes.qcow2"), "4M"), "encrypted (AES)"},
		{"flat.vmdk", []string{"-f", "vmdk", "-o", "subformat=monolithicFlat", at("flat.vmdk"), "4M"}, "descriptor without data"},
		{"flat-2G.vmdk", []string{"-f", "vmdk", "-o", "subformat=twoGbMaxExtentFlat", at("flat-2G.vmdk"), "4M"}, "descriptor without data"},
		{"split.vmdk", []string{"-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", at("split.vmdk"), "4M"}, "descriptor without data"},
		{"split-s001.vmdk", nil, "split disk"},
		{"parent.vmdk", []string{"-f", "vmdk", at("parent.vmdk"), "4M"}, ""},
		{"delta.vmdk", []string{"-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", at("delta.vmdk")}, "parent.vmdk"},
	} {
		if c.args != nil {
			create(t, c.args...)
		}
		file, size := open(t, at(c.name))
		_, err := diskimage.Open(file, size, diskimage.Limits{})
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		_, streamErr := diskimage.NewStream(file, diskimage.Limits{})
		for _, err := range []error{err, streamErr} {
			if !errors.Is(err, diskimage.ErrUnsupported) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want ErrUnsupported with %q", c.name, err, c.says)
			}
		}
	}
	// The other half of the pair is RAW by itself.
	file, size := open(t, at("flat-flat.vmdk"))
	if f, err := diskimage.Detect(file, size); f != diskimage.RAW || err != nil {
		t.Errorf("flat extent: %q, %v", f, err)
	}
}

// A stream of any format keeps a part of the file alone. Not parallel, for it
// measures the heap.
func TestStreamMemory(t *testing.T) {
	const size, most = 48 << 20, 28 << 20
	chunk := append(noise(1, 3<<17), text(1<<17)...) // 512 KiB
	for _, k := range kinds {
		if !k.stream {
			continue
		}
		path := filepath.Join(t.TempDir(), "image")
		if k.format == diskimage.TarGz {
			k.options.Level = 1
		}
		write(t, path, k.format, size, k.options, func(w diskimage.Writer) error {
			for range size / len(chunk) {
				if _, err := w.Write(chunk); err != nil {
					return err
				}
			}
			return nil
		})
		file, _ := open(t, path)
		before := heap()
		s, err := diskimage.NewStream(file, diskimage.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		read, peak := 0, uint64(0)
		for next := 0; ; {
			p, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if read += len(p.Data); read >= next {
				next += 8 << 20
				peak = max(peak, heap())
			}
		}
		if read != size {
			t.Errorf("%s: %d bytes read", k.name, read)
		}
		t.Logf("%s: %d KiB", k.name, (max(peak, before)-before)>>10)
		if peak > before+most {
			t.Errorf("%s: %d bytes of memory, want at most %d", k.name, peak-before, most)
		}
	}
}

// create runs qemu-img create. For LUKS that measures its own CPU time and gives
// up where a busy machine grants it too little, so it may try again.
func create(t *testing.T, args ...string) {
	t.Helper()
	const tries = 20
	for i := 1; ; i++ {
		out, err := exec.Command(find("qemu-img"), append([]string{"create", "-q"}, args...)...).CombinedOutput()
		if err == nil {
			return
		}
		if i == tries || !bytes.Contains(out, []byte("accurate CPU usage")) {
			t.Fatalf("qemu-img create %q: %v\n%s", args, err, out)
		}
	}
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
