package oss

import (
	"context"
	"errors"
	"strings"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// ListOptions says which objects of a bucket to list. They come in the order of
// the bytes of their keys.
type ListOptions struct {
	Prefix     string
	StartAfter string // list keys above this one
	Token      string // Page.Next of the page before; then StartAfter is ignored by OSS
	Delimiter  string // keys with it behind the prefix are folded into Page.Prefixes
	Max        int    // objects and prefixes on a page, 1 to 1000; 0 means 1000
}

// Object is an object as a listing shows it.
type Object struct {
	Key          string
	Size         int64 // bytes
	ETag         string
	LastModified time.Time
}

// Page is a part of a listing.
type Page struct {
	Objects  []Object
	Prefixes []string // with a delimiter
	Next     string   // the token of the next page; blank: this is the last one
}

// List returns one page.
func (b *Bucket) List(ctx context.Context, o ListOptions) (Page, error) {
	c := call{op: "list", bucket: b.name}
	if o.Max < 0 || o.Max > 1000 {
		return Page{}, c.invalid("max is %d, want 1 to 1000", o.Max)
	}
	if o.Max == 0 {
		o.Max = 1000
	}
	more := []sdk.Option{sdk.MaxKeys(o.Max)}
	for _, p := range []struct {
		value  string
		option func(string) sdk.Option
	}{{o.Prefix, sdk.Prefix}, {o.StartAfter, sdk.StartAfter}, {o.Token, sdk.ContinuationToken}, {o.Delimiter, sdk.Delimiter}} {
		if p.value != "" {
			more = append(more, p.option(p.value))
		}
	}
	var result sdk.ListObjectsResultV2
	_, err := b.do(ctx, c, false, func(client *sdk.Client, header sdk.Option) error {
		bucket, err := client.Bucket(b.name)
		if err != nil {
			return err
		}
		result, err = bucket.ListObjectsV2(append(more, header)...)
		if err == nil && result.IsTruncated && result.NextContinuationToken == "" {
			err = errors.New("the listing goes on but has no token")
		}
		return err
	})
	if err != nil {
		return Page{}, err
	}
	page := Page{Prefixes: result.CommonPrefixes}
	if result.IsTruncated {
		page.Next = result.NextContinuationToken
	}
	for _, object := range result.Objects {
		page.Objects = append(page.Objects, Object{
			Key: object.Key, Size: object.Size, ETag: strings.Trim(object.ETag, `"`), LastModified: object.LastModified,
		})
	}
	return page, nil
}

// Upload is a multipart upload that was begun and neither completed nor aborted.
// Its parts are no object, yet they take space.
type Upload struct {
	Key, ID   string
	Initiated time.Time
}

// Abort ends an unfinished upload and removes its parts. That there is none is no
// error. A part that is being written at that moment may be left, so list the
// uploads again to be sure.
func (b *Bucket) Abort(ctx context.Context, u Upload) error {
	c := call{op: "abort upload", bucket: b.name, key: u.Key}
	_, err := b.do(ctx, c, true, func(client *sdk.Client, header sdk.Option) error {
		bucket, err := client.Bucket(b.name)
		if err == nil {
			err = bucket.AbortMultipartUpload(sdk.InitiateMultipartUploadResult{Bucket: b.name, Key: u.Key, UploadID: u.ID}, header)
		}
		return err
	})
	if e, ok := err.(*Error); ok && e.Code == "NoSuchUpload" {
		return nil
	}
	return err
}

// Uploads returns every unfinished upload under a prefix, 1000 to a call.
func (b *Bucket) Uploads(ctx context.Context, prefix string) ([]Upload, error) {
	c := call{op: "list uploads", bucket: b.name}
	var uploads []Upload
	var key, id string
	for {
		more := []sdk.Option{sdk.MaxUploads(1000)}
		if prefix != "" {
			more = append(more, sdk.Prefix(prefix))
		}
		if key != "" {
			more = append(more, sdk.KeyMarker(key), sdk.UploadIDMarker(id))
		}
		var result sdk.ListMultipartUploadResult
		_, err := b.do(ctx, c, false, func(client *sdk.Client, header sdk.Option) error {
			bucket, err := client.Bucket(b.name)
			if err != nil {
				return err
			}
			result, err = bucket.ListMultipartUploads(append(more, header)...)
			if err == nil && result.IsTruncated && result.NextKeyMarker == key && result.NextUploadIDMarker == id {
				err = errors.New("the listing does not get on")
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, u := range result.Uploads {
			uploads = append(uploads, Upload{Key: u.Key, ID: u.UploadID, Initiated: u.Initiated})
		}
		if !result.IsTruncated {
			return uploads, nil
		}
		key, id = result.NextKeyMarker, result.NextUploadIDMarker
	}
}
