package events

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// asyncAPI is what the tests below need of the document.
type asyncAPI struct {
	AsyncAPI string `json:"asyncapi"`
	Info     struct{ Description string }
	Channels map[string]struct {
		Address  string
		Messages map[string]reference
	}
	Operations map[string]struct {
		Action   string
		Messages []reference
	}
	Components struct {
		Messages map[string]struct {
			Name     string
			Tag      string `json:"x-mns-message-tag"`
			Examples []struct {
				Name    string
				Payload reference
			}
		}
		MessageTraits map[string]struct {
			Headers struct {
				Properties map[string]struct{ Enum []string }
			}
		}
	}
}

type reference struct {
	Ref string `json:"$ref"`
}

// readYAML reads a file as a tree of the values that JSON has.
func readYAML(t *testing.T, file string) any {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	body, err = yaml.YAMLToJSON(body)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return document(t, body)
}

func readAsyncAPI(t *testing.T) (tree any, d asyncAPI) {
	t.Helper()
	tree = readYAML(t, "asyncapi.yaml")
	body, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(body, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tree, d
}

// TestReferences follows each $ref of the document and of the schemas.
func TestReferences(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("schemas/*.json")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range append(files, "asyncapi.yaml") {
		walk("", readYAML(t, file), func(any) {}, func(place string, v any, _ func(any)) {
			object, _ := v.(map[string]any)
			ref, ok := object["$ref"].(string)
			if !ok {
				return
			}
			checked++
			path, pointer, _ := strings.Cut(ref, "#")
			in := file
			if path != "" {
				in = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(in); err != nil {
				t.Errorf("%s, %s: %v", file, place, err)
				return
			}
			at := readYAML(t, in)
			for _, step := range strings.Split(pointer, "/")[1:] {
				at, ok = at.(map[string]any)[step]
				if !ok {
					t.Errorf("%s, %s: %s leads nowhere", file, place, ref)
					return
				}
			}
		})
	}
	if checked < 80 {
		t.Errorf("%d references: some were not found", checked)
	}
}

// TestAsyncAPI wants every published event in the document, in each place where
// it belongs.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	_, d := readAsyncAPI(t)
	if d.AsyncAPI != "3.0.0" {
		t.Errorf("AsyncAPI %q, want 3.0.0", d.AsyncAPI)
	}
	var tags []string
	for name := range messages {
		if tag, ok := strings.CutPrefix(name, TypePrefix); ok {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	same := func(what string, got []string) {
		t.Helper()
		slices.Sort(got)
		if diff := cmp.Diff(tags, got); diff != "" {
			t.Errorf("%s (-published +found):\n%s", what, diff)
		}
	}
	same("components.messages", slices.Collect(maps.Keys(d.Components.Messages)))
	same("tags of pushed messages", d.Components.MessageTraits["event"].Headers.Properties["x-mns-message-tag"].Enum)
	channel := d.Channels["events"]
	same("messages of the channel", slices.Collect(maps.Keys(channel.Messages)))
	for name, m := range channel.Messages {
		if want := "#/components/messages/" + name; m.Ref != want {
			t.Errorf("message %s of the channel is %s, want %s", name, m.Ref, want)
		}
	}
	var received []string
	for name, o := range d.Operations {
		if o.Action != "receive" {
			t.Errorf("operation %s: action %q, want receive", name, o.Action)
		}
		for _, m := range o.Messages {
			received = append(received, strings.TrimPrefix(m.Ref, "#/channels/events/messages/"))
		}
	}
	same("messages of the operations", received)
	for _, tag := range tags {
		m := d.Components.Messages[tag]
		if m.Name != TypePrefix+tag || m.Tag != tag {
			t.Errorf("message %s has the name %q and the tag %q", tag, m.Name, m.Tag)
		}
		if !strings.Contains(d.Info.Description, "`"+tag+"`") {
			t.Errorf("the list of tags in the description lacks %s", tag)
		}
	}
}

// TestExamples validates each example against the payload of its message, and
// wants the payload to refuse the examples of all others.
func TestExamples(t *testing.T) {
	t.Parallel()
	tree, d := readAsyncAPI(t)
	file, err := filepath.Abs("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(file, tree); err != nil {
		t.Fatal(err)
	}
	for name, m := range d.Components.Messages {
		payload, err := c.Compile(file + "#/components/messages/" + name + "/payload")
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Examples) == 0 {
			t.Errorf("message %s has no example", name)
		}
		for _, e := range m.Examples {
			if want := "./samples/" + TypePrefix + name + ".json"; e.Payload.Ref != want {
				t.Errorf("the example of %s is %s, want %s", name, e.Payload.Ref, want)
			}
		}
		for other, m := range d.Components.Messages {
			for _, e := range m.Examples {
				err := payload.Validate(readYAML(t, e.Payload.Ref))
				if (err == nil) != (name == other) {
					t.Errorf("%s as %s: %v", e.Payload.Ref, name, err)
				}
			}
		}
	}
}
