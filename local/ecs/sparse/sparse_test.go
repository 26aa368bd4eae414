package sparse

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// What a Reader reads is what reading the file gives.
func TestReader(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	rapid.Check(t, func(t *rapid.T) {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		size := rapid.Int64Range(0, 100_000).Draw(t, "size")
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 5).Draw(t, "writes") {
			at := rapid.Int64Range(0, size).Draw(t, "at")
			b := bytes.Repeat([]byte{0xa5}, int(min(size-at, rapid.Int64Range(0, 10_000).Draw(t, "n"))))
			if _, err := f.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		// A dirty buffer: holes must be cleared.
		got := bytes.Repeat([]byte{0xff}, len(want))
		if _, err := io.ReadFull(r, got); err != nil && size > 0 {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || r.Size() != size {
			t.Error("differs from the file")
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("at the end: %d, %v", n, err)
		}
		again, err := NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(io.Reader(again), want); err != nil {
			t.Error(err)
		}
	})
}

func TestShrinks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 20); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != io.ErrUnexpectedEOF {
		t.Errorf("got %v", err)
	}
}
