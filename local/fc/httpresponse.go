package fc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// dropped are the headers that a function behind an HTTP trigger can't set.
var dropped = map[string]bool{"connection": true, "content-length": true, "date": true, "keep-alive": true,
	"server": true, "upgrade": true}

// response is what a function may return, with its types left open: anything
// that is not JSON of an object with a statusCode is the body itself.
type response struct {
	StatusCode *json.RawMessage           `json:"statusCode"`
	Headers    map[string]json.RawMessage `json:"headers"`
	IsBase64   bool                       `json:"isBase64Encoded"`
	Body       *json.RawMessage           `json:"body"`
}

// writeResponse turns what a function returned into an HTTP response.
func writeResponse(w http.ResponseWriter, payload []byte, requestID string) *apiError {
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil || fields["statusCode"] == nil {
		writeBody(w, requestID, http.StatusOK, payload)
		return nil
	}
	status, headers, body, err := parseResponse(payload)
	if err != nil {
		return &apiError{http.StatusBadGateway, "BadResponse", err.Error()}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	for name, value := range headers {
		lower := strings.ToLower(name)
		if dropped[lower] || strings.HasPrefix(lower, "x-fc-") ||
			lower == "content-disposition" && strings.HasPrefix(strings.ToLower(value), "attachment") {
			continue
		}
		h.Set(name, value)
	}
	if n := headerSize(h); n > maxResponseHeader {
		for name := range h {
			h.Del(name)
		}
		return &apiError{http.StatusBadGateway, "BadResponse", fmt.Sprintf("the response headers take %d bytes, must be at most %d", n, maxResponseHeader)}
	}
	h.Set("X-Fc-Request-Id", requestID)
	if status != http.StatusNoContent && status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

func parseResponse(payload []byte) (status int, headers map[string]string, body []byte, err error) {
	var r response
	if err := json.Unmarshal(payload, &r); err != nil {
		return 0, nil, nil, fmt.Errorf("the function's response: %w", err)
	}
	if err := json.Unmarshal(*r.StatusCode, &status); err != nil || status < 200 || status > 599 {
		return 0, nil, nil, fmt.Errorf("statusCode %s must be a number from 200 to 599", *r.StatusCode)
	}
	headers = map[string]string{}
	for name, raw := range r.Headers {
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			return 0, nil, nil, fmt.Errorf("header %s must be a string, is %s", name, raw)
		}
		if name == "" || strings.ContainsAny(name+value, "\r\n\x00") || strings.ContainsAny(name, " :") {
			return 0, nil, nil, fmt.Errorf("header %q is not a header", name)
		}
		headers[name] = value
	}
	if r.Body == nil || bytes.Equal(*r.Body, []byte("null")) {
		return status, headers, nil, nil
	}
	var text string
	if err := json.Unmarshal(*r.Body, &text); err != nil {
		return 0, nil, nil, fmt.Errorf("body must be a string")
	}
	if !r.IsBase64 {
		return status, headers, []byte(text), nil
	}
	if body, err = base64.StdEncoding.DecodeString(text); err != nil {
		return 0, nil, nil, fmt.Errorf("body is not base64: %w", err)
	}
	return status, headers, body, nil
}
