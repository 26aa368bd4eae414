package oss

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"go.etcd.io/bbolt"
)

const (
	defaultMaxKeys = 100
	maxMaxKeys     = 1000
)

// encoder returns how a request wants keys written: as they are, or URL-encoded.
func encoder(r *request) (func(string) string, *Error) {
	switch v := r.param("encoding-type"); v {
	case "":
		return func(s string) string { return s }, nil
	case "url":
		return func(s string) string { return escape(s, false) }, nil
	default:
		return nil, badArgument("encoding-type", v, "Invalid Encoding Method specified in Request.")
	}
}

type prefixXML struct{ Prefix string }

// contentsXML is an object in a listing.
type contentsXML struct {
	Key          string
	LastModified string
	ETag         string
	Type         string
	Size         int64
	StorageClass string
	Owner        *ownerXML `xml:",omitempty"`
}

// page is what was found for one request.
type page struct {
	objects   []contentsXML
	prefixes  []prefixXML
	truncated bool
	last      string // the key or common prefix that the page ends with
}

// listPage finds up to limit keys and common prefixes after marker, in the order
// of their bytes. A marker that is itself a common prefix stands for every key
// under it. Common prefixes are skipped by a seek, so a page costs as much as
// it shows, however many objects lie under them.
func listPage(objects *bbolt.Bucket, prefix, delimiter, marker string, limit int, owner *ownerXML) (page, error) {
	var p page
	c := objects.Cursor()
	k, v := c.Seek([]byte(max(prefix, marker)))
	if marker != "" && marker >= prefix {
		if delimiter != "" && groupOf(marker, prefix, delimiter) == marker {
			k, v = c.Seek(afterPrefix(marker))
		} else if string(k) == marker {
			k, v = c.Next()
		}
	}
	for k != nil && strings.HasPrefix(string(k), prefix) {
		if len(p.objects)+len(p.prefixes) == limit {
			p.truncated = true
			break
		}
		key := string(k)
		if group := groupOf(key, prefix, delimiter); group != "" {
			p.prefixes = append(p.prefixes, prefixXML{group})
			p.last = group
			k, v = c.Seek(afterPrefix(group))
			continue
		}
		var o object
		if err := json.Unmarshal(v, &o); err != nil {
			return p, err
		}
		p.objects = append(p.objects, contentsXML{key, isoTime(o.Modified), quoted(o.ETag), o.Type, o.Size, o.StorageClass, owner})
		p.last = key
		k, v = c.Next()
	}
	return p, nil
}

// groupOf returns the common prefix that a key falls under, or "".
func groupOf(key, prefix, delimiter string) string {
	if delimiter == "" || !strings.HasPrefix(key, prefix) {
		return ""
	}
	i := strings.Index(key[len(prefix):], delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(prefix)+i+len(delimiter)]
}

// afterPrefix returns the least key that is greater than every key with the
// given prefix. No byte of UTF-8 is 0xff, so the last byte can be raised.
func afterPrefix(prefix string) []byte {
	b := []byte(prefix)
	b[len(b)-1]++
	return b
}

// listQuery is what both versions of the operation ask.
type listQuery struct {
	prefix, delimiter string
	limit             int
	encode            func(string) string
}

func readListQuery(r *request) (listQuery, *Error) {
	q := listQuery{prefix: r.param("prefix"), delimiter: r.param("delimiter")}
	var e *Error
	if q.limit, e = maxParam(r, "max-keys", defaultMaxKeys, maxMaxKeys); e != nil {
		return q, e
	}
	for _, name := range []string{"prefix", "marker", "delimiter", "start-after"} {
		if v := r.param(name); len(v) > maxKeyBytes || !utf8.ValidString(v) {
			return q, badArgument(name, strings.ToValidUTF8(v, "\uFFFD"), "The length of %s should be less than 1024.", name)
		}
	}
	q.encode, e = encoder(r)
	return q, e
}

func (s *Service) findPage(r *request, q listQuery, marker string, owner *ownerXML) (p page, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if _, err := loadBucket(tx, r.bucket); err != nil {
			return err
		}
		p, err = listPage(objectsOf(tx, r.bucket), q.prefix, q.delimiter, marker, q.limit, owner)
		return err
	})
	for i := range p.objects {
		p.objects[i].Key = q.encode(p.objects[i].Key)
	}
	for i := range p.prefixes {
		p.prefixes[i].Prefix = q.encode(p.prefixes[i].Prefix)
	}
	return p, err
}

// listObjects is the first version: pages are linked by marker, and NextMarker
// is there whenever there is a next page.
func (s *Service) listObjects(w http.ResponseWriter, r *request) error {
	q, e := readListQuery(r)
	if e != nil {
		return e
	}
	owner := s.owner()
	p, err := s.findPage(r, q, r.param("marker"), &owner)
	if err != nil {
		return err
	}
	out := struct {
		Name           string
		Prefix         string
		Marker         string
		MaxKeys        int
		Delimiter      string
		EncodingType   string `xml:",omitempty"`
		IsTruncated    bool
		NextMarker     string `xml:",omitempty"`
		Contents       []contentsXML
		CommonPrefixes []prefixXML
	}{
		Name: r.bucket, Prefix: q.encode(q.prefix), Marker: q.encode(r.param("marker")), MaxKeys: q.limit,
		Delimiter: q.encode(q.delimiter), EncodingType: r.param("encoding-type"), IsTruncated: p.truncated,
		Contents: p.objects, CommonPrefixes: p.prefixes,
	}
	if p.truncated {
		out.NextMarker = q.encode(p.last)
	}
	return s.writeXML(w, r, "ListBucketResult", out)
}

// listObjectsV2 is the second version: pages are linked by an opaque token,
// which goes before start-after.
func (s *Service) listObjectsV2(w http.ResponseWriter, r *request) error {
	q, e := readListQuery(r)
	if e != nil {
		return e
	}
	marker, token := r.param("start-after"), r.param("continuation-token")
	if token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || !utf8.Valid(last) {
			return badArgument("continuation-token", token, "The continuation token provided is incorrect.")
		}
		marker = string(last)
	}
	var owner *ownerXML
	if r.param("fetch-owner") == "true" {
		o := s.owner()
		owner = &o
	}
	p, err := s.findPage(r, q, marker, owner)
	if err != nil {
		return err
	}
	out := struct {
		Name                  string
		Prefix                string
		StartAfter            string `xml:",omitempty"`
		MaxKeys               int
		Delimiter             string
		EncodingType          string `xml:",omitempty"`
		IsTruncated           bool
		ContinuationToken     string `xml:",omitempty"`
		NextContinuationToken string `xml:",omitempty"`
		Contents              []contentsXML
		CommonPrefixes        []prefixXML
		KeyCount              int
	}{
		Name: r.bucket, Prefix: q.encode(q.prefix), StartAfter: q.encode(r.param("start-after")), MaxKeys: q.limit,
		Delimiter: q.encode(q.delimiter), EncodingType: r.param("encoding-type"), IsTruncated: p.truncated,
		ContinuationToken: token, Contents: p.objects, CommonPrefixes: p.prefixes, KeyCount: len(p.objects) + len(p.prefixes),
	}
	if p.truncated {
		out.NextContinuationToken = base64.RawURLEncoding.EncodeToString([]byte(p.last))
	}
	return s.writeXML(w, r, "ListBucketResult", out)
}
