package fc

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"ecs-image-export/local/identity"
)

// The signature is version 3 of Alibaba Cloud's OpenAPI ("Request syntax and
// signature method V3"): HMAC-SHA256 with the secret over the algorithm and the
// hash of a canonical request.
const (
	algorithm   = "ACS3-HMAC-SHA256"
	apiVersion  = "2023-03-30"
	dateFormat  = "2006-01-02T15:04:05Z"
	signatureOK = 15 * time.Minute // how far the date may be off
)

// Sign signs req for the FC OpenAPI with ACS3-HMAC-SHA256. It reads the body and
// puts it back, and sets the x-acs- headers and Authorization.
func Sign(req *http.Request, c identity.Credentials, now time.Time) error {
	return sign(req, c, now, randomHex(16))
}

func sign(req *http.Request, c identity.Credentials, now time.Time, nonce string) error {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return fmt.Errorf("sign %s %s: %w", req.Method, req.URL.Path, err)
		}
		_ = req.Body.Close()
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	sum := sha256.Sum256(body)
	h := req.Header
	if h.Get("x-acs-version") == "" {
		h.Set("x-acs-version", apiVersion)
	}
	h.Set("x-acs-date", now.UTC().Format(dateFormat))
	h.Set("x-acs-signature-nonce", nonce)
	h.Set("x-acs-content-sha256", hex.EncodeToString(sum[:]))
	if c.SecurityToken != "" {
		h.Set("x-acs-security-token", c.SecurityToken)
	}
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	names := []string{"host"}
	for name := range h {
		if name = strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "x-acs-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	hash := canonicalHash(req, host, names, hex.EncodeToString(sum[:]))
	h.Set("Authorization", fmt.Sprintf("%s Credential=%s,SignedHeaders=%s,Signature=%s",
		algorithm, c.AccessKeyID, strings.Join(names, ";"), signature(c.AccessKeySecret, hash)))
	return nil
}

func signature(secret, hash string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(algorithm + "\n" + hash))
	return hex.EncodeToString(mac.Sum(nil))
}

// canonicalHash is the hash of the canonical request: method, path, sorted
// query, the signed headers, their names, and the hash of the body.
func canonicalHash(r *http.Request, host string, names []string, bodyHash string) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, path, canonicalQuery(r.URL.Query()))
	for _, name := range names {
		values := slices.Clone(r.Header.Values(name))
		if name == "host" {
			values = []string{host}
		}
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(values, ","))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(names, ";"), bodyHash)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for key, values := range q {
		for _, v := range values {
			pairs = append(pairs, percentEncode(key)+"="+percentEncode(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// percentEncode is RFC 3986: all but letters, digits and -_.~ is encoded.
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// identify says who signed r, whose body is body. Errors carry the service's
// codes.
func (s *Service) identify(r *http.Request, body []byte) (*identity.Identity, *apiError) {
	for _, name := range []string{"Authorization", "x-acs-date", "x-acs-content-sha256"} {
		if r.Header.Get(name) == "" {
			return nil, &apiError{http.StatusBadRequest, "MissingRequiredHeader", fmt.Sprintf("required HTTP header %s was not specified", name)}
		}
	}
	keyID, names, given, ok := parseAuthorization(r.Header.Get("Authorization"))
	if !ok {
		return nil, invalid("Authorization must be %s Credential=<id>,SignedHeaders=<names>,Signature=<hex>", algorithm)
	}
	for _, name := range []string{"host", "x-acs-date", "x-acs-content-sha256"} {
		if !slices.Contains(names, name) {
			return nil, invalid("the signature must cover the header %s", name)
		}
	}
	date, err := time.Parse(dateFormat, r.Header.Get("x-acs-date"))
	if err != nil {
		return nil, invalid("x-acs-date must have the form %s", dateFormat)
	}
	if off := s.config.Now().Sub(date); off > signatureOK || off < -signatureOK {
		return nil, &apiError{http.StatusForbidden, "SignatureNotMatch", "the request time is too far from the server's"}
	}
	id, err := s.config.Identities.Identify(keyID, r.Header.Get("x-acs-security-token"))
	switch {
	case errors.Is(err, identity.ErrUnknownKey):
		return nil, &apiError{http.StatusForbidden, "InvalidAccessKeyID", fmt.Sprintf("invalid access key ID '%s'", keyID)}
	case errors.Is(err, identity.ErrExpiredToken):
		return nil, &apiError{http.StatusForbidden, "SecurityTokenExpired", "the security token has expired"}
	case err != nil:
		return nil, &apiError{http.StatusForbidden, "InvalidSecurityToken", err.Error()}
	}
	sum := sha256.Sum256(body)
	bodyHash := r.Header.Get("x-acs-content-sha256")
	want := signature(id.AccessKeySecret, canonicalHash(r, r.Host, names, bodyHash))
	if !strings.EqualFold(bodyHash, hex.EncodeToString(sum[:])) || !hmac.Equal([]byte(want), []byte(given)) {
		return nil, &apiError{http.StatusForbidden, "SignatureNotMatch",
			"The request signature we calculated does not match the signature you provided. Check your access key and signing method"}
	}
	return id, nil
}

func parseAuthorization(header string) (keyID string, names []string, signature string, ok bool) {
	rest, found := strings.CutPrefix(header, algorithm+" ")
	if !found {
		return "", nil, "", false
	}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch key {
		case "Credential":
			keyID = value
		case "SignedHeaders":
			names = strings.Split(value, ";")
		case "Signature":
			signature = value
		}
	}
	return keyID, names, signature, keyID != "" && len(names) > 0 && signature != ""
}
