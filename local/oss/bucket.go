package oss

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"
)

// maxBuckets is the number of buckets of an account in one region.
const maxBuckets = 100

const (
	aclPrivate         = "private"
	aclPublicRead      = "public-read"
	aclPublicReadWrite = "public-read-write"
)

// bucketName is the rule for bucket names: 3 to 63 lower-case letters, digits
// and hyphens, with no hyphen at either end.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

var regionName = regexp.MustCompile(`^oss-[a-z0-9]+(-[a-z0-9]+)*$`)

var storageClasses = map[string]bool{"Standard": true, "IA": true, "Archive": true, "ColdArchive": true, "DeepColdArchive": true}

type ownerXML struct {
	ID          string
	DisplayName string
}

func (s *Service) owner() ownerXML { return ownerXML{s.cfg.AccountID, s.cfg.AccountID} }

// isBucket tells whether a bucket exists.
func (s *Service) isBucket(name string) bool {
	found := false
	_ = s.db.View(func(tx *bbolt.Tx) error {
		found = tx.Bucket(bucketsRoot).Get([]byte(name)) != nil
		return nil
	})
	return found
}

// bucketLocation is the location of a bucket, or "" if there is none.
func (s *Service) bucketLocation(name string) string {
	b, err := s.bucket(name)
	if err != nil {
		return ""
	}
	return b.Location
}

func (s *Service) bucket(name string) (b *bucket, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		b, err = loadBucket(tx, name)
		return err
	})
	return b, err
}

// updateBucket changes the stored properties of a bucket.
func (s *Service) updateBucket(name string, change func(*bucket) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b, err := loadBucket(tx, name)
		if err != nil {
			return err
		}
		if err := change(b); err != nil {
			return err
		}
		return saveBucket(tx, b)
	})
}

// putBucket makes a bucket. A bucket that is there already with the same
// properties is left as it is, except that an ACL that is given is set.
func (s *Service) putBucket(w http.ResponseWriter, r *request) error {
	acl, e := bucketACL(r)
	if e != nil {
		return e
	}
	var conf struct {
		StorageClass       string
		DataRedundancyType string
		LocationConstraint string
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		if err := decodeXML(body, "CreateBucketConfiguration", &conf); err != nil {
			return err
		}
	}
	b := &bucket{
		Name: r.bucket, Location: "oss-" + s.cfg.Region, StorageClass: "Standard", Redundancy: "LRS", ACL: aclPrivate, Created: s.now(),
	}
	if c := conf.LocationConstraint; c != "" {
		if !regionName.MatchString(c) {
			return &Error{Status: 400, Code: "InvalidLocationConstraint", Message: "The specified location-constraint is not valid.", Details: []string{"LocationConstraint", c}}
		}
		b.Location = c
	}
	if c := conf.StorageClass; c != "" {
		if !storageClasses[c] {
			return errInvalidClass.with("StorageClass", c)
		}
		b.StorageClass = c
	}
	switch conf.DataRedundancyType {
	case "":
	case "LRS", "ZRS":
		b.Redundancy = conf.DataRedundancyType
	default:
		return badArgument("DataRedundancyType", conf.DataRedundancyType, "no such data redundancy type exists")
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		old, err := loadBucket(tx, r.bucket)
		switch {
		case err == nil:
			if conf.LocationConstraint != "" && old.Location != b.Location {
				return errBucketExists.say("Bucket already exists can't modify location.").with("BucketName", r.bucket)
			}
			if conf.StorageClass != "" && old.StorageClass != b.StorageClass {
				return errBucketExists.say("Cannot modify existing bucket's storage class.").with("BucketName", r.bucket)
			}
			if acl != "" {
				old.ACL = acl
			}
			return saveBucket(tx, old)
		case asError(err).Code != errNoSuchBucket.Code:
			return err
		}
		if tx.Bucket(bucketsRoot).Stats().KeyN-len(s.foreign) >= maxBuckets {
			return &errTooManyBuckets
		}
		if acl != "" {
			b.ACL = acl
		}
		return makeBucket(tx, b)
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/"+r.bucket)
	return s.ok(w, r)
}

// makeBucket stores a bucket that is not there.
func makeBucket(tx *bbolt.Tx, b *bucket) error {
	for _, root := range [][]byte{objectsRoot, uploadsRoot} {
		if _, err := tx.Bucket(root).CreateBucket([]byte(b.Name)); err != nil {
			return err
		}
	}
	return saveBucket(tx, b)
}

func (s *Service) deleteBucket(w http.ResponseWriter, r *request) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		if _, err := loadBucket(tx, r.bucket); err != nil {
			return err
		}
		object, _ := objectsOf(tx, r.bucket).Cursor().First()
		upload, _ := uploadsOf(tx, r.bucket).Cursor().First()
		if object != nil || upload != nil {
			return errBucketNotEmpty.with("BucketName", r.bucket)
		}
		for _, root := range [][]byte{objectsRoot, uploadsRoot} {
			if err := tx.Bucket(root).DeleteBucket([]byte(r.bucket)); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketsRoot).Delete([]byte(r.bucket))
	})
	if err != nil {
		return err
	}
	return s.status(w, r, http.StatusNoContent)
}

