package rpc

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// call is a request as it came in, before anything in it is believed.
type call struct {
	http    *http.Request
	body    []byte
	query   url.Values
	params  url.Values // of the query and the form
	action  string
	version string
	// acs3 is true if an Authorization header signs the request rather than a
	// Signature parameter.
	acs3 bool
}

func read(w http.ResponseWriter, r *http.Request) (*call, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return nil, errMethod
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, errBody
	}
	c := &call{http: r, body: body, acs3: strings.HasPrefix(r.Header.Get("Authorization"), "ACS3-")}
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, errBody
	}
	c.params = url.Values{}
	merge(c.params, c.query)
	if r.Method == http.MethodPost && len(body) > 0 && isForm(r) {
		form, err := url.ParseQuery(string(bytes.TrimSpace(body)))
		if err != nil {
			return nil, errBody
		}
		merge(c.params, form)
	}
	c.action, c.version = c.params.Get("Action"), c.params.Get("Version")
	if c.acs3 {
		if v := r.Header.Get("x-acs-action"); v != "" {
			c.action = v
		}
		if v := r.Header.Get("x-acs-version"); v != "" {
			c.version = v
		}
	}
	return c, nil
}

func merge(into, from url.Values) {
	for k, v := range from {
		into[k] = append(into[k], v...)
	}
}

func isForm(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/x-www-form-urlencoded"
}

// newRequestID returns a random UUID in upper case, as the gateway makes them.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never returns an error
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
