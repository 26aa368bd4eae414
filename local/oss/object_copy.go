package oss

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// maxCopy is the largest object that CopyObject takes: 5 GB.
const maxCopy = 5 << 30

// copySource is what x-oss-copy-source names.
type copySource struct{ bucket, key, versionID string }

// parseCopySource reads "/bucket/key[?versionId=id]", URL-encoded: Go's SDK
// writes a space as "+", others as "%20".
func parseCopySource(header string) (copySource, *Error) {
	invalid := func() (copySource, *Error) {
		return copySource{}, badArgument("x-oss-copy-source", header, "The x-oss-copy-source is invalid.")
	}
	path, query, _ := strings.Cut(header, "?")
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok { // the slash between them may be encoded too
		if u, err := url.QueryUnescape(path); err == nil {
			bucket, key, ok = strings.Cut(strings.TrimPrefix(u, "/"), "/")
			key = url.QueryEscape(key)
		}
	}
	key, err := url.QueryUnescape(key)
	if err != nil || !ok || !bucketName.MatchString(bucket) {
		return invalid()
	}
	if e := checkKey(key); e != nil {
		return copySource{}, e
	}
	c := copySource{bucket: bucket, key: key}
	for _, p := range parseQuery(query) {
		if p.name == "versionId" {
			c.versionID = p.value
		}
	}
	return c, nil
}

// openSource opens the source of a copy, which the caller must be allowed to
// read and which must meet the x-oss-copy-source-if-* conditions.
func (s *Service) openSource(r *request) (copySource, readable, error) {
	src, e := parseCopySource(r.Header.Get("X-Oss-Copy-Source"))
	if e != nil {
		return src, readable{}, e
	}
	if e := s.checkOwner(src.bucket, "GetObject"); e != nil {
		return src, readable{}, e
	}
	if r.caller != nil {
		e = s.authorize(r, "oss:GetObject", arn(s.cfg.AccountID, src.bucket, src.key))
	} else {
		from := *r
		from.bucket, from.key = src.bucket, src.key
		e = s.authorize(&from, "oss:GetObject", "")
	}
	if e != nil {
		return src, readable{}, e
	}
	o, err := s.open(src.bucket, src.key, src.versionID)
	if err != nil {
		return src, o, err
	}
	h := http.Header{}
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if v := r.Header.Get("X-Oss-Copy-Source-" + name); v != "" {
			h.Set(name, v)
		}
	}
	if e := checkConditions(h, o); e != nil {
		s.blobs.unpin(o.segments)
		return src, o, e
	}
	return src, o, nil
}

// copyXML is the answer to CopyObject and UploadPartCopy.
type copyXML struct {
	ETag         string
	LastModified string
}

// copyObject makes an object of the files of another: they get a second name,
// so that it takes no time whatever the size is.
func (s *Service) copyObject(w http.ResponseWriter, r *request) error {
	if e := refuseConditions(r); e != nil {
		return e
	}
	src, from, err := s.openSource(r)
	if err != nil {
		return err
	}
	defer s.blobs.unpin(from.segments)
	if from.Size > maxCopy {
		return errEntityTooLarge.say("The size of the copy source exceeds 5 GB; use UploadPartCopy.")
	}
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	c, e := copySettings(r, b, from.settings)
	if e != nil {
		return e
	}
	if src.bucket == r.bucket && src.key == r.key && src.versionID == "" && !replaces(r, "X-Oss-Metadata-Directive") &&
		!replaces(r, "X-Oss-Tagging-Directive") && r.Header.Get("X-Oss-Storage-Class") == "" && r.Header.Get("X-Oss-Server-Side-Encryption") == "" {
		return &Error{Status: 400, Code: "InvalidRequest", Message: "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata or encryption attributes."}
	}
	o := &object{
		Type: typeNormal, Size: from.Size, ETag: from.ETag, MD5: from.MD5, CRC64: from.CRC64, Modified: s.now(), settings: c,
	}
	if from.MD5 == "" {
		o.ETag = randomID()
	}
	content := make([]segment, 0, len(from.segments))
	for _, g := range from.segments {
		id, err := s.blobs.link(g.Blob)
		if err != nil {
			s.blobs.remove(blobsOf(content)...)
			return err
		}
		content = append(content, segment{id, g.Size})
	}
	if err := s.commit(r, o, content, "ObjectCreated:CopyObject"); err != nil {
		s.blobs.remove(blobsOf(content)...)
		return err
	}
	h := w.Header()
	o.answerWritten(h)
	if from.VersionID != "" {
		h["x-oss-copy-source-version-id"] = []string{from.VersionID}
	}
	return s.writeXML(w, r, "CopyObjectResult", copyXML{quoted(o.ETag), isoTime(o.Modified)})
}

func replaces(r *request, directive string) bool {
	return strings.EqualFold(r.Header.Get(directive), "REPLACE")
}

// copySettings are the settings of the copy: the source's metadata and tags
// unless the request replaces them; ACL, storage class and encryption are never
// taken from the source.
func copySettings(r *request, b *bucket, from settings) (settings, *Error) {
	for _, name := range []string{"X-Oss-Metadata-Directive", "X-Oss-Tagging-Directive"} {
		if v := r.Header.Get(name); v != "" && !strings.EqualFold(v, "COPY") && !strings.EqualFold(v, "REPLACE") {
			return settings{}, badArgument(strings.ToLower(name), v, "The directive must be COPY or REPLACE.")
		}
	}
	c, e := readSettings(r.Header, b)
	if e != nil {
		return c, e
	}
	if !replaces(r, "X-Oss-Metadata-Directive") {
		c.Headers, c.Meta = from.Headers, from.Meta
	}
	if !replaces(r, "X-Oss-Tagging-Directive") {
		c.Tags = from.Tags
	}
	return c, nil
}

// deleteObject removes an object; one that is not there is removed already.
func (s *Service) deleteObject(w http.ResponseWriter, r *request) error {
	versioned, err := s.removeObjects(r, []string{r.key}, "ObjectRemoved:DeleteObject")
	if err != nil {
		return err
	}
	if versioned && !r.has("versionId") {
		w.Header()["x-oss-delete-marker"] = []string{"true"}
		w.Header()["x-oss-version-id"] = []string{"CAE" + randomID()}
	}
	return s.status(w, r, http.StatusNoContent)
}

// removeObjects removes objects of the bucket that r addresses in one
// transaction, and tells whether the bucket is versioned.
func (s *Service) removeObjects(r *request, keys []string, event string) (versioned bool, err error) {
	var unused []string
	err = s.db.Update(func(tx *bbolt.Tx) error {
		unused = nil
		b, err := loadBucket(tx, r.bucket)
		if err != nil {
			return err
		}
		versioned = b.Versioning != ""
		for _, key := range keys {
			o, err := findObject(tx, r.bucket, key)
			if err != nil {
				return err
			}
			if o == nil {
				continue
			}
			ids, err := deleteObject(tx, r.bucket, key, o)
			if err != nil {
				return err
			}
			unused = append(unused, ids...)
			gone := &object{ETag: o.ETag, Modified: time.Time{}}
			if err := s.recordEvent(tx, r, key, gone, -o.Size, event); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	s.wakeDelivery()
	s.blobs.remove(unused...)
	return versioned, nil
}
