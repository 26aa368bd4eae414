package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/tracker"
)

// server answers the calls. It is safe for concurrent use.
type server struct {
	config    Config
	tracker   *tracker.Tracker
	roles     *ram.Client
	downloads *oss.Client // signs links
	tokens    *verifier
	rate      *rate
	prices    *export.Prices
}

// maxBody is the largest body of a call, in bytes.
const maxBody = 64 << 10

// handler is the whole API.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	s.operations(mux)
	return s.frame(s.authenticate(route(mux)))
}

// operations puts every operation on the mux.
func (s *server) operations(mux *http.ServeMux) {
	tuneHuma()
	api := humago.New(mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "ECS image export",
				Description: "Exports custom images of ECS to OSS and follows each export to its end.\n\n" +
					"Objects in answers may get more fields in time; ignore those that you don't know.",
				Version: "1",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Servers: []*huma.Server{{URL: "/"}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					bearer: bearerScheme,
				},
			},
			OnAddOperation: []huma.AddOpFunc{func(_ *huma.OpenAPI, op *huma.Operation) {
				for _, p := range op.Parameters {
					undescribe(p.Schema)
				}
				describeRefusals(op)
			}},
		},
		Formats: map[string]huma.Format{
			"application/json": huma.DefaultJSONFormat,
			"json":             huma.DefaultJSONFormat, // behind a +, as in problem+json
		},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	})
	api.UseMiddleware(authorize)
	s.createOperation(api)
	s.checkOperation(api)
	s.imagesOperation(api)
	s.authorizationOperations(api)
	s.listOperation(api)
	s.readOperation(api)
	s.cancelOperation(api)
	s.deleteOperation(api)
	s.manifestOperation(api)
	s.downloadOperation(api)
	healthOperation(api)
	documentOperation(api)
	// What callers send is strict; what they get may grow.
	for name, schema := range api.OpenAPI().Components.Schemas.Map() {
		if !strings.HasSuffix(name, "Order") {
			schema.AdditionalProperties = true
		}
		for _, property := range schema.Properties {
			undescribe(property)
		}
	}
}

// undescribe takes what the library adds to the keywords of JSON Schema out of a
// schema, once its messages are made: linters refuse it.
func undescribe(s *huma.Schema) { s.PatternDescription = "" }

func healthOperation(api huma.API) {
	type health struct {
		Status string `json:"status" enum:"ok"`
	}
	type output struct{ Body health }
	huma.Register(api, huma.Operation{
		OperationID: "get-health", Method: http.MethodGet, Path: "/healthz", Tags: []string{"service"},
		Summary: "Whether the function answers", Security: unsecured,
	}, func(context.Context, *struct{}) (*output, error) {
		return &output{health{"ok"}}, nil
	})
}

func documentOperation(api huma.API) {
	// Encoding it takes longer than anything else at the start of an instance, and
	// few are ever asked for it.
	encoded := sync.OnceValues(func() ([]byte, error) { return json.Marshal(api.OpenAPI()) })
	huma.Register(api, huma.Operation{
		OperationID: "get-openapi", Method: http.MethodGet, Path: "/openapi.json", Tags: []string{"service"},
		Summary: "Describe this API", Security: unsecured,
		Responses: answers("An OpenAPI 3.1 document", openAPI, &huma.Schema{Type: huma.TypeObject}),
	}, func(context.Context, *struct{}) (*document, error) {
		body, err := encoded()
		return &document{openAPI, body}, err
	})
}

const openAPI = "application/openapi+json"

// document is an answer that is JSON already.
type document struct {
	ContentType string `header:"Content-Type" hidden:"true"`
	Body        []byte
}

// answers describes what a document holds.
func answers(description, contentType string, schema *huma.Schema) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: description, Content: map[string]*huma.MediaType{contentType: {Schema: schema}},
	}}
}

type serverKey struct{}

