package qcow2

import (
	"errors"
	"slices"
	"testing"

	"ecs-image-export/shared/diskimage/disk"

	"pgregory.net/rapid"
)

// Compressed clusters of any length, at any place, noted in any order and in
// groups of any size, are refused as soon as two share a byte, and not before.
func TestPlacesShareNoByte(t *testing.T) {
	t.Parallel()
	h := &header{clusterBits: 16}
	rapid.Check(t, func(r *rapid.T) {
		budget := int64(1 << 20)
		p := places{shift: h.clusterBits - 8, budget: &budget}
		var taken [64 << 10]bool
		file := rapid.Int64Range(1<<10, int64(len(taken))-2<<10).Draw(r, "file")
		var all []place
		for range rapid.IntRange(1, 60).Draw(r, "tables") {
			shared := false
			var fresh []place
			for range rapid.IntRange(0, 4).Draw(r, "clusters") {
				from := rapid.Int64Range(0, file).Draw(r, "from")
				more := rapid.Int64Range(0, 3).Draw(r, "more")
				e := entry{bits: bitPacked | uint64(more)<<54 | uint64(from)}
				last := from
				if more > 0 {
					_, to := h.packedRange(e)
					last = to - packedSector
				}
				clash := slices.Contains(taken[from:last+1], true)
				if clash && rapid.IntRange(0, 9).Draw(r, "clash") > 0 {
					continue
				}
				shared = shared || clash
				for i := from; i <= last; i++ {
					taken[i] = true
				}
				fresh = append(fresh, h.place(e))
				if got := p.first(h.place(e)); got != from {
					r.Fatalf("the first byte is %d, want %d", got, from)
				}
				if got := p.last(h.place(e)); got != last {
					r.Fatalf("the last byte is %d, want %d", got, last)
				}
			}
			slices.Sort(fresh)
			err := p.add(fresh)
			if shared != errors.Is(err, disk.ErrFormat) {
				r.Fatalf("shared: %v, but add: %v", shared, err)
			}
			if shared {
				return
			}
			all = append(all, fresh...)
		}
		slices.Sort(all)
		got := p.all()
		for i, at := range all {
			if got.at(i) != at {
				r.Fatalf("place %d is %#x, want %#x", i, got.at(i), at)
			}
		}
		if want := int64(1<<20 - 8*len(all)); budget != want || got.length != len(all) {
			r.Fatalf("%d places, %d bytes left; want %d and %d", got.length, budget, len(all), want)
		}
	})
}

// The longest way to note them: no order saves it, none makes it slow.
func TestManyPlaces(t *testing.T) {
	t.Parallel()
	const n = 20_000
	for name, at := range map[string]func(i int) int{
		"forward":   func(i int) int { return i },
		"backward":  func(i int) int { return n - i },
		"scattered": func(i int) int { return i * 7919 % n },
	} {
		budget := int64(n * 8)
		p := places{shift: 8, budget: &budget}
		for i := range n {
			if err := p.add([]place{place(at(i)) << 20}); err != nil {
				t.Fatal(err)
			}
		}
		if len(p.runs) > 15 { // which is the logarithm
			t.Errorf("%s: %d runs", name, len(p.runs))
		}
		if err := p.add([]place{place(n/2) << 20}); !errors.Is(err, disk.ErrLimit) {
			t.Errorf("%s: over the limit: %v", name, err)
		}
		budget = 8
		if err := p.add([]place{place(n/2) << 20}); !errors.Is(err, disk.ErrFormat) {
			t.Errorf("%s: twice: %v", name, err)
		}
	}
}
