package oss

import "net/http"

// maxDelete is the number of objects that one DeleteMultipleObjects takes.
const maxDelete = 1000

// deleteMultiple removes up to 1000 objects. The caller must be allowed to
// delete every one of them, or none is removed.
func (s *Service) deleteMultiple(w http.ResponseWriter, r *request) error {
	if r.Header.Get("Content-Md5") == "" {
		return errMissingArgument.with("ArgumentName", "Content-MD5")
	}
	var in struct {
		Quiet  bool
		Object []struct {
			Key       string
			VersionID string `xml:"VersionId"`
		}
	}
	if err := readXML(r, "Delete", &in); err != nil {
		return err
	}
	if len(in.Object) == 0 || len(in.Object) > maxDelete {
		return errMalformedXML.with("ErrorDetail", "the number of objects must be between 1 and 1000")
	}
	encode, e := encoder(r)
	if e != nil {
		return e
	}
	type deleted struct {
		Key                   string
		VersionID             string `xml:"VersionId,omitempty"`
		DeleteMarker          bool   `xml:",omitempty"`
		DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
	}
	var out struct {
		EncodingType string `xml:",omitempty"`
		Deleted      []deleted
	}
	out.EncodingType = r.param("encoding-type")
	keys := make([]string, len(in.Object))
	for i, o := range in.Object {
		if e := checkKey(o.Key); e != nil {
			return e
		}
		one := *r
		one.key = o.Key
		if e := s.authorize(&one, "oss:DeleteObject", one.resource(s.cfg.AccountID)); e != nil {
			return e
		}
		keys[i] = o.Key
		out.Deleted = append(out.Deleted, deleted{Key: encode(o.Key), VersionID: o.VersionID})
	}
	versioned, err := s.removeObjects(r, keys, "ObjectRemoved:DeleteObjects")
	if err != nil {
		return err
	}
	if in.Quiet {
		return s.ok(w, r)
	}
	if versioned {
		for i := range out.Deleted {
			if d := &out.Deleted[i]; d.VersionID == "" {
				d.DeleteMarker, d.DeleteMarkerVersionID = true, "CAE"+randomID()
			}
		}
	}
	return s.writeXML(w, r, "DeleteResult", out)
}
