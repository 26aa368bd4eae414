package oss

import (
	"bytes"
	"context"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// Meta is what OSS says about an object without its content.
type Meta struct {
	Size         int64     // bytes
	ETag         string    // without quotes; the MD5 of the content only after Put
	CRC64        uint64    // CRC-64/XZ (ECMA-182) of the content; 0 where none was sent
	LastModified time.Time // to the second
	Type         string    // Normal, Multipart, Appendable or Symlink
	ContentType  string
	StorageClass string // Standard, IA, Archive, ...
	RequestID    string
}

func metaOf(h http.Header) Meta {
	m := Meta{
		Size:         -1,
		ETag:         strings.Trim(h.Get("ETag"), `"`),
		Type:         h.Get("X-Oss-Object-Type"),
		ContentType:  h.Get("Content-Type"),
		StorageClass: h.Get("X-Oss-Storage-Class"),
		RequestID:    h.Get(sdk.HTTPHeaderOssRequestID),
	}
	m.CRC64, _ = strconv.ParseUint(h.Get(sdk.HTTPHeaderOssCRC64), 10, 64)
	m.LastModified, _ = http.ParseTime(h.Get("Last-Modified"))
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		m.Size = n
	}
	return m
}

// Get reads a small object whole and checks its CRC-64. An object larger than
// Config.MaxObject is refused with ErrTooLarge.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, Meta, error) {
	c := call{op: "get", bucket: b.name, key: key}
	limit := b.client.cfg.MaxObject
	var body []byte
	var tooLarge bool
	header, err := b.do(ctx, c, true, func(client *sdk.Client, header sdk.Option) error {
		content, meta, err := b.open(client, key, header)
		if err != nil {
			return err
		}
		defer content.Close()
		if tooLarge = meta.Size > limit; tooLarge {
			return nil
		}
		body, err = io.ReadAll(io.LimitReader(content, limit+1))
		tooLarge = int64(len(body)) > limit
		return err
	})
	if err != nil {
		return nil, Meta{}, err
	}
	meta := metaOf(header)
	if tooLarge {
		return nil, meta, &Error{Op: c.op, Bucket: b.name, Key: key, Next: -1, Status: http.StatusOK, RequestID: meta.RequestID,
			Message: fmt.Sprintf("more than %d bytes", limit), is: []error{ErrTooLarge}}
	}
	meta.Size = int64(len(body))
	return body, meta, nil
}

// Open streams an object of any size. The reader fails with ErrCorrupt instead of
// io.EOF where the content has not the CRC-64 that OSS announced. Config.Timeout
// bounds the time to the first byte; after that only ctx does. Close it.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadCloser, Meta, error) {
	c := call{op: "open", bucket: b.name, key: key}
	var content io.ReadCloser
	var meta Meta
	_, end, err := b.begin(ctx, c, true, func(client *sdk.Client, header sdk.Option) (err error) {
		content, meta, err = b.open(client, key, header)
		return err
	})
	if err != nil {
		return nil, Meta{}, err
	}
	return &body{ReadCloser: content, call: c, end: end}, meta, nil
}

type body struct {
	io.ReadCloser
	call call
	end  context.CancelCauseFunc
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = b.call.error(err, nil)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end(nil)
	return err
}

// open sends the request for an object.
func (b *Bucket) open(client *sdk.Client, key string, header sdk.Option) (io.ReadCloser, Meta, error) {
	bucket, err := client.Bucket(b.name)
	if err != nil {
		return nil, Meta{}, err
	}
	result, err := bucket.DoGetObject(&sdk.GetObjectRequest{ObjectKey: key}, []sdk.Option{header})
	if err != nil {
		return nil, Meta{}, err
	}
	meta := metaOf(result.Response.Headers)
	content := &checked{ReadCloser: result.Response.Body, sum: crc64.New(table)}
	if text := result.Response.Headers.Get(sdk.HTTPHeaderOssCRC64); text != "" {
		content.want = &meta.CRC64
	}
	return content, meta, nil
}

// table is that of CRC-64/XZ, which OSS uses.
var table = crc64.MakeTable(crc64.ECMA)

// checked compares the checksum at the end of the content.
type checked struct {
	io.ReadCloser
	sum  hash.Hash64
	want *uint64
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	_, _ = c.sum.Write(p[:n])
	if err == io.EOF && c.want != nil && c.sum.Sum64() != *c.want {
		return n, fmt.Errorf("%w: CRC-64 is %d, want %d", ErrCorrupt, c.sum.Sum64(), *c.want)
	}
	return n, err
}

// Head asks about an object. A key without an object is ErrNotFound.
func (b *Bucket) Head(ctx context.Context, key string) (Meta, error) {
	c := call{op: "head", bucket: b.name, key: key}
	header, err := b.do(ctx, c, true, func(client *sdk.Client, header sdk.Option) error {
		bucket, err := client.Bucket(b.name)
		if err == nil {
			_, err = bucket.GetObjectDetailedMeta(key, header)
		}
		return err
	})
	if err != nil {
		return Meta{}, err
	}
	return metaOf(header), nil
}

