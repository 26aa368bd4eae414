package fc

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// apiPrefix is where the OpenAPI stands on the port that it shares with the HTTP
// triggers; localPrefix holds what only a stand-in has.
const (
	apiPrefix   = "/" + apiVersion + "/"
	localPrefix = "/_local/"
)

// maxAsyncPayload is the most that an asynchronous invocation takes, in bytes.
const maxAsyncPayload = 128 << 10

// serveAPI answers the operations of the FC OpenAPI that exist here:
// InvokeFunction, GetFunction, ListFunctions, GetTrigger, ListTriggers.
func (s *Service) serveAPI(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID(s.config.Now())
	if err := s.api(w, r, requestID); err != nil {
		err.answer(w, requestID)
	}
}

func (s *Service) api(w http.ResponseWriter, r *http.Request, requestID string) *apiError {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return invalid("read the body: %v", err)
	}
	id, refused := s.identify(r, body)
	if refused != nil {
		return refused
	}
	parts, unescaped := splitPath(strings.TrimPrefix(r.URL.EscapedPath(), apiPrefix))
	if unescaped != nil {
		return invalid("%v", unescaped)
	}
	operation := r.Method + " " + pattern(parts)
	name := ""
	if len(parts) > 1 {
		name = parts[1]
	}
	actions := map[string]string{
		"POST functions/*/invocations": "InvokeFunction",
		"GET functions":                "ListFunctions",
		"GET functions/*":              "GetFunction",
		"GET functions/*/triggers":     "ListTriggers",
		"GET functions/*/triggers/*":   "GetTrigger",
	}
	action := actions[operation]
	if action == "" {
		return &apiError{http.StatusNotImplemented, "NotImplemented", fmt.Sprintf("%s %s is not built in this stand-in", r.Method, r.URL.Path)}
	}
	resource := fmt.Sprintf("acs:fc:%s:%s:functions/%s", s.config.Region, s.config.AccountID, name)
	if name == "" {
		resource += "*"
	}
	if !id.Allows("fc:"+action, resource) {
		return &apiError{http.StatusForbidden, "AccessDenied", fmt.Sprintf("the caller is not authorized to perform '%s' on resource '%s'", "fc:"+action, resource)}
	}
	if action == "ListFunctions" {
		return s.listFunctions(w, r, requestID)
	}
	f := s.byName[name]
	if f == nil {
		return notFound(name)
	}
	if q := r.URL.Query().Get("qualifier"); q != "" && q != "LATEST" {
		return &apiError{http.StatusNotFound, "VersionNotFound", fmt.Sprintf("version or alias '%s' of function '%s' does not exist", q, name)}
	}
	switch action {
	case "InvokeFunction":
		return s.invokeFunction(w, r, f, body, requestID)
	case "GetFunction":
		writeJSON(w, requestID, http.StatusOK, s.describeFunction(f))
	case "ListTriggers":
		triggers := make([]any, len(f.Triggers))
		for i, t := range f.Triggers {
			triggers[i] = s.describeTrigger(f, t)
		}
		writeJSON(w, requestID, http.StatusOK, map[string]any{"triggers": triggers})
	case "GetTrigger":
		for _, t := range f.Triggers {
			if t.Name == parts[3] {
				writeJSON(w, requestID, http.StatusOK, s.describeTrigger(f, t))
				return nil
			}
		}
		return &apiError{http.StatusNotFound, "TriggerNotFound", fmt.Sprintf("trigger '%s' does not exist in function '%s'", parts[3], name)}
	}
	return nil
}

func splitPath(path string) ([]string, error) {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// pattern puts * for the names in a path.
func pattern(parts []string) string {
	parts = slices.Clone(parts)
	for i := 1; i < len(parts); i += 2 {
		if parts[i] != "" {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// invokeFunction answers InvokeFunction: with what the function returned, also
// where that is an error (status 200 and X-Fc-Error-Type), or with 202 for an
// asynchronous invocation.
func (s *Service) invokeFunction(w http.ResponseWriter, r *http.Request, f *function, body []byte, requestID string) *apiError {
	switch kind := r.Header.Get("X-Fc-Invocation-Type"); kind {
	case "", "Sync":
	case "Async":
		return s.accept(w, f, body, requestID)
	default:
		return invalid("X-Fc-Invocation-Type '%s' must be Sync or Async", kind)
	}
	logType := r.Header.Get("X-Fc-Log-Type")
	if logType != "" && logType != "None" && logType != "Tail" {
		return invalid("X-Fc-Log-Type '%s' must be None or Tail", logType)
	}
	if len(body) > maxPayload {
		return &apiError{http.StatusBadRequest, "EntityTooLarge", fmt.Sprintf("payload size exceeds maximum allowed size (%d bytes)", maxPayload)}
	}
	out := s.invoke(r.Context(), f, request{id: requestID, payload: body, tail: logType == "Tail"})
	if out.refused != nil {
		return out.refused
	}
	h := w.Header()
	if out.errorType != "" {
		h.Set("X-Fc-Error-Type", out.errorType)
	}
	if logType == "Tail" {
		h.Set("X-Fc-Log-Result", base64.StdEncoding.EncodeToString(out.log))
	}
	h.Set("X-Fc-Invocation-Code-Version", "LATEST")
	writeBody(w, requestID, http.StatusOK, out.payload)
	return nil
}

// accept queues an asynchronous invocation and answers 202.
func (s *Service) accept(w http.ResponseWriter, f *function, payload []byte, requestID string) *apiError {
	if len(payload) > maxAsyncPayload {
		return &apiError{http.StatusBadRequest, "EntityTooLarge", fmt.Sprintf("payload size exceeds maximum allowed size (%d bytes)", maxAsyncPayload)}
	}
	if err := s.enqueue(pending{ID: requestID, Function: f.Name, Payload: payload, Source: "InvokeFunction"}); err != nil {
		return &apiError{http.StatusInternalServerError, "InternalServerError", err.Error()}
	}
	h := w.Header()
	h.Set("X-Fc-Request-Id", requestID)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Service) listFunctions(w http.ResponseWriter, r *http.Request, requestID string) *apiError {
	q := r.URL.Query()
	limit := 20
	if l := q.Get("limit"); l != "" {
		var err error
		if limit, err = strconv.Atoi(l); err != nil || limit < 1 || limit > 100 {
			return invalid("limit '%s' must be from 1 to 100", l)
		}
	}
	names := make([]string, 0, len(s.byName))
	for name := range s.byName {
		if strings.HasPrefix(name, q.Get("prefix")) && name >= q.Get("nextToken") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	answer := map[string]any{}
	if len(names) > limit {
		answer["nextToken"] = names[limit]
		names = names[:limit]
	}
	functions := make([]any, len(names))
	for i, name := range names {
		functions[i] = s.describeFunction(s.byName[name])
	}
	answer["functions"] = functions
	writeJSON(w, requestID, http.StatusOK, answer)
	return nil
}

// serveLocal answers what helps on a laptop and no cloud has:
// GET /_local/functions/<name>/log gives the function's log as text.
func (s *Service) serveLocal(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, localPrefix+"functions/")
	name, isLog := strings.CutSuffix(name, "/log")
	if !ok || !isLog || r.Method != http.MethodGet {
		http.Error(w, "not built: "+r.Method+" "+r.URL.Path, http.StatusNotImplemented)
		return
	}
	f := s.byName[name]
	if f == nil {
		http.Error(w, "no function "+name, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := f.log.copyTo(w); err != nil {
		s.warn("%s: read the log: %v", name, err)
	}
}
