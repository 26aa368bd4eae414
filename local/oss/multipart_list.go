package oss

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"
)

// listParts lists the parts of an upload by number.
func (s *Service) listParts(w http.ResponseWriter, r *request) error {
	encode, e := encoder(r)
	if e != nil {
		return e
	}
	limit, e := maxParam(r, "max-parts", 1000, 1000)
	if e != nil {
		return e
	}
	marker := 0
	if v := r.param("part-number-marker"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return badArgument("part-number-marker", v, "Argument part-number-marker must be an integer not less than 0.")
		}
		marker = n
	}
	type partXML struct {
		PartNumber    int
		LastModified  string
		ETag          string
		HashCrc64ecma string
		Size          int64
	}
	out := struct {
		EncodingType         string `xml:",omitempty"`
		Bucket               string
		Key                  string
		UploadID             string `xml:"UploadId"`
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		Part                 []partXML
	}{EncodingType: r.param("encoding-type"), Bucket: r.bucket, Key: encode(r.key), PartNumberMarker: marker, MaxParts: limit}
	err := s.db.View(func(tx *bbolt.Tx) error {
		_, u, err := loadUpload(tx, r)
		if err != nil {
			return err
		}
		out.UploadID, out.StorageClass = u.ID, u.StorageClass
		parts, err := partsOf(tx, u.ID)
		if err != nil {
			return err
		}
		for _, p := range parts {
			if p.number <= marker {
				continue
			}
			if len(out.Part) == limit {
				out.IsTruncated = true
				break
			}
			out.Part = append(out.Part, partXML{p.number, isoTime(p.Modified), quoted(p.etag()), strconv.FormatUint(p.CRC64, 10), p.Size})
			out.NextPartNumberMarker = p.number
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.writeXML(w, r, "ListPartsResult", out)
}

// listUploads lists the uploads of a bucket by key and then by id.
func (s *Service) listUploads(w http.ResponseWriter, r *request) error {
	encode, e := encoder(r)
	if e != nil {
		return e
	}
	limit, e := maxParam(r, "max-uploads", 1000, 1000)
	if e != nil {
		return e
	}
	prefix, delimiter := r.param("prefix"), r.param("delimiter")
	keyMarker, idMarker := r.param("key-marker"), r.param("upload-id-marker")
	type uploadXML struct {
		Key          string
		UploadID     string `xml:"UploadId"`
		StorageClass string
		Initiated    string
	}
	out := struct {
		EncodingType       string `xml:",omitempty"`
		Bucket             string
		KeyMarker          string
		UploadIDMarker     string `xml:"UploadIdMarker"`
		NextKeyMarker      string
		NextUploadIDMarker string `xml:"NextUploadIdMarker"`
		Delimiter          string
		Prefix             string
		MaxUploads         int
		IsTruncated        bool
		Upload             []uploadXML
		CommonPrefixes     []prefixXML
	}{
		EncodingType: r.param("encoding-type"), Bucket: r.bucket, KeyMarker: encode(keyMarker), UploadIDMarker: idMarker,
		Delimiter: encode(delimiter), Prefix: encode(prefix), MaxUploads: limit,
	}
	// The first key that is not behind the markers. Without an id marker the
	// whole key is behind; ids are hex, so they are below \xff.
	after := ""
	switch {
	case keyMarker == "":
	case idMarker == "":
		after = keyMarker + "\x00\xff"
	default:
		after = keyMarker + "\x00" + idMarker + "\x00"
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		if _, err := loadBucket(tx, r.bucket); err != nil {
			return err
		}
		c := uploadsOf(tx, r.bucket).Cursor()
		k, v := c.Seek([]byte(max(prefix, after)))
		if keyMarker != "" && delimiter != "" && groupOf(keyMarker, prefix, delimiter) == keyMarker {
			k, v = c.Seek(afterPrefix(keyMarker))
		}
		for k != nil && strings.HasPrefix(string(k), prefix) {
			key, id, _ := strings.Cut(string(k), "\x00")
			if len(out.Upload)+len(out.CommonPrefixes) == limit {
				out.IsTruncated = true
				return nil
			}
			if group := groupOf(key, prefix, delimiter); group != "" {
				out.CommonPrefixes = append(out.CommonPrefixes, prefixXML{encode(group)})
				out.NextKeyMarker, out.NextUploadIDMarker = encode(group), ""
				k, v = c.Seek(afterPrefix(group))
				continue
			}
			var u upload
			if err := json.Unmarshal(v, &u); err != nil {
				return err
			}
			out.Upload = append(out.Upload, uploadXML{encode(key), id, u.StorageClass, isoTime(u.Initiated)})
			out.NextKeyMarker, out.NextUploadIDMarker = encode(key), id
			k, v = c.Next()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !out.IsTruncated {
		out.NextKeyMarker, out.NextUploadIDMarker = "", ""
	}
	return s.writeXML(w, r, "ListMultipartUploadsResult", out)
}
