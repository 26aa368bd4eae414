package parts_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
	"ecs-image-export/shared/diskimage/internal/parts"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type sink struct {
	content  map[int][]byte
	order    []int
	reserved int64
}

func (s *sink) Part(number int, content []byte) error {
	if s.content[number] != nil {
		return fmt.Errorf("part %d came twice", number)
	}
	s.content[number] = bytes.Clone(content)
	s.order = append(s.order, number)
	clear(content) // it is not to be used after the call, by neither side
	return nil
}

func (s *sink) Reserve(count int, size int64) { s.reserved = int64(count) * size }

// The parts put in the order of their numbers are the file; each but the last is
// large enough for an upload; the head comes last.
func TestFile(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 20<<20)
	for i := range noise {
		noise[i] = byte(i>>16) ^ byte(i)
	}
	rapid.Check(t, func(t *rapid.T) {
		head := make([]byte, rapid.SampledFrom([]int{0, disk.MinPart, 1 << 20, 9 << 20}).Draw(t, "head"))
		s := &sink{content: map[int][]byte{}}
		w := parts.New(s, int64(len(head)), 30<<20)
		if s.reserved != int64(len(head)) {
			t.Fatalf("reserved %d, want %d", s.reserved, len(head))
		}
		want := bytes.Repeat([]byte{'h'}, len(head))
		copy(head, want)
		for _, n := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 9), rapid.IntRange(0, 9), rapid.IntRange(0, 10<<20)), 0, 3).Draw(t, "writes") {
			if got, err := w.Write(noise[:n]); got != n || err != nil {
				t.Fatal(got, err)
			}
			want = append(want, noise[:n]...)
			if w.Size() != int64(len(want)) {
				t.Fatalf("size %d, want %d", w.Size(), len(want))
			}
		}
		if err := w.Close(head); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for n := 1; n <= len(s.content); n++ {
			part, ok := s.content[n]
			if !ok {
				t.Fatalf("part %d is missing", n)
			}
			if n < len(s.content) && len(part) < disk.MinPart {
				t.Fatalf("part %d of %d has %d bytes", n, len(s.content), len(part))
			}
			got = append(got, part...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("other bytes: %d, want %d", len(got), len(want))
		}
		if len(head) > 0 && s.order[len(s.order)-1] != 1 {
			t.Fatalf("the head does not come last: %v", s.order)
		}
	})
}

// sizes takes parts without keeping them.
type sizes struct {
	length, memory []int
}

func (s *sizes) Part(_ int, content []byte) error {
	s.length, s.memory = append(s.length, len(content)), append(s.memory, cap(content))
	return nil
}

// Parts grow, and take no more memory than they have bytes.
func TestPartsGrow(t *testing.T) {
	t.Parallel()
	var s sizes
	w := parts.New(&s, 0, 1<<40)
	w.GoOn(1999)
	block := make([]byte, 8<<20)
	for range 1 + 1 + 4 + 1 {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{8 << 20, 8 << 20, 32 << 20, 8 << 20}, s.length); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{8 << 20, 8 << 20, 32 << 20, 32 << 20}, s.memory); diff != "" {
		t.Error("memory", diff)
	}
	if w.Size() != 7*8<<20 {
		t.Errorf("%d bytes", w.Size())
	}
}

// OSS takes 10,000 parts of at most 5 GiB. A full disk fits, whatever its size, up
// to the largest of 2 TiB, and one of 500 GiB with little memory.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.SampledFrom([]int64{0, 40 << 30, 500 << 30, 2 << 40}), rapid.Int64Range(0, 2<<40)).Draw(t, "size")
		left, largest := size+size/64, 0
		for number := 1; left > 0; number++ {
			n := parts.PartSize(number, left)
			if number > 9900 || n < 8<<20 {
				t.Fatalf("part %d has %d bytes, %d are left", number, n, left)
			}
			left, largest = left-int64(n), max(largest, n)
		}
		if size <= 500<<30 && largest > 80<<20 || largest > 512<<20 {
			t.Errorf("a part of %d MiB", largest>>20)
		}
	})
}

func TestSinkFails(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	for _, fails := range []int{1, 2, 3} {
		w := parts.New(failing{fails, full}, disk.MinPart, 1<<40)
		_, err := w.Write(make([]byte, 9<<20))
		if err == nil {
			err = w.Close(make([]byte, disk.MinPart))
		}
		if !errors.Is(err, full) {
			t.Errorf("part %d fails: %v", fails, err)
		}
	}
}

type failing struct {
	number int
	err    error
}

func (f failing) Part(number int, _ []byte) error {
	if number == f.number {
		return f.err
	}
	return nil
}
