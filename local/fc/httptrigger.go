package fc

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ecs-image-export/events"
	"ecs-image-export/local/syaml"
)

// Limits of an HTTP trigger, in bytes; a request over one of them gets 400
// InvalidArgument.
const (
	maxRequestHeader  = 8 << 10
	maxRequestTarget  = 4 << 10 // path and query
	maxResponseHeader = 8 << 10 // more is 502 BadResponse
)

// serveTrigger passes a request to the function whose HTTP trigger it is for.
// With one such function it has the whole port, as behind a domain of its own;
// with several the first label of the Host header names the function, as
// <function>.localhost.
//
// The default domains of the service (*.fcapp.run) also add Content-Disposition:
// attachment to every answer. That is left out here: it is the domain's doing,
// and localhost stands for a custom domain.
func (s *Service) serveTrigger(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID(s.config.Now())
	allowOrigin(w.Header(), r)
	f, t := s.httpFunction(r.Host)
	if f == nil {
		(&apiError{http.StatusNotFound, "TriggerNotFound", "no function has an HTTP trigger for " + r.Host}).answer(w, requestID)
		return
	}
	if err := s.trigger(w, r, f, t, requestID); err != nil {
		err.answer(w, requestID)
	}
}

func (s *Service) httpFunction(host string) (*function, *syaml.HTTPTrigger) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	label, _, _ := strings.Cut(host, ".")
	var only *function
	var trigger *syaml.HTTPTrigger
	count := 0
	for _, f := range s.functions {
		for _, t := range f.Triggers {
			if t.HTTP == nil {
				continue
			}
			if f.Name == label {
				return f, t.HTTP
			}
			only, trigger = f, t.HTTP
			count++
		}
	}
	if count != 1 {
		return nil, nil
	}
	return only, trigger
}

func (s *Service) trigger(w http.ResponseWriter, r *http.Request, f *function, t *syaml.HTTPTrigger, requestID string) *apiError {
	if !slices.Contains(t.Methods, r.Method) {
		if preflight(w, r, t) {
			return nil
		}
		return &apiError{http.StatusForbidden, "AccessDenied", "the method " + r.Method + " is not allowed by the trigger"}
	}
	if n := headerSize(r.Header); n > maxRequestHeader {
		return invalid("the request headers take %d bytes, must be at most %d", n, maxRequestHeader)
	}
	if n := len(r.URL.RequestURI()); n > maxRequestTarget {
		return invalid("the path and query take %d bytes, must be at most %d", n, maxRequestTarget)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return invalid("read the body: %v", err)
	}
	if len(body) > maxPayload {
		return invalid("the body is larger than %d bytes", maxPayload)
	}
	if t.AuthType == "function" {
		id, refused := s.identify(r, body)
		if refused != nil {
			return refused
		}
		if !id.Allows("fc:InvokeFunction", f.arn) {
			return &apiError{http.StatusForbidden, "AccessDenied", "the caller is not authorized to perform 'fc:InvokeFunction' on resource '" + f.arn + "'"}
		}
	}
	payload, err := json.Marshal(s.httpEvent(r, body, f, requestID))
	if err != nil {
		return invalid("%v", err)
	}
	if strings.EqualFold(r.Header.Get("X-Fc-Invocation-Type"), "Async") {
		return s.accept(w, f, payload, requestID)
	}
	out := s.invoke(r.Context(), f, request{id: requestID, payload: payload})
	switch {
	case out.refused != nil:
		return out.refused
	case out.errorType != "":
		w.Header().Set("X-Fc-Error-Type", out.errorType)
		writeBody(w, requestID, http.StatusBadGateway, out.payload)
		return nil
	}
	return writeResponse(w, out.payload, requestID)
}

// httpEvent is the event of an HTTP trigger in a built-in runtime.
func (s *Service) httpEvent(r *http.Request, body []byte, f *function, requestID string) events.HTTPRequest {
	now := s.config.Now().UTC()
	host := r.Host
	e := events.HTTPRequest{
		Version:         "v1",
		RawPath:         r.URL.EscapedPath(),
		Headers:         map[string]string{"Host": host},
		QueryParameters: map[string]string{},
	}
	for name, values := range r.Header {
		if !strings.HasPrefix(strings.ToLower(name), "x-fc-") && name != "Connection" && name != "Keep-Alive" {
			e.Headers[textproto.CanonicalMIMEHeaderKey(name)] = strings.Join(values, ",")
		}
	}
	if r.ContentLength > 0 {
		e.Headers["Content-Length"] = strconv.FormatInt(r.ContentLength, 10)
	}
	query, _ := url.ParseQuery(r.URL.RawQuery) // pairs that can't be read are left out
	for name, values := range query {
		e.QueryParameters[name] = strings.Join(values, ",")
	}
	if isText(r.Header.Get("Content-Type")) && utf8.Valid(body) {
		e.Body = string(body)
	} else {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	c := &e.RequestContext
	c.AccountID, c.RequestID = s.config.AccountID, requestID
	c.DomainName = host
	c.DomainPrefix, _, _ = strings.Cut(host, ".")
	c.Time = now.Truncate(1e9)
	c.TimeEpoch = strconv.FormatInt(now.UnixMilli(), 10)
	c.HTTP.Method, c.HTTP.Path, c.HTTP.Protocol = r.Method, r.URL.Path, r.Proto
	c.HTTP.UserAgent = r.UserAgent()
	if ip, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.HTTP.SourceIP = ip
	}
	return e
}

// isText says whether the body of a content type is handed over as it is; all
// others, and a body without a type, come in base64.
func isText(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch mediaType {
	case "application/json", "application/ld+json", "application/xhtml+xml", "application/xml",
		"application/atom+xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(mediaType, "text/")
}

func headerSize(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

// allowOrigin adds the CORS headers that the service adds for every origin.
func allowOrigin(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "Date,x-fc-request-id,x-fc-error-type,x-fc-log-result")
}

// preflight answers a CORS preflight for a function that does not take OPTIONS
// itself.
func preflight(w http.ResponseWriter, r *http.Request, t *syaml.HTTPTrigger) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", strings.Join(t.Methods, ","))
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
