package oss

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// lifecyclePeriod is the time between two scans, before Speed divides it. OSS
// scans once a day; days in rules are real days here.
const lifecyclePeriod = time.Hour

const maxLifecycleRules = 1000

// lifecycle is the lifecycle configuration of a bucket.
type lifecycle struct {
	Rules []lifecycleRule `xml:"Rule"`
}

// lifecycleRule says when objects and parts under a prefix are removed. Rules
// that move objects to another storage class are not built.
type lifecycleRule struct {
	ID         string     `xml:"ID"`
	Prefix     string     `xml:"Prefix"`
	Status     string     `xml:"Status"`
	Expiration *whenXML   `xml:"Expiration,omitempty"`
	Abort      *whenXML   `xml:"AbortMultipartUpload,omitempty"`
	Tags       []tag      `xml:"Tag,omitempty"`
	Transition []struct{} `xml:"Transition,omitempty" json:"-"`
	Filter     *struct{}  `xml:"Filter,omitempty" json:"-"`
	NonExpire  *struct{}  `xml:"NoncurrentVersionExpiration,omitempty" json:"-"`
	NonTrans   []struct{} `xml:"NoncurrentVersionTransition,omitempty" json:"-"`
}

// whenXML is an age in days or a date.
type whenXML struct {
	Days              int    `xml:"Days,omitempty"`
	CreatedBeforeDate string `xml:"CreatedBeforeDate,omitempty"`
	Date              string `xml:"Date,omitempty"`
	DeleteMarker      string `xml:"ExpiredObjectDeleteMarker,omitempty" json:",omitempty"`
}

// due tells whether what was last changed at t is to go now. Days end at
// midnight UTC, as OSS has it.
func (w *whenXML) due(t, now time.Time) bool {
	switch {
	case w == nil:
		return false
	case w.Days > 0:
		end := t.UTC().AddDate(0, 0, w.Days)
		midnight := end.Truncate(24 * time.Hour)
		if midnight.Before(end) {
			midnight = midnight.AddDate(0, 0, 1)
		}
		return !now.Before(midnight)
	case w.CreatedBeforeDate != "":
		d, err := time.Parse(time.RFC3339, w.CreatedBeforeDate)
		return err == nil && t.Before(d)
	case w.Date != "":
		d, err := time.Parse(time.RFC3339, w.Date)
		return err == nil && !now.Before(d)
	}
	return false
}

func (w *whenXML) check() *Error {
	n := 0
	if w.Days > 0 {
		n++
	}
	for _, d := range []string{w.CreatedBeforeDate, w.Date} {
		if d == "" {
			continue
		}
		n++
		if t, err := time.Parse(time.RFC3339, d); err != nil || t.UTC() != t.UTC().Truncate(24*time.Hour) {
			return badArgument("Date", d, "'Date' must be at midnight GMT")
		}
	}
	if w.DeleteMarker != "" {
		return notImplemented("A lifecycle rule with ExpiredObjectDeleteMarker")
	}
	if n != 1 || w.Days < 0 {
		return errMalformedXML.with("ErrorDetail", "a rule needs one of Days, CreatedBeforeDate and Date, with Days above 0")
	}
	return nil
}

func (s *Service) putBucketLifecycle(w http.ResponseWriter, r *request) error {
	var l lifecycle
	if err := readXML(r, "LifecycleConfiguration", &l); err != nil {
		return err
	}
	if e := l.check(r.Header.Get("X-Oss-Allow-Same-Action-Overlap") == "true"); e != nil {
		return e
	}
	if err := s.updateBucket(r.bucket, func(b *bucket) error { b.Lifecycle = &l; return nil }); err != nil {
		return err
	}
	return s.ok(w, r)
}

// check applies the rules for lifecycle configurations and names rules that
// have no name.
func (l *lifecycle) check(overlap bool) *Error {
	if len(l.Rules) == 0 || len(l.Rules) > maxLifecycleRules {
		return errMalformedXML.with("ErrorDetail", "there must be 1 to 1000 rules")
	}
	ids := map[string]bool{}
	for i := range l.Rules {
		u := &l.Rules[i]
		if u.ID == "" {
			u.ID = strings.ToLower(randomID())
		}
		switch {
		case len(u.ID) > 255:
			return badArgument("ID", u.ID, "ID length should not exceed allowed limit of 255")
		case ids[u.ID]:
			return badArgument("ID", u.ID, "Rule ID must be unique. Found same ID for more than one rule")
		case u.Status != "Enabled" && u.Status != "Disabled":
			return errMalformedXML.with("ErrorDetail", "Status must be Enabled or Disabled")
		case len(u.Transition) > 0 || u.Filter != nil || u.NonExpire != nil || len(u.NonTrans) > 0:
			return notImplemented("A lifecycle rule with Transition, Filter or Noncurrent actions")
		case u.Expiration == nil && u.Abort == nil:
			return errMalformedXML.with("ErrorDetail", "a rule needs an action")
		}
		ids[u.ID] = true
		for _, w := range []*whenXML{u.Expiration, u.Abort} {
			if w != nil {
				if e := w.check(); e != nil {
					return e
				}
			}
		}
		for _, v := range l.Rules[:i] {
			if !overlap && len(u.Tags) == 0 && len(v.Tags) == 0 && (strings.HasPrefix(u.Prefix, v.Prefix) || strings.HasPrefix(v.Prefix, u.Prefix)) &&
				(u.Expiration != nil && v.Expiration != nil || u.Abort != nil && v.Abort != nil) {
				return badArgument("Prefix", u.Prefix, "Found overlapping prefixes '%s' and '%s' for the same action type", v.Prefix, u.Prefix)
			}
		}
	}
	return nil
}