// frame gives a call its server, and a caller an answer whatever happens.
func (s *server) frame(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), serverKey{}, s)
		defer func() {
			if p := recover(); p != nil {
				if half, ok := w.(*response); ok {
					*half = response{header: http.Header{}}
				}
				refuse(w, internal(ctx, fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// route passes a call to the mux, and answers in our own form for paths and
// methods that there are not.
func route(mux *http.ServeMux) http.Handler {
	next := readable(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.EscapedPath(); p != path.Clean(p) {
			refuse(w, noPath(r)) // where the mux would redirect
			return
		}
		h, pattern := mux.Handler(r)
		if pattern != "" {
			next.ServeHTTP(w, r)
			return
		}
		mine := &response{header: http.Header{}}
		h.ServeHTTP(mine, r)
		if mine.status != http.StatusMethodNotAllowed {
			refuse(w, noPath(r))
			return
		}
		allow := mine.header.Get("Allow")
		p := newProblem(http.StatusMethodNotAllowed, codeNoMethod, fmt.Sprintf("%s is not possible here; use %s.", r.Method, allow))
		p.headers = http.Header{"Allow": {allow}}
		refuse(w, p)
	})
}

func noPath(r *http.Request) *problem {
	return newProblem(http.StatusNotFound, codeNoPath, "There is nothing at this path. GET /openapi.json lists what there is.",
		finding{Location: "path", Message: "is not known", Value: shorten(r.URL.Path)})
}

// readable refuses a body that is not JSON before anybody looks for fields in it.
func readable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			refuse(w, newProblem(http.StatusBadRequest, codeMalformed, "The body can't be read: "+err.Error()))
			return
		}
		if len(body) > 0 && r.Method == http.MethodPost {
			if p := checkBody(r, body); p != nil {
				refuse(w, p)
				return
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func checkBody(r *http.Request, body []byte) *problem {
	if len(body) > maxBody {
		return newProblem(http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("The body is larger than %d bytes.", maxBody),
			finding{Location: "body", Message: fmt.Sprintf("must be %d bytes or less", maxBody)})
	}
	// A body without a type is taken for what the only possible type is.
	if sent := r.Header.Get("Content-Type"); sent != "" {
		if media, _, err := mime.ParseMediaType(sent); err != nil || media != "application/json" {
			return newProblem(http.StatusUnsupportedMediaType, codeMediaType, "The body must be JSON: send the header Content-Type: application/json.",
				finding{Location: "header.Content-Type", Message: "must be application/json", Value: shorten(sent)})
		}
	}
	if sent := r.Header.Get("Content-Encoding"); sent != "" && sent != "identity" {
		return newProblem(http.StatusUnsupportedMediaType, codeMediaType, "The body must not be compressed.",
			finding{Location: "header.Content-Encoding", Message: "must be left out", Value: shorten(sent)})
	}
	r.Header.Set("Content-Type", "application/json") // as huma spells it
	if message := notJSON(body); message != "" {
		return newProblem(http.StatusBadRequest, codeMalformed, "The body can't be read as JSON.", finding{Location: "body", Message: message})
	}
	if name, twice := repeated(body); twice {
		return newProblem(http.StatusUnprocessableEntity, codeInvalid, invalid,
			finding{Location: "body." + name, Message: "is there twice; send it once"})
	}
	return nil
}

// repeated finds a field that an object names twice. Decoders differ in which of
// the two they take, so what the caller meant can't be told.
func repeated(body []byte) (name string, twice bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, _ := d.Token(); t != json.Delim('{') {
		return "", false
	}
	seen := map[string]bool{}
	for d.More() {
		t, _ := d.Token() // the body is JSON, so this is a name
		name, _ = t.(string)
		if seen[name] {
			return name, true
		}
		seen[name] = true
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return "", false
		}
	}
	return "", false
}

// notJSON says what is wrong with the syntax of a body, and where.
func notJSON(body []byte) string {
	switch {
	case !utf8.Valid(body):
		return "must be UTF-8"
	case bytes.HasPrefix(body, []byte("\ufeff")):
		return "must be UTF-8 without a byte order mark at its beginning"
	}
	var value any // not json.RawMessage, which takes numbers that can't be held
	err := json.Unmarshal(body, &value)
	var number *json.UnmarshalTypeError
	if errors.As(err, &number) {
		return fmt.Sprintf("must hold no number as large as this: %.40s", strings.TrimPrefix(number.Value, "number "))
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return ""
	}
	before := body[:max(0, min(int(syntax.Offset)-1, len(body)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1) + 1
	return fmt.Sprintf("must be JSON: line %d, column %d: %v", line, column, syntax)
}
