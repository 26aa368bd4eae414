package oss

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signature version 1:
// https://help.aliyun.com/zh/oss/developer-reference/include-signatures-in-the-authorization-header

// parseV1 reads "OSS <key id>:<signature>".
func parseV1(header string) (keyID, signature string, e *Error) {
	rest, _ := strings.CutPrefix(header, "OSS ")
	keyID, signature, ok := strings.Cut(rest, ":")
	if !ok || keyID == "" || signature == "" {
		return "", "", &Error{Status: 400, Code: "InvalidArgument", Message: "Authorization header is invalid.", EC: "0002-00000003"}
	}
	return keyID, signature, nil
}

// checkV1Header checks a request that is signed in its Authorization header.
func (s *Service) checkV1Header(r *request, header string) *Error {
	if s.cfg.RejectV1 {
		return &errV1Refused
	}
	keyID, signature, e := parseV1(header)
	if e != nil {
		return e
	}
	text, t, e := requestDate(r)
	if e != nil {
		return e
	}
	if e := s.checkSkew(t); e != nil {
		return e
	}
	token := r.Header.Get("X-Oss-Security-Token")
	if token == "" {
		token = r.param("security-token")
	}
	id, e := s.identify(keyID, token)
	if e != nil {
		return e
	}
	sts := stringToSignV1(r, text)
	return signed(r, id, signV1(id.AccessKeySecret, sts), signature, sts)
}

// checkV1Query checks a request that is signed in its URL.
func (s *Service) checkV1Query(r *request) *Error {
	if s.cfg.RejectV1 {
		return &errV1Refused
	}
	for _, name := range []string{"OSSAccessKeyId", "Expires", "Signature"} {
		if r.param(name) == "" {
			return denied("Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters.")
		}
	}
	text := r.param("Expires")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return denied("Invalid date (should be seconds since epoch): %s", text)
	}
	if end := time.Unix(seconds, 0).UTC(); s.now().After(end) {
		return s.expired(end)
	}
	token := r.param("security-token")
	if token == "" {
		token = r.Header.Get("X-Oss-Security-Token")
	}
	id, e := s.identify(r.param("OSSAccessKeyId"), token)
	if e != nil {
		return e
	}
	sts := stringToSignV1(r, text)
	return signed(r, id, signV1(id.AccessKeySecret, sts), r.param("Signature"), sts)
}

// stringToSignV1 is what version 1 signs. The values in the resource are not
// encoded.
func stringToSignV1(r *request, date string) string {
	var names []string
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-oss-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var headers strings.Builder
	for _, name := range names {
		headers.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	resource := "/"
	if r.bucket != "" {
		resource += r.bucket + "/" + r.key
	}
	var sub []string
	for _, p := range r.query {
		if !isSubresource(p.name) {
			continue
		}
		if p.value != "" {
			sub = append(sub, p.name+"="+p.value)
		} else {
			sub = append(sub, p.name)
		}
	}
	if len(sub) > 0 {
		slices.SortFunc(sub, func(a, b string) int {
			x, _, _ := strings.Cut(a, "=")
			y, _, _ := strings.Cut(b, "=")
			return strings.Compare(x, y)
		})
		resource += "?" + strings.Join(sub, "&")
	}
	return r.Method + "\n" + r.Header.Get("Content-Md5") + "\n" + r.Header.Get("Content-Type") + "\n" +
		date + "\n" + headers.String() + resource
}

func signV1(secret, s string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(s))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// isSubresource tells whether version 1 signs a query parameter. A parameter
// that is not here, such as prefix or list-type, can be changed on a signed URL.
func isSubresource(name string) bool {
	return strings.HasPrefix(name, "x-oss-") || subresources[name]
}

var subresources = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields(`
		accessmonitor accessPoint acl append asyncFetch bucketInfo callback callback-var cloudboxes cname comp
		continuation-token cors delete encryption endTime httpsConfig img inventory inventoryId lifecycle live
		location logging metaQuery objectMeta partNumber policy position publicAccessBlock qos qosInfo
		redundancyTransition referer regionList replication replicationLocation replicationProgress requestPayment
		resourceGroup response-cache-control response-content-disposition response-content-encoding
		response-content-language response-content-type response-expires responseHeader restore rtc seal
		security-token sequential startTime stat status style styleName symlink tagging transferAcceleration udf
		udfApplication udfApplicationLog udfId udfImage udfImageDesc udfName uploadId uploads versionId versioning
		versions vod website withHashContext worm wormExtend wormId`) {
		m[name] = true
	}
	return m
}()
