package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

const (
	testIssuer   = "https://issuer.example"
	testAudience = "ecs-image-export"
)

// mint signs tokens as an issuer does, and as one should not.
type mint struct{ jose.JSONWebKey }

func newMint(algorithm jose.SignatureAlgorithm, id string) mint {
	var private crypto.Signer
	switch algorithm {
	case jose.RS256:
		private, _ = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256:
		private, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, private, _ = ed25519.GenerateKey(rand.Reader)
	}
	return mint{jose.JSONWebKey{Key: private, KeyID: id, Algorithm: string(algorithm), Use: "sig"}}
}

// valid are the claims of a token that is accepted.
func valid() map[string]any {
	return map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "ci@example.com", "exp": time.Now().Add(time.Hour).Unix(),
		"scope": "exports:read exports:write exports:admin",
	}
}

// with are the valid claims with some changed, or left out where nil.
func with(changes map[string]any) map[string]any {
	c := valid()
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token signs claims. Headers are name and value.
func (m mint) token(claims map[string]any, headers ...string) string {
	payload, _ := json.Marshal(claims)
	return m.sign(payload, headers...)
}

func (m mint) sign(payload []byte, headers ...string) string {
	options := &jose.SignerOptions{}
	for i := 0; i+1 < len(headers); i += 2 {
		options.WithHeader(jose.HeaderKey(headers[i]), headers[i+1])
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(m.Algorithm), Key: m.JSONWebKey}, options)
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return token
}

// keysOf is the JWK set of some mints.
func keysOf(mints ...mint) string {
	set := jose.JSONWebKeySet{}
	for _, m := range mints {
		set.Keys = append(set.Keys, m.Public())
	}
	text, _ := json.Marshal(set)
	return string(text)
}

// The issuer of most tests, and a token of it that is good for everything.
var (
	issuer = newMint(jose.ES256, "first")
	token  = issuer.token(valid())
)

// forged joins a token of parts that no library would sign.
func forged(header, payload string, sign func([]byte) []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(header)) + "." + encode([]byte(payload))
	return text + "." + encode(sign([]byte(text)))
}

