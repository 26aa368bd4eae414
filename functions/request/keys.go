package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keysFresh is how old the keys of a URL get before they are fetched again,
	// and keysUsable how old they may be while the URL does not answer.
	keysFresh  = 15 * time.Minute
	keysUsable = 24 * time.Hour
	// keysPause is the least time between two fetches: anybody can send tokens
	// that name keys which do not exist.
	keysPause = 30 * time.Second
	// keysTimeout is for one fetch, which a caller waits for.
	keysTimeout = 5 * time.Second

	maxKeys     = 100
	maxKeysSize = 1 << 20 // bytes
	minRSA      = 2048    // bits
)

// errNoKeys means that tokens can't be checked now, whoever sends them.
var errNoKeys = errors.New("the issuer's keys can't be fetched")

// key is a public key of the issuer. It is good for one algorithm, whatever a
// token says: a token that names another is not checked against it.
type key struct {
	id        string // blank: the issuer does not tell its keys apart
	algorithm jose.SignatureAlgorithm
	public    any
}

// keySet is the public keys of the issuer: given with the configuration, or
// fetched from a URL when they are needed. It is not refreshed in the background,
// because an instance is frozen between two events.
type keySet struct {
	url    string // blank: the keys never change
	client *http.Client
	now    func() time.Time

	mu             sync.Mutex
	keys           []key
	fetched, tried time.Time
}

// fetchedKeys are the keys behind a URL.
func fetchedKeys(url string) *keySet {
	return &keySet{url: url, now: time.Now, client: &http.Client{
		Timeout: keysTimeout,
		// A connection would be dead by the next fetch.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		// The configuration names who is trusted, and nobody else does.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// givenKeys are the keys of a JWK set, which must be public and usable.
func givenKeys(document string) (*keySet, error) {
	keys, ignored, err := parseKeys([]byte(document))
	if err == nil && len(ignored) > 0 {
		err = errors.Join(ignored...)
	}
	if err == nil && len(keys) == 0 {
		err = errors.New("there is no key in it")
	}
	return &keySet{now: time.Now, keys: keys}, err
}

// find returns the keys that a token with this header may be signed with, none if
// the issuer has no such key. The error is errNoKeys.
func (s *keySet) find(ctx context.Context, id string, algorithm jose.SignatureAlgorithm) ([]key, error) {
	s.mu.Lock() // also while keys are fetched: the others would only fetch them too
	defer s.mu.Unlock()
	if s.url == "" {
		return s.match(id, algorithm), nil
	}
	var failed error
	if s.now().Sub(s.fetched) >= keysFresh {
		failed = s.fetch(ctx)
	}
	found := s.match(id, algorithm)
	if len(found) == 0 {
		// The issuer may have a new key since.
		failed = errors.Join(failed, s.fetch(ctx))
		found = s.match(id, algorithm)
	}
	if s.now().Sub(s.fetched) >= keysUsable {
		return nil, errors.Join(errNoKeys, failed)
	}
	return found, nil
}

func (s *keySet) match(id string, algorithm jose.SignatureAlgorithm) (found []key) {
	for _, k := range s.keys {
		if k.algorithm == algorithm && (id == "" || k.id == id) {
			found = append(found, k)
		}
	}
	return found
}

// fetch gets the keys anew, unless somebody did a moment ago. On an error those
// that there are stay.
func (s *keySet) fetch(ctx context.Context) error {
	if s.now().Sub(s.tried) < keysPause {
		return nil
	}
	s.tried = s.now()
	document, err := s.get(ctx)
	var keys []key
	var ignored []error
	if err == nil {
		keys, ignored, err = parseKeys(document)
	}
	if err != nil {
		err = fmt.Errorf("fetch keys from %s: %w", s.url, err)
		slog.WarnContext(ctx, "keys", "error", err, "age", s.now().Sub(s.fetched).String())
		return err
	}
	for _, reason := range ignored {
		slog.WarnContext(ctx, "a key is ignored", "url", s.url, "reason", reason)
	}
	s.keys, s.fetched = keys, s.now()
	return nil
}

func (s *keySet) get(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	document, err := io.ReadAll(io.LimitReader(resp.Body, maxKeysSize+1))
	if err == nil && len(document) > maxKeysSize {
		err = fmt.Errorf("it answers with more than %d bytes", maxKeysSize)
	}
	return document, err
}

// parseKeys reads a JWK set (RFC 7517). Keys that are of no use here are ignored,
// each with the reason, as the RFC wants it: issuers publish others beside them.
func parseKeys(document []byte) (keys []key, ignored []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, nil, fmt.Errorf("no JWK set: %w", err)
	}
	switch {
	case set.Keys == nil:
		return nil, nil, errors.New(`no JWK set: it has no list "keys"`)
	case len(set.Keys) > maxKeys:
		return nil, nil, fmt.Errorf("a set of %d keys; the most is %d", len(set.Keys), maxKeys)
	}
	for i, raw := range set.Keys {
		k, err := parseKey(raw)
		if err != nil {
			ignored = append(ignored, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, ignored, nil
}

func parseKey(raw []byte) (key, error) {
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(raw); err != nil {
		return key{}, err
	}
	algorithm, err := algorithmOf(k.Key)
	switch {
	case err != nil:
		return key{}, err
	case k.Algorithm != "" && k.Algorithm != string(algorithm):
		return key{}, fmt.Errorf("is for %s, and its type is one for %s", k.Algorithm, algorithm)
	case k.Use != "" && k.Use != "sig":
		return key{}, fmt.Errorf("is for %q, not for signatures", k.Use)
	}
	return key{id: k.KeyID, algorithm: algorithm, public: k.Key}, nil
}

// algorithmOf says which of our algorithms a key is for. Secret and private keys
// are for none.
func algorithmOf(public any) (jose.SignatureAlgorithm, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA {
			return "", fmt.Errorf("has %d bits; the least is %d", bits, minRSA)
		}
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("is on the curve %s; ES256 has P-256", k.Curve.Params().Name)
		}
		return jose.ES256, nil
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	}
	return "", errors.New("is no public key of RSA, P-256 or Ed25519; publish the public half alone")
}
