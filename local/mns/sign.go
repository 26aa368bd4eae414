package mns

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// certificatePath is where the certificate of pushed messages is served, without
// a signature.
const certificatePath = "/_cert/x509.pem"

// signer signs pushed messages.
type signer struct {
	key  *rsa.PrivateKey
	cert []byte // PEM
}

// signingCertificate reads the key and the certificate that sign pushed
// messages, or makes them the first time.
func signingCertificate(dir string) (*signer, error) {
	path := filepath.Join(dir, "push.pem")
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if raw, err = newCertificate(); err == nil {
			err = writeFile(path, raw)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("signing certificate: %w", err)
	}
	var key *rsa.PrivateKey
	var cert []byte
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "RSA PRIVATE KEY":
			if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
				return nil, fmt.Errorf("signing certificate %s: %w", path, err)
			}
		case "CERTIFICATE":
			cert = pem.EncodeToMemory(block)
		}
	}
	if key == nil || cert == nil {
		return nil, fmt.Errorf("signing certificate %s: no key or no certificate in it", path)
	}
	return &signer{key, cert}, nil
}

func newCertificate() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	from := time.Now().Add(-time.Hour)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(from.UnixNano()),
		Subject:      pkix.Name{CommonName: "mns push, local stand-in"},
		NotBefore:    from,
		NotAfter:     from.AddDate(20, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return append(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})...), nil
}

// writeFile leaves the whole file or none.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// signPush signs a pushed request the way subscribers check it.
// https://help.aliyun.com/en/mns/developer-reference/topic-message-http-subscription-signature
func signPush(key *rsa.PrivateKey, path string, h http.Header) (string, error) {
	var own []string
	for name := range h {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-mns-") {
			own = append(own, name+":"+h.Get(name))
		}
	}
	slices.Sort(own)
	text := strings.Join([]string{
		http.MethodPost,
		h.Get("Content-MD5"),
		h.Get("Content-Type"),
		h.Get("Date"),
		strings.Join(own, "\n"),
		path,
	}, "\n")
	sum := sha1.Sum([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA1, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign push: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}
