package mns

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecs-image-export/local/boltfile"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The file has one bucket per kind of thing.
var (
	bucketQueues        = []byte("queues")        // name -> queue as JSON
	bucketMessages      = []byte("messages")      // name -> bucket of the queue's messages, see messages.go
	bucketTopics        = []byte("topics")        // name -> topic as JSON
	bucketSubscriptions = []byte("subscriptions") // topic, 0, name -> subscription as JSON
	bucketDeliveries    = []byte("deliveries")    // topic, 0, name -> bucket of due, sequence -> delivery as JSON
)

// openStore opens the file. It is not synced to the disk: it survives a killed
// process, not a power cut.
func openStore(path string) (*bolt.DB, error) {
	db, err := boltfile.Open(path, 0o600, &bolt.Options{
		Timeout:        5 * time.Second,
		NoSync:         true,
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
	})
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketQueues, bucketMessages, bucketTopics, bucketSubscriptions, bucketDeliveries} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return db, nil
}

// load reads the JSON value of key into v; ok is false where there is none.
func load(b *bolt.Bucket, key []byte, v any) (ok bool, err error) {
	raw := b.Get(key)
	if raw == nil {
		return false, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("decode %s: %w", key, err)
	}
	return true, nil
}

func save(b *bolt.Bucket, key []byte, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, raw)
}

// deleteBucket deletes a nested bucket, if it is there.
func deleteBucket(b *bolt.Bucket, key []byte) error {
	if err := b.DeleteBucket(key); err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
		return err
	}
	return nil
}

// bigEndian joins numbers into a key that sorts as they do.
func bigEndian(numbers ...uint64) []byte {
	key := make([]byte, 0, 8*len(numbers))
	for _, n := range numbers {
		key = binary.BigEndian.AppendUint64(key, n)
	}
	return key
}
