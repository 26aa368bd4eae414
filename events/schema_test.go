package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compile reads a schema with everything that it refers to. location is a file,
// with a fragment or without.
func compile(t testing.TB, location string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(location)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func schemaFile(name string) string { return filepath.Join("schemas", name+".schema.json") }

// TestSchemas wants each schema to be valid and to be used.
func TestSchemas(t *testing.T) {
	t.Parallel()
	used := []string{"export", "state-change", "disk-landed", "unmanaged"} // by other schemas
	for _, m := range messages {
		used = append(used, m.schema)
	}
	files, err := filepath.Glob("schemas/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains(used, strings.TrimSuffix(filepath.Base(f), ".schema.json")) {
			t.Errorf("%s: no message has this schema", f)
		}
		if d := compile(t, f).DraftVersion; d != 2020 {
			t.Errorf("%s: draft %d, want 2020-12", f, d)
		}
	}
}

// TestValidation shows each schema its sample, then the sample with one thing
// wrong, for everything that can be.
func TestValidation(t *testing.T) {
	t.Parallel()
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema := compile(t, schemaFile(m.schema))
			body := sample(t, name)
			if err := schema.Validate(document(t, body)); err != nil {
				t.Fatal(err)
			}
			for change, doc := range mutations(document(t, body)) {
				act, path, _ := strings.Cut(change[:strings.LastIndex(change, " ")], " ")
				open := path == "headers" || path == "queryParameters" // holds any names
				wrong := act == "mistype" ||
					act == "remove" && !m.mayMiss(path) ||
					act == "extend" && !m.theirs && !open
				if err := schema.Validate(doc); (err != nil) != wrong {
					t.Errorf("%s: error is %v", change, err)
				}
			}
		})
	}
}

func (m message) mayMiss(path string) bool {
	return slices.ContainsFunc(m.optional, func(o string) bool {
		before, all := strings.CutSuffix(o, "*")
		return path == o || all && strings.HasPrefix(path, before)
	})
}

// mutations changes a document in one place at a time. The name of a change is
// "remove", "extend" or "mistype", the place, and a number.
func mutations(doc any) map[string]any {
	changed := map[string]any{}
	walk("", doc, func(with any) { doc = with }, func(place string, v any, set func(any)) {
		try := func(act string, with any) {
			set(with)
			changed[fmt.Sprintf("%s %s %d", act, place, len(changed))] = clone(doc)
			set(v)
		}
		switch v := v.(type) {
		case map[string]any:
			try("mistype", []any{})
			longer := maps.Clone(v)
			longer["surprise"] = "x"
			try("extend", longer)
			for k := range v {
				shorter := maps.Clone(v)
				delete(shorter, k)
				set(shorter)
				changed[fmt.Sprintf("remove %s %d", join(place, k), len(changed))] = clone(doc)
				set(v)
			}
		case []any:
			try("mistype", map[string]any{})
		case string:
			try("mistype", json.Number("1"))
			if _, err := time.Parse(time.RFC3339, v); err == nil {
				try("mistype", "yesterday")
			}
		default: // numbers and booleans
			try("mistype", "x")
		}
		try("mistype", nil)
	})
	return changed
}

// walk visits every value of a document. set puts another in its place.
func walk(place string, v any, set func(any), visit func(place string, v any, set func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for k, field := range v {
			walk(join(place, k), field, func(with any) { v[k] = with }, visit)
		}
	case []any:
		for i, element := range v {
			walk(place+"[]", element, func(with any) { v[i] = with }, visit)
		}
	}
	visit(place, v, set)
}

func join(place, field string) string { return strings.TrimPrefix(place+"."+field, ".") }

func clone(doc any) any {
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var copied any
	if err := d.Decode(&copied); err != nil {
		panic(err)
	}
	return copied
}

// TestRules names what a published event can't say, beside the types of its
// fields.
func TestRules(t *testing.T) {
	t.Parallel()
	schema := compile(t, schemaFile("cloud-event"))
	type object = map[string]any
	disk := func(data object) object { return data["disk"].(object) }
	for name, c := range map[string]struct {
		sample string
		change func(event, data object)
	}{
		"the state is not that of the type":       {"exporting", func(_, data object) { data["state"] = "exported" }},
		"a type that does not exist":              {"exporting", func(e, _ object) { e["type"] = "image-export.done" }},
		"the data of another type":                {"disk", func(e, _ object) { e["type"] = "image-export.exporting" }},
		"an id without a sequence":                {"exporting", func(e, _ object) { e["id"] = e["subject"] }},
		"an id of sequence 0":                     {"exporting", func(e, _ object) { e["id"] = e["subject"].(string) + "/0" }},
		"an unmanaged object with an export's id": {"unmanaged", func(e, _ object) { e["id"] = "9j86nkgt6mq1h/1" }},
		"an export with an unmanaged object's id": {"disk", func(e, _ object) { e["id"] = "unmanaged/" + strings.Repeat("0", 32) }},
		"the subject is no export":                {"exporting", func(e, _ object) { e["subject"] = "image-exports/key" }},
		"another version of CloudEvents":          {"exporting", func(e, _ object) { e["specversion"] = "0.3" }},
		"the source is no image":                  {"exporting", func(e, _ object) { e["source"] = "acs:ecs:cn-hangzhou:1:task/t-1" }},
		"data that is not JSON":                   {"exporting", func(e, _ object) { e["datacontenttype"] = "text/plain" }},
		"completed while a disk has no object":    {"completed", func(_, data object) { delete(data["disks"].([]any)[0].(object), "key") }},
		"completed without a disk":                {"completed", func(_, data object) { data["disks"] = []any{} }},
		"a failure of what did not fail":          {"exported", func(_, data object) { data["failure"] = object{"code": "X", "message": "x"} }},
		"a manifest before the export completed":  {"exported", func(_, data object) { data["manifestKey"] = "9j86nkgt6mq1h_m-1_manifest.json" }},
		"a task before the submission":            {"requested", func(_, data object) { data["taskId"] = "t-1" }},
		"an object with part of its description":  {"exporting", func(_, data object) { data["disks"].([]any)[0].(object)["key"] = "k" }},
		"abandoned with a bucket":                 {"abandoned", func(_, data object) { data["bucket"] = "image-exports" }},
		"an id with a letter that looks like one": {"disk", func(_, data object) { data["id"] = "9j86nkgt6mqlh" }},
		"an id beyond 64 bits":                    {"disk", func(_, data object) { data["id"] = "gj86nkgt6mq1h" }},
		"an ETag in quotes":                       {"disk", func(_, data object) { disk(data)["etag"] = `"0A"` }},
		"a checksum in hex":                       {"disk", func(_, data object) { disk(data)["crc64"] = "0x1f" }},
		"an empty object":                         {"disk", func(_, data object) { disk(data)["size"] = json.Number("0") }},
		"a format that ECS does not write":        {"disk", func(_, data object) { data["format"] = "RAW" }},
		"a local time":                            {"disk", func(_, data object) { data["time"] = "2026-01-02T11:17:46.251+08:00" }},
		"a data disk without its device":          {"unmanaged", func(_, data object) { delete(data, "device") }},
		"a system disk with a device":             {"unmanaged", func(_, data object) { data["role"] = "system" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := document(t, sample(t, TypePrefix+c.sample)).(object)
			c.change(event, event["data"].(object))
			if err := schema.Validate(event); err == nil {
				t.Error("the schema takes it")
			}
		})
	}
}
