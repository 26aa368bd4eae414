package oss

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecs-image-export/local/boltfile"

	"go.etcd.io/bbolt"
)

// The tree of the bbolt file. Objects and uploads have one nested bucket for
// each OSS bucket.
var (
	bucketsRoot  = []byte("buckets")  // name -> bucket
	objectsRoot  = []byte("objects")  // bucket name / key -> object
	uploadsRoot  = []byte("uploads")  // bucket name / key NUL upload id -> upload
	partsRoot    = []byte("parts")    // upload id + part number (4 bytes) -> part
	segmentsRoot = []byte("segments") // content id -> []segment, where an object has several
	outboxRoot   = []byte("outbox")   // sequence (8 bytes) -> events.ObjectEvent
)

// bucket is what is known of a bucket besides its objects.
type bucket struct {
	Name         string         `json:"name"`
	Owner        string         `json:"owner,omitempty"` // of another account's; "" is this account
	Location     string         `json:"location"`        // oss-<region>
	StorageClass string         `json:"storageClass"`
	Redundancy   string         `json:"redundancy"`
	ACL          string         `json:"acl"`
	Versioning   string         `json:"versioning,omitempty"` // "", Enabled or Suspended
	Created      time.Time      `json:"created"`
	Lifecycle    *lifecycle     `json:"lifecycle,omitempty"`
	Encryption   *encryptionXML `json:"encryption,omitempty"`
}

// Types of object, as x-oss-object-type names them.
const (
	typeNormal     = "Normal"
	typeMultipart  = "Multipart"
	typeAppendable = "Appendable"
	typeSymlink    = "Symlink"
)

// object is everything about an object but its content.
type object struct {
	Type     string    `json:"type"`
	Size     int64     `json:"size"`
	ETag     string    `json:"etag"`          // without quotes
	MD5      string    `json:"md5,omitempty"` // base64; objects that were put only
	CRC64    uint64    `json:"crc64"`
	Modified time.Time `json:"modified"`
	settings
	VersionID string `json:"versionId,omitempty"`
	Target    string `json:"target,omitempty"` // of a symlink
	// Blob is the file of the content, or Content the id of its segments.
	Blob    string `json:"blob,omitempty"`
	Content string `json:"content,omitempty"`
}

// settings are what a caller chooses when an object or an upload is made.
type settings struct {
	Headers      map[string]string `json:"headers,omitempty"` // Content-Type, Cache-Control, …
	Meta         map[string]string `json:"meta,omitempty"`    // x-oss-meta-* names, lower case
	Tags         []tag             `json:"tags,omitempty"`
	ACL          string            `json:"acl,omitempty"` // "" means default
	StorageClass string            `json:"storageClass,omitempty"`
	SSE          sse               `json:"sse,omitzero"`
}

// sse is how an object is said to be encrypted. Nothing is encrypted here.
type sse struct {
	Algorithm string `json:"algorithm,omitempty"`
	KeyID     string `json:"keyId,omitempty"`
	Data      string `json:"data,omitempty"`
}

type tag struct {
	Key   string `xml:"Key"`
	Value string `xml:"Value"`
}

// segment is a run of bytes from the start of a file.
type segment struct {
	Blob string `json:"b"`
	Size int64  `json:"n"`
}

// upload is a multipart upload that is not complete.
type upload struct {
	ID        string    `json:"id"`
	Initiated time.Time `json:"initiated"`
	settings
}

// part is one part of an upload.
type part struct {
	Blob     string    `json:"blob"`
	Size     int64     `json:"size"`
	MD5      []byte    `json:"md5"`
	CRC64    uint64    `json:"crc64"`
	Modified time.Time `json:"modified"`
}

