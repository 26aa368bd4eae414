package targz

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var made = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// disk returns n bytes as a disk has them: runs of zeros, of text, of noise.
func disk(n int, seed uint64) []byte {
	source := rand.NewChaCha8([32]byte{byte(seed)})
	r := rand.New(source)
	out := make([]byte, n)
	for at := 0; at < n; {
		run := min(1+r.IntN(3*blockSize), n-at)
		switch r.IntN(3) {
		case 0:
		case 1:
			copy(out[at:at+run], bytes.Repeat([]byte("the quick brown fox "), run/20+1))
		default:
			_, _ = source.Read(out[at : at+run]) // never returns an error
		}
		at += run
	}
	return out
}

func packed(t *testing.T, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	err := Write(context.Background(), &out, "a_m-1_system.raw", bytes.NewReader(content), int64(len(content)), made, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestStandardLibraryReadsItBack(t *testing.T) {
	t.Parallel()
	for seed, size := range []int{1, 511, 512, 513, 70_000, blockSize - 512, blockSize - 511, blockSize, 2*blockSize - 512, 3*blockSize + 7} {
		content := disk(size, uint64(seed))
		z, err := gzip.NewReader(bytes.NewReader(packed(t, content)))
		if err != nil {
			t.Fatal(err)
		}
		z.Multistream(false) // one member
		r := tar.NewReader(z)
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != "a_m-1_system.raw" || h.Size != int64(size) || !h.ModTime.Equal(made) {
			t.Errorf("%d bytes: header: %+v", size, h)
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, content) {
			t.Errorf("%d bytes: content differs", size)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%d bytes: second member: %v", size, err)
		}
		if rest, err := io.ReadAll(z); err != nil || len(bytes.Trim(rest, "\x00")) > 0 {
			t.Errorf("%d bytes: after the tar: %d bytes, %v", size, len(rest), err)
		}
	}
}

func TestGNUTarReadsItBack(t *testing.T) {
	t.Parallel()
	content := disk(9*blockSize+123, 7)
	path := filepath.Join(t.TempDir(), "disk.tar.gz")
	if err := os.WriteFile(path, packed(t, content), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command("tar", "xzOf", path).Output()
	if err != nil {
		t.Fatalf("tar xzOf: %v", err)
	}
	if !bytes.Equal(got, content) {
		t.Error("GNU tar unpacks other bytes")
	}
	if out, err := exec.Command("gzip", "-tv", path).CombinedOutput(); err != nil {
		t.Errorf("gzip -t: %v: %s", err, out)
	}
}

// A size over 8 GiB does not fit the ustar field.
func TestLargeMember(t *testing.T) {
	if testing.Short() {
		t.Skip("packs 9 GiB of zeros")
	}
	t.Parallel()
	const size = 9 << 30
	pr, pw := io.Pipe()
	go func() {
		pw.CloseWithError(Write(context.Background(), pw, "big.raw", zeroReader{}, size, made, func(int64) {}))
	}()
	// Its header tells enough: reading 9 GiB back is what the rest of the test
	// would cost.
	z, err := gzip.NewReader(pr)
	if err != nil {
		t.Fatal(err)
	}
	h, err := tar.NewReader(z).Next()
	if err != nil {
		t.Fatal(err)
	}
	if h.Size != size {
		t.Errorf("size %d, want %d", h.Size, int64(size))
	}
	pr.Close()
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSameBytesEveryTime(t *testing.T) {
	t.Parallel()
	content := disk(20*blockSize, 3)
	want := sha256.Sum256(packed(t, content))
	for range 3 {
		if got := sha256.Sum256(packed(t, content)); got != want {
			t.Fatal("the stream depends on more than its input")
		}
	}
}

func TestShortFile(t *testing.T) {
	t.Parallel()
	err := Write(context.Background(), io.Discard, "x", bytes.NewReader(make([]byte, 10)), 11, made, func(int64) {})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestStopsWhenTold(t *testing.T) {
	t.Parallel()
	cause := errors.New("canceled by test")
	ctx, cancel := context.WithCancelCause(context.Background())
	var got int64
	err := Write(ctx, io.Discard, "x", zeroReader{}, 1<<40, made, func(n int64) {
		got = n
		if n >= 5*blockSize {
			cancel(cause)
		}
	})
	if !errors.Is(err, cause) || got != 5*blockSize {
		t.Errorf("got %v after %d bytes", err, got)
	}
}

type failing struct{ left int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	for _, room := range []int{0, 5, 10, 3000, 3 << 20} {
		content := disk(30*blockSize, 11)
		err := Write(context.Background(), &failing{left: room}, "x", bytes.NewReader(content), int64(len(content)), made, func(int64) {})
		if !errors.Is(err, errFull) {
			t.Errorf("room %d: got %v", room, err)
		}
	}
}

func BenchmarkZeros(b *testing.B) { benchmark(b, make([]byte, 64<<20)) }
func BenchmarkMixed(b *testing.B) { benchmark(b, disk(64<<20, 5)) }

func benchmark(b *testing.B, content []byte) {
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if err := Write(context.Background(), io.Discard, "x", bytes.NewReader(content), int64(len(content)), made, func(int64) {}); err != nil {
			b.Fatal(err)
		}
	}
}
