package oss

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// readable is an object that is about to be read: its files are pinned, and a
// symlink is followed.
type readable struct {
	*object
	segments []segment
	link     *object // the symlink that led here, or nil
}

// open looks an object up and pins its files; release it with blobs.unpin.
func (s *Service) open(bucketName, key, versionID string) (readable, error) {
	var out readable
	segments, err := s.blobs.pin(func() (segments []segment, err error) {
		err = s.db.View(func(tx *bbolt.Tx) error {
			if out, err = find(tx, bucketName, key, versionID); err != nil {
				return err
			}
			segments, err = contentOf(tx, out.object)
			return err
		})
		return segments, err
	})
	out.segments = segments
	return out, err
}

// find returns an object, or where it is a symlink the target.
func find(tx *bbolt.Tx, bucketName, key, versionID string) (readable, error) {
	_, o, err := loadObject(tx, bucketName, key)
	if err != nil {
		return readable{}, err
	}
	if versionID != "" && versionID != o.VersionID && (versionID != "null" || o.VersionID != "") {
		return readable{}, errNoSuchVersion.with("Key", key).with("VersionId", versionID)
	}
	if o.Type != typeSymlink {
		return readable{object: o}, nil
	}
	target, err := findObject(tx, bucketName, o.Target)
	switch {
	case err != nil:
		return readable{}, err
	case target == nil:
		return readable{}, errSymlinkTarget.with("Key", o.Target)
	case target.Type == typeSymlink:
		return readable{}, errInvalidTarget.with("Key", o.Target)
	}
	return readable{object: target, link: o}, nil
}

// modified is the time of the newer of an object and the symlink to it.
func (o readable) modified() time.Time {
	if o.link != nil && o.link.Modified.After(o.Modified) {
		return o.link.Modified
	}
	return o.Modified
}

func (s *Service) getObject(w http.ResponseWriter, r *request) error {
	overrides, e := responseOverrides(r)
	if e != nil {
		return e
	}
	o, err := s.open(r.bucket, r.key, r.param("versionId"))
	if err != nil {
		return err
	}
	defer s.blobs.unpin(o.segments)
	switch o.StorageClass {
	case "Archive", "ColdArchive", "DeepColdArchive":
		return errObjectState.with("ObjectName", r.key)
	}
	if e := checkConditions(r.Header, o); e != nil {
		return e
	}
	start, length, partial, e := parseRange(r.Header.Get("Range"), o.Size, r.Header.Get("X-Oss-Range-Behavior") == "standard")
	if e != nil {
		return e
	}
	h := w.Header()
	o.answerRead(h)
	for name, value := range overrides {
		h.Set(name, value)
	}
	h["x-oss-server-time"] = []string{s.serverTime(r)}
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	status := http.StatusOK
	if partial {
		status = http.StatusPartialContent
		h.Set("Content-Range", "bytes "+strconv.FormatInt(start, 10)+"-"+strconv.FormatInt(start+length-1, 10)+"/"+strconv.FormatInt(o.Size, 10))
	}
	w.WriteHeader(status)
	if err := s.blobs.copyTo(w, o.segments, start, length); err != nil {
		// Too late for an error: breaking the connection is what tells.
		panic(http.ErrAbortHandler)
	}
	return nil
}

func (s *Service) headObject(w http.ResponseWriter, r *request) error {
	o, err := s.look(r)
	if err != nil {
		return err
	}
	if e := checkConditions(r.Header, o); e != nil {
		return e
	}
	o.answerRead(w.Header())
	w.Header().Set("Content-Length", strconv.FormatInt(o.Size, 10))
	return s.ok(w, r)
}

// getObjectMeta answers the few headers that cost OSS nothing to know.
func (s *Service) getObjectMeta(w http.ResponseWriter, r *request) error {
	o, err := s.look(r)
	if err != nil {
		return err
	}
	h := w.Header()
	h["ETag"] = []string{quoted(o.ETag)}
	h.Set("Last-Modified", o.modified().Format(http.TimeFormat))
	h["x-oss-hash-crc64ecma"] = []string{strconv.FormatUint(o.CRC64, 10)}
	if o.VersionID != "" {
		h["x-oss-version-id"] = []string{o.VersionID}
	}
	if r.Method == http.MethodHead {
		h.Set("Content-Length", strconv.FormatInt(o.Size, 10))
	}
	return s.ok(w, r)
}

// look finds an object without touching its content.
func (s *Service) look(r *request) (o readable, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		o, err = find(tx, r.bucket, r.key, r.param("versionId"))
		return err
	})
	return o, err
}

