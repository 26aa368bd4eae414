package oss

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signature version 4:
// https://help.aliyun.com/zh/oss/developer-reference/recommend-to-use-signature-version-4

const (
	v4Algorithm     = "OSS4-HMAC-SHA256"
	v4Terminator    = "aliyun_v4_request"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	maxV4Expires    = 7 * 24 * time.Hour
)

// credentialV4 is "<key id>/<day>/<region>/oss/aliyun_v4_request".
type credentialV4 struct{ keyID, day, region, product string }

func (c credentialV4) scope() string {
	return c.day + "/" + c.region + "/" + c.product + "/" + v4Terminator
}

// authorizationV4 is an Authorization header, read.
type authorizationV4 struct {
	credential credentialV4
	additional []string // signed headers besides the default ones, sorted, lower case
	signature  string
}

// parseV4 reads an Authorization header of version 4. The error says what is
// wrong with it.
func parseV4(header string) (authorizationV4, *Error) {
	var a authorizationV4
	rest, ok := strings.CutPrefix(header, v4Algorithm+" ")
	if !ok {
		return a, invalidV4("Invalid Authorization header.", "0002-00000201")
	}
	var credential string
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			credential = value
		case "AdditionalHeaders":
			a.additional = splitAdditional(value)
		case "Signature":
			a.signature = value
		}
	}
	if credential == "" {
		return a, invalidV4("Missing Credential in Authorization header.", "0002-00000202")
	}
	if a.signature == "" {
		return a, invalidV4("Missing Signature in Authorization header.", "0002-00000203")
	}
	if b, err := hex.DecodeString(a.signature); err != nil || len(b) != sha256.Size {
		return a, invalidV4("Invalid Signature in Authorization header.", "0002-00000209")
	}
	var e *Error
	a.credential, e = parseCredentialV4(credential)
	return a, e
}

func splitAdditional(s string) []string {
	if s == "" {
		return nil
	}
	out := strings.Split(strings.ToLower(s), ";")
	slices.Sort(out)
	return out
}

func parseCredentialV4(s string) (credentialV4, *Error) {
	f := strings.Split(s, "/")
	if len(f) != 5 || f[4] != v4Terminator {
		return credentialV4{}, invalidV4("Invalid Credential in Authorization.", "0002-00000204")
	}
	c := credentialV4{f[0], f[1], f[2], f[3]}
	if c.keyID == "" || strings.ContainsFunc(c.keyID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return c, invalidV4("Invalid AccessKeyId in Authorization.", "0002-00000206")
	}
	if _, err := time.Parse(isoDay, c.day); err != nil {
		return c, invalidV4("Invalid signing date in Authorization.", "0002-00000207")
	}
	return c, nil
}

func invalidV4(message, ec string) *Error {
	return &Error{Status: 400, Code: "InvalidArgument", Message: message, EC: ec}
}

// checkScope checks what a credential says besides the key. One endpoint serves
// the buckets of every region here, so a bucket's own region is right as well.
func (s *Service) checkScope(r *request, c credentialV4, t time.Time) *Error {
	if c.day != t.UTC().Format(isoDay) {
		return invalidV4("Invalid signing date in Authorization: it differs from the date of the request.", "0002-00000207")
	}
	if c.region != s.cfg.Region && "oss-"+c.region != s.bucketLocation(r.bucket) {
		return invalidV4("Invalid signing region in Authorization header.", "0002-00000226").
			with("Region", c.region)
	}
	if c.product != "oss" {
		return invalidV4("Invalid signing product in Authorization header.", "0002-00000208")
	}
	return nil
}

// checkV4Header checks a request that is signed in its Authorization header.
func (s *Service) checkV4Header(r *request, header string) *Error {
	a, e := parseV4(header)
	if e != nil {
		return e
	}
	text, t, e := requestDate(r)
	if e != nil {
		return e
	}
	if e := s.checkScope(r, a.credential, t); e != nil {
		return e
	}
	payload := r.Header.Get("X-Oss-Content-Sha256")
	if payload != unsignedPayload {
		return badArgument("x-oss-content-sha256", payload, "The x-oss-content-sha256 header must be %s.", unsignedPayload)
	}
	if e := s.checkSkew(t); e != nil {
		return e
	}
	id, e := s.identify(a.credential.keyID, r.Header.Get("X-Oss-Security-Token"))
	if e != nil {
		return e
	}
	sts := stringToSignV4(text, a.credential, canonicalRequestV4(r, a.additional, payload))
	return signed(r, id, signV4(id.AccessKeySecret, a.credential, sts), a.signature, sts)
}

