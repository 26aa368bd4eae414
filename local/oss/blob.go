package oss

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"go.etcd.io/bbolt"
)

// copyBuffer is the size of one read from a request body. Large reads keep the
// hashes, which work on the same buffer, in the cache and the system calls few.
const copyBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

var crcTable = crc64.MakeTable(crc64.ECMA)

// blobStore keeps content in files. A file is complete from the moment that it
// has its name; it is only ever added to at its end, behind the size that any
// object records for it, so a reader never sees it change.
type blobStore struct {
	dir, tmp string

	// removal orders readers against the removal of files: a reader holds it
	// for reading from before it looks a file up until it has pinned it.
	removal sync.RWMutex
	mu      sync.Mutex
	pins    map[string]int  // readers of a file
	doomed  map[string]bool // files to remove once nobody reads them
}

// openBlobs opens the files in dir and removes those that db does not know:
// what was being written when a process was killed.
func openBlobs(dir string, db *bbolt.DB) (*blobStore, error) {
	s := &blobStore{dir: dir, tmp: filepath.Join(dir, "tmp"), pins: map[string]int{}, doomed: map[string]bool{}}
	if err := os.RemoveAll(s.tmp); err != nil {
		return nil, fmt.Errorf("clean content: %w", err)
	}
	if err := os.MkdirAll(s.tmp, 0o755); err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	known, err := knownBlobs(db)
	if err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	shards, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	for _, shard := range shards {
		if shard.Name() == "tmp" {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, shard.Name()))
		if err != nil {
			return nil, fmt.Errorf("open content: %w", err)
		}
		for _, f := range files {
			if !known[f.Name()] {
				if err := os.Remove(s.path(f.Name())); err != nil {
					return nil, fmt.Errorf("clean content: %w", err)
				}
			}
		}
	}
	return s, nil
}

func knownBlobs(db *bbolt.DB) (map[string]bool, error) {
	known := map[string]bool{}
	err := db.View(func(tx *bbolt.Tx) error {
		err := tx.Bucket(objectsRoot).ForEachBucket(func(name []byte) error {
			return tx.Bucket(objectsRoot).Bucket(name).ForEach(func(_, v []byte) error {
				var o struct{ Blob string }
				if err := json.Unmarshal(v, &o); err != nil {
					return err
				}
				known[o.Blob] = true
				return nil
			})
		})
		if err != nil {
			return err
		}
		err = tx.Bucket(segmentsRoot).ForEach(func(_, v []byte) error {
			var segments []segment
			if err := json.Unmarshal(v, &segments); err != nil {
				return err
			}
			for _, s := range segments {
				known[s.Blob] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Bucket(partsRoot).ForEach(func(_, v []byte) error {
			var p part
			if err := json.Unmarshal(v, &p); err != nil {
				return err
			}
			known[p.Blob] = true
			return nil
		})
	})
	return known, err
}

func (s *blobStore) path(id string) string { return filepath.Join(s.dir, id[:2], id) }

// written is a new file with what was learned while it was written.
type written struct {
	id    string
	size  int64
	md5   []byte
	crc64 uint64
}

func (w written) etag() string       { return strings.ToUpper(fmt.Sprintf("%x", w.md5)) }
func (w written) contentMD5() string { return base64.StdEncoding.EncodeToString(w.md5) }

// write stores at most limit bytes of r in a new file, or returns
// EntityTooLarge. The file is removed at the next Open unless an object or a
// part is made of it.
func (s *blobStore) write(r io.Reader, limit int64) (written, error) {
	f, err := os.CreateTemp(s.tmp, "")
	if err != nil {
		return written{}, err
	}
	w, err := hashTo(f, r, limit)
	if err = errors.Join(err, f.Close()); err == nil {
		w.id = randomID()
		err = s.place(f.Name(), w.id)
	}
	if err != nil {
		return written{}, errors.Join(err, os.Remove(f.Name()))
	}
	return w, nil
}

// create stores a few bytes in a new file.
func (s *blobStore) create(data []byte) (string, error) {
	f, err := os.CreateTemp(s.tmp, "")
	if err != nil {
		return "", err
	}
	id := randomID()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = s.place(f.Name(), id)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return id, nil
}

// hashTo copies r to f. MD5 and CRC-64 are taken side by side, because on one
// core they would cost more than the disk.
func hashTo(f io.Writer, r io.Reader, limit int64) (written, error) {
	var w written
	sum := md5.New()
	var hashing sync.WaitGroup
	front, back := buffers.Get().(*[copyBuffer]byte), buffers.Get().(*[copyBuffer]byte)
	defer func() {
		hashing.Wait()
		buffers.Put(front)
		buffers.Put(back)
	}()
	for {
		n, err := fill(r, front[:])
		if err != nil && err != io.EOF {
			return w, err
		}
		data := front[:n]
		if w.size += int64(n); w.size > limit {
			return w, errEntityTooLarge.with("MaxSizeAllowed", fmt.Sprint(limit))
		}
		hashing.Wait() // the other buffer is free again
		if n > 0 {
			hashing.Go(func() { sum.Write(data) })
			w.crc64 = crc64.Update(w.crc64, crcTable, data)
			if _, err := f.Write(data); err != nil {
				return w, err
			}
		}
		if err == io.EOF {
			hashing.Wait()
			w.md5 = sum.Sum(nil)
			return w, nil
		}
		front, back = back, front
	}
}

// fill reads until buf is full or r ends. Unlike io.ReadFull it tells a body
// that ended from one that broke off.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// place gives a temporary file its name.
func (s *blobStore) place(tmp, id string) error {
	err := os.Rename(tmp, s.path(id))
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(s.path(id)), 0o755); err == nil {
			err = os.Rename(tmp, s.path(id))
		}
	}
	return err
}

// link makes a second name for a file, so that a copy costs no bytes. Only the
// owner of the first name ever adds to it.
func (s *blobStore) link(id string) (string, error) {
	to := randomID()
	err := os.Link(s.path(id), s.path(to))
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(s.path(to)), 0o755); err == nil {
			err = os.Link(s.path(id), s.path(to))
		}
	}
	return to, err
}