// answerRead sets the headers that describe an object.
func (o readable) answerRead(h http.Header) {
	for name, value := range o.Headers {
		h[name] = []string{value}
	}
	h.Set("Accept-Ranges", "bytes")
	h["ETag"] = []string{quoted(o.ETag)}
	h.Set("Last-Modified", o.modified().Format(http.TimeFormat))
	h["x-oss-hash-crc64ecma"] = []string{strconv.FormatUint(o.CRC64, 10)}
	h["x-oss-object-type"] = []string{o.Type}
	h["x-oss-storage-class"] = []string{o.StorageClass}
	if o.MD5 != "" {
		h["Content-MD5"] = []string{o.MD5}
	}
	if o.Type == typeAppendable {
		h["x-oss-next-append-position"] = []string{strconv.FormatInt(o.Size, 10)}
	}
	if o.VersionID != "" {
		h["x-oss-version-id"] = []string{o.VersionID}
	}
	if len(o.Tags) > 0 {
		h["x-oss-tagging-count"] = []string{strconv.Itoa(len(o.Tags))}
	}
	o.answerSSE(h)
	for name, value := range o.Meta {
		h["x-oss-meta-"+name] = []string{value}
	}
	if o.link != nil {
		h["x-oss-object-type"] = []string{typeSymlink}
		for name, value := range o.link.Meta {
			h["x-oss-meta-"+name] = []string{value}
		}
	}
}

// responseOverrides reads the response-* parameters, which only a signed request
// may have.
func responseOverrides(r *request) (map[string]string, *Error) {
	out := map[string]string{}
	for _, name := range kept {
		p := "response-" + strings.ToLower(name)
		if v := r.param(p); v != "" {
			if r.caller == nil {
				return nil, &Error{Status: 400, Code: "InvalidRequest", Message: "Request specific response headers cannot be used for anonymous GET requests."}
			}
			out[name] = v
		}
	}
	return out, nil
}

// checkConditions applies the conditional headers of a read.
func checkConditions(h http.Header, o readable) *Error {
	failed := func(name string) *Error { return errPrecondition.with("Condition", name) }
	if v := h.Get("If-Match"); v != "" && !matchesETag(v, o.ETag) {
		return failed("If-Match")
	}
	modified := o.modified().Truncate(time.Second)
	if t, ok := headerTime(h, "If-Unmodified-Since"); ok && modified.After(t) {
		return failed("If-Unmodified-Since")
	}
	if v := h.Get("If-None-Match"); v != "" && matchesETag(v, o.ETag) {
		return notModified(o)
	}
	if t, ok := headerTime(h, "If-Modified-Since"); ok && !modified.After(t) {
		return notModified(o)
	}
	return nil
}

func notModified(o readable) *Error {
	e := errNotModified
	e.Header = map[string]string{"ETag": quoted(o.ETag), "Last-Modified": o.modified().Format(http.TimeFormat)}
	return &e
}

func matchesETag(header, etag string) bool {
	for v := range strings.SplitSeq(header, ",") {
		if v = strings.Trim(strings.TrimSpace(v), `"`); v == "*" || strings.EqualFold(v, etag) {
			return true
		}
	}
	return false
}

func headerTime(h http.Header, name string) (time.Time, bool) {
	t, err := http.ParseTime(h.Get(name))
	return t, err == nil
}

// parseRange reads a Range header as OSS does: a range that does not lie wholly
// in the object is ignored, unless standard behaviour is asked for.
// https://help.aliyun.com/zh/oss/developer-reference/getobject
func parseRange(header string, size int64, standard bool) (start, length int64, partial bool, e *Error) {
	whole := func() (int64, int64, bool, *Error) { return 0, size, false, nil }
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return whole()
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || first == "" && last == "" {
		return whole()
	}
	number := func(s string) int64 {
		for i := range len(s) {
			if s[i] < '0' || s[i] > '9' {
				return -1
			}
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	from, to := int64(0), size-1
	switch {
	case first == "":
		n := number(last)
		if n < 0 {
			return whole()
		}
		if standard {
			if n == 0 || size == 0 {
				return 0, 0, false, errInvalidRange.with("RangeRequested", header)
			}
			n = min(n, size)
		}
		if n == 0 || n > size {
			return whole()
		}
		return size - n, n, true, nil
	default:
		if from = number(first); from < 0 {
			return whole()
		}
		if last != "" {
			if to = number(last); to < from {
				return whole()
			}
		}
	}
	if standard {
		if from >= size {
			return 0, 0, false, errInvalidRange.with("RangeRequested", header)
		}
		to = min(to, size-1)
	}
	if from >= size || to >= size {
		return whole()
	}
	return from, to - from + 1, true, nil
}
