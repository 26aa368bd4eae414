package mns

import (
	"net/url"
	"strconv"
	"strings"
)

// target is what a request's path and query name.
type target struct {
	prefix string // the part of the path before the service's own, "" or "/x"
	path   []string
	query  query
	// signed are the forms of path and query that clients sign: with the prefix
	// (Java) and without it (Go).
	signed []string
}

// parseTarget splits a raw request URI. The path is taken as it came, neither
// cleaned nor decoded: names need no escapes, and the signature covers the raw
// form. A first segment that looks like an endpoint's host name
// (<account>.mns.<region>.aliyuncs.com) is a prefix: the Go SDK can reach a
// server on localhost only in that form.
func parseTarget(requestURI string) (target, error) {
	uri := requestURI
	if rest, ok := strings.CutPrefix(uri, "http://"); ok {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return target{}, errRequestURL
		}
		uri = rest[i:]
	}
	if !strings.HasPrefix(uri, "/") {
		return target{}, errRequestURL
	}
	t := target{signed: []string{uri}}
	path, raw, _ := strings.Cut(uri, "?")
	first, _, _ := strings.Cut(path[1:], "/")
	if strings.HasSuffix(first, ".aliyuncs.com") && strings.Contains(first, ".mns.") {
		t.prefix = "/" + first
		stripped := strings.TrimPrefix(uri, t.prefix)
		path = strings.TrimPrefix(path, t.prefix)
		t.signed = append(t.signed, stripped)
	}
	if path == "" {
		path = "/"
	}
	t.path = strings.Split(path[1:], "/")
	// A slash at the end of a list's path is harmless.
	if n := len(t.path); n > 1 && t.path[n-1] == "" {
		t.path = t.path[:n-1]
	}
	var err error
	t.query, err = parseQuery(raw)
	return t, err
}

// query holds a query string by lower-case key: SDKs differ in the case.
type query map[string]string

// parseQuery reads a raw query string. A plus stays a plus: some SDKs send
// receipt handles unescaped.
func parseQuery(raw string) (query, error) {
	q := query{}
	for item := range strings.SplitSeq(raw, "&") {
		if item == "" {
			continue
		}
		key, value, _ := strings.Cut(item, "=")
		k, err := url.PathUnescape(key)
		if err != nil {
			return nil, invalidQueryString(item)
		}
		v, err := url.PathUnescape(value)
		if err != nil {
			return nil, invalidQueryString(item)
		}
		q[strings.ToLower(k)] = v
	}
	return q, nil
}

// flag is a boolean parameter, false where it is absent.
func (q query) flag(key string) (bool, error) {
	v, ok := q[key]
	if !ok {
		return false, nil
	}
	switch strings.ToLower(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, invalidQueryString(key)
}

// number is a parameter between low and high; ok is false where it is absent.
// name is how the documents spell it.
func (q query) number(name string, low, high int64, unit string) (n int64, ok bool, err error) {
	v, ok := q[strings.ToLower(name)]
	if !ok {
		return 0, false, nil
	}
	n, err = strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, false, invalidQueryString(name)
	}
	if n < low || n > high {
		return 0, false, between(name, low, high, unit)
	}
	return n, true, nil
}
