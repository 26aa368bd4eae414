package oss

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ecs-image-export/local/identity"
)

// maxSkew is how far the date of a request may be from the clock.
const maxSkew = 15 * time.Minute

const (
	isoBasic = "20060102T150405Z"
	isoDay   = "20060102"
)

// authenticate finds out who makes a request. Nobody is a valid answer: an
// anonymous request may read what a bucket's ACL lets everybody read.
func (s *Service) authenticate(r *request) *Error {
	auth := r.Header.Get("Authorization")
	switch {
	case strings.HasPrefix(auth, v4Algorithm+" "):
		return s.checkV4Header(r, auth)
	case strings.HasPrefix(auth, "OSS "):
		return s.checkV1Header(r, auth)
	case strings.HasPrefix(auth, "OSS2 "), r.param("x-oss-signature-version") == "OSS2":
		return notImplemented("Signature version 2")
	case strings.HasPrefix(auth, "AWS"), r.has("X-Amz-Algorithm"), r.has("AWSAccessKeyId"):
		return notImplemented("The S3 protocol")
	case auth != "":
		return badArgument("Authorization", auth, "Unsupported Authorization Type")
	case r.has("x-oss-signature-version"):
		return s.checkV4Query(r)
	case r.has("Signature") || r.has("OSSAccessKeyId"):
		return s.checkV1Query(r)
	}
	return nil
}

// identify finds the owner of an access key.
func (s *Service) identify(accessKeyID, token string) (*identity.Identity, *Error) {
	id, err := s.cfg.Identities.Identify(accessKeyID, token)
	switch {
	case err == nil:
		return id, nil
	case errors.Is(err, identity.ErrExpiredToken):
		return nil, errExpiredToken.with("OSSAccessKeyId", accessKeyID)
	case errors.Is(err, identity.ErrInvalidToken) && token != "":
		return nil, errInvalidToken.with("OSSAccessKeyId", accessKeyID)
	}
	// A temporary key without its token is an unknown key.
	return nil, errInvalidAccessKey.with("OSSAccessKeyId", accessKeyID)
}

// signed compares a signature and takes the identity as the caller if it is
// right. Otherwise the answer shows what should have been signed.
func signed(r *request, id *identity.Identity, want, got, stringToSign string) *Error {
	if subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1 {
		r.caller = id
		return nil
	}
	return errSignature.
		with("OSSAccessKeyId", id.AccessKeyID).
		with("SignatureProvided", got).
		with("StringToSign", stringToSign).
		with("StringToSignBytes", hexBytes(stringToSign))
}

// hexBytes writes bytes as OSS shows them: "47 45 54 0A".
func hexBytes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%02X", s[i])
	}
	return b.String()
}

// requestDate returns the date that a request with an Authorization header is
// signed for: x-oss-date, or else Date. The text is what is signed.
func requestDate(r *request) (text string, t time.Time, e *Error) {
	if text = r.Header.Get("X-Oss-Date"); text != "" {
		if t, err := time.Parse(isoBasic, text); err == nil {
			return text, t, nil
		}
	} else if text = r.Header.Get("Date"); text == "" {
		return "", time.Time{}, &errNoDate
	}
	t, err := http.ParseTime(text)
	if err != nil {
		return "", time.Time{}, &errBadDate
	}
	return text, t, nil
}

func (s *Service) checkSkew(t time.Time) *Error {
	now := s.now()
	if d := now.Sub(t); d > maxSkew || d < -maxSkew {
		return errSkewed.
			with("MaxAllowedSkewMilliseconds", strconv.FormatInt(maxSkew.Milliseconds(), 10)).
			with("RequestTime", isoTime(t)).
			with("ServerTime", isoTime(now))
	}
	return nil
}

// denied is a refusal for which no finer code is known.
func denied(format string, args ...any) *Error {
	return &Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: fmt.Sprintf(format, args...)}
}

func (s *Service) expired(t time.Time) *Error {
	return denied("Request has expired.").
		with("Expires", isoTime(t)).with("ServerTime", isoTime(s.now()))
}

// authorize checks that the caller may do action on resource, which belongs to
// bucket b. Anonymous callers have only what ACLs give to everybody.
func (s *Service) authorize(r *request, action, resource string) *Error {
	if r.caller == nil {
		return s.authorizeAnonymous(r, action)
	}
	if r.caller.Allows(action, resource) {
		return nil
	}
	return &Error{
		Status: http.StatusForbidden, Code: "AccessDenied", EC: "0003-00001403",
		Message: fmt.Sprintf("You have no right to access this object: %s is not allowed %s on %s.", r.caller.ARN, action, resource),
		Details: []string{"AuthAction", action, "AuthPrincipal", r.caller.ARN, "AuthResource", resource},
	}
}

// authorizeAnonymous lets everybody read the objects of a bucket or with an ACL
// that says so.
func (s *Service) authorizeAnonymous(r *request, action string) *Error {
	if r.bucket == "" {
		return errAccessDenied.say("Anonymous access is forbidden for this operation.")
	}
	acl, err := s.effectiveACL(r.bucket, r.key)
	if err != nil {
		return asError(err)
	}
	switch {
	case acl == aclPublicReadWrite && (action == "oss:GetObject" || action == "oss:PutObject" || action == "oss:DeleteObject" || action == "oss:ListObjects"),
		acl == aclPublicRead && (action == "oss:GetObject" || action == "oss:ListObjects"):
		return nil
	case r.key == "":
		return errAccessDenied.say("Anonymous user has no right to access this bucket.")
	}
	return errAccessDenied.say("You have no right to access this object because of bucket acl.")
}
