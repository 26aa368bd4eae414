package diskimage_test

import (
	"bytes"
	"errors"
	"testing"

	"ecs-image-export/shared/diskimage"
)

// FuzzFile reads what may be any format. What a stream reads to its end, Detect
// finds to be the same; the readers have targets of their own.
func FuzzFile(f *testing.F) {
	for _, k := range kinds {
		if b := imageOf(f, k, noise(1, 512)); len(b) < 1<<20 {
			f.Add(b)
		}
	}
	f.Add([]byte("conectix"))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	limits := diskimage.Limits{Size: 64 << 20, Memory: 4 << 20}
	f.Fuzz(func(t *testing.T, file []byte) {
		format, err := diskimage.Detect(bytes.NewReader(file), int64(len(file)))
		known(t, err)
		img, openErr := diskimage.Open(bytes.NewReader(file), int64(len(file)), limits)
		known(t, openErr)
		if openErr == nil && img.Format() != format {
			t.Fatalf("%s is opened as %s", format, img.Format())
		}
		s, err := diskimage.NewStream(bytes.NewReader(file), limits)
		if err == nil {
			err = drained(s)
		}
		known(t, err)
		if err == nil && (s.Format() != format || openErr != nil && format != diskimage.TarGz) {
			t.Fatalf("a stream of %s comes to its end; Detect says %q, Open: %v", s.Format(), format, openErr)
		}
	})
}

func known(t *testing.T, err error) {
	t.Helper()
	for _, e := range []error{nil, diskimage.ErrFormat, diskimage.ErrUnsupported, diskimage.ErrLimit, diskimage.ErrOrder} {
		if errors.Is(err, e) {
			return
		}
	}
	t.Errorf("an error of no kind: %v", err)
}
