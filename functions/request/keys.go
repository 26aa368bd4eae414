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
	"golang.org/x/sync/singleflight"
)

const (
	// keysRenew is how old the keys of a URL get before they are fetched again, which
	// nobody waits for. Where nothing came of that until they are as old as keysFresh,
	// callers wait for it, but no longer than keysPatience; keysUsable is how old they
	// may be while the URL does not answer.
	keysRenew    = 10 * time.Minute
	keysFresh    = 15 * time.Minute
	keysPatience = time.Second
	keysUsable   = 24 * time.Hour
	// keysPause is the least time between two fetches: anybody can send tokens
	// that name keys which do not exist.
	keysPause = 30 * time.Second
	// keysTimeout is for one fetch. Who has no key to go on with waits for it.
	keysTimeout = 5 * time.Second

	maxKeys     = 100
	maxKeysSize = 1 << 20 // bytes
	minRSA      = 2048    // bits
)

// errNoKeys means that a token can't be checked now: its key is not at hand and can't
// be fetched.
var errNoKeys = errors.New("the issuer's keys can't be fetched")

// key is a public key of the issuer. It is good for one algorithm, whatever a
// token says: a token that names another is not checked against it.
type key struct {
	id        string // blank: the issuer does not tell its keys apart
	algorithm jose.SignatureAlgorithm
	public    any
}

// keySet is the public keys of the issuer: given with the configuration, or fetched
// from a URL when they are needed. Nothing renews them on its own, because an instance
// is frozen between two events: a call that finds them old does.
type keySet struct {
	url     string // blank: the keys never change
	client  *http.Client
	now     func() time.Time
	fetches singleflight.Group

	mu             sync.Mutex // never held while anybody waits
	keys           []key
	fetched, tried time.Time
	failed         error // of the last fetch
}

// fetchedKeys are the keys behind a URL.
func fetchedKeys(url string) *keySet {
	return &keySet{url: url, now: time.Now, client: &http.Client{
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
	found, age := s.match(id, algorithm)
	if s.url == "" || len(found) > 0 && age < keysRenew {
		return found, nil
	}
	if len(found) > 0 && age < keysFresh {
		s.begin(ctx)
		return found, nil
	}
	usable := len(found) > 0 && age < keysUsable
	if usable {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, keysPatience)
		defer cancel()
	}
	switch err := s.renew(ctx); {
	case err == nil:
		found, _ = s.match(id, algorithm)
	case !usable:
		return nil, errors.Join(errNoKeys, err)
	}
	return found, nil
}

// latest is find for a token that none of the keys at hand has signed, though one of
// its id may have.
func (s *keySet) latest(ctx context.Context, id string, algorithm jose.SignatureAlgorithm) ([]key, error) {
	if s.url != "" {
		if err := s.renew(ctx); err != nil {
			return nil, errors.Join(errNoKeys, err)
		}
	}
	found, _ := s.match(id, algorithm)
	return found, nil
}

// match returns the keys of an id and an algorithm, and the age of all.
func (s *keySet) match(id string, algorithm jose.SignatureAlgorithm) (found []key, age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if k.algorithm == algorithm && (id == "" || k.id == id) {
			found = append(found, k)
		}
	}
	return found, s.now().Sub(s.fetched)
}

// renew waits until the keys are fetched anew, while ctx lives.
func (s *keySet) renew(ctx context.Context) (err error) {
	// A fetch under way may be one that the instance was frozen with, and fail for
	// that. The next is a new one, if it is not too early.
	for range 2 {
		select {
		case done := <-s.begin(ctx):
			if err = done.Err; err == nil {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// begin has the keys fetched, by a fetch that is under way or by a new one. It goes
// on when the caller's call has ended, for others wait for it.
func (s *keySet) begin(ctx context.Context) <-chan singleflight.Result {
	return s.fetches.DoChan(s.url, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
		defer cancel()
		return nil, s.fetch(ctx)
	})
}

// fetch gets the keys anew. If somebody did a moment ago, what came of that stands. On
// an error the keys that there are stay.
func (s *keySet) fetch(ctx context.Context) error {
	s.mu.Lock()
	if s.now().Sub(s.tried) < keysPause {
		defer s.mu.Unlock()
		return s.failed
	}
	began := s.now()
	s.tried = began
	s.mu.Unlock()
	document, err := s.get(ctx)
	var keys []key
	var ignored []error
	if err == nil {
		keys, ignored, err = parseKeys(document)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed = fmt.Errorf("fetch keys from %s: %w", s.url, err)
		slog.WarnContext(ctx, "keys", "error", s.failed, "age", s.now().Sub(s.fetched).String())
		return s.failed
	}
	for _, reason := range ignored {
		slog.WarnContext(ctx, "a key is ignored", "url", s.url, "reason", reason)
	}
	s.keys, s.fetched, s.failed = keys, began, nil
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
