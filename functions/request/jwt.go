package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	maxToken   = 8 << 10 // bytes
	maxSubject = 255     // bytes
)

// algorithms are those that tokens may be signed with: public keys only, so that
// nobody who can check a token can make one.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}

// tokenTypes are what the header typ may say. Other JWTs of the same issuer, such
// as logout tokens, are no access tokens (RFC 8725, 3.11; RFC 9068, 2.1).
var tokenTypes = []string{"", "jwt", "at+jwt", "application/at+jwt"}

// caller is who a token speaks for.
type caller struct {
	issuer, subject string
	scopes          []string
}

func (c caller) may(scope string) bool { return slices.Contains(c.scopes, scope) }

// refusedToken says for a person why a token is not accepted. It repeats nothing
// of a token whose signature was not checked.
type refusedToken string

func (r refusedToken) Error() string { return string(r) }

// verifier checks tokens. It is safe for concurrent use.
type verifier struct {
	issuer, audience string
	leeway           time.Duration // by which clocks may differ
	keys             *keySet
	now              func() time.Time
}

// newVerifier reads its part of the configuration. The error says all that is
// wrong with it.
func newVerifier(c Config) (*verifier, error) {
	v := &verifier{issuer: c.JWTIssuer, audience: c.JWTAudience, leeway: c.ClockSkew, now: time.Now}
	switch {
	case (c.JWKSURL == "") == (c.JWKS == ""):
		return nil, errors.New("JWKS_URL, JWKS: set one of them, where the issuer's public keys are or the keys themselves")
	case c.JWKSURL != "":
		if err := checkKeysURL(c.JWKSURL); err != nil {
			return nil, err
		}
		v.keys = fetchedKeys(c.JWKSURL)
	default:
		var err error
		if v.keys, err = givenKeys(c.JWKS); err != nil {
			return nil, fmt.Errorf("JWKS: %w", err)
		}
	}
	return v, nil
}

// checkKeysURL wants HTTPS: whoever can change the answer can make tokens.
func checkKeysURL(s string) error {
	u, err := url.Parse(s)
	local := err == nil && u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "localhost", "::1"}, u.Hostname())
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "https" && !local {
		return fmt.Errorf("JWKS_URL is %q: it must be like https://issuer.example/keys (http only on this machine)", s)
	}
	return nil
}

// verify says who a token speaks for. The error is a refusedToken or errNoKeys.
func (v *verifier) verify(ctx context.Context, token string) (caller, error) {
	if len(token) > maxToken {
		return caller{}, refusedToken(fmt.Sprintf("It is larger than %d bytes", maxToken))
	}
	t, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(t.Headers) != 1 {
		return caller{}, refusedToken("It is no JWT that is signed with RS256, ES256 or EdDSA")
	}
	header := t.Headers[0]
	kind, ok := header.ExtraHeaders[jose.HeaderType].(string)
	if !ok && header.ExtraHeaders[jose.HeaderType] != nil || !slices.Contains(tokenTypes, strings.ToLower(kind)) {
		return caller{}, refusedToken("Its type (typ) is not that of an access token")
	}
	algorithm := jose.SignatureAlgorithm(header.Algorithm)
	keys, err := v.keys.find(ctx, header.KeyID, algorithm)
	if err != nil {
		return caller{}, err
	}
	if len(keys) == 0 {
		return caller{}, refusedToken("It is signed with a key that the issuer does not publish")
	}
	content, err := read(t, keys)
	if errors.Is(err, jose.ErrCryptoFailure) && header.KeyID == "" {
		// Only the signature tells which key it is of: maybe one that came since.
		if keys, err = v.keys.latest(ctx, header.KeyID, algorithm); err != nil {
			return caller{}, err
		}
		content, err = read(t, keys)
	}
	switch {
	case errors.Is(err, jose.ErrCryptoFailure):
		return caller{}, refusedToken("Its signature is wrong")
	case err != nil:
		return caller{}, refusedToken("Its header or its claims can't be read")
	}
	return v.judge(content)
}

// read returns what a token says that was signed with one of the keys. The error is
// jose.ErrCryptoFailure where it was signed with none.
func read(t *jwt.JSONWebToken, keys []key) (content claims, err error) {
	err = jose.ErrCryptoFailure
	for _, k := range keys {
		if err = t.Claims(k.public, &content.Claims, &content.granted); !errors.Is(err, jose.ErrCryptoFailure) {
			return content, err
		}
	}
	return claims{}, err
}

// claims are what a token says, once its signature is checked.
type claims struct {
	jwt.Claims
	granted granted
}

// granted holds the scopes: scope as RFC 8693 and RFC 9068 have it, scp as some
// issuers do.
type granted struct {
	Scope words `json:"scope"`
	Scp   words `json:"scp"`
}

// words is a list in JSON, or one string with spaces between them.
type words []string

// UnmarshalJSON is part of json.Unmarshaler.
func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = strings.Fields(one)
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// judge wants a token of our issuer, for us, of this time, with a subject.
func (v *verifier) judge(c claims) (caller, error) {
	if c.Expiry == nil {
		return caller{}, refusedToken("It never expires (exp is missing)")
	}
	now := v.now()
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: v.issuer, AnyAudience: jwt.Audience{v.audience}, Time: now}, v.leeway)
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return caller{}, refusedToken("Its issuer (iss) is not " + v.issuer)
	case errors.Is(err, jwt.ErrInvalidAudience):
		return caller{}, refusedToken("Its audience (aud) does not include " + v.audience)
	case errors.Is(err, jwt.ErrExpired):
		return caller{}, refusedToken("It expired at " + c.Expiry.Time().UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrNotValidYet):
		return caller{}, refusedToken("It is not valid before (nbf) " + c.NotBefore.Time().UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return caller{}, refusedToken("It is issued (iat) in the future, at " + c.IssuedAt.Time().UTC().Format(time.RFC3339))
	case err != nil:
		return caller{}, refusedToken("Its claims are not valid")
	case !isSubject(c.Subject):
		return caller{}, refusedToken(fmt.Sprintf("Its subject (sub) must be 1 to %d bytes of printable text", maxSubject))
	}
	return caller{issuer: c.Issuer, subject: c.Subject, scopes: slices.Concat([]string(c.granted.Scope), []string(c.granted.Scp))}, nil
}

// isSubject says whether a subject can go into records, events and logs.
func isSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
