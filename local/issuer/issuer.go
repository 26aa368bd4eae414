// Package issuer makes the tokens that the request function accepts on a laptop,
// as an identity provider does in a deployment: it has a key of its own, signs
// JWTs with it, and publishes the public half as a JWK set. It asks nobody who
// they are: whoever can read its folder gets a token for any subject.
package issuer

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// Name is the issuer (iss) of its tokens, Audience whom they are for (aud).
	Name     = "ecs-image-export-local"
	Audience = "ecs-image-export"
)

// Scopes are all that an API of this project asks for.
var Scopes = []string{"exports:read", "exports:write", "exports:admin"}

// Issuer signs tokens. It is safe for concurrent use.
type Issuer struct{ key jose.JSONWebKey }

// Open reads the key from a file, or makes the file with a new key.
func Open(path string) (*Issuer, error) {
	key, err := load(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(path); err == nil {
			key, err = load(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the issuer's key: %w", err)
	}
	return &Issuer{key}, nil
}

func load(path string) (key jose.JSONWebKey, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return key, err
	}
	if err := key.UnmarshalJSON(text); err != nil {
		return key, fmt.Errorf("%s: %w", path, err)
	}
	if _, private := key.Key.(ed25519.PrivateKey); !private {
		return key, fmt.Errorf("%s holds no private key of Ed25519; remove it to get another", path)
	}
	return key, nil
}

// create leaves a whole file or none, and the first one where two are made at once.
func create(path string) error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	text, err := jose.JSONWebKey{Key: private, KeyID: rand.Text()[:8], Algorithm: string(jose.EdDSA), Use: "sig"}.MarshalJSON()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	half := path + "." + rand.Text()
	defer os.Remove(half)
	if err := os.WriteFile(half, text, 0o600); err != nil {
		return err
	}
	if err := os.Link(half, path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Token returns a token for a subject that is good from now on for some time.
func (i *Issuer) Token(subject string, life time.Duration, scopes ...string) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: i.key}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		return "", err
	}
	now := time.Now()
	return jwt.Signed(signer).Claims(struct {
		jwt.Claims
		Scope string `json:"scope"`
	}{
		jwt.Claims{
			Issuer: Name, Audience: jwt.Audience{Audience}, Subject: subject, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(life)),
		},
		strings.Join(scopes, " "),
	}).Serialize()
}

// ServeHTTP answers with the JWK set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the keys are there to be read", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}})
}