// appendAt writes data into a file from offset on, which no reader looks at
// until an object records it.
func (s *blobStore) appendAt(id string, offset int64, data []byte) error {
	f, err := os.OpenFile(s.path(id), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, offset)
	return errors.Join(err, f.Close())
}

// pin looks files up and keeps them from being removed until unpin.
func (s *blobStore) pin(lookUp func() ([]segment, error)) ([]segment, error) {
	s.removal.RLock()
	defer s.removal.RUnlock()
	segments, err := lookUp()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range segments {
		s.pins[g.Blob]++
	}
	return segments, nil
}

func (s *blobStore) unpin(segments []segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range segments {
		if s.pins[g.Blob]--; s.pins[g.Blob] > 0 {
			continue
		}
		delete(s.pins, g.Blob)
		if s.doomed[g.Blob] {
			delete(s.doomed, g.Blob)
			_ = os.Remove(s.path(g.Blob))
		}
	}
}

// remove deletes files, or leaves it to their last reader. What it cannot
// delete goes at the next Open.
func (s *blobStore) remove(ids ...string) {
	if len(ids) == 0 {
		return
	}
	s.removal.Lock()
	defer s.removal.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		switch {
		case id == "":
		case s.pins[id] > 0:
			s.doomed[id] = true
		default:
			_ = os.Remove(s.path(id))
		}
	}
}

// copyTo writes length bytes from start of pinned segments to w, one file after
// the other; a network connection takes them without a copy through here.
func (s *blobStore) copyTo(w io.Writer, segments []segment, start, length int64) error {
	for _, g := range segments {
		if length == 0 {
			break
		}
		if start >= g.Size {
			start -= g.Size
			continue
		}
		n := min(g.Size-start, length)
		if err := s.copyFile(w, g.Blob, start, n); err != nil {
			return err
		}
		start, length = 0, length-n
	}
	return nil
}

func (s *blobStore) copyFile(w io.Writer, id string, start, n int64) error {
	f, err := os.Open(s.path(id))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, n)
	return err
}

// copyRange makes a new file of length bytes from start of pinned segments.
func (s *blobStore) copyRange(segments []segment, start, length int64) (written, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(s.copyTo(w, segments, start, length)) }()
	file, err := s.write(r, length)
	return file, errors.Join(err, r.Close())
}
