package diskimage_test

import (
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"ecs-image-export/shared/diskimage"
)

// A file depends on content and options: not on the number of cores, not on how
// content comes. Not parallel, for the number is that of the whole process; tests
// that are go on when this has ended.
func TestFilesDependOnContentAlone(t *testing.T) {
	cores := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(cores)
	content := slices.Concat(noise(1, 1<<20+100), text(2<<20), make([]byte, 1<<20+512), noise(2, 700), text(1<<20))
	source := sourceOf(t, int64(len(content)), run{0, content})
	converted := func(w diskimage.Writer) error { return diskimage.CopyImage(w, source.image) }
	inPieces := func(w diskimage.Writer) error {
		for piece := range slices.Chunk(content, 99_999) {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	}
	for _, k := range kinds {
		files := map[[sha256.Size]byte]int{}
		for _, c := range []struct {
			cores int
			from  func(diskimage.Writer) error
		}{{1, inPieces}, {1, converted}, {2, converted}, {8, inPieces}, {8, converted}} {
			runtime.GOMAXPROCS(c.cores)
			path := filepath.Join(t.TempDir(), "image")
			write(t, path, k.format, source.size, k.options, c.from)
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files[sha256.Sum256(file)] = c.cores
		}
		if len(files) != 1 {
			t.Errorf("%s: %d different files, by cores: %v", k.name, len(files), slices.Collect(maps.Values(files)))
		}
	}
}
