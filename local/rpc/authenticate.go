package rpc

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"ecs-image-export/local/identity"
)

// skew is how far a time stamp may be from our clock, and for how long after
// it a nonce is remembered.
const skew = 15 * time.Minute

// claim is what a request says of who signed it.
type claim struct {
	keyID, token, nonce, timestamp, signature string
	// sign returns the signature that secret gives, and what was signed.
	sign func(secret string) (signature, signed string)
}

func (s *Service) authenticate(c *call) (*identity.Identity, error) {
	claimed, err := c.claim()
	if err != nil {
		return nil, err
	}
	stamp, err := time.Parse(time.RFC3339, claimed.timestamp)
	if err != nil || !strings.HasSuffix(claimed.timestamp, "Z") {
		return nil, errTimeFormat
	}
	now := s.Now()
	if d := now.Sub(stamp); d > skew || d < -skew {
		return nil, errTimeExpired
	}
	caller, err := s.identify(claimed)
	if err != nil {
		return nil, err
	}
	want, signed := claimed.sign(caller.AccessKeySecret)
	if subtle.ConstantTimeCompare([]byte(want), []byte(claimed.signature)) != 1 {
		// The SDKs compare the server's string with their own to tell a wrong
		// secret from a wrong string.
		return nil, &Error{
			Status: http.StatusBadRequest, Code: "SignatureDoesNotMatch",
			Message: "Specified signature is not matched with our calculation. server string to sign is:" + signed,
		}
	}
	// A nonce counts only once the signature is right, so that nobody can use up
	// someone else's.
	if claimed.nonce != "" && !s.nonces.use(claimed.keyID+" "+claimed.nonce, now, stamp) {
		return nil, errNonce
	}
	return caller, nil
}

func (s *Service) identify(c claim) (*identity.Identity, error) {
	caller, err := s.Identities.Identify(c.keyID, c.token)
	switch {
	case err == nil:
		return caller, nil
	case errors.Is(err, identity.ErrUnknownKey):
		return nil, errKey
	case errors.Is(err, identity.ErrExpiredToken):
		return nil, errTokenExpired
	case errors.Is(err, identity.ErrInvalidToken) && c.token == "":
		return nil, missing("SecurityToken")
	case errors.Is(err, identity.ErrInvalidToken):
		return nil, errTokenWrong
	}
	return nil, fmt.Errorf("identify %s: %w", c.keyID, err)
}

func (c *call) claim() (claim, error) {
	if c.acs3 {
		return c.claimACS3()
	}
	return claimV1(c.http.Method, c.params)
}

func claimV1(method string, params url.Values) (claim, error) {
	for _, name := range []string{"AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"} {
		if params.Get(name) == "" {
			return claim{}, missing(name)
		}
	}
	if params.Get("SignatureMethod") != "HMAC-SHA1" {
		return claim{}, errMethodUnknown
	}
	if params.Get("SignatureVersion") != "1.0" {
		return claim{}, invalid("SignatureVersion")
	}
	return claim{
		keyID:     params.Get("AccessKeyId"),
		token:     params.Get("SecurityToken"),
		nonce:     params.Get("SignatureNonce"),
		timestamp: params.Get("Timestamp"),
		signature: params.Get("Signature"),
		sign: func(secret string) (string, string) {
			return signature(method, params, secret), stringToSign(method, params)
		},
	}, nil
}

// Permit returns the service's refusal unless the caller may do the action of
// r on resource. Do calls it for each further resource that an action needs.
func (s *Service) Permit(r *Request, resource string) error {
	action := strings.ToLower(s.Product) + ":" + r.Action
	if r.Caller.Allows(action, resource) {
		return nil
	}
	denied := s.Denied
	if denied == nil {
		denied = forbiddenRAM
	}
	e := denied(r, action, resource)
	e.AccessDenied = explain(r.Caller, action)
	return e
}

func forbiddenRAM(*Request, string, string) *Error {
	return &Error{
		Status: http.StatusForbidden, Code: "Forbidden.RAM",
		Message: "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
	}
}

func explain(id *identity.Identity, action string) *AccessDenied {
	d := &AccessDenied{
		AuthAction:           action,
		AuthPrincipalOwnerID: id.AccountID,
		AuthPrincipalType:    "SubUser",
		NoPermissionType:     "ImplicitDeny",
		PolicyType:           "AccountLevelIdentityBasedPolicy",
	}
	_, name, _ := strings.Cut(id.ARN, "::"+id.AccountID+":")
	d.AuthPrincipalDisplayName = strings.TrimPrefix(name, "user/")
	if session, ok := strings.CutPrefix(name, "assumed-role/"); ok {
		d.AuthPrincipalType = "AssumedRoleUser"
		d.AuthPrincipalDisplayName = strings.Replace(session, "/", ":", 1)
	}
	return d
}

// nonces remembers the nonces of requests that would still be accepted.
type nonces struct {
	mu    sync.Mutex
	until map[string]time.Time
	sweep time.Time // when the old ones are next looked for
}

// use returns false if the nonce was used before.
func (n *nonces) use(nonce string, now, stamp time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.until == nil {
		n.until = map[string]time.Time{}
	}
	if now.After(n.sweep) {
		for k, until := range n.until {
			if now.After(until) {
				delete(n.until, k)
			}
		}
		n.sweep = now.Add(time.Minute)
	}
	if until, used := n.until[nonce]; used && !now.After(until) {
		return false
	}
	if stamp.Before(now) {
		stamp = now
	}
	n.until[nonce] = stamp.Add(skew)
	return true
}
