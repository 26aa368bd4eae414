package oss

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// numberedPart is a stored part with its number.
type numberedPart struct {
	number int
	part
}

func (p part) etag() string { return strings.ToUpper(fmt.Sprintf("%x", p.MD5)) }

// partsOf returns the parts of an upload by number.
func partsOf(tx *bbolt.Tx, uploadID string) ([]numberedPart, error) {
	var out []numberedPart
	prefix := []byte(uploadID)
	c := tx.Bucket(partsRoot).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		p := numberedPart{number: int(binary.BigEndian.Uint32(k[len(prefix):]))}
		if err := json.Unmarshal(v, &p.part); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// completeUpload makes an object of the parts of an upload. The parts' files
// become the object's files, so it takes no time whatever the size is.
func (s *Service) completeUpload(w http.ResponseWriter, r *request) error {
	if e := refuseConditions(r); e != nil {
		return e
	}
	encode, e := encoder(r)
	if e != nil {
		return e
	}
	choose, err := partsWanted(r)
	if err != nil {
		return err
	}
	var o *object
	var unused []string
	err = s.db.Update(func(tx *bbolt.Tx) error {
		b, u, err := loadUpload(tx, r)
		if err != nil {
			return err
		}
		all, err := partsOf(tx, u.ID)
		if err != nil {
			return err
		}
		used, e := choose(all)
		if e != nil {
			return e
		}
		var content []segment
		o, content = assemble(used)
		o.settings, o.Modified = u.settings, s.now()
		if acl := r.Header.Get("X-Oss-Object-Acl"); acl != "" {
			if o.ACL, e = readObjectACL(acl); e != nil {
				return e
			}
		}
		if unused, err = s.store(tx, r, b, o, content, "ObjectCreated:CompleteMultipartUpload"); err != nil {
			return err
		}
		files, err := dropUpload(tx, r.bucket, r.key, u.ID)
		if err != nil {
			return err
		}
		kept := map[string]bool{}
		for _, g := range content {
			kept[g.Blob] = true
		}
		unused = append(unused, slices.DeleteFunc(files, func(id string) bool { return kept[id] })...)
		return nil
	})
	if err != nil {
		return err
	}
	s.wakeDelivery()
	s.blobs.remove(unused...)
	o.answerWritten(w.Header())
	return s.writeXML(w, r, "CompleteMultipartUploadResult", struct {
		EncodingType string `xml:",omitempty"`
		Location     string
		Bucket       string
		Key          string
		ETag         string
	}{r.param("encoding-type"), "http://" + r.Host + r.URL.EscapedPath(), r.bucket, encode(r.key), quoted(o.ETag)})
}

// partsWanted reads which parts the object is to be made of: all, or those that
// the body lists in ascending order with the right ETags.
func partsWanted(r *request) (func([]numberedPart) ([]numberedPart, *Error), error) {
	if r.Header.Get("X-Oss-Complete-All") == "yes" {
		if n, _ := io.CopyN(io.Discard, r.Body, 1); n > 0 {
			return nil, badArgument("x-oss-complete-all", "yes", "Should not speficy both complete all header and http body.")
		}
		return func(all []numberedPart) ([]numberedPart, *Error) {
			if len(all) == 0 {
				return nil, &errInvalidPart
			}
			return all, checkSizes(all)
		}, nil
	}
	if v := r.Header.Get("X-Oss-Complete-All"); v != "" {
		return nil, badArgument("x-oss-complete-all", v, "The only value of x-oss-complete-all is yes.")
	}
	var in struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := readXML(r, "CompleteMultipartUpload", &in); err != nil {
		return nil, err
	}
	if len(in.Part) == 0 {
		return nil, errMalformedXML.with("ErrorDetail", "no part is listed")
	}
	return func(all []numberedPart) ([]numberedPart, *Error) {
		stored := map[int]numberedPart{}
		for _, p := range all {
			stored[p.number] = p
		}
		var used []numberedPart
		for i, want := range in.Part {
			if i > 0 && want.PartNumber <= in.Part[i-1].PartNumber {
				return nil, errInvalidPartOrder.with("PartNumber", fmt.Sprint(want.PartNumber))
			}
			p, ok := stored[want.PartNumber]
			if !ok || !strings.EqualFold(strings.Trim(want.ETag, `"`), p.etag()) {
				return nil, errInvalidPart.with("PartNumber", fmt.Sprint(want.PartNumber)).with("ETag", want.ETag)
			}
			used = append(used, p)
		}
		return used, checkSizes(used)
	}, nil
}

// checkSizes refuses short parts, except at the end.
func checkSizes(parts []numberedPart) *Error {
	for _, p := range parts[:len(parts)-1] {
		if p.Size < minPart {
			return errEntityTooSmall.with("PartNumber", fmt.Sprint(p.number)).
				with("ETag", quoted(p.etag())).
				with("ProposedSize", fmt.Sprint(p.Size)).
				with("MinSizeAllowed", fmt.Sprint(minPart))
		}
	}
	return nil
}

// assemble makes an object of parts. Its ETag is the MD5 of the parts' MD5s and
// their number, as OSS makes it; it is no checksum of the content.
func assemble(parts []numberedPart) (*object, []segment) {
	o := &object{Type: typeMultipart}
	sum := md5.New()
	var content []segment
	for _, p := range parts {
		sum.Write(p.MD5)
		o.CRC64 = combineCRC64(o.CRC64, p.CRC64, p.Size)
		o.Size += p.Size
		content = append(content, segment{p.Blob, p.Size})
	}
	o.ETag = strings.ToUpper(fmt.Sprintf("%x-%d", sum.Sum(nil), len(parts)))
	return o, content
}
