package oss

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"ecs-image-export/local/identity"
)

// maxKeyBytes is the longest object name.
const maxKeyBytes = 1023

// request is one call: what it addresses and who makes it.
type request struct {
	*http.Request
	id      string
	started time.Time
	bucket  string
	key     string
	query   []param
	caller  *identity.Identity // nil: anonymous
}

// param is one query parameter, decoded, in the order of the URL.
type param struct{ name, value string }

// param returns the first value of a query parameter, or "".
func (r *request) param(name string) string {
	for _, p := range r.query {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// has tells whether the query has a parameter, with or without a value.
func (r *request) has(name string) bool {
	for _, p := range r.query {
		if p.name == name {
			return true
		}
	}
	return false
}

// resource names what is addressed as policies name it.
func (r *request) resource(account string) string { return arn(account, r.bucket, r.key) }

func arn(account, bucket, key string) string {
	switch {
	case bucket == "":
		return "acs:oss:*:" + account + ":*"
	case key == "":
		return "acs:oss:*:" + account + ":" + bucket
	}
	return "acs:oss:*:" + account + ":" + bucket + "/" + key
}

// newRequest reads what a call addresses. The path is taken as it was sent:
// cleaning it would lose keys such as "a//b" and "../c".
func newRequest(hr *http.Request, id string, started time.Time, isBucket func(string) bool) (*request, *Error) {
	r := &request{Request: hr, id: id, started: started}
	path, query, _ := strings.Cut(hr.RequestURI, "?")
	if i := strings.Index(path, "://"); i >= 0 { // absolute form, as through a proxy
		path = path[i+3:]
		if j := strings.IndexByte(path, '/'); j >= 0 {
			path = path[j:]
		} else {
			path = "/"
		}
	}
	r.query = parseQuery(query)
	path = strings.TrimPrefix(path, "/")
	bucket, pathStyle := bucketOfHost(hr.Host, isBucket)
	if bucket == "" {
		bucket, path, _ = strings.Cut(path, "/")
		if bucket != "" && !pathStyle {
			return r, errSecondLevel.with("Bucket", bucket)
		}
	}
	var err error
	if r.bucket, err = url.PathUnescape(bucket); err != nil {
		return r, errInvalidBucketName.with("BucketName", bucket)
	}
	if r.key, err = url.PathUnescape(path); err != nil {
		return r, errInvalidObjectName.with("ObjectName", path)
	}
	if r.key != "" {
		if e := checkKey(r.key); e != nil {
			return r, e
		}
	}
	return r, nil
}

// checkKey applies the rules for object names. NUL is refused because no text
// form of a listing can carry it.
func checkKey(key string) *Error {
	switch {
	case key == "":
		return errInvalidObjectName.say("The Object name can not be empty.")
	case len(key) > maxKeyBytes:
		return errInvalidObjectName.say("The Length of Object name must be less than 1024.")
	case !utf8.ValidString(key), strings.Contains(key, "\x00"), key[0] == '/', key[0] == '\\':
		return errInvalidObjectName.with("ObjectName", strings.ToValidUTF8(key, "\uFFFD"))
	}
	return nil
}

// bucketOfHost returns the bucket that a host name begins with, or "" and
// whether the path may begin with one. OSS itself allows path style on IP
// addresses only; names other than its own are treated as IP addresses are.
func bucketOfHost(host string, isBucket func(string) bool) (bucket string, pathStyle bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if net.ParseIP(host) != nil {
		return "", true
	}
	first, rest, dotted := strings.Cut(host, ".")
	switch {
	case !dotted:
		return "", true
	case strings.HasSuffix(host, ".aliyuncs.com"):
		if strings.HasPrefix(first, "oss-") && !strings.HasPrefix(rest, "oss-") {
			return "", false
		}
		return first, false
	case rest == "localhost", net.ParseIP(rest) != nil, isBucket(first):
		return first, false
	}
	return "", true
}

// parseQuery splits a query string; what cannot be decoded stays as it is.
func parseQuery(raw string) []param {
	var out []param
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		out = append(out, param{unescapeQuery(name), unescapeQuery(value)})
	}
	return out
}

func unescapeQuery(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// escape encodes a string as V4 signatures and listings do: everything but
// letters, digits and -._~ becomes %XX; slashes too unless keepSlash.
func escape(s string, keepSlash bool) string {
	e := strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	if keepSlash {
		e = strings.ReplaceAll(e, "%2F", "/")
	}
	return e
}

// newRequestID makes an id in the form of OSS: 24 upper-case hex digits that
// begin with the time.
func newRequestID(t time.Time) string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%08X%s", uint32(t.Unix()), strings.ToUpper(hex.EncodeToString(b[:])))
}

// randomID is 32 upper-case hex digits.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return strings.ToUpper(hex.EncodeToString(b[:]))
}