// openDB opens the metadata. It is not synced: it survives a killed process
// because the operating system has every committed page, not a power cut.
func openDB(path string) (*bbolt.DB, error) {
	db, err := boltfile.Open(path, 0o644, &bbolt.Options{
		NoSync: true, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, Timeout: 5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketsRoot, objectsRoot, uploadsRoot, partsRoot, segmentsRoot, outboxRoot} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return db, nil
}

// loadBucket returns a bucket or NoSuchBucket.
func loadBucket(tx *bbolt.Tx, name string) (*bucket, error) {
	v := tx.Bucket(bucketsRoot).Get([]byte(name))
	if v == nil {
		return nil, errNoSuchBucket.with("BucketName", name)
	}
	var b bucket
	return &b, json.Unmarshal(v, &b)
}

func saveBucket(tx *bbolt.Tx, b *bucket) error {
	return putJSON(tx.Bucket(bucketsRoot), []byte(b.Name), b)
}

func objectsOf(tx *bbolt.Tx, bucket string) *bbolt.Bucket {
	return tx.Bucket(objectsRoot).Bucket([]byte(bucket))
}

func uploadsOf(tx *bbolt.Tx, bucket string) *bbolt.Bucket {
	return tx.Bucket(uploadsRoot).Bucket([]byte(bucket))
}

// findObject returns an object, or nil if there is none. The bucket exists.
func findObject(tx *bbolt.Tx, bucket, key string) (*object, error) {
	v := objectsOf(tx, bucket).Get([]byte(key))
	if v == nil {
		return nil, nil
	}
	var o object
	return &o, json.Unmarshal(v, &o)
}

// loadObject returns a bucket and an object in it, or NoSuchBucket or NoSuchKey.
func loadObject(tx *bbolt.Tx, bucketName, key string) (*bucket, *object, error) {
	b, err := loadBucket(tx, bucketName)
	if err != nil {
		return nil, nil, err
	}
	o, err := findObject(tx, bucketName, key)
	if err == nil && o == nil {
		err = errNoSuchKey.with("Key", key)
	}
	return b, o, err
}

func saveObject(tx *bbolt.Tx, bucket, key string, o *object) error {
	return putJSON(objectsOf(tx, bucket), []byte(key), o)
}

// replaceObject stores o in the place of old, which may be nil, and returns the
// files that are needed no longer.
func replaceObject(tx *bbolt.Tx, bucket, key string, old, o *object) ([]string, error) {
	var unused []string
	if old != nil {
		var err error
		if unused, err = dropContent(tx, old); err != nil {
			return nil, err
		}
	}
	return unused, saveObject(tx, bucket, key, o)
}

// deleteObject removes an object and returns the files that are needed no longer.
func deleteObject(tx *bbolt.Tx, bucket, key string, o *object) ([]string, error) {
	unused, err := dropContent(tx, o)
	if err != nil {
		return nil, err
	}
	return unused, objectsOf(tx, bucket).Delete([]byte(key))
}

// contentOf returns the files that make up an object, in order.
func contentOf(tx *bbolt.Tx, o *object) ([]segment, error) {
	if o.Content == "" {
		if o.Blob == "" {
			return nil, nil
		}
		return []segment{{o.Blob, o.Size}}, nil
	}
	var segments []segment
	return segments, json.Unmarshal(tx.Bucket(segmentsRoot).Get([]byte(o.Content)), &segments)
}

// setContent stores the files that make up an object.
func setContent(tx *bbolt.Tx, o *object, segments []segment) error {
	o.Blob, o.Content = "", ""
	switch len(segments) {
	case 0:
		return nil
	case 1:
		o.Blob = segments[0].Blob
		return nil
	}
	o.Content = randomID()
	return putJSON(tx.Bucket(segmentsRoot), []byte(o.Content), segments)
}

func dropContent(tx *bbolt.Tx, o *object) ([]string, error) {
	segments, err := contentOf(tx, o)
	if err != nil {
		return nil, err
	}
	if o.Content != "" {
		err = tx.Bucket(segmentsRoot).Delete([]byte(o.Content))
	}
	return blobsOf(segments), err
}

func blobsOf(segments []segment) []string {
	out := make([]string, len(segments))
	for i, s := range segments {
		out[i] = s.Blob
	}
	return out
}

func uploadKey(key, id string) []byte { return []byte(key + "\x00" + id) }

func partKey(uploadID string, number int) []byte {
	return binary.BigEndian.AppendUint32([]byte(uploadID), uint32(number))
}

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, data)
}
