package rpc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
)

// Signature signs as a client does; the published example checks it.
func Signature(method string, params url.Values, secret string) string {
	return signature(method, params, secret)
}

// SignatureACS3 signs a canonical request.
func SignatureACS3(canonical, secret string) string {
	sum := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(sum[:])))
	return hex.EncodeToString(mac.Sum(nil))
}
