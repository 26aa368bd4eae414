package oss

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	maxMetaBytes = 8 << 10
	maxTags      = 10
	maxTagKey    = 128
	maxTagValue  = 256
)

const defaultContentType = "application/octet-stream"

// kept are the standard headers that an object keeps and answers with.
var kept = []string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

var sseAlgorithms = map[string]bool{"AES256": true, "KMS": true, "SM4": true}

// readSettings reads what the headers of a write say about the new object, and
// fills in what its bucket says.
func readSettings(h http.Header, b *bucket) (settings, *Error) {
	c := settings{Headers: map[string]string{}, StorageClass: b.StorageClass}
	for _, name := range kept {
		if v := h.Get(name); v != "" {
			c.Headers[name] = v
		}
	}
	if c.Headers["Content-Type"] == "" {
		c.Headers["Content-Type"] = defaultContentType
	}
	var e *Error
	if c.Meta, e = readMeta(h); e != nil {
		return c, e
	}
	if v := h.Get("X-Oss-Tagging"); v != "" {
		if c.Tags, e = parseTagging(v); e != nil {
			return c, e
		}
	}
	if c.ACL, e = readObjectACL(h.Get("X-Oss-Object-Acl")); e != nil {
		return c, e
	}
	if v := h.Get("X-Oss-Storage-Class"); v != "" {
		if !storageClasses[v] {
			return c, errInvalidClass.with("StorageClass", v)
		}
		c.StorageClass = v
	}
	c.SSE = sse{
		Algorithm: h.Get("X-Oss-Server-Side-Encryption"),
		KeyID:     h.Get("X-Oss-Server-Side-Encryption-Key-Id"),
		Data:      h.Get("X-Oss-Server-Side-Data-Encryption"),
	}
	switch {
	case c.SSE.Algorithm != "" && !sseAlgorithms[c.SSE.Algorithm]:
		return c, errInvalidEncryption.with("SSEAlgorithm", c.SSE.Algorithm)
	case c.SSE.Algorithm == "" && c.SSE.KeyID != "":
		return c, badArgument("x-oss-server-side-encryption-key-id", c.SSE.KeyID, "A key id needs x-oss-server-side-encryption: KMS.")
	case c.SSE.Algorithm == "" && b.Encryption != nil:
		d := b.Encryption.Default
		c.SSE = sse{d.SSEAlgorithm, d.KMSMasterKeyID, d.KMSDataEncryption}
	}
	return c, nil
}

// readMeta reads the x-oss-meta-* headers; the names come out in lower case and
// without the prefix.
func readMeta(h http.Header) (map[string]string, *Error) {
	var meta map[string]string
	size := 0
	for name, values := range h {
		name, ok := strings.CutPrefix(strings.ToLower(name), "x-oss-meta-")
		if !ok {
			continue
		}
		if meta == nil {
			meta = map[string]string{}
		}
		meta[name] = strings.Join(values, ",")
		size += len(name) + len(meta[name])
	}
	if size > maxMetaBytes {
		return nil, errInvalidArgument.say("The total size of user metadata exceeds 8 KB.").
			with("ArgumentName", "x-oss-meta")
	}
	return meta, nil
}

// parseTagging reads "k1=v1&k2=v2", URL-encoded.
func parseTagging(s string) ([]tag, *Error) {
	var tags []tag
	for pair := range strings.SplitSeq(s, "&") {
		k, v, _ := strings.Cut(pair, "=")
		key, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil {
			return nil, errInvalidTag.with("Tagging", s)
		}
		tags = append(tags, tag{key, value})
	}
	return tags, checkTags(tags)
}

// checkTags applies the rules for object tags: at most 10 with distinct keys of
// 1 to 128 characters and values of at most 256.
func checkTags(tags []tag) *Error {
	if len(tags) > maxTags {
		return &Error{Status: 400, Code: "BadRequest", Message: "Object tags cannot be greater than 10"}
	}
	seen := map[string]bool{}
	for _, t := range tags {
		if t.Key == "" || utf8.RuneCountInString(t.Key) > maxTagKey || utf8.RuneCountInString(t.Value) > maxTagValue || seen[t.Key] {
			return errInvalidTag.with("TagKey", t.Key).with("TagValue", t.Value)
		}
		seen[t.Key] = true
	}
	return nil
}

// readObjectACL reads the value of x-oss-object-acl; "" means the default, that
// is, the bucket's.
func readObjectACL(v string) (string, *Error) {
	switch v {
	case "", "default":
		return "", nil
	case aclPrivate, aclPublicRead, aclPublicReadWrite:
		return v, nil
	}
	return "", badArgument("x-oss-object-acl", v, "no such object access control exists")
}

// answerSSE tells how an object is said to be encrypted.
func (c *settings) answerSSE(h http.Header) {
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{value}
		}
	}
	set("x-oss-server-side-encryption", c.SSE.Algorithm)
	set("x-oss-server-side-encryption-key-id", c.SSE.KeyID)
	set("x-oss-server-side-data-encryption", c.SSE.Data)
}
