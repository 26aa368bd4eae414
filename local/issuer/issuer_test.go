package issuer_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"ecs-image-export/local/issuer"
)

// published is the JWK set of an issuer.
func published(t *testing.T, i *issuer.Issuer) jose.JSONWebKeySet {
	t.Helper()
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if !k.IsPublic() {
			t.Error("a private key is published")
		}
	}
	return set
}

func TestToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "issuer.json")
	i, err := issuer.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	token, err := i.Token("somebody", time.Hour, "exports:read", "exports:write")
	if err != nil {
		t.Fatal(err)
	}
	again, err := issuer.Open(path) // as after a restart
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	keys := published(t, again).Keys
	if len(keys) != 1 || keys[0].KeyID != parsed.Headers[0].KeyID || keys[0].KeyID == "" {
		t.Fatalf("published %+v for %+v", keys, parsed.Headers)
	}
	var claims jwt.Claims
	var scope struct {
		Scope string `json:"scope"`
	}
	if err := parsed.Claims(keys[0].Key, &claims, &scope); err != nil {
		t.Fatal(err)
	}
	err = claims.Validate(jwt.Expected{Issuer: issuer.Name, Subject: "somebody", AnyAudience: jwt.Audience{issuer.Audience}, Time: time.Now().Add(59 * time.Minute)})
	if err != nil || scope.Scope != "exports:read exports:write" || claims.ID == "" {
		t.Errorf("%+v %+v: %v", claims, scope, err)
	}
	if err := claims.Validate(jwt.Expected{Time: time.Now().Add(62 * time.Minute)}); err == nil {
		t.Error("the token does not expire")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info.Mode(), err)
	}
}

// TestOpenAtOnce wants one key however many open a new folder.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "issuer.json")
	var mu sync.Mutex
	ids := map[string]bool{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			i, err := issuer.Open(path)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ids[published(t, i).Keys[0].KeyID] = true
		})
	}
	group.Wait()
	if len(ids) != 1 {
		t.Errorf("%d keys", len(ids))
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestOpenBroken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "issuer.json")
	for _, text := range []string{"", "{}", `{"kty":"oct","k":"AAAA"}`, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := issuer.Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want an error that names the file", text, err)
		}
	}
}
