package vhd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/blocks/blockstest"
)

func format(fixed bool) blockstest.Format {
	return blockstest.Format{
		Name:      "vpc",
		Head:      !fixed,
		Match:     Match,
		Open:      Open,
		NewStream: NewStream,
		NewWriter: func(n int64, s disk.Sink) (disk.Writer, error) { return NewWriter(n, s, Options{Fixed: fixed}) },
	}
}

func TestWrittenImages(t *testing.T) {
	t.Parallel()
	for i, d := range blockstest.Disks(t) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			f := format(false)
			file := f.Write(t, d.Content, uint64(i))
			f.Judge(t, file, d.Content)
			f.SameMap(t, file, f.Reads(t, file, d.Content, true))
		})
		t.Run(d.Name+", fixed", func(t *testing.T) {
			t.Parallel()
			f := format(true)
			file := f.Write(t, d.Content, uint64(i))
			if len(d.Content) > 0 { // qemu takes the footer alone for a dynamic disk
				f.Judge(t, file, d.Content)
			}
			f.Reads(t, file, d.Content, false)
		})
	}
}

func TestImagesOfQemu(t *testing.T) {
	t.Parallel()
	for _, d := range blockstest.Disks(t) {
		for _, kind := range []string{"dynamic", "fixed", "dynamic,preallocation=full", "fixed,preallocation=falloc"} {
			fixed := strings.HasPrefix(kind, "fixed")
			if len(d.Content) > 4<<20 && strings.Contains(kind, "preallocation") {
				continue
			}
			for _, force := range []string{"off", "on"} {
				if fixed && len(d.Content) == 0 {
					continue // qemu-img cannot open what it makes
				}
				t.Run(d.Name+", "+kind+", force_size "+force, func(t *testing.T) {
					t.Parallel()
					raw := blockstest.Save(t, "raw", d.Content)
					path := filepath.Join(t.TempDir(), "image")
					blockstest.Qemu(t, "convert", "-f", "raw", "-O", "vpc", "-o", "subformat="+kind+",force_size="+force, raw, path)
					file, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					content := d.Content
					// Without force_size, the geometry makes the disk larger.
					more := blockstest.VirtualSize(t, "vpc", path) - int64(len(content))
					content = append(content[:len(content):len(content)], make([]byte, more)...)
					i := format(false).Reads(t, file, content, !fixed)
					if !fixed {
						format(false).SameMap(t, file, i)
					}
				})
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	format(false).Patterns(t)
}

func TestReadTogether(t *testing.T) {
	t.Parallel()
	format(false).Together(t)
}

// Up to the largest geometry, and beyond it.
func TestSizesOfQemu(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"1", "35000", "500M", "528482304", "8G", "64G", "136899993600", "136899994112", "200G", "2040G"} {
		for _, force := range []string{"off", "on"} {
			t.Run(size+" "+force, func(t *testing.T) {
				t.Parallel()
				format(false).Empty(t, size, "force_size="+force)
			})
		}
	}
}