func (s *Service) getBucketLifecycle(w http.ResponseWriter, r *request) error {
	b, err := s.bucket(r.bucket)
	if err != nil {
		return err
	}
	if b.Lifecycle == nil {
		return errNoSuchLifecycle.with("BucketName", r.bucket)
	}
	return s.writeXML(w, r, "LifecycleConfiguration", b.Lifecycle)
}

func (s *Service) deleteBucketLifecycle(w http.ResponseWriter, r *request) error {
	if err := s.updateBucket(r.bucket, func(b *bucket) error { b.Lifecycle = nil; return nil }); err != nil {
		return err
	}
	return s.status(w, r, http.StatusNoContent)
}

// scanLifecycles applies the rules of every bucket now and then.
func (s *Service) scanLifecycles(ctx context.Context) {
	ticker := time.NewTicker(max(time.Duration(float64(lifecyclePeriod)/s.cfg.Speed), time.Second))
	defer ticker.Stop()
	for {
		// What fails is tried again at the next scan.
		_ = s.applyLifecycles(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// applyLifecycles removes what is due in every bucket.
func (s *Service) applyLifecycles(ctx context.Context) error {
	var buckets []bucket
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketsRoot).ForEach(func(_, v []byte) error {
			var b bucket
			if err := json.Unmarshal(v, &b); err != nil {
				return err
			}
			if b.Lifecycle != nil {
				buckets = append(buckets, b)
			}
			return nil
		})
	})
	for i := 0; err == nil && i < len(buckets); i++ {
		for _, rule := range buckets[i].Lifecycle.Rules {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if rule.Status != "Enabled" {
				continue
			}
			if err = s.applyRule(buckets[i].Name, rule); err != nil {
				break
			}
		}
	}
	return err
}

// applyRule removes the objects and uploads that one rule says are due. They are
// looked for without the write lock and looked at again under it.
func (s *Service) applyRule(bucketName string, rule lifecycleRule) error {
	now := s.now()
	objectDue := func(v []byte) (*object, error) {
		var o object
		if err := json.Unmarshal(v, &o); err != nil {
			return nil, err
		}
		if !rule.Expiration.due(o.Modified, now) || !hasTags(o.Tags, rule.Tags) {
			return nil, nil
		}
		return &o, nil
	}
	uploadDue := func(v []byte) (*upload, error) {
		var u upload
		if err := json.Unmarshal(v, &u); err != nil {
			return nil, err
		}
		if !rule.Abort.due(u.Initiated, now) {
			return nil, nil
		}
		return &u, nil
	}
	var keys, uploads []string
	err := s.db.View(func(tx *bbolt.Tx) error {
		if objectsOf(tx, bucketName) == nil {
			return nil
		}
		if err := withPrefix(objectsOf(tx, bucketName), rule.Prefix, func(k string, v []byte) error {
			o, err := objectDue(v)
			if o != nil {
				keys = append(keys, k)
			}
			return err
		}); err != nil {
			return err
		}
		return withPrefix(uploadsOf(tx, bucketName), rule.Prefix, func(k string, v []byte) error {
			u, err := uploadDue(v)
			if u != nil {
				uploads = append(uploads, k)
			}
			return err
		})
	})
	if err != nil || len(keys)+len(uploads) == 0 {
		return err
	}
	var unused []string
	err = s.db.Update(func(tx *bbolt.Tx) error {
		if objectsOf(tx, bucketName) == nil {
			return nil
		}
		for _, key := range keys {
			v := objectsOf(tx, bucketName).Get([]byte(key))
			if v == nil {
				continue
			}
			o, err := objectDue(v)
			if err != nil {
				return err
			}
			if o == nil {
				continue
			}
			files, err := deleteObject(tx, bucketName, key, o)
			if err != nil {
				return err
			}
			unused = append(unused, files...)
		}
		for _, k := range uploads {
			key, id, _ := strings.Cut(k, "\x00")
			files, err := dropUpload(tx, bucketName, key, id)
			if err != nil {
				return err
			}
			unused = append(unused, files...)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("apply lifecycle rule %s of %s: %w", rule.ID, bucketName, err)
	}
	s.blobs.remove(unused...)
	return nil
}

func withPrefix(b *bbolt.Bucket, prefix string, do func(k string, v []byte) error) error {
	c := b.Cursor()
	for k, v := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, v = c.Next() {
		if err := do(string(k), v); err != nil {
			return err
		}
	}
	return nil
}

// hasTags tells whether an object has every tag of a rule.
func hasTags(have, want []tag) bool {
	for _, w := range want {
		found := false
		for _, h := range have {
			found = found || h == w
		}
		if !found {
			return false
		}
	}
	return true
}