// bucketXML describes a bucket in a list of buckets.
type bucketXML struct {
	CreationDate     string
	ExtranetEndpoint string
	IntranetEndpoint string
	Location         string
	Name             string
	Region           string
	StorageClass     string
}

func (b *bucket) xml() bucketXML {
	return bucketXML{
		CreationDate:     isoTime(b.Created),
		ExtranetEndpoint: b.Location + ".aliyuncs.com",
		IntranetEndpoint: b.Location + "-internal.aliyuncs.com",
		Location:         b.Location,
		Name:             b.Name,
		Region:           strings.TrimPrefix(b.Location, "oss-"),
		StorageClass:     b.StorageClass,
	}
}

func (s *Service) listBuckets(w http.ResponseWriter, r *request) error {
	out := struct {
		Prefix      string `xml:",omitempty"`
		Marker      string `xml:",omitempty"`
		MaxKeys     int    `xml:",omitempty"`
		IsTruncated bool   `xml:",omitempty"`
		NextMarker  string `xml:",omitempty"`
		Owner       ownerXML
		Buckets     struct{ Bucket []bucketXML }
	}{Prefix: r.param("prefix"), Marker: r.param("marker"), Owner: s.owner()}
	limit, e := maxParam(r, "max-keys", 100, 1000)
	if e != nil {
		return e
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketsRoot).Cursor()
		for k, v := c.Seek([]byte(max(out.Prefix, out.Marker))); k != nil && strings.HasPrefix(string(k), out.Prefix); k, v = c.Next() {
			if _, foreign := s.foreign[string(k)]; foreign || string(k) == out.Marker {
				continue
			}
			if len(out.Buckets.Bucket) == limit {
				out.IsTruncated, out.MaxKeys = true, limit
				out.NextMarker = out.Buckets.Bucket[limit-1].Name
				break
			}
			var b bucket
			if err := json.Unmarshal(v, &b); err != nil {
				return err
			}
			out.Buckets.Bucket = append(out.Buckets.Bucket, b.xml())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.writeXML(w, r, "ListAllMyBucketsResult", out)
}

func (s *Service) getBucketInfo(w http.ResponseWriter, r *request) error {
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	rule := struct {
		SSEAlgorithm      string
		KMSMasterKeyID    string `xml:",omitempty"`
		KMSDataEncryption string `xml:",omitempty"`
	}{SSEAlgorithm: "None"}
	if e := b.Encryption; e != nil {
		rule.SSEAlgorithm, rule.KMSMasterKeyID, rule.KMSDataEncryption = e.Default.SSEAlgorithm, e.Default.KMSMasterKeyID, e.Default.KMSDataEncryption
	}
	type info struct {
		bucketXML
		AccessMonitor            string
		BlockPublicAccess        bool
		CrossRegionReplication   string
		DataRedundancyType       string
		TransferAcceleration     string
		Versioning               string `xml:",omitempty"`
		Owner                    ownerXML
		AccessControlList        struct{ Grant string }
		ServerSideEncryptionRule any
		BucketPolicy             struct{ LogBucket, LogPrefix string }
	}
	i := info{
		bucketXML: b.xml(), AccessMonitor: "Disabled", CrossRegionReplication: "Disabled", DataRedundancyType: b.Redundancy,
		TransferAcceleration: "Disabled", Versioning: b.Versioning, Owner: s.ownerOf(r.bucket), ServerSideEncryptionRule: rule,
	}
	i.AccessControlList.Grant = b.ACL
	return s.writeXML(w, r, "BucketInfo", struct{ Bucket info }{i})
}

func (s *Service) getBucketLocation(w http.ResponseWriter, r *request) error {
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	return s.writeXML(w, r, "LocationConstraint", b.Location)
}

// headBucket is in no document: the SDKs for Java and PHP ask it for a bucket's
// region and whether it exists.
func (s *Service) headBucket(w http.ResponseWriter, r *request) error {
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	w.Header()["x-oss-bucket-region"] = []string{b.Location}
	return s.ok(w, r)
}

// getBucketStat counts everything in a bucket, which takes time in proportion
// to the number of objects.
func (s *Service) getBucketStat(w http.ResponseWriter, r *request) error {
	var out struct {
		Storage, ObjectCount, MultipartUploadCount, LiveChannelCount, LastModifiedTime    int64
		StandardStorage, StandardObjectCount, MultipartPartCount, DeleteMarkerCount       int64
		InfrequentAccessStorage, InfrequentAccessRealStorage, InfrequentAccessObjectCount int64
		ArchiveStorage, ArchiveRealStorage, ArchiveObjectCount                            int64
		ColdArchiveStorage, ColdArchiveRealStorage, ColdArchiveObjectCount                int64
		DeepColdArchiveStorage, DeepColdArchiveRealStorage, DeepColdArchiveObjectCount    int64
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		if _, err := loadBucket(tx, r.bucket); err != nil {
			return err
		}
		out.MultipartUploadCount = int64(uploadsOf(tx, r.bucket).Stats().KeyN)
		out.LastModifiedTime = s.now().Unix()
		return objectsOf(tx, r.bucket).ForEach(func(_, v []byte) error {
			var o object
			if err := json.Unmarshal(v, &o); err != nil {
				return err
			}
			out.Storage += o.Size
			out.ObjectCount++
			switch o.StorageClass {
			case "IA":
				out.InfrequentAccessStorage += max(o.Size, 64<<10)
				out.InfrequentAccessRealStorage += o.Size
				out.InfrequentAccessObjectCount++
			case "Archive":
				out.ArchiveStorage += max(o.Size, 64<<10)
				out.ArchiveRealStorage += o.Size
				out.ArchiveObjectCount++
			case "ColdArchive":
				out.ColdArchiveStorage += max(o.Size, 64<<10)
				out.ColdArchiveRealStorage += o.Size
				out.ColdArchiveObjectCount++
			case "DeepColdArchive":
				out.DeepColdArchiveStorage += max(o.Size, 64<<10)
				out.DeepColdArchiveRealStorage += o.Size
				out.DeepColdArchiveObjectCount++
			default:
				out.StandardStorage += o.Size
				out.StandardObjectCount++
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return s.writeXML(w, r, "BucketStat", out)
}

// maxParam reads a page size: def where it is absent, otherwise 1 to most.
func maxParam(r *request, name string, def, most int) (int, *Error) {
	v := r.param(name)
	if v == "" {
		return def, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, badArgument(name, v, "Argument %s must be an integer between 1 and %d.", name, most)
	}
	return n, nil
}

// noBody reads what little a request without content may carry.
func noBody(r *request) { _, _ = io.CopyN(io.Discard, r.Body, 1<<20) }
