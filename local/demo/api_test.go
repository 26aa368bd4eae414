package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestRefusal wants what the API refuses in words, a reason a line, and what is no
// problem document as it came.
func TestRefusal(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"detail":"It can't be exported.","errors":[{"severity":"error","message":"It is encrypted.","code":"ImageNotSupported"},{"severity":"warning","message":"Look at fstab."},{"message":"too long"}]}`: "\n   error: It is encrypted. (ImageNotSupported)\n   warning: Look at fstab.\n   too long",
		`{"detail":"There is no such export."}`: ": There is no such export.",
		`{"code":"x"}`:                          "\n" + `{"code":"x"}`,
		`<html>`:                                "\n<html>",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(body))
		}))
		_, err := api{server.URL, "token"}.submit(t.Context(), "m-1", "raw")
		if want = "POST /exports: 422 Unprocessable Entity" + want; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
		server.Close()
	}
}
