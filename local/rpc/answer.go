package rpc

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

type format int

const (
	formatXML format = iota // what the gateway takes where no Format is given
	formatJSON
)

// answer is what has to be known to write the answer to one call.
type answer struct {
	service   *Service
	requestID string
	action    string
	format    format
}

func (a *answer) setFormat(c *call) error {
	f := c.params.Get("Format")
	switch {
	case strings.EqualFold(f, "JSON"):
		a.format = formatJSON
	case strings.EqualFold(f, "XML"):
		a.format = formatXML
	case f != "":
		return errFormat
	case c.acs3:
		// Clients that sign with ACS3 have no Format parameter.
		a.format = formatJSON
	}
	return nil
}

func (a *answer) succeed(w http.ResponseWriter, result any) {
	body, err := encode(result)
	if err == nil {
		body, err = addField(body, "RequestId", a.requestID)
	}
	if err != nil {
		a.fail(w, err)
		return
	}
	a.write(w, http.StatusOK, a.action+"Response", body)
}

func (a *answer) fail(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Status: http.StatusInternalServerError, Code: "InternalError", Message: "The request processing has failed due to some unknown error: " + err.Error()}
	}
	body, err := encode(struct {
		RequestID          string `json:"RequestId"`
		HostID             string `json:"HostId"`
		Code               string
		Message            string
		Recommend          string
		AccessDeniedDetail *AccessDenied `json:",omitempty"`
	}{
		a.requestID, a.service.Host, e.Code, e.Message,
		"https://api.aliyun.com/troubleshoot?q=" + url.QueryEscape(e.Code) + "&product=" + url.QueryEscape(a.service.Product) + "&requestId=" + a.requestID,
		e.AccessDenied,
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	a.write(w, e.Status, "Error", body)
}

func (a *answer) write(w http.ResponseWriter, status int, root string, body []byte) {
	kind := "application/json;charset=utf-8"
	if a.format == formatXML {
		kind = "text/xml;charset=utf-8"
		var err error
		if body, err = toXML(root, body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("x-acs-request-id", a.requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may be gone
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// addField puts a string field in front of the others of a JSON object; null
// counts as an object without fields.
func addField(object []byte, name, value string) ([]byte, error) {
	if string(object) == "null" {
		object = []byte("{}")
	}
	if len(object) < 2 || object[0] != '{' {
		return nil, errors.New("the answer is not a JSON object")
	}
	field, err := encode(map[string]string{name: value})
	if err != nil {
		return nil, err
	}
	out := field[:len(field)-1]
	if string(object) != "{}" {
		out = append(out, ',')
	}
	return append(out, object[1:]...), nil
}

// toXML writes a JSON object as the services write the same answer in XML: a
// field is an element, a list is its element repeated.
func toXML(root string, object []byte) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("<?xml version='1.0' encoding='UTF-8'?>")
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	if err := element(&b, d, root); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func element(b *bytes.Buffer, d *json.Decoder, name string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t == json.Delim('[') {
		for d.More() {
			if err := element(b, d, name); err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	}
	b.WriteString("<" + name + ">")
	switch v := t.(type) {
	case json.Delim:
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			if err := element(b, d, key.(string)); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return err
		}
	case string:
		if err := xml.EscapeText(b, []byte(v)); err != nil {
			return err
		}
	case json.Number:
		b.WriteString(v.String())
	case bool:
		if v {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	case nil:
	}
	_, err = io.WriteString(b, "</"+name+">")
	return err
}
