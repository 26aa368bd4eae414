package oss

import (
	"go.etcd.io/bbolt"
)

// Foreign is a bucket that another account has: names of buckets are unique over
// all accounts.
type Foreign struct {
	Name    string
	OwnerID string // account id
	// Shared lets this account use the bucket, as a bucket policy of its owner
	// would. Otherwise every call to it is refused.
	Shared bool
}

// openForeign makes the buckets of other accounts. A name that this account took
// first stays its own.
func (s *Service) openForeign() error {
	s.foreign = map[string]Foreign{}
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, f := range s.cfg.Foreign {
			b, err := loadBucket(tx, f.Name)
			if err == nil && b.Owner == "" {
				continue
			}
			s.foreign[f.Name] = f
			if err == nil {
				continue
			}
			if err := makeBucket(tx, &bucket{
				Name: f.Name, Owner: f.OwnerID, Location: "oss-" + s.cfg.Region, StorageClass: "Standard", Redundancy: "LRS",
				ACL: aclPrivate, Created: s.now(),
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkOwner refuses what this account may not do with another's bucket.
func (s *Service) checkOwner(bucket, operation string) *Error {
	f, foreign := s.foreign[bucket]
	switch {
	case !foreign:
		return nil
	case operation == "PutBucket":
		return errBucketExists.with("BucketName", bucket)
	case !f.Shared || operation == "DeleteBucket":
		return errAccessDenied.say("The bucket you access does not belong to you.").with("BucketName", bucket)
	}
	return nil
}

// ownerOf is the owner of a bucket.
func (s *Service) ownerOf(bucket string) ownerXML {
	if f, foreign := s.foreign[bucket]; foreign {
		return ownerXML{f.OwnerID, f.OwnerID}
	}
	return s.owner()
}
