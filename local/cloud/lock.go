package cloud

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ecs-image-export/local/boltfile"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Lock keeps other stand-ins away from a folder until unlock is called or the
// process ends. An empty database is the lock, because bbolt knows how to lock
// a file on every system.
func Lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := boltfile.Open(filepath.Join(dir, "lock"), 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use by another stand-in; stop that one or choose another folder with -data", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return db.Close, nil
}
