package vhd

import (
	"testing"
)

// nowhere is a sink that throws parts away.
type nowhere struct{}

func (nowhere) Part(int, []byte) error { return nil }

// TestSkipNothing wants a Skip of no bytes to change nothing, wherever it comes.
func TestSkipNothing(t *testing.T) {
	t.Parallel()
	for _, fixed := range []bool{false, true} {
		w, err := NewWriter(1<<20, nowhere{}, Options{Fixed: fixed})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := w.Skip(0); err != nil {
				t.Error(err)
			}
			if _, err := w.Write([]byte{1}); err != nil {
				t.Error(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}
