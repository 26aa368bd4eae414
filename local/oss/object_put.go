package oss

import (
	"net/http"
	"strconv"

	"go.etcd.io/bbolt"
)

// maxPut is the largest object of one request, and the largest appendable one:
// 5 GB.
const maxPut = 5 << 30

// refuseConditions refuses the conditional headers that OSS has for reads only.
func refuseConditions(r *request) *Error {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if v := r.Header.Get(name); v != "" {
			return errHeaderNotImplemented.with("Header", name)
		}
	}
	return nil
}

// checkLength refuses a body whose length is announced neither by a header nor
// by chunks, and one that is announced too long.
func checkLength(r *request, limit int64) *Error {
	if len(r.TransferEncoding) == 0 && r.Header.Get("Content-Length") == "" {
		return &errMissingLength
	}
	if r.ContentLength > limit {
		return errEntityTooLarge.with("MaxSizeAllowed", strconv.FormatInt(limit, 10)).
			with("ProposedSize", strconv.FormatInt(r.ContentLength, 10))
	}
	return nil
}

// forbidsOverwrite tells whether a request must not replace an object. Versioned
// buckets ignore the header.
func forbidsOverwrite(r *request, b *bucket) bool {
	return r.Header.Get("X-Oss-Forbid-Overwrite") == "true" && b.Versioning == ""
}

// checkOverwrite applies x-oss-forbid-overwrite.
func checkOverwrite(tx *bbolt.Tx, r *request, b *bucket) *Error {
	if forbidsOverwrite(r, b) && objectsOf(tx, r.bucket).Get([]byte(r.key)) != nil {
		return errFileExists.with("Key", r.key)
	}
	return nil
}

// prepareWrite checks what can be checked before a body is read, and returns
// the settings of the new object.
func (s *Service) prepareWrite(r *request, limit int64) (c settings, err error) {
	if e := refuseConditions(r); e != nil {
		return c, e
	}
	if e := checkLength(r, limit); e != nil {
		return c, e
	}
	if _, e := requestMD5(r); e != nil {
		return c, e
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		b, err := loadBucket(tx, r.bucket)
		if err != nil {
			return err
		}
		var e *Error
		if c, e = readSettings(r.Header, b); e != nil {
			return e
		}
		if e := checkOverwrite(tx, r, b); e != nil {
			return e
		}
		return nil
	})
	if err == nil && len(c.Tags) > 0 {
		if e := s.authorize(r, "oss:PutObjectTagging", r.resource(s.cfg.AccountID)); e != nil {
			err = e
		}
	}
	return c, err
}

func (s *Service) putObject(w http.ResponseWriter, r *request) error {
	c, err := s.prepareWrite(r, maxPut)
	if err != nil {
		return err
	}
	file, err := s.receive(r, maxPut)
	if err != nil {
		return err
	}
	o := &object{
		Type: typeNormal, Size: file.size, ETag: file.etag(), MD5: file.contentMD5(), CRC64: file.crc64,
		Modified: s.now(), settings: c, Blob: file.id,
	}
	if err := s.commit(r, o, nil, "ObjectCreated:PutObject"); err != nil {
		s.blobs.remove(file.id)
		return err
	}
	h := w.Header()
	h["Content-MD5"] = []string{o.MD5}
	o.answerWritten(h)
	return s.ok(w, r)
}

// receive stores the body of a request in a new file and checks its
// Content-MD5.
func (s *Service) receive(r *request, limit int64) (written, error) {
	file, err := s.blobs.write(r.Body, limit)
	if err != nil {
		return file, err
	}
	if e := checkMD5(r, func() []byte { return file.md5 }); e != nil {
		s.blobs.remove(file.id)
		return file, e
	}
	return file, nil
}

// commit makes o the object that r addresses, made of the given files or, if
// there are none, of o.Blob, in one transaction with its event.
func (s *Service) commit(r *request, o *object, content []segment, event string) error {
	var unused []string
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b, err := loadBucket(tx, r.bucket)
		if err != nil {
			return err
		}
		unused, err = s.store(tx, r, b, o, content, event)
		return err
	})
	if err != nil {
		return err
	}
	s.wakeDelivery()
	s.blobs.remove(unused...)
	return nil
}

// store is the part of commit that happens in the transaction.
func (s *Service) store(tx *bbolt.Tx, r *request, b *bucket, o *object, content []segment, event string) ([]string, error) {
	if e := checkOverwrite(tx, r, b); e != nil {
		return nil, e
	}
	old, err := findObject(tx, r.bucket, r.key)
	if err != nil {
		return nil, err
	}
	delta := o.Size
	if old != nil {
		delta -= old.Size
	}
	o.VersionID = b.newVersion()
	if content != nil {
		if err := setContent(tx, o, content); err != nil {
			return nil, err
		}
	}
	unused, err := replaceObject(tx, r.bucket, r.key, old, o)
	if err != nil {
		return nil, err
	}
	return unused, s.recordEvent(tx, r, r.key, o, delta, event)
}

// answerWritten sets the headers of an answer to a write.
func (o *object) answerWritten(h http.Header) {
	h["ETag"] = []string{quoted(o.ETag)}
	h["x-oss-hash-crc64ecma"] = []string{strconv.FormatUint(o.CRC64, 10)}
	if o.VersionID != "" {
		h["x-oss-version-id"] = []string{o.VersionID}
	}
	o.answerSSE(h)
}
