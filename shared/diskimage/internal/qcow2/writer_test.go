package qcow2

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// write makes an image in writes and skips of changing sizes.
func write(t tb, content []byte, o Options) []byte {
	t.Helper()
	var c collector
	w, err := NewWriter(int64(len(content)), &c, o)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for rest := content; len(rest) > 0; {
		b := rest[:min(len(rest), 1+random.IntN(200<<10))]
		rest = rest[len(b):]
		if bytes.Count(b, []byte{0}) == len(b) {
			err = w.Skip(int64(len(b)))
		} else {
			_, err = w.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return c.file(t)
}

func TestWriterIsJudgedByQEMU(t *testing.T) {
	t.Parallel()
	for name, content := range disks(t) {
		for _, o := range []Options{{}, {Compression: Zlib}, {Compression: Zstd},
			{ClusterSize: 512}, {ClusterSize: 2 << 20}, {ClusterSize: 4096, Compression: Zlib}, {ClusterSize: 2 << 20, Compression: Zstd}} {
			if o.ClusterSize != 0 && name != "mixed" && name != "odd size" {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s/%d", name, o.Compression, o.ClusterSize), func(t *testing.T) {
				t.Parallel()
				file := write(t, content, o)
				path := writeFile(t, "disk.qcow2", file)
				qemuImg(t, "check", "-f", "qcow2", path)
				if len(content) > 0 { // there is nothing to compare an empty file with
					qemuImg(t, "compare", "-f", "raw", "-F", "qcow2", writeFile(t, "disk.raw", content), path)
				}
				got, m := readImage(t, file)
				mustEqual(t, "ReadAt", got, padded(content))
				if err := m.Check(); err != nil {
					t.Errorf("Check: %v", err)
				}
				mustEqual(t, "extents", extents(t, m), mapped(t, path, m.Size()))
				got, err := readStream(bytes.NewReader(file))
				if err != nil {
					t.Fatalf("stream: %v", err)
				}
				mustEqual(t, "stream", got, padded(content))
			})
		}
	}
}

func TestWriterOfLargeSparseDisk(t *testing.T) {
	t.Parallel()
	const size = 2 << 40
	for _, c := range []Compression{None, Zstd} {
		var parts collector
		w, err := NewWriter(size, &parts, Options{Compression: c})
		if err != nil {
			t.Fatal(err)
		}
		word := bytes.Repeat([]byte("content "), 1000)
		places := []int64{0, 1<<40 - 1000, size - 8000}
		at := int64(0)
		for _, p := range places {
			if err := w.Skip(p - at); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(word); err != nil {
				t.Fatal(err)
			}
			at = p + int64(len(word))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		file := parts.file(t)
		if len(file) > 4<<20 {
			t.Errorf("the file has %d bytes", len(file))
		}
		path := writeFile(t, "disk.qcow2", file)
		qemuImg(t, "check", "-f", "qcow2", path)
		m, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(); err != nil {
			t.Error(err)
		}
		for _, p := range places {
			got := make([]byte, len(word))
			if _, err := m.ReadAt(got, p); err != nil {
				t.Fatal(err)
			}
			mustEqual(t, "ReadAt", got, word)
		}
		s, err := NewStream(bytes.NewReader(file), disk.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for {
			p, err := s.Next()
			if err != nil {
				break
			}
			sum += bytes.Count(p.Data, []byte("content "))
		}
		if want := 3*1000 - 1; sum < want { // one word lies across two clusters
			t.Errorf("the stream has %d words, want %d", sum, want)
		}
	}
}

func TestWriterIsDeterministic(t *testing.T) {
	t.Parallel()
	content := disks(t)["odd size"]
	for _, o := range []Options{{}, {Compression: Zlib}, {Compression: Zstd}} {
		mustEqual(t, "file", write(t, content, o), write(t, content, o))
	}
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"cluster of 3000":   {ClusterSize: 3000},
		"cluster of 4 MiB":  {ClusterSize: 4 << 20},
		"other compression": {Compression: "lzma"},
	} {
		if _, err := NewWriter(1<<20, &collector{}, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := NewWriter(1<<40, &collector{}, Options{ClusterSize: 512}); !errors.Is(err, disk.ErrLimit) {
		t.Errorf("1 TiB in clusters of 512 bytes: %v", err)
	}
	w, err := NewWriter(1000, &collector{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1001)); err == nil {
		t.Error("a write over the end of the disk: no error")
	}
	if err := w.Skip(1001); err == nil {
		t.Error("a skip over the end of the disk: no error")
	}
}

type brokenSink struct{ error }

func (b brokenSink) Part(int, []byte) error { return b.error }

func TestWriterPassesOnTheSinksError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, c := range []Compression{None, Zlib, Zstd} {
		w, err := NewWriter(1<<20, brokenSink{broken}, Options{Compression: c})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(disks(t)["mixed"][:1<<20]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); !errors.Is(err, broken) {
			t.Errorf("%q: Close gives %v", c, err)
		}
		if err := w.Close(); !errors.Is(err, broken) {
			t.Errorf("%q: Close again gives %v", c, err)
		}
	}
}
