// Package boltfile opens the databases of the stand-in.
package boltfile

import (
	"errors"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Open is bbolt.Open, but leaves no file where it made one and could not fill
// it: bbolt never opens such a file again, when the disk has space again.
func Open(path string, mode os.FileMode, o *bbolt.Options) (*bbolt.DB, error) {
	_, before := os.Stat(path)
	db, err := bbolt.Open(path, mode, o)
	if err != nil && errors.Is(before, fs.ErrNotExist) && !errors.Is(err, berrors.ErrTimeout) {
		os.Remove(path)
	}
	return db, err
}
