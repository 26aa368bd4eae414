package oss

import (
	"encoding/json"
	"net/http"
	"strconv"

	"go.etcd.io/bbolt"
)

const (
	maxPartNumber = 10000
	maxPart       = 5 << 30   // bytes
	minPart       = 100 << 10 // bytes; the last part may be shorter
)

// initiateUpload begins a multipart upload.
func (s *Service) initiateUpload(w http.ResponseWriter, r *request) error {
	if e := refuseConditions(r); e != nil {
		return e
	}
	encode, e := encoder(r)
	if e != nil {
		return e
	}
	noBody(r)
	u := &upload{ID: randomID(), Initiated: s.now()}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b, err := loadBucket(tx, r.bucket)
		if err != nil {
			return err
		}
		var e *Error
		if u.settings, e = readSettings(r.Header, b); e != nil {
			return e
		}
		if len(u.Tags) > 0 {
			if e := s.authorize(r, "oss:PutObjectTagging", r.resource(s.cfg.AccountID)); e != nil {
				return e
			}
		}
		if e := checkOverwrite(tx, r, b); e != nil {
			return e
		}
		if err := putJSON(uploadsOf(tx, r.bucket), uploadKey(r.key, u.ID), u); err != nil {
			return err
		}
		return s.recordEvent(tx, r, r.key, &object{settings: u.settings}, 0, "ObjectCreated:InitiateMultipartUpload")
	})
	if err != nil {
		return err
	}
	s.wakeDelivery()
	u.answerSSE(w.Header())
	return s.writeXML(w, r, "InitiateMultipartUploadResult", struct {
		EncodingType string `xml:",omitempty"`
		Bucket       string
		Key          string
		UploadID     string `xml:"UploadId"`
	}{r.param("encoding-type"), r.bucket, encode(r.key), u.ID})
}

// loadUpload returns the upload that a request names, or NoSuchUpload.
func loadUpload(tx *bbolt.Tx, r *request) (*bucket, *upload, error) {
	b, err := loadBucket(tx, r.bucket)
	if err != nil {
		return nil, nil, err
	}
	id := r.param("uploadId")
	v := uploadsOf(tx, r.bucket).Get(uploadKey(r.key, id))
	if v == nil {
		return nil, nil, errNoSuchUpload.with("UploadId", id)
	}
	var u upload
	return b, &u, json.Unmarshal(v, &u)
}

func (s *Service) checkUpload(r *request) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		_, _, err := loadUpload(tx, r)
		return err
	})
}

func partNumber(r *request) (int, *Error) {
	v := r.param("partNumber")
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxPartNumber {
		return 0, badArgument("partNumber", v, "Part number must be an integer between 1 and 10000, inclusive.")
	}
	return n, nil
}

func (s *Service) uploadPart(w http.ResponseWriter, r *request) error {
	n, e := partNumber(r)
	if e != nil {
		return e
	}
	if e := refuseConditions(r); e != nil {
		return e
	}
	if e := checkLength(r, maxPart); e != nil {
		return e
	}
	if _, e := requestMD5(r); e != nil {
		return e
	}
	if err := s.checkUpload(r); err != nil {
		return err
	}
	file, err := s.receive(r, maxPart)
	if err != nil {
		return err
	}
	if err := s.commitPart(r, n, file, "ObjectCreated:UploadPart"); err != nil {
		return err
	}
	h := w.Header()
	h["ETag"] = []string{quoted(file.etag())}
	h["Content-MD5"] = []string{file.contentMD5()}
	h["x-oss-hash-crc64ecma"] = []string{strconv.FormatUint(file.crc64, 10)}
	return s.ok(w, r)
}

// commitPart makes a file a part of an upload, in the place of an earlier part
// with this number.
func (s *Service) commitPart(r *request, n int, file written, event string) error {
	var replaced string
	err := s.db.Update(func(tx *bbolt.Tx) error {
		replaced = ""
		_, u, err := loadUpload(tx, r)
		if err != nil {
			return err
		}
		parts := tx.Bucket(partsRoot)
		if v := parts.Get(partKey(u.ID, n)); v != nil {
			var old part
			if err := json.Unmarshal(v, &old); err != nil {
				return err
			}
			replaced = old.Blob
		}
		p := part{Blob: file.id, Size: file.size, MD5: file.md5, CRC64: file.crc64, Modified: s.now()}
		if err := putJSON(parts, partKey(u.ID, n), p); err != nil {
			return err
		}
		return s.recordEvent(tx, r, r.key, &object{Size: file.size, ETag: file.etag()}, file.size, event)
	})
	if err != nil {
		s.blobs.remove(file.id)
		return err
	}
	s.wakeDelivery()
	s.blobs.remove(replaced)
	return nil
}

// uploadPartCopy makes a part of an object, or of a range of one.
func (s *Service) uploadPartCopy(w http.ResponseWriter, r *request) error {
	n, e := partNumber(r)
	if e != nil {
		return e
	}
	if err := s.checkUpload(r); err != nil {
		return err
	}
	_, from, err := s.openSource(r)
	if err != nil {
		return err
	}
	defer s.blobs.unpin(from.segments)
	start, length, _, e := parseRange(r.Header.Get("X-Oss-Copy-Source-Range"), from.Size, false)
	if e != nil {
		return e
	}
	if length > maxPart {
		return errEntityTooLarge.with("MaxSizeAllowed", strconv.Itoa(maxPart))
	}
	file, err := s.blobs.copyRange(from.segments, start, length)
	if err != nil {
		return err
	}
	if err := s.commitPart(r, n, file, "ObjectCreated:UploadPartCopy"); err != nil {
		return err
	}
	w.Header()["ETag"] = []string{quoted(file.etag())} // ali-oss for Node reads it here, others in the body
	w.Header()["x-oss-hash-crc64ecma"] = []string{strconv.FormatUint(file.crc64, 10)}
	if from.VersionID != "" {
		w.Header()["x-oss-copy-source-version-id"] = []string{from.VersionID}
	}
	return s.writeXML(w, r, "CopyPartResult", copyXML{quoted(file.etag()), isoTime(s.now())})
}

// abortUpload forgets an upload and its parts.
func (s *Service) abortUpload(w http.ResponseWriter, r *request) error {
	var unused []string
	err := s.db.Update(func(tx *bbolt.Tx) error {
		_, u, err := loadUpload(tx, r)
		if err != nil {
			return err
		}
		if unused, err = dropUpload(tx, r.bucket, r.key, u.ID); err != nil {
			return err
		}
		return s.recordEvent(tx, r, r.key, &object{}, 0, "ObjectRemoved:AbortMultipartUpload")
	})
	if err != nil {
		return err
	}
	s.wakeDelivery()
	s.blobs.remove(unused...)
	return s.status(w, r, http.StatusNoContent)
}

// dropUpload deletes an upload and all its parts and returns the parts' files.
func dropUpload(tx *bbolt.Tx, bucketName, key, id string) ([]string, error) {
	parts, err := partsOf(tx, id)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, p := range parts {
		if err := tx.Bucket(partsRoot).Delete(partKey(id, p.number)); err != nil {
			return nil, err
		}
		files = append(files, p.Blob)
	}
	return files, uploadsOf(tx, bucketName).Delete(uploadKey(key, id))
}