// PutOptions says how Put writes; the zero value is fine.
type PutOptions struct {
	ContentType string // blank: by the key's suffix
}

// Put writes an object, in place of what was there. It is not repeated, but doing
// so is safe: the object is there whole or not at all.
func (b *Bucket) Put(ctx context.Context, key string, content []byte, o PutOptions) error {
	_, err := b.put(ctx, call{op: "put", bucket: b.name, key: key, writes: true}, content, o)
	return err
}

// Create writes an object where there is none, and fails with ErrExists where
// there is one. A bucket that keeps versions is ErrVersioned, in which case the
// object was written and may have hidden another.
func (b *Bucket) Create(ctx context.Context, key string, content []byte) error {
	c := call{op: "create", bucket: b.name, key: key, writes: true}
	header, err := b.put(ctx, c, content, PutOptions{}, sdk.ForbidOverWrite(true))
	if err != nil {
		return err
	}
	if version := header.Get("X-Oss-Version-Id"); version != "" {
		return &Error{Op: c.op, Bucket: b.name, Key: key, Next: -1, Status: http.StatusOK,
			RequestID: header.Get(sdk.HTTPHeaderOssRequestID), Message: "version " + version, is: []error{ErrVersioned}}
	}
	return nil
}

func (b *Bucket) put(ctx context.Context, c call, content []byte, o PutOptions, more ...sdk.Option) (http.Header, error) {
	if o.ContentType != "" {
		more = append(more, sdk.ContentType(o.ContentType))
	}
	// net/http may read the body for some time after the call is over.
	content = bytes.Clone(content)
	header, err := b.do(ctx, c, true, func(client *sdk.Client, header sdk.Option) error {
		bucket, err := client.Bucket(b.name)
		if err == nil {
			err = bucket.PutObject(c.key, bytes.NewReader(content), append(more, header)...)
		}
		return err
	})
	if err != nil {
		return header, err
	}
	sum := crc64.Checksum(content, table)
	if text := header.Get(sdk.HTTPHeaderOssCRC64); text != "" && text != strconv.FormatUint(sum, 10) {
		return header, c.error(fmt.Errorf("%w: CRC-64 is %s, want %d", ErrCorrupt, text, sum), header)
	}
	return header, nil
}

// Append adds to an object made by Append, or makes it with position 0, and
// returns the new length, which is the next position. It is a compare-and-append:
// where the length is not position, nothing is written and the error is
// ErrPosition; next then is the length (also in Error.Next), or -1 where OSS does
// not tell.
func (b *Bucket) Append(ctx context.Context, key string, position int64, content []byte) (next int64, err error) {
	c := call{op: "append", bucket: b.name, key: key, writes: true}
	if position < 0 {
		return -1, c.invalid("position %d", position)
	}
	content = bytes.Clone(content) // as in put
	header, err := b.do(ctx, c, true, func(client *sdk.Client, header sdk.Option) error {
		bucket, err := client.Bucket(b.name)
		if err == nil {
			_, err = bucket.AppendObject(key, bytes.NewReader(content), position, header)
		}
		return err
	})
	next, parse := strconv.ParseInt(header.Get(sdk.HTTPHeaderOssNextAppendPosition), 10, 64)
	if parse != nil {
		next = -1
	}
	if e, ok := err.(*Error); ok {
		if e.Is(ErrPosition) {
			e.Next = next
		}
		return e.Next, e
	}
	if want := position + int64(len(content)); next != want {
		// Whatever answered is not OSS, or not about this append.
		return -1, c.error(fmt.Errorf("next position is %d, want %d", next, want), header)
	}
	return next, nil
}

// Delete removes an object. That there is none is no error.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	c := call{op: "delete", bucket: b.name, key: key}
	_, err := b.do(ctx, c, true, func(client *sdk.Client, header sdk.Option) error {
		bucket, err := client.Bucket(b.name)
		if err == nil {
			err = bucket.DeleteObject(key, header)
		}
		return err
	})
	return err
}

// DeleteMany removes any number of objects, 1000 to a call. That some are not
// there is no error. On an error some of them may be left.
func (b *Bucket) DeleteMany(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if e := (call{op: "delete", bucket: b.name, key: key}).check(true); e != nil {
			return e
		}
	}
	for chunk := range slices.Chunk(keys, 1000) {
		c := call{op: "delete many", bucket: b.name}
		var result sdk.DeleteObjectsResult
		_, err := b.do(ctx, c, false, func(client *sdk.Client, header sdk.Option) error {
			bucket, err := client.Bucket(b.name)
			if err == nil {
				result, err = bucket.DeleteObjects(chunk, header)
			}
			return err
		})
		if err != nil {
			return err
		}
		gone := make(map[string]bool, len(chunk))
		for _, key := range result.DeletedObjects {
			gone[key] = true
		}
		for _, key := range chunk {
			if !gone[key] {
				return &Error{Op: c.op, Bucket: b.name, Key: key, Next: -1, Status: http.StatusOK, Message: "OSS does not confirm that it is gone"}
			}
		}
	}
	return nil
}
