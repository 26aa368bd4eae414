package oss

import (
	"net/http"
	"net/url"

	"go.etcd.io/bbolt"
)

// changeObject changes the stored properties of an object in place; content and
// modification time stay.
func (s *Service) changeObject(r *request, change func(*object) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		_, o, err := loadObject(tx, r.bucket, r.key)
		if err != nil {
			return err
		}
		if err := change(o); err != nil {
			return err
		}
		return saveObject(tx, r.bucket, r.key, o)
	})
}

func (s *Service) object(r *request) (o *object, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		_, o, err = loadObject(tx, r.bucket, r.key)
		return err
	})
	return o, err
}

type taggingXML struct {
	TagSet struct{ Tag []tag }
}

func (s *Service) getObjectTagging(w http.ResponseWriter, r *request) error {
	o, err := s.object(r)
	if err != nil {
		return err
	}
	var x taggingXML
	x.TagSet.Tag = o.Tags
	return s.writeXML(w, r, "Tagging", x)
}

func (s *Service) putObjectTagging(w http.ResponseWriter, r *request) error {
	var x taggingXML
	if err := readXML(r, "Tagging", &x); err != nil {
		return err
	}
	if e := checkTags(x.TagSet.Tag); e != nil {
		return e
	}
	if err := s.changeObject(r, func(o *object) error { o.Tags = x.TagSet.Tag; return nil }); err != nil {
		return err
	}
	return s.ok(w, r)
}

func (s *Service) deleteObjectTagging(w http.ResponseWriter, r *request) error {
	if err := s.changeObject(r, func(o *object) error { o.Tags = nil; return nil }); err != nil {
		return err
	}
	return s.status(w, r, http.StatusNoContent)
}

func (s *Service) getObjectACL(w http.ResponseWriter, r *request) error {
	o, err := s.object(r)
	if err != nil {
		return err
	}
	grant := o.ACL
	if grant == "" {
		grant = "default"
	}
	return s.writeXML(w, r, "AccessControlPolicy", s.aclXML(grant))
}

func (s *Service) putObjectACL(w http.ResponseWriter, r *request) error {
	v := r.Header.Get("X-Oss-Object-Acl")
	if v == "" {
		return errMissingArgument.with("ArgumentName", "x-oss-object-acl")
	}
	acl, e := readObjectACL(v)
	if e != nil {
		return e
	}
	if err := s.changeObject(r, func(o *object) error { o.ACL = acl; return nil }); err != nil {
		return err
	}
	return s.ok(w, r)
}

// putSymlink makes an object that stands for another of the same bucket, which
// need not exist yet.
func (s *Service) putSymlink(w http.ResponseWriter, r *request) error {
	if e := refuseConditions(r); e != nil {
		return e
	}
	header := r.Header.Get("X-Oss-Symlink-Target")
	target, err := url.QueryUnescape(header)
	if err != nil || checkKey(target) != nil {
		return badArgument("x-oss-symlink-target", header, "The x-oss-symlink-target is invalid.")
	}
	noBody(r)
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	c, e := readSettings(r.Header, b)
	if e != nil {
		return e
	}
	o := &object{Type: typeSymlink, ETag: randomID(), Modified: s.now(), settings: c, Target: target}
	if err := s.commit(r, o, nil, "ObjectCreated:PutSymlink"); err != nil {
		return err
	}
	w.Header()["ETag"] = []string{quoted(o.ETag)}
	if o.VersionID != "" {
		w.Header()["x-oss-version-id"] = []string{o.VersionID}
	}
	return s.ok(w, r)
}

func (s *Service) getSymlink(w http.ResponseWriter, r *request) error {
	o, err := s.object(r)
	if err != nil {
		return err
	}
	if o.Type != typeSymlink {
		return errNotSymlink.with("Key", r.key)
	}
	h := w.Header()
	h["ETag"] = []string{quoted(o.ETag)}
	h.Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	h["x-oss-symlink-target"] = []string{escape(o.Target, false)}
	if o.VersionID != "" {
		h["x-oss-version-id"] = []string{o.VersionID}
	}
	for name, value := range o.Meta {
		h["x-oss-meta-"+name] = []string{value}
	}
	return s.ok(w, r)
}