// checkV4Query checks a request that is signed in its URL.
func (s *Service) checkV4Query(r *request) *Error {
	if v := r.param("x-oss-signature-version"); v != v4Algorithm {
		return badArgument("x-oss-signature-version", v, "Unsupported signature version.")
	}
	for _, name := range []string{"x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature"} {
		if !r.has(name) {
			return denied("Query-string authentication requires the x-oss-signature-version, x-oss-credential, x-oss-date, x-oss-expires and x-oss-signature parameters.")
		}
	}
	c, e := parseCredentialV4(r.param("x-oss-credential"))
	if e != nil {
		return e
	}
	text := r.param("x-oss-date")
	t, err := time.Parse(isoBasic, text)
	if err != nil {
		return badArgument("x-oss-date", text, "Invalid x-oss-date.")
	}
	if e := s.checkScope(r, c, t); e != nil {
		return e
	}
	seconds, err := strconv.ParseInt(r.param("x-oss-expires"), 10, 64)
	if err != nil || seconds < 1 || seconds > int64(maxV4Expires/time.Second) {
		return badArgument("x-oss-expires", r.param("x-oss-expires"), "x-oss-expires must be between 1 and 604800 seconds.")
	}
	if t.Sub(s.now()) > maxSkew {
		return s.checkSkew(t)
	}
	if end := t.Add(time.Duration(seconds) * time.Second); s.now().After(end) {
		return s.expired(end)
	}
	id, e := s.identify(c.keyID, r.param("x-oss-security-token"))
	if e != nil {
		return e
	}
	sts := stringToSignV4(text, c, canonicalRequestV4(r, splitAdditional(r.param("x-oss-additional-headers")), unsignedPayload))
	return signed(r, id, signV4(id.AccessKeySecret, c, sts), r.param("x-oss-signature"), sts)
}

// canonicalRequestV4 is what is hashed: the path names the bucket whichever way
// the request addresses it.
func canonicalRequestV4(r *request, additional []string, payload string) string {
	path := "/"
	if r.bucket != "" {
		path += escape(r.bucket, false) + "/" + escape(r.key, true)
	}
	var query []string
	for _, p := range r.query {
		if p.name == "x-oss-signature" {
			continue
		}
		item := escape(p.name, false)
		if p.value != "" {
			item += "=" + escape(p.value, false)
		}
		query = append(query, item)
	}
	// By name first: "a-b=1" comes after "a=2", though "-" is less than "=".
	slices.SortFunc(query, func(a, b string) int {
		x, _, _ := strings.Cut(a, "=")
		y, _, _ := strings.Cut(b, "=")
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	var headers strings.Builder
	for _, name := range signedHeadersV4(r, additional) {
		headers.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	return r.Method + "\n" + path + "\n" + strings.Join(query, "&") + "\n" +
		headers.String() + "\n" + strings.Join(additional, ";") + "\n" + payload
}

// signedHeadersV4 lists the headers in the canonical request, sorted, in lower
// case: those that are always signed, and the additional ones.
func signedHeadersV4(r *request, additional []string) []string {
	var names []string
	for name := range r.Header {
		name = strings.ToLower(name)
		if name == "content-type" || name == "content-md5" || strings.HasPrefix(name, "x-oss-") {
			names = append(names, name)
		}
	}
	for _, name := range additional {
		if headerValue(r, name) != "" || len(r.Header.Values(name)) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func headerValue(r *request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		if r.ContentLength >= 0 {
			return strconv.FormatInt(r.ContentLength, 10)
		}
	}
	values := slices.Clone(r.Header.Values(name))
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	return strings.Join(values, ",")
}

func stringToSignV4(date string, c credentialV4, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return v4Algorithm + "\n" + date + "\n" + c.scope() + "\n" + hex.EncodeToString(sum[:])
}

// signV4 is the signature of a string in a credential's scope, in hex.
func signV4(secret string, c credentialV4, s string) string {
	key := []byte("aliyun_v4" + secret)
	for _, part := range []string{c.day, c.region, c.product, v4Terminator} {
		key = hmacSHA256(key, part)
	}
	return hex.EncodeToString(hmacSHA256(key, s))
}

func hmacSHA256(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}
