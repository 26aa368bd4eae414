package mns

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"ecs-image-export/local/identity"
)

// maxSkew is how far a request's date may be from the service's clock.
// https://help.aliyun.com/zh/mns/developer-reference/sign-a-request-that-is-sent-to-an-endpoint
const maxSkew = 15 * time.Minute

// authorization is a parsed Authorization header of signature version 2.
type authorization struct {
	accessKeyID string
	signature   []byte
}

// parseAuthorization reads "MNS <access key id>:<base64 of HMAC-SHA1>".
func parseAuthorization(header string) (authorization, error) {
	if strings.HasPrefix(header, "MNS4-HMAC-SHA256 ") {
		return authorization{}, notImplemented("Signature version 4")
	}
	rest, ok := strings.CutPrefix(header, "MNS ")
	if !ok {
		return authorization{}, errInvalidAuthorization
	}
	id, sum, ok := strings.Cut(strings.TrimSpace(rest), ":")
	if !ok || id == "" || strings.ContainsAny(id, " \t") {
		return authorization{}, errInvalidAuthorization
	}
	signature, err := base64.StdEncoding.DecodeString(sum)
	if err != nil || len(signature) == 0 {
		return authorization{}, errInvalidAuthorization
	}
	return authorization{id, signature}, nil
}

// authenticate finds who sent the request. resources are the forms of the
// request's path and query that a client may have signed.
func (s *Service) authenticate(r *http.Request, resources []string) (*identity.Identity, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, errMissingAuthorization
	}
	auth, err := parseAuthorization(header)
	if err != nil {
		return nil, err
	}
	if err := s.checkDate(r.Header); err != nil {
		return nil, err
	}
	if r.Header.Get("x-mns-version") == "" {
		return nil, errMissingVersion
	}
	id, err := s.identities.Identify(auth.accessKeyID, r.Header.Get("security-token"))
	switch {
	case errors.Is(err, identity.ErrUnknownKey):
		return nil, errInvalidAccessKeyID
	case errors.Is(err, identity.ErrInvalidToken):
		return nil, &wireError{http.StatusForbidden, "InvalidSecurityToken", "The security token you provided is invalid."}
	case errors.Is(err, identity.ErrExpiredToken):
		return nil, &wireError{http.StatusForbidden, "SecurityTokenExpired", "The security token you provided has expired."}
	case err != nil:
		return nil, err
	}
	for _, date := range signedDates(r.Header) {
		for _, resource := range resources {
			mac := hmac.New(sha1.New, []byte(id.AccessKeySecret))
			mac.Write([]byte(stringToSign(r.Method, r.Header, date, resource)))
			if hmac.Equal(mac.Sum(nil), auth.signature) {
				return id, nil
			}
		}
	}
	return nil, errSignature
}

// checkDate wants a Date, or an x-mns-date in its place, near the present.
func (s *Service) checkDate(h http.Header) error {
	date := h.Get("x-mns-date")
	if date == "" {
		date = h.Get("Date")
	}
	if date == "" {
		return errMissingDate
	}
	at, err := http.ParseTime(date)
	if err != nil {
		return errInvalidDate
	}
	if d := s.now().Sub(at); d > maxSkew || d < -maxSkew {
		return errTimeExpired
	}
	return nil
}

// signedDates is what may stand in the date's line: clients that can't set Date
// send x-mns-date, and the documents leave open whether the line is then empty.
func signedDates(h http.Header) []string {
	if date := h.Get("Date"); date != "" {
		return []string{date}
	}
	return []string{h.Get("x-mns-date"), ""}
}

// stringToSign builds what signature version 2 signs. The security token is not
// part of it.
func stringToSign(method string, h http.Header, date, resource string) string {
	var own []string
	for name, values := range h {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-mns-") {
			own = append(own, name+":"+strings.TrimSpace(strings.Join(values, ","))+"\n")
		}
	}
	slices.Sort(own)
	return method + "\n" + h.Get("Content-MD5") + "\n" + h.Get("Content-Type") + "\n" + date + "\n" +
		strings.Join(own, "") + resource
}

// checkDigest compares the body with Content-MD5, if there is one. Every SDK
// sends base64 of the hexadecimal digest; RFC 1864 says base64 of the digest.
func checkDigest(header string, body []byte) error {
	if header == "" {
		return nil
	}
	sum := md5.Sum(body)
	given, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return errDigest
	}
	if string(given) == string(sum[:]) || strings.EqualFold(string(given), hex.EncodeToString(sum[:])) {
		return nil
	}
	return errDigest
}
