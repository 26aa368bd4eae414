// Package functiontest checks that a function and s.yaml fit together.
package functiontest

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"ecs-image-export/local/cloud"
	"ecs-image-export/local/syaml"
	"ecs-image-export/shared/function"
)

// Wiring decodes the environment that s.yaml gives to a function into the
// function's Config, and wants every variable there to be read. Replacements
// stand in for values that have no default.
func Wiring[C any](t *testing.T, name string, replacements map[string]string) {
	t.Helper()
	root, err := cloud.Root()
	if err != nil {
		t.Fatal(err)
	}
	project, err := syaml.Load(filepath.Join(root, "s.yaml"), syaml.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(project.Functions, func(f syaml.Function) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("s.yaml does not have the function %s", name)
	}
	environment := maps.Clone(project.Functions[i].Environment)
	maps.Copy(environment, replacements)
	if _, err := function.Decode[C](environment); err != nil {
		t.Error(err)
	}
	read, err := function.Variables[C]()
	if err != nil {
		t.Fatal(err)
	}
	for variable := range environment {
		if !slices.Contains(read, variable) {
			t.Errorf("s.yaml sets %s, which the function does not read", variable)
		}
	}
}
