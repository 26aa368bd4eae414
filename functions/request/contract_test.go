package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// conforms checks an answer against what the OpenAPI document says about it.
func (i *instance) conforms(t *testing.T, schema string, a answer) {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(i.do(t, "GET", "/openapi.json", "").body))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("openapi.json#/components/schemas/" + schema)
	if err != nil {
		t.Fatal(err)
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(a.body)))
	if err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	if err := s.Validate(body); err != nil {
		t.Errorf("the answer is not a %s: %v\n%s", schema, err, a.body)
	}
	// A field that is not described is one that nobody can rely on.
	described, _ := document.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any)[schema].(map[string]any)["properties"].(map[string]any)
	for name := range body.(map[string]any) {
		if described[name] == nil {
			t.Errorf("%s: field %s is not described", schema, name)
		}
	}
}
