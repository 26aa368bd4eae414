package ahead

import (
	"errors"
	"io"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// count fills pieces of one byte that count from 0 to n-1.
func count(n int) Fill {
	next := 0
	return func(buffer []byte) (disk.Piece, error) {
		if next == n {
			return disk.Piece{}, io.EOF
		}
		buffer[0] = byte(next)
		next++
		return disk.Piece{Offset: int64(next - 1), Data: buffer[:1]}, nil
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	const n = 10 * Count
	r := New(count(n))
	for i := range n {
		p, err := r.Next()
		if err != nil || p.Offset != int64(i) || len(p.Data) != 1 || p.Data[0] != byte(i) {
			t.Fatalf("piece %d: %v, %v", i, p, err)
		}
	}
	for range 2 {
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	}
	r.Stop()
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("stopped at the end: %v", err)
	}
}

// However much was read ahead, a stream that is stopped does not look as if the
// disk ended there.
func TestStop(t *testing.T) {
	t.Parallel()
	for n := range 3 * Count {
		for used := range n + 1 {
			calls := 0
			fill := count(n)
			r := New(func(buffer []byte) (disk.Piece, error) {
				calls++
				return fill(buffer)
			})
			for range used {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
			r.Stop()
			before := calls
			for range 2 {
				if _, err := r.Next(); !errors.Is(err, errStopped) && (used < n || err != io.EOF) {
					t.Fatalf("%d of %d pieces used, stopped: %v", used, n, err)
				}
			}
			r.Stop()
			if calls != before {
				t.Errorf("%d calls after Stop", calls-before)
			}
		}
	}
}
