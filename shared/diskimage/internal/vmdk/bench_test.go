package vmdk

import (
	"io"
	"os"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// fileSink puts parts of 8 MiB into a file; the head fits in front of them.
type fileSink struct {
	f     *os.File
	sizes map[int]int64
	total int64
}

func (s *fileSink) Part(n int, content []byte) error {
	if s.sizes == nil {
		s.sizes = map[int]int64{}
	}
	s.sizes[n] = int64(len(content))
	s.total += int64(len(content))
	_, err := s.f.WriteAt(content, int64(n-1)*8<<20)
	return err
}

// benchDisk is a raw disk named by the environment.
func benchDisk(b *testing.B) *os.File {
	b.Helper()
	name := os.Getenv("DISK")
	if name == "" {
		b.Skip("DISK names no raw disk")
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return f
}

func BenchmarkWrite(b *testing.B) {
	for name, o := range map[string]Options{
		typeStream: {}, typeSparse: {Subformat: MonolithicSparse},
		"level5": {Level: 5}, "level7": {Level: 7},
	} {
		b.Run(name, func(b *testing.B) {
			f := benchDisk(b)
			info, err := f.Stat()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(info.Size())
			for b.Loop() {
				out, err := os.Create(b.TempDir() + "/out")
				if err != nil {
					b.Fatal(err)
				}
				s := &fileSink{f: out}
				w, err := NewWriter(info.Size(), s, o)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{w}, io.NewSectionReader(f, 0, info.Size()), make([]byte, 1<<20)); err != nil {
					b.Fatal(err)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(s.total), "file-bytes")
				out.Close()
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	f := benchVMDK(b)
	for b.Loop() {
		f.Seek(0, io.SeekStart)
		s, err := NewStream(f, disk.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(s.Size())
		for err == nil {
			_, err = s.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
	}
}

func benchVMDK(b *testing.B) *os.File {
	b.Helper()
	name := os.Getenv("VMDK")
	if name == "" {
		b.Skip("VMDK names no image")
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return f
}

func BenchmarkRead(b *testing.B) {
	f := benchVMDK(b)
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 1<<20)
	for b.Loop() {
		m, err := Open(f, info.Size(), disk.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(m.Size())
		for at := int64(0); at < m.Size(); at += int64(len(p)) {
			if _, err := m.ReadAt(p, at); err != nil && err != io.EOF {
				b.Fatal(err)
			}
		}
	}
}
