package oss

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// PostObject is an upload from an HTML form:
// https://help.aliyun.com/zh/oss/developer-reference/postobject

const (
	maxFormField = 4 << 10   // bytes of one field, as OSS has it
	maxForm      = 256 << 10 // bytes of all fields before the file
)

// form is what comes before the file: names in lower case.
type form map[string]string

// postObject stores the file of a form. The signature, the policy and the key
// are fields of the form, before the file; what comes after it is ignored.
func (s *Service) postObject(w http.ResponseWriter, r *request) error {
	fields, file, err := readForm(r)
	if err != nil {
		return err
	}
	r.key = strings.ReplaceAll(fields["key"], "${filename}", path.Base(strings.ReplaceAll(file.FileName(), `\`, "/")))
	if e := checkKey(r.key); e != nil {
		return e
	}
	h := http.Header{}
	for name, value := range fields {
		if name == "x-oss-content-type" {
			name = "content-type"
		}
		h.Set(name, value)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", file.Header.Get("Content-Type"))
	}
	r.Header = h
	limits, e := s.authenticateForm(r, fields)
	if e != nil {
		return e
	}
	if e := s.authorize(r, "oss:PutObject", r.resource(s.cfg.AccountID)); e != nil {
		return e
	}
	var c settings
	err = s.db.View(func(tx *bbolt.Tx) error {
		b, err := loadBucket(tx, r.bucket)
		if err != nil {
			return err
		}
		var e *Error
		if c, e = readSettings(h, b); e != nil {
			return e
		}
		if e := checkOverwrite(tx, r, b); e != nil {
			return e
		}
		return nil
	})
	if err != nil {
		return err
	}
	body, err := s.blobs.write(file, min(limits.most, maxPut))
	if err != nil {
		return err
	}
	o := &object{
		Type: typeNormal, Size: body.size, ETag: body.etag(), MD5: body.contentMD5(), CRC64: body.crc64,
		Modified: s.now(), settings: c, Blob: body.id,
	}
	if e := checkMD5(r, func() []byte { return body.md5 }); e != nil {
		err = e
	} else if body.size < limits.least {
		err = &errEntityTooSmall
	} else {
		err = s.commit(r, o, nil, "ObjectCreated:PostObject")
	}
	if err != nil {
		s.blobs.remove(body.id)
		return err
	}
	return s.answerPost(w, r, fields, o)
}

func (s *Service) answerPost(w http.ResponseWriter, r *request, fields form, o *object) error {
	o.answerWritten(w.Header())
	location := "http://" + r.Host + "/" + r.bucket + "/" + escape(r.key, true)
	switch fields["success_action_status"] {
	case "200":
		return s.ok(w, r)
	case "201":
		w.Header()["Location"] = []string{location}
		return s.writeStatusXML(w, r, http.StatusCreated, "PostResponse", struct {
			Bucket, ETag, Key, Location string
		}{r.bucket, quoted(o.ETag), r.key, location})
	}
	if to := fields["success_action_redirect"]; to != "" {
		w.Header()["Location"] = []string{to}
		return s.status(w, r, http.StatusSeeOther)
	}
	return s.status(w, r, http.StatusNoContent)
}

// readForm reads the fields of a form up to its file.
func readForm(r *request) (form, *multipart.Part, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, nil, &Error{Status: 400, Code: "RequestIsNotMultiPartContent", Message: "Bucket POST must be of the enclosure-type multipart/form-data."}
	}
	parts := multipart.NewReader(r.Body, params["boundary"])
	fields := form{}
	for size := 0; ; {
		p, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil, nil, &Error{Status: 400, Code: "IncorrectNumberOfFilesInPOSTRequest", Message: "POST requires exactly one file upload per request."}
		case err != nil:
			return nil, nil, &Error{Status: 400, Code: "MalformedPOSTRequest", Message: "The body of your POST request is not well-formed multipart/form-data."}
		}
		if p.FormName() == "file" {
			return fields, p, nil
		}
		value, err := io.ReadAll(io.LimitReader(p, maxFormField+1))
		if err != nil {
			return nil, nil, err
		}
		if size += len(value); len(value) > maxFormField && p.FormName() != "policy" || size > maxForm {
			return nil, nil, &Error{Status: 400, Code: "FieldItemTooLong", Message: "Your form field value is too long."}
		}
		fields[strings.ToLower(p.FormName())] = string(value)
	}
}

// authenticateForm checks the signature of a form, which covers its policy, and
// the policy. A form without either is anonymous.
func (s *Service) authenticateForm(r *request, fields form) (sizeLimits, *Error) {
	policy := fields["policy"]
	if policy == "" && fields["signature"] == "" && fields["x-oss-signature"] == "" {
		return sizeLimits{most: maxPut}, nil
	}
	token := fields["x-oss-security-token"]
	if v := fields["x-oss-signature-version"]; v != "" {
		if v != v4Algorithm {
			return sizeLimits{}, notImplemented("PostObject with signature " + v)
		}
		c, e := parseCredentialV4(fields["x-oss-credential"])
		if e != nil {
			return sizeLimits{}, e
		}
		t, err := time.Parse(isoBasic, fields["x-oss-date"])
		if err != nil {
			return sizeLimits{}, badArgument("x-oss-date", fields["x-oss-date"], "Invalid x-oss-date.")
		}
		if e := s.checkScope(r, c, t); e != nil {
			return sizeLimits{}, e
		}
		id, e := s.identify(c.keyID, token)
		if e != nil {
			return sizeLimits{}, e
		}
		if e := signed(r, id, signV4(id.AccessKeySecret, c, policy), fields["x-oss-signature"], policy); e != nil {
			return sizeLimits{}, e
		}
	} else {
		if s.cfg.RejectV1 {
			return sizeLimits{}, &errV1Refused
		}
		id, e := s.identify(fields["ossaccesskeyid"], token)
		if e != nil {
			return sizeLimits{}, e
		}
		if e := signed(r, id, signV1(id.AccessKeySecret, policy), fields["signature"], policy); e != nil {
			return sizeLimits{}, e
		}
	}
	return s.checkPolicy(r, fields, policy)
}
