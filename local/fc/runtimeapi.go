package fc

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"ecs-image-export/local/identity"
)

// runtimePrefix is where the runtime API stands; the version is part of it.
const runtimePrefix = "/2020-11-11/runtime/"

// maxPayload is the most that a function may be given or return, in bytes.
const maxPayload = 32 << 20

// serveRuntime is the runtime API of one instance, as fc-runtime-go-sdk speaks
// it: GET next waits for a request, POST response or error ends it. The SDK
// takes nothing but 200 for a success.
func (i *instance) serveRuntime(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, runtimePrefix+"invocation/")
	if !ok {
		http.Error(w, "not built: "+r.Method+" "+r.URL.Path, http.StatusNotImplemented)
		return
	}
	if path == "next" && r.Method == http.MethodGet {
		i.next(w, r)
		return
	}
	id, end, ok := strings.Cut(path, "/")
	if !ok || r.Method != http.MethodPost || end != "response" && end != "error" {
		http.Error(w, "not built: "+r.Method+" "+r.URL.Path, http.StatusNotImplemented)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	inv := i.current
	i.mu.Unlock()
	if inv == nil || inv.id != id {
		http.Error(w, "no such request: "+id, http.StatusNotFound)
		return
	}
	out := outcome{payload: body}
	if end == "error" {
		out.errorType = unhandledError
	}
	if len(body) > maxPayload {
		out = failedAs(unhandledError, "ResponseTooLarge", "response payload size exceeds maximum allowed size (%d bytes)", maxPayload)
	}
	select {
	case inv.result <- out:
	default: // a second answer to the same request
	}
	w.WriteHeader(http.StatusOK)
}

// next gives the process its next request. The SDK asks again as soon as it has
// one, so that this call also waits while the process is busy.
func (i *instance) next(w http.ResponseWriter, r *http.Request) {
	select {
	case inv := <-i.work:
		i.mu.Lock()
		i.current = inv
		i.mu.Unlock()
		h := w.Header()
		// Deadline and timeout are always there: without one of them the SDK
		// never answers.
		h.Set("x-fc-request-id", inv.id)
		h.Set("x-fc-function-deadline", strconv.FormatInt(i.service.config.Now().Add(inv.timeout).UnixMilli(), 10))
		h.Set("x-fc-function-timeout", strconv.Itoa(int(inv.timeout.Seconds())))
		h.Set("x-fc-function-type", inv.step)
		i.describe(h, inv.credentials)
		h.Set("x-fc-retry-count", strconv.Itoa(inv.retries))
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.Itoa(len(inv.payload)))
		_, _ = w.Write(inv.payload)
	case <-i.exited:
		http.Error(w, "the instance has ended", http.StatusGone)
	case <-r.Context().Done():
	}
}

func (i *instance) describe(h http.Header, c identity.Credentials) {
	f := i.function
	h.Set("x-fc-access-key-id", c.AccessKeyID)
	h.Set("x-fc-access-key-secret", c.AccessKeySecret)
	h.Set("x-fc-security-token", c.SecurityToken)
	h.Set("x-fc-function-name", f.Name)
	h.Set("x-fc-function-handler", f.Handler)
	h.Set("x-fc-function-memory", strconv.Itoa(f.MemoryMB))
	h.Set("x-fc-region", i.service.config.Region)
	h.Set("x-fc-account-id", i.service.config.AccountID)
	h.Set("x-fc-qualifier", "LATEST")
	h.Set("x-fc-version-id", "LATEST")
	for _, name := range []string{"x-fc-service-name", "x-fc-service-logproject", "x-fc-service-logstore"} {
		h.Set(name, "") // of edition 2
	}
}
