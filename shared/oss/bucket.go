package oss

import (
	"context"
	"strings"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// Info describes a bucket.
type Info struct {
	Name         string
	Region       string // such as cn-hangzhou
	Created      time.Time
	StorageClass string // Standard, IA, Archive, ColdArchive or DeepColdArchive
	Versioning   string // blank: never on; Enabled or Suspended
	Encryption   string // default server-side encryption: blank, AES256, KMS, SM4, or what comes
	ACL          string // private, public-read or public-read-write
	OwnerID      string // account id
}

// Info asks about the bucket. One that is not there is ErrNoBucket; one that
// belongs to another account is ErrDenied; one of another region, whoever owns it,
// is ErrElsewhere.
func (b *Bucket) Info(ctx context.Context) (Info, error) {
	c := call{op: "bucket info", bucket: b.name}
	var result sdk.GetBucketInfoResult
	_, err := b.do(ctx, c, false, func(client *sdk.Client, header sdk.Option) (err error) {
		result, err = client.GetBucketInfo(b.name, header)
		return err
	})
	if err != nil {
		return Info{}, err
	}
	info := result.BucketInfo
	return Info{
		Name:         info.Name,
		Region:       strings.TrimPrefix(info.Location, "oss-"),
		Created:      info.CreationDate,
		StorageClass: info.StorageClass,
		Versioning:   info.Versioning,
		Encryption:   encryption(info.SseRule),
		ACL:          info.ACL,
		OwnerID:      info.Owner.ID,
	}, nil
}

// encryption is how a bucket encrypts what is written to it, blank for not at all.
// A rule that names a key but no algorithm is one all the same.
func encryption(r sdk.SSERule) string {
	switch {
	case r.SSEAlgorithm != "" && !strings.EqualFold(r.SSEAlgorithm, "None"):
		return r.SSEAlgorithm
	case r.KMSMasterKeyID != "" || r.KMSDataEncryption != "":
		return "KMS"
	}
	return ""
}

// CreateBucket makes the bucket: private, of class Standard, without versions, in
// the client's region. One that the account has already is left as it is, without
// an error; a name that another account has is one.
func (b *Bucket) CreateBucket(ctx context.Context) error {
	c := call{op: "create bucket", bucket: b.name}
	_, err := b.do(ctx, c, false, func(client *sdk.Client, header sdk.Option) error {
		return client.CreateBucket(b.name, header, sdk.ACL(sdk.ACLPrivate))
	})
	return err
}

// Versioning tells whether the bucket keeps versions: blank for a bucket that
// never did, Enabled or Suspended. Create does not hold in the last two.
func (b *Bucket) Versioning(ctx context.Context) (string, error) {
	c := call{op: "bucket versioning", bucket: b.name}
	var result sdk.GetBucketVersioningResult
	_, err := b.do(ctx, c, false, func(client *sdk.Client, header sdk.Option) (err error) {
		result, err = client.GetBucketVersioning(b.name, header)
		return err
	})
	return result.Status, err
}
