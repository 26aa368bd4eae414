package blockstest

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/parts"
)

// fileSink writes the parts into a file. They come in order, but for the head.
type fileSink struct {
	file *os.File
	head bool
	end  int64
}

// Reserve is that of parts.Reserver.
func (s *fileSink) Reserve(_ int, size int64) {
	s.head, s.end = true, size
}

func (s *fileSink) Part(number int, content []byte) error {
	at := s.end
	if s.head && number == 1 {
		at = 0
	} else {
		s.end += int64(len(content))
	}
	_, err := s.file.WriteAt(content, at)
	return err
}

// Bench writes a disk of 1 GiB, 60% of it data, with the format's writer and
// with qemu-img, from the same file without holes into a file.
func (f Format) Bench(b *testing.B, options string) {
	const block, count = 1 << 20, 1 << 10
	dir := b.TempDir()
	raw := filepath.Join(dir, "raw")
	file, err := os.Create(raw)
	if err != nil {
		b.Fatal(err)
	}
	noise, zeros := Noise(block), make([]byte, block)
	for i := range count {
		content := noise
		if i/8%5 >= 3 { // runs of 8 MiB
			content = zeros
		}
		if _, err := file.Write(content); err != nil {
			b.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(block * count)
		defer cpu(b, syscall.RUSAGE_SELF)()
		for b.Loop() {
			f.convert(b, raw, filepath.Join(dir, "image"))
		}
	})
	Qemu(b, "compare", "-f", "raw", "-F", f.Name, raw, filepath.Join(dir, "image"))
	b.Run("qemu-img", func(b *testing.B) {
		b.SetBytes(block * count)
		defer cpu(b, syscall.RUSAGE_CHILDREN)()
		for b.Loop() {
			_ = os.Remove(filepath.Join(dir, "qemu"))
			if err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", f.Name, "-o", options, raw, filepath.Join(dir, "qemu")).Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// cpu measures processor time: on a busy machine it says more than the clock.
func cpu(b *testing.B, who int) func() {
	begin := used(b, who)
	return func() { b.ReportMetric((used(b, who)-begin).Seconds()/float64(b.N), "cpu-s/op") }
}

func used(b *testing.B, who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (f Format) convert(b *testing.B, from, to string) {
	_ = os.Remove(to)
	in, err := os.Open(from)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	info, err := in.Stat()
	if err != nil {
		b.Fatal(err)
	}
	w, err := f.NewWriter(info.Size(), &fileSink{file: out})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, make([]byte, 256<<10)); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

var (
	_ disk.Sink      = (*fileSink)(nil)
	_ parts.Reserver = (*fileSink)(nil)
)
