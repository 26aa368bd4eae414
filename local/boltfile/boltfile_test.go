package boltfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
)

// TestFullDisk makes the first write fail after a part, as a full disk does.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	full := &bbolt.Options{OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		if err := os.WriteFile(name, make([]byte, 4096), mode); err != nil {
			return nil, err
		}
		return nil, &fs.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
	}}
	if _, err := Open(path, 0o600, full); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	db, err := Open(path, 0o600, nil)
	if err != nil {
		t.Fatalf("when there is space again: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
