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
	Encryption   string // default server-side encryption: blank, AES256, KMS or SM4
	ACL          string // private, public-read or public-read-write
	OwnerID      string // account id
}

// Info asks about the bucket. One that is not there is ErrNoBucket; one that
// belongs to another account is ErrDenied.
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
	encryption := info.SseRule.SSEAlgorithm
	if encryption == "None" {
		encryption = ""
	}
	return Info{
		Name:         info.Name,
		Region:       strings.TrimPrefix(info.Location, "oss-"),
		Created:      info.CreationDate,
		StorageClass: info.StorageClass,
		Versioning:   info.Versioning,
		Encryption:   encryption,
		ACL:          info.ACL,
		OwnerID:      info.Owner.ID,
	}, nil
}

// CreateBucket makes the bucket: private, of class Standard, without versions, in
// the client's region. One that the account has already is left as it is, without
// an error; a name that another account has is ErrExists.
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
