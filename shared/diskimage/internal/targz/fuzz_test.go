package targz

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"testing"

	"ecs-image-export/shared/diskimage/disk"

	"github.com/klauspost/compress/flate"
)

// limits of the fuzz targets: what they may allocate is bounded by them.
var fuzzLimits = disk.Limits{Size: 64 << 20, Memory: 1 << 20}

// read goes through a stream as hostile input may have it.
func read(t *testing.T, b []byte) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s, err := NewStream(bytes.NewReader(b), fuzzLimits)
	if err == nil {
		if s.Size() < 0 || s.Size() > fuzzLimits.Size {
			t.Errorf("size %d", s.Size())
		}
		at := int64(0)
		for {
			var p disk.Piece
			if p, err = s.Next(); err != nil {
				break
			}
			if p.Offset < at || len(p.Data) == 0 || p.Offset+int64(len(p.Data)) > s.Size() {
				t.Fatalf("a piece of %d bytes at %d, after %d of %d", len(p.Data), p.Offset, at, s.Size())
			}
			at = p.Offset + int64(len(p.Data))
		}
		if _, again := s.Next(); again == nil {
			t.Error("a piece after the end")
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
		t.Errorf("%d bytes of memory", took)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, disk.ErrFormat) && !errors.Is(err, disk.ErrUnsupported) && !errors.Is(err, disk.ErrLimit) {
		t.Errorf("error without a sentinel: %v", err)
	}
}

// FuzzGzip mutates the file.
func FuzzGzip(f *testing.F) {
	for _, b := range disks() {
		if len(b) < 4096 {
			f.Add(pack(f, b, Options{Level: 1}))
		}
	}
	f.Add(padMembers(pack(f, []byte("content"), Options{Level: 1}), 1000))
	f.Fuzz(read)
}

// FuzzTar mutates the archive, and repairs the sums that would otherwise hide
// everything behind them: those of gzip and of each block that may be a header.
func FuzzTar(f *testing.F) {
	for _, form := range fuzzArchives() {
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, tar []byte) {
		tar = bytes.Clone(tar)
		for at := 0; at+blockSize <= len(tar); at += blockSize {
			h := (*header)(tar[at:])
			if string(h.bytes(fieldMagic)[:5]) == "ustar" {
				h.seal()
			}
		}
		read(t, gzipStored(t, tar))
	})
}

// gzipStored wraps without compressing, which is quick.
func gzipStored(t testing.TB, b []byte) []byte {
	out := bytes.NewBuffer([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3})
	w, err := flate.NewWriter(out, flate.NoCompression)
	if err == nil {
		_, err = w.Write(b)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	sum, n := crc32.ChecksumIEEE(b), len(b)
	return append(out.Bytes(), byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24), byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}
