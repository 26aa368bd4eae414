package vdi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks/blockstest"
)

var format = blockstest.Format{
	Name:      "vdi",
	Check:     true,
	Head:      true,
	Match:     Match,
	Open:      Open,
	NewStream: NewStream,
	NewWriter: func(n int64, s disk.Sink) (disk.Writer, error) { return NewWriter(n, s, Options{}) },
}

func TestWrittenImages(t *testing.T) {
	t.Parallel()
	for i, d := range blockstest.Disks(t) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			file := format.Write(t, d.Content, uint64(i))
			format.Judge(t, file, d.Content)
			format.SameMap(t, file, format.Reads(t, file, d.Content, true))
		})
	}
}

func TestImagesOfQemu(t *testing.T) {
	t.Parallel()
	for _, d := range blockstest.Disks(t) {
		for _, options := range []string{"static=off", "static=on", "static=off,preallocation=falloc", "static=on,preallocation=full"} {
			if len(d.Content) > 4<<20 && strings.Contains(options, "preallocation") {
				continue
			}
			t.Run(d.Name+", "+options, func(t *testing.T) {
				t.Parallel()
				raw := blockstest.Save(t, "raw", d.Content)
				path := filepath.Join(t.TempDir(), "image")
				blockstest.Qemu(t, "convert", "-f", "raw", "-O", "vdi", "-o", options, raw, path)
				file, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				i := format.Reads(t, file, d.Content, true)
				if strings.HasPrefix(options, "static=off") {
					format.SameMap(t, file, i)
				}
			})
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	format.Patterns(t)
}

func TestReadTogether(t *testing.T) {
	t.Parallel()
	format.Together(t)
}

func TestSizesOfQemu(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"1", "1000", "1048576", "1048577", "2T"} {
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			format.Empty(t, size, "static=off")
		})
	}
}