func TestTokens(t *testing.T) {
	t.Parallel()
	rsaMint, edMint, other := newMint(jose.RS256, "rsa"), newMint(jose.EdDSA, "ed"), newMint(jose.ES256, "first")
	c := validConfig()
	c.JWKS = keysOf(issuer, rsaMint, edMint)
	v, err := newVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	v.now = func() time.Time { return now }
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	payload, _ := json.Marshal(valid())
	der, err := x509.MarshalPKIXPublicKey(rsaMint.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	hs256 := func(secret []byte) func([]byte) []byte {
		return func(text []byte) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write(text)
			return mac.Sum(nil)
		}
	}
	unsigned := func([]byte) []byte { return nil }
	embedded, _ := json.Marshal(other.Public())
	parts := strings.Split(token, ".")
	twice := strings.Replace(string(payload), `"sub":`, `"sub":"admin","sub":`, 1)

	tests := []struct {
		name, token, says string // "" : accepted
	}{
		{"ES256", token, ""},
		{"RS256", rsaMint.token(valid()), ""},
		{"EdDSA", edMint.token(valid()), ""},
		{"an access token by its type", issuer.token(valid(), "typ", "at+jwt"), ""},
		{"JWT in lower case", issuer.token(valid(), "typ", "jwt"), ""},
		{"several audiences", issuer.token(with(map[string]any{"aud": []string{"other", testAudience}})), ""},
		{"expired within the leeway", issuer.token(with(map[string]any{"exp": at(-50 * time.Second)})), ""},
		{"valid soon, within the leeway", issuer.token(with(map[string]any{"nbf": at(50 * time.Second), "iat": at(50 * time.Second)})), ""},
		{"no key id", mint{jose.JSONWebKey{Key: issuer.Key, Algorithm: "ES256"}}.token(valid()), ""},

		{"nothing", "", "no JWT"},
		{"no JWT", "hunter2", "no JWT"},
		{"two parts", parts[0] + "." + parts[1], "no JWT"},
		{"four parts", token + ".", "no JWT"},
		{"five parts, as of an encrypted one", token + ".a.b", "no JWT"},
		{"another alphabet of base64", strings.ReplaceAll(token, "-", "+") + "==", "no JWT"},
		{"in JSON", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "no JWT"},
		{"too large", issuer.token(with(map[string]any{"x": strings.Repeat("x", maxToken)})), "larger than 8192 bytes"},
		{"alg none", forged(`{"alg":"none"}`, string(payload), unsigned), "no JWT"},
		{"alg None", forged(`{"alg":"None","typ":"JWT"}`, string(payload), unsigned), "no JWT"},
		{"no alg", forged(`{"kid":"first"}`, string(payload), unsigned), "no JWT"},
		{"ES256 without a signature", parts[0] + "." + parts[1] + ".", "signature"},
		{"HS256 with the public key in PEM", forged(`{"alg":"HS256","kid":"rsa"}`, string(payload), hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))), "no JWT"},
		{"HS256 with the public key in DER", forged(`{"alg":"HS256","kid":"rsa"}`, string(payload), hs256(der)), "no JWT"},
		{"HS256 with the JWK set", forged(`{"alg":"HS256","kid":"rsa"}`, string(payload), hs256([]byte(c.JWKS))), "no JWT"},
		{"PS256", forged(`{"alg":"PS256","kid":"rsa"}`, string(payload), unsigned), "no JWT"},
		{"RS256 with the id of another key", forged(`{"alg":"RS256","kid":"first"}`, string(payload), unsigned), "does not publish"},
		{"a key of its own in the header", other.token(valid(), "jwk", string(embedded)), "no JWT"},
		{"a URL of its own in the header", other.token(valid(), "jku", "https://evil.example/keys"), "signature"},
		{"another key with our id", other.token(valid()), "signature"},
		{"unknown key id", newMint(jose.ES256, "second").token(valid()), "does not publish"},
		{"no key id and another key", mint{jose.JSONWebKey{Key: other.Key, Algorithm: "ES256"}}.token(valid()), "signature"},
		{"changed claims", parts[0] + "." + base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte("ci@"), []byte("me@"), 1)) + "." + parts[2], "signature"},
		{"all zero signature", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), "signature"},
		{"an unknown critical header", forged(`{"alg":"ES256","kid":"first","crit":["x"],"x":1}`, string(payload), unsigned), "can't be read"},

		{"a logout token", issuer.token(valid(), "typ", "logout+jwt"), "type"},
		{"claims that are a list", issuer.sign([]byte(`[]`)), "can't be read"},
		{"claims that are no JSON", issuer.sign([]byte(`{`)), "can't be read"},
		{"a claim twice", issuer.sign([]byte(twice)), "can't be read"},
		{"other issuer", issuer.token(with(map[string]any{"iss": "https://evil.example"})), "issuer (iss) is not " + testIssuer},
		{"the issuer with a slash", issuer.token(with(map[string]any{"iss": testIssuer + "/"})), "issuer"},
		{"no issuer", issuer.token(with(map[string]any{"iss": nil})), "issuer"},
		{"issuers in a list", issuer.token(with(map[string]any{"iss": []string{testIssuer}})), "can't be read"},
		{"other audience", issuer.token(with(map[string]any{"aud": "other"})), "audience (aud) does not include " + testAudience},
		{"no audience", issuer.token(with(map[string]any{"aud": nil})), "audience"},
		{"an empty list of audiences", issuer.token(with(map[string]any{"aud": []string{}})), "audience"},
		{"expired", issuer.token(with(map[string]any{"exp": at(-2 * time.Minute)})), "expired at 20"},
		{"no expiry", issuer.token(with(map[string]any{"exp": nil})), "never expires"},
		{"expiry null", issuer.sign(bytes.Replace(payload, []byte(`"exp":`), []byte(`"exp":null,"x":`), 1)), "never expires"},
		{"expiry in words", issuer.token(with(map[string]any{"exp": "tomorrow"})), "can't be read"},
		{"expiry beyond all time", issuer.token(with(map[string]any{"exp": 1e30})), "can't be read"},
		{"not valid yet", issuer.token(with(map[string]any{"nbf": at(2 * time.Minute)})), "not valid before (nbf) 20"},
		{"issued in the future", issuer.token(with(map[string]any{"iat": at(2 * time.Minute)})), "in the future"},
		{"no subject", issuer.token(with(map[string]any{"sub": nil})), "subject"},
		{"empty subject", issuer.token(with(map[string]any{"sub": ""})), "subject"},
		{"a subject of 256 bytes", issuer.token(with(map[string]any{"sub": strings.Repeat("a", 256)})), "subject"},
		{"a subject with a new line", issuer.token(with(map[string]any{"sub": "a\nb"})), "subject"},
		{"a subject with a NUL", issuer.token(with(map[string]any{"sub": "a\x00b"})), "subject"},
		{"a subject that is turned around", issuer.token(with(map[string]any{"sub": "a\u202eb"})), "subject"},
		{"a subject that is a number", issuer.token(with(map[string]any{"sub": 7})), "can't be read"},
		{"scopes that are numbers", issuer.token(with(map[string]any{"scope": []int{1}})), "can't be read"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			who, err := v.verify(t.Context(), test.token)
			var refused refusedToken
			switch {
			case test.says == "":
				if err != nil || who.subject != "ci@example.com" || who.issuer != testIssuer || !who.may("exports:admin") {
					t.Errorf("got %+v, %v", who, err)
				}
			case !errors.As(err, &refused) || !strings.Contains(err.Error(), test.says):
				t.Errorf("got %+v, %v; want a refusal about %q", who, err, test.says)
			}
		})
	}
}

