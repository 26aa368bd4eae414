package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Path is where the table is served.
const Path = "/_local/faults"

// maxBody is the most that the description of a fault takes, in bytes.
const maxBody = 64 << 10

// ServeHTTP makes a fault of the body of a POST, lists all at GET and forgets all
// at DELETE. Whoever reaches the port may do so.
func (t *Table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			answer(w, http.StatusRequestEntityTooLarge, Wrong{[]string{fmt.Sprintf("the body takes more than %d bytes", maxBody)}})
			return
		}
		f, err := parse(body)
		if err == nil {
			f, err = t.Add(f)
		}
		if wrong := (*Wrong)(nil); errors.As(err, &wrong) {
			answer(w, http.StatusBadRequest, wrong)
			return
		}
		answer(w, http.StatusCreated, f)
	case http.MethodGet:
		answer(w, http.StatusOK, struct {
			Faults []Entry `json:"faults"`
		}{t.List()})
	case http.MethodDelete:
		t.Clear()
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		answer(w, http.StatusMethodNotAllowed, Wrong{[]string{"the method " + r.Method + " is none of GET, POST, DELETE"}})
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the caller may be gone
}

// parse reads a fault. Nothing in it is guessed at: a name that is unknown or a
// value that is empty is a mistake.
func parse(body []byte) (Fault, error) {
	var f Fault
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, &Wrong{[]string{explain(err)}}
	}
	if _, err := d.Token(); err != io.EOF {
		return f, &Wrong{[]string{"more than one JSON value: make one fault at a time"}}
	}
	var given map[string]any
	if err := json.Unmarshal(body, &given); err != nil || given == nil {
		return f, &Wrong{[]string{`the body is not a JSON object such as {"service": "ecs", "action": "ExportImage", "what": {"code": "Throttling.User"}}`}}
	}
	if problems := empty("", given); len(problems) > 0 {
		return f, &Wrong{problems}
	}
	return f, nil
}

// empty finds values that say nothing: a 0 or false would be taken for a field
// that is not there.
func empty(path string, object map[string]any) []string {
	var problems []string
	for name, v := range object {
		switch v := v.(type) {
		case map[string]any:
			problems = append(problems, empty(path+name+".", v)...)
		case nil, bool, float64, string:
			if v == nil || v == false || v == 0.0 || v == "" {
				problems = append(problems, fmt.Sprintf("%s%s is %v, which says nothing: leave it out or correct it", path, name, show(v)))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// explain says for a person what is wrong with the JSON.
func explain(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("the body is no JSON: %v, after byte %d", err, syntax.Offset)
	case errors.As(err, &kind):
		field := kind.Field
		if field == "" {
			field = "the body"
		}
		article := "a"
		if kind.Value == "array" || kind.Value == "object" {
			article = "an"
		}
		return fmt.Sprintf("%s is %s %s, and has to be %s", field, article, kind.Value, kinds[kind.Type.String()])
	case errors.Is(err, io.EOF):
		return `the body is empty: give a fault such as {"service": "ecs", "action": "ExportImage", "what": {"code": "Throttling.User"}}`
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the body is no JSON: it ends too early"
	}
	text := strings.TrimPrefix(err.Error(), "json: ")
	if strings.HasPrefix(text, "unknown field") {
		text += "; a fault has service, action, when (nth, times, probability) and what (code, status, message, delay, drop, cut, duplicate, lose)"
	}
	return text
}

// kinds are the types of the fields as a person calls them.
var kinds = map[string]string{
	"string": "a text", "int": "a whole number", "float64": "a number", "bool": "true",
	"faults.Duration": `a text such as "1.5s"`, "faults.Fault": "an object", "faults.When": "an object", "faults.What": "an object",
}
