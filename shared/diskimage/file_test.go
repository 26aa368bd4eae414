package diskimage_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"ecs-image-export/shared/diskimage"

	"pgregory.net/rapid"
)

// copying hides that it is a file, so that nothing can be inserted.
type copying struct{ diskimage.ReadWriterAt }

// The parts are put in the order of their numbers, whether the head's length is
// known in advance, later, or there is none.
func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.IntRange(0, 3).Draw(t, "parts of the head")
		body := rapid.IntRange(0, 3).Draw(t, "parts of the body")
		var parts [][]byte
		var want []byte
		var size int64
		for n := range head + body {
			part := make([]byte, rapid.SampledFrom([]int{1, 4096, 64 << 10, 200_000, 256 << 10}).Draw(t, "size"))
			for at := 0; at < len(part); at += 64 << 10 {
				if rapid.Bool().Draw(t, "data") {
					copy(part[at:], bytes.Repeat([]byte{byte(n + 1)}, 64<<10))
				}
			}
			parts = append(parts, part)
			want = append(want, part...)
			if n < head {
				size += int64(len(part))
			}
		}
		out, err := os.Create(filepath.Join(dir, "file"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		var f *diskimage.File
		if rapid.Bool().Draw(t, "inserts") {
			f = diskimage.NewFile(out)
		} else {
			f = diskimage.NewFile(copying{out})
		}
		if head > 0 && (body == 0 || rapid.Bool().Draw(t, "reserves")) {
			f.Reserve(head, size)
		}
		for i := range parts {
			n := (head+i)%len(parts) + 1
			if err := f.Part(n, parts[n-1]); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatal("other bytes")
		}
		if err := f.Part(len(parts)+2, []byte{1}); err == nil && len(parts) > 0 {
			t.Fatal("a part that is out of order: no error")
		}
	})
}