// TestScopes is the table of the forms that issuers give scopes in.
func TestScopes(t *testing.T) {
	t.Parallel()
	v, err := newVerifier(validConfig())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		claims map[string]any
		want   []string
	}{
		"a string":              {map[string]any{"scope": "exports:read exports:write"}, []string{"exports:read", "exports:write"}},
		"spaces":                {map[string]any{"scope": " exports:read  openid\t"}, []string{"exports:read", "openid"}},
		"a list":                {map[string]any{"scope": []string{"exports:read"}}, []string{"exports:read"}},
		"scp as a list":         {map[string]any{"scope": nil, "scp": []string{"exports:write"}}, []string{"exports:write"}},
		"scp as a string":       {map[string]any{"scope": nil, "scp": "exports:write exports:admin"}, []string{"exports:write", "exports:admin"}},
		"both":                  {map[string]any{"scope": "exports:read", "scp": []string{"exports:write"}}, []string{"exports:read", "exports:write"}},
		"none":                  {map[string]any{"scope": nil}, nil},
		"an empty string":       {map[string]any{"scope": ""}, nil},
		"commas separate none":  {map[string]any{"scope": "exports:read,exports:write"}, []string{"exports:read,exports:write"}},
		"capitals are another":  {map[string]any{"scope": "Exports:Read"}, []string{"Exports:Read"}},
		"a list of two in one":  {map[string]any{"scope": []string{"exports:read exports:write"}}, []string{"exports:read exports:write"}},
		"Scope is another word": {map[string]any{"scope": nil, "Scope": "exports:admin"}, nil},
	} {
		who, err := v.verify(t.Context(), issuer.token(with(test.claims)))
		if d := cmp.Diff(test.want, who.scopes); err != nil || d != "" && len(test.want)+len(who.scopes) > 0 {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
}

// FuzzToken wants every token but one of the issuer to be refused, and nothing to
// panic.
func FuzzToken(f *testing.F) {
	other := issuer.token(valid(), "typ", "at+jwt")
	f.Add(token)
	f.Add(other)
	f.Add("..")
	f.Add("e30.e30.")
	f.Add(forged(`{"alg":"none"}`, `{}`, func([]byte) []byte { return nil }))
	f.Add(strings.Repeat("a.", 5000))
	v, err := newVerifier(validConfig())
	if err != nil {
		f.Fatal(err)
	}
	isSigned := func(s string) bool {
		end := strings.LastIndex(s, ".")
		return end > 0 && (strings.HasPrefix(token, s[:end]) || strings.HasPrefix(other, s[:end]))
	}
	f.Fuzz(func(t *testing.T, s string) {
		who, err := v.verify(t.Context(), s)
		var refused refusedToken
		switch {
		case err == nil && !isSigned(s):
			t.Errorf("accepted as %+v", who)
		case err != nil && !errors.As(err, &refused):
			t.Errorf("neither accepted nor refused: %v", err)
		case err != nil && slices.ContainsFunc([]byte(quotable(err.Error())), func(b byte) bool { return b < ' ' || b > '~' || b == '"' || b == '\\' }):
			t.Errorf("a challenge can't hold %q", err)
		}
	})
}
