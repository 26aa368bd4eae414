package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keyServer publishes keys, and can be told to answer otherwise.
type keyServer struct {
	*httptest.Server
	document atomic.Pointer[string]
	status   atomic.Int32
	fetches  atomic.Int32
}

func serveKeys(t *testing.T, document string) *keyServer {
	t.Helper()
	s := &keyServer{}
	s.document.Store(&document)
	s.status.Store(http.StatusOK)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(s.status.Load()))
		w.Write([]byte(*s.document.Load()))
	}))
	t.Cleanup(s.Close)
	return s
}

// fetching is a verifier of the keys behind a URL, with a clock for the test.
func fetching(t *testing.T, url string) (*verifier, *time.Time) {
	t.Helper()
	c := validConfig()
	c.JWKS, c.JWKSURL = "", url
	v, err := newVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Now()
	v.keys.now = func() time.Time { return clock }
	return v, &clock
}

// lasting is a token that outlives the days that a test lets pass.
func lasting(m mint) string {
	return m.token(with(map[string]any{"exp": time.Now().Add(1000 * time.Hour).Unix()}))
}

// TestRotation follows the keys of an issuer through its life.
func TestRotation(t *testing.T) {
	t.Parallel()
	old, next := newMint(jose.ES256, "old"), newMint(jose.EdDSA, "next")
	server := serveKeys(t, keysOf(old))
	v, clock := fetching(t, server.URL)
	check := func(what string, m mint, fetches int32, want string) {
		t.Helper()
		_, err := v.verify(t.Context(), lasting(m))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
		if n := server.fetches.Load(); n != fetches {
			t.Errorf("%s: %d fetches, want %d", what, n, fetches)
		}
	}
	check("the first token", old, 1, "")
	check("the second", old, 1, "")

	check("a key that is not there, a moment after a fetch", next, 1, "does not publish")
	*clock = clock.Add(keysPause)
	check("later, one looks", next, 2, "does not publish")
	check("and not again", next, 2, "does not publish")
	both := keysOf(old, next)
	server.document.Store(&both)
	*clock = clock.Add(keysPause)
	check("a key that came since", next, 3, "")
	check("the old one beside it", old, 3, "")

	alone := keysOf(next)
	server.document.Store(&alone)
	*clock = clock.Add(keysRenew - time.Second)
	check("the keys are kept", old, 3, "")
	*clock = clock.Add(keysFresh - keysRenew + time.Second)
	check("and fetched again: the old one is gone", old, 4, "does not publish")
	check("the new one stays", next, 4, "")

	server.status.Store(http.StatusInternalServerError)
	*clock = clock.Add(keysFresh)
	check("the URL does not answer", next, 5, "")
	check("nor is it asked again at once", next, 5, "")
	server.status.Store(http.StatusOK)
	broken := `{"keys":`
	server.document.Store(&broken)
	*clock = clock.Add(keysFresh)
	check("it answers nonsense", next, 6, "")
	server.Close()
	*clock = clock.Add(keysFresh)
	check("it is not there", next, 6, "")
	*clock = clock.Add(keysUsable)
	check("for too long", next, 6, errNoKeys.Error())
	if _, err := v.verify(t.Context(), lasting(old)); !errors.Is(err, errNoKeys) {
		t.Errorf("got %v, want errNoKeys", err)
	}
}

// TestRotationWithoutIDs follows keys that nothing tells apart: a signature that none
// of those at hand has made may be of one that came since, and forged tokens have the
// keys fetched no more often than any others.
func TestRotationWithoutIDs(t *testing.T) {
	t.Parallel()
	old, next, forged := newMint(jose.ES256, ""), newMint(jose.ES256, ""), newMint(jose.ES256, "")
	server := serveKeys(t, keysOf(old))
	v, clock := fetching(t, server.URL)
	check := func(what string, m mint, fetches int32, want string) {
		t.Helper()
		_, err := v.verify(t.Context(), lasting(m))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", what, err, want)
		}
		if n := server.fetches.Load(); n != fetches {
			t.Errorf("%s: %d fetches, want %d", what, n, fetches)
		}
	}
	check("the first token", old, 1, "")
	check("a forged one a moment after a fetch", forged, 1, "signature is wrong")
	rotated := keysOf(next)
	server.document.Store(&rotated)
	*clock = clock.Add(keysPause)
	check("a key in the old one's place", next, 2, "")
	check("and the old one is gone", old, 2, "signature is wrong")
	*clock = clock.Add(keysPause)
	for range 20 {
		check("forged tokens", forged, 3, "signature is wrong")
	}
	check("beside them", next, 3, "")
	server.status.Store(http.StatusInternalServerError)
	*clock = clock.Add(keysPause)
	check("where nobody can tell", forged, 4, errNoKeys.Error())
	check("who has a key does not care", next, 4, "")

	// An id says which key it is, so a wrong signature is wrong.
	named := newMint(jose.ES256, "named")
	both := keysOf(named)
	server.status.Store(http.StatusOK)
	server.document.Store(&both)
	*clock = clock.Add(keysPause)
	check("a key with an id", named, 5, "")
	*clock = clock.Add(keysPause)
	check("another's token under its id", newMint(jose.ES256, "named"), 5, "signature is wrong")
}

