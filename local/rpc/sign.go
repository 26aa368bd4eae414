package rpc

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/url"
	"sort"
	"strings"
)

// stringToSign is what signature version 1.0 signs: the method and every
// parameter but Signature, sorted, encoded once each and then all together.
func stringToSign(method string, params url.Values) string {
	var pairs []string
	for k, values := range params {
		if k == "Signature" {
			continue
		}
		for _, v := range values {
			pairs = append(pairs, percent(k)+"="+percent(v))
		}
	}
	sort.Strings(pairs)
	return method + "&%2F&" + percent(strings.Join(pairs, "&"))
}

// signature is version 1.0 with HMAC-SHA1; the key is the secret and an "&".
func signature(method string, params url.Values, secret string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(stringToSign(method, params)))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// percent encodes everything but RFC 3986's unreserved characters.
func percent(s string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; strings.IndexByte(unreserved, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
