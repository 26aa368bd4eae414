package oss

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxXML is the largest body of a request that carries XML; it fits 1000
// objects with the longest names, escaped.
const maxXML = 8 << 20

// isoTime is how OSS writes a time in XML.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// quoted is how OSS writes an ETag.
func quoted(etag string) string { return `"` + etag + `"` }

// writeXML answers 200 with v under the given root element.
func (s *Service) writeXML(w http.ResponseWriter, r *request, root string, v any) error {
	return s.writeStatusXML(w, r, http.StatusOK, root, v)
}

func (s *Service) writeStatusXML(w http.ResponseWriter, r *request, status int, root string, v any) error {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	enc := xml.NewEncoder(&b)
	enc.Indent("", "  ")
	if err := enc.EncodeElement(v, xml.StartElement{Name: xml.Name{Local: root}}); err != nil {
		return err
	}
	b.WriteByte('\n')
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h["x-oss-server-time"] = []string{s.serverTime(r)}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}

// readXML reads the body of a request into v. The root element must have the
// given name. A Content-MD5 is checked where there is one.
func readXML(r *request, root string, v any) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	return decodeXML(body, root, v)
}

func readBody(r *request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxXML+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxXML {
		return nil, &errEntityTooLarge
	}
	if e := checkMD5(r, func() []byte { sum := md5.Sum(body); return sum[:] }); e != nil {
		return nil, e
	}
	return body, nil
}

func decodeXML(body []byte, root string, v any) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := d.Token()
		if err != nil {
			return errMalformedXML.with("ErrorDetail", "the document is empty or broken")
		}
		start, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != root {
			return errMalformedXML.with("ErrorDetail", "the root element is not "+root)
		}
		if err := d.DecodeElement(v, &start); err != nil {
			return errMalformedXML.with("ErrorDetail", err.Error())
		}
		return nil
	}
}

// checkMD5 compares the Content-MD5 of a request, if there is one, with the
// body's. sum is called only then.
func checkMD5(r *request, sum func() []byte) *Error {
	want, e := requestMD5(r)
	if want == nil || e != nil {
		return e
	}
	if got := sum(); !bytes.Equal(want, got) {
		return errInvalidDigest.say("The Content-MD5 you specified did not match what we received.").
			with("ClientComputedContentMD5", base64.StdEncoding.EncodeToString(want)).
			with("ServerCalculatedContentMD5", base64.StdEncoding.EncodeToString(got))
	}
	return nil
}

// requestMD5 returns the Content-MD5 header, decoded, or nil.
func requestMD5(r *request) ([]byte, *Error) {
	h := r.Header.Get("Content-Md5")
	if h == "" {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(h)
	if err != nil || len(sum) != md5.Size {
		return nil, errInvalidDigest.with("ContentMD5", h)
	}
	return sum, nil
}