// TestRevoked wants an issuer that publishes no key to be believed.
func TestRevoked(t *testing.T) {
	t.Parallel()
	server := serveKeys(t, keysOf(issuer))
	v, clock := fetching(t, server.URL)
	if _, err := v.verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	none := `{"keys":[]}`
	server.document.Store(&none)
	*clock = clock.Add(keysFresh)
	var refused refusedToken
	if _, err := v.verify(t.Context(), token); !errors.As(err, &refused) {
		t.Errorf("got %v, want a refusal", err)
	}
}

// TestFetchedOnce wants one fetch for all who wait for it.
func TestFetchedOnce(t *testing.T) {
	t.Parallel()
	server := serveKeys(t, keysOf(issuer))
	v, _ := fetching(t, server.URL)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, err := v.verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := server.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestBadAnswers is the table of what is not taken for keys.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
	}{
		"not found":       {404, keysOf(issuer)},
		"a redirect":      {302, keysOf(issuer)},
		"no JSON":         {200, "<html>"},
		"a list":          {200, "[]"},
		"no list of keys": {200, `{"key":[]}`},
		"too many keys":   {200, `{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`},
		"too large":       {200, keysOf(issuer) + strings.Repeat(" ", maxKeysSize)},
	} {
		server := serveKeys(t, test.body)
		server.status.Store(int32(test.status))
		v, _ := fetching(t, server.URL)
		if _, err := v.verify(t.Context(), token); !errors.Is(err, errNoKeys) {
			t.Errorf("%s: got %v, want errNoKeys", name, err)
		}
	}
}

// TestIgnoredKeys wants keys that are of no use here to be left alone, and no token
// to be checked with one.
func TestIgnoredKeys(t *testing.T) {
	t.Parallel()
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	change := func(name string, value any) string {
		text, _ := issuer.Public().MarshalJSON()
		var fields map[string]any
		json.Unmarshal(text, &fields)
		fields[name] = value
		text, _ = json.Marshal(fields)
		return string(text)
	}
	marshal := func(k any) string {
		text, err := jose.JSONWebKey{Key: k, KeyID: "first"}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, bad := range map[string]string{
		"a secret":            `{"kty":"oct","kid":"first","k":"AAAA"}`,
		"a private key":       marshal(private),
		"1024 bits":           marshal(&weak.PublicKey),
		"P-384":               marshal(&p384.PublicKey),
		"for encryption":      change("use", "enc"),
		"for ES384":           change("alg", "ES384"),
		"of an unknown type":  change("kty", "XYZ"),
		"of no type":          `{"kid":"first"}`,
		"no point of P-256":   change("x", "AAAA"),
		"a string":            `"first"`,
		"null":                `null`,
		"a key for HS256":     change("alg", "HS256"),
		"the algorithm none":  change("alg", "none"),
		"a use in capitals":   change("use", "SIG"),
		"a chain of nonsense": change("x5c", []string{"AAAA"}),
	} {
		good := newMint(jose.EdDSA, "second")
		text, _ := good.Public().MarshalJSON()
		set := `{"keys":[` + bad + `,` + string(text) + `]}`
		server := serveKeys(t, set)
		v, _ := fetching(t, server.URL)
		if _, err := v.verify(t.Context(), good.token(valid())); err != nil {
			t.Errorf("%s: the key beside it: %v", name, err)
		}
		if _, err := v.verify(t.Context(), token); err == nil {
			t.Errorf("%s: a token was checked with it", name)
		}
		c := validConfig()
		c.JWKS = set
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "JWKS: key 1") {
			t.Errorf("%s: as configuration: %v", name, err)
		}
	}
}

func TestKeysConfiguration(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ url, keys, says string }{
		"neither":            {"", "", "JWKS_URL, JWKS: set one"},
		"both":               {"https://issuer.example/keys", keysOf(issuer), "JWKS_URL, JWKS: set one"},
		"a URL":              {"https://issuer.example/keys", "", ""},
		"keys":               {"", keysOf(issuer), ""},
		"plain HTTP":         {"http://issuer.example/keys", "", "JWKS_URL"},
		"plain HTTP here":    {"http://127.0.0.1:9080/keys", "", ""},
		"almost here":        {"http://127.0.0.1.issuer.example/keys", "", "JWKS_URL"},
		"a file":             {"file:///etc/keys", "", "JWKS_URL"},
		"no host":            {"https:///keys", "", "JWKS_URL"},
		"with a password":    {"https://a:b@issuer.example/keys", "", "JWKS_URL"},
		"no URL":             {"issuer.example", "", "JWKS_URL"},
		"keys that are none": {"", "hunter2", "JWKS: no JWK set"},
		"an empty set":       {"", `{"keys":[]}`, "JWKS: there is no key"},
	} {
		c := validConfig()
		c.JWKSURL, c.JWKS = test.url, test.keys
		err := c.Validate()
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %q", name, err, test.says)
		}
	}
}

// FuzzKeys wants whatever a URL answers with to be refused, or to be keys that a
// token can be checked with.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(keysOf(issuer, newMint(jose.EdDSA, "ed"))))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},null,7]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, _, err := parseKeys(document)
		if err != nil && len(keys) > 0 || len(keys) > maxKeys {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if algorithm, err := algorithmOf(k.public); err != nil || algorithm != k.algorithm {
				t.Errorf("key %q for %s: %s, %v", k.id, k.algorithm, algorithm, err)
			}
		}
	})
}
