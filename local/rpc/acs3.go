package rpc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"sort"
	"strings"
)

const acs3Algorithm = "ACS3-HMAC-SHA256"

// claimACS3 reads the signature of the newer SDKs:
//
//	Authorization: ACS3-HMAC-SHA256 Credential=<key id>,SignedHeaders=<a;b>,Signature=<hex>
//
// over the method, path, query, the headers named and the hash of the body.
func (c *call) claimACS3() (claim, error) {
	algorithm, rest, _ := strings.Cut(c.http.Header.Get("Authorization"), " ")
	if algorithm != acs3Algorithm {
		return claim{}, errMethodUnknown
	}
	fields := map[string]string{}
	for _, f := range strings.Split(rest, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		fields[k] = v
	}
	h := c.http.Header
	switch {
	case fields["Credential"] == "" || fields["SignedHeaders"] == "" || fields["Signature"] == "":
		return claim{}, errIncomplete
	case h.Get("x-acs-date") == "":
		return claim{}, missing("Timestamp")
	case h.Get("x-acs-signature-nonce") == "":
		return claim{}, missing("SignatureNonce")
	}
	sum := sha256.Sum256(c.body)
	if h.Get("x-acs-content-sha256") != hex.EncodeToString(sum[:]) {
		return claim{}, errContentSHA
	}
	signed, err := c.acs3StringToSign(fields["SignedHeaders"])
	if err != nil {
		return claim{}, err
	}
	return claim{
		keyID:     fields["Credential"],
		token:     h.Get("x-acs-security-token"),
		nonce:     h.Get("x-acs-signature-nonce"),
		timestamp: h.Get("x-acs-date"),
		signature: fields["Signature"],
		sign: func(secret string) (string, string) {
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(signed))
			return hex.EncodeToString(mac.Sum(nil)), signed
		},
	}, nil
}

// acs3MustSign are the headers that decide what a request means: unless they
// are signed, someone between could change them.
var acs3MustSign = []string{"x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256", "x-acs-security-token"}

func (c *call) acs3StringToSign(names string) (string, error) {
	signed := strings.Split(names, ";")
	var headers strings.Builder
	isSigned := map[string]bool{}
	for _, name := range signed {
		isSigned[name] = true
		value := strings.Join(c.http.Header.Values(name), ",")
		if name == "host" {
			value = c.http.Host
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	for _, name := range acs3MustSign {
		if c.http.Header.Get(name) != "" && !isSigned[name] {
			return "", errIncomplete
		}
	}
	path := c.http.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	canonical := strings.Join([]string{
		c.http.Method, path, acs3Query(c.query), headers.String(), names, c.http.Header.Get("x-acs-content-sha256"),
	}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	return acs3Algorithm + "\n" + hex.EncodeToString(sum[:]), nil
}

func acs3Query(query url.Values) string {
	var pairs []string
	for k, values := range query {
		for _, v := range values {
			pairs = append(pairs, percent(k)+"="+percent(v))
		}
	}
	sort.Strings(pairs)
	return strings.Join(pairs, "&")
}
