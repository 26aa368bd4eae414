package fc

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// apiError is an error as the service answers it: {"RequestId", "Code",
// "Message"} (api-fc-2023-03-30-struct-error).
type apiError struct {
	Status  int
	Code    string
	Message string
}

func (e *apiError) Error() string { return fmt.Sprintf("%s: %s", e.Code, e.Message) }

func invalid(format string, args ...any) *apiError {
	return &apiError{http.StatusBadRequest, "InvalidArgument", fmt.Sprintf(format, args...)}
}

func notFound(function string) *apiError {
	return &apiError{http.StatusNotFound, "FunctionNotFound", fmt.Sprintf("function '%s' does not exist", function)}
}

// answer writes e. X-Fc-Error-Type carries the code too, as clients look for it
// there.
func (e *apiError) answer(w http.ResponseWriter, requestID string) {
	h := w.Header()
	h.Set("X-Fc-Error-Type", e.Code)
	writeJSON(w, requestID, e.Status, struct {
		RequestID string `json:"RequestId"`
		Code      string `json:"Code"`
		Message   string `json:"Message"`
	}{requestID, e.Code, e.Message})
}

func writeJSON(w http.ResponseWriter, requestID string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeBody(w, requestID, status, body)
}

// writeBody writes JSON that is there already.
func writeBody(w http.ResponseWriter, requestID string, status int, body []byte) {
	h := w.Header()
	h.Set("X-Fc-Request-Id", requestID)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
