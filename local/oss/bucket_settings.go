package oss

import (
	"net/http"

	"go.etcd.io/bbolt"
)

// bucketACL reads x-oss-acl; "" where it is absent.
func bucketACL(r *request) (string, *Error) {
	switch acl := r.Header.Get("X-Oss-Acl"); acl {
	case "", aclPrivate, aclPublicRead, aclPublicReadWrite:
		return acl, nil
	default:
		return "", errInvalidACL.with("ArgumentName", "x-oss-acl").with("ArgumentValue", acl)
	}
}

// aclXML is the answer about the ACL of a bucket or an object.
type aclXML struct {
	Owner             ownerXML
	AccessControlList struct{ Grant string }
}

func (s *Service) aclXML(grant string) aclXML {
	x := aclXML{Owner: s.owner()}
	x.AccessControlList.Grant = grant
	return x
}

func (s *Service) getBucketACL(w http.ResponseWriter, r *request) error {
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	return s.writeXML(w, r, "AccessControlPolicy", s.aclXML(b.ACL))
}

func (s *Service) putBucketACL(w http.ResponseWriter, r *request) error {
	acl, e := bucketACL(r)
	if e != nil {
		return e
	}
	if acl == "" {
		return errMissingArgument.with("ArgumentName", "x-oss-acl")
	}
	if err := s.updateBucket(r.bucket, func(b *bucket) error { b.ACL = acl; return nil }); err != nil {
		return err
	}
	return s.ok(w, r)
}

// effectiveACL is the ACL that decides about an anonymous call: the object's,
// unless that is the default.
func (s *Service) effectiveACL(bucketName, key string) (acl string, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		b, err := loadBucket(tx, bucketName)
		if err != nil {
			return err
		}
		acl = b.ACL
		if key == "" {
			return nil
		}
		o, err := findObject(tx, bucketName, key)
		if err == nil && o != nil && o.ACL != "" {
			acl = o.ACL
		}
		return err
	})
	return acl, err
}

type versioningXML struct {
	Status string `xml:",omitempty"`
}

func (s *Service) getBucketVersioning(w http.ResponseWriter, r *request) error {
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	return s.writeXML(w, r, "VersioningConfiguration", versioningXML{b.Versioning})
}

// putBucketVersioning switches versioning on or off. Only so much of it is
// built that a client notices: writes answer x-oss-version-id and ignore
// x-oss-forbid-overwrite. Old versions are not kept.
func (s *Service) putBucketVersioning(w http.ResponseWriter, r *request) error {
	var v versioningXML
	if err := readXML(r, "VersioningConfiguration", &v); err != nil {
		return err
	}
	if v.Status != "Enabled" && v.Status != "Suspended" {
		return errMalformedXML.with("ErrorDetail", "Status must be Enabled or Suspended")
	}
	if err := s.updateBucket(r.bucket, func(b *bucket) error { b.Versioning = v.Status; return nil }); err != nil {
		return err
	}
	return s.ok(w, r)
}

// newVersion is the version id of an object that is written to b now, or "".
func (b *bucket) newVersion() string {
	switch b.Versioning {
	case "Enabled":
		return "CAE" + randomID()
	case "Suspended":
		return "null"
	}
	return ""
}

// encryptionXML is the default encryption of a bucket.
type encryptionXML struct {
	Default struct {
		SSEAlgorithm      string
		KMSMasterKeyID    string `xml:",omitempty"`
		KMSDataEncryption string `xml:",omitempty"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
}

func (s *Service) getBucketEncryption(w http.ResponseWriter, r *request) error {
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	if b.Encryption == nil {
		return errNoSuchEncryption.with("BucketName", r.bucket)
	}
	return s.writeXML(w, r, "ServerSideEncryptionRule", b.Encryption)
}

func (s *Service) putBucketEncryption(w http.ResponseWriter, r *request) error {
	var x encryptionXML
	if err := readXML(r, "ServerSideEncryptionRule", &x); err != nil {
		return err
	}
	if !sseAlgorithms[x.Default.SSEAlgorithm] {
		return errInvalidEncryption.with("SSEAlgorithm", x.Default.SSEAlgorithm)
	}
	if err := s.updateBucket(r.bucket, func(b *bucket) error { b.Encryption = &x; return nil }); err != nil {
		return err
	}
	return s.ok(w, r)
}

func (s *Service) deleteBucketEncryption(w http.ResponseWriter, r *request) error {
	if err := s.updateBucket(r.bucket, func(b *bucket) error { b.Encryption = nil; return nil }); err != nil {
		return err
	}
	return s.status(w, r, http.StatusNoContent)
}
