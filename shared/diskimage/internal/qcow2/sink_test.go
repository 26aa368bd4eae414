package qcow2

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// collector keeps the parts of a file and checks what disk.Sink says about them.
type collector struct{ parts map[int][]byte }

func (c *collector) Part(number int, content []byte) error {
	if c.parts == nil {
		c.parts = map[int][]byte{}
	}
	if _, ok := c.parts[number]; ok || number < 1 {
		return fmt.Errorf("part %d came again", number)
	}
	c.parts[number] = bytes.Clone(content)
	return nil
}

// tb is what tests and properties share.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func (c *collector) file(t tb) []byte {
	t.Helper()
	var file []byte
	for n := 1; n <= len(c.parts); n++ {
		part, ok := c.parts[n]
		if !ok {
			t.Fatalf("part %d of %d is missing", n, len(c.parts))
		}
		if n < len(c.parts) && len(part) < disk.MinPart {
			t.Errorf("part %d of %d has %d bytes", n, len(c.parts), len(part))
		}
		file = append(file, part...)
	}
	return file
}

// qemuImg runs qemu-img. A test that needs it fails where it is missing.
func qemuImg(t tb, args ...string) string {
	t.Helper()
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func writeFile(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
