package syaml

import (
	"slices"
	"strconv"
	"strings"
)

// shape is what a value must look like: its type, its keys, its limits.
type shape struct {
	kind     kind
	keys     map[string]*shape // of a map; nil: any keys
	required []string
	each     *shape   // of a list's items, or of a map's values where keys is nil
	enum     []string // of a string
	auto     bool     // the word auto may stand in its place
	text     bool     // a string may stand in its place
	anything bool
	min, max float64 // of a number; both zero: no limit
}

func text(enum ...string) *shape               { return &shape{kind: isString, enum: enum} }
func number(min, max float64) *shape           { return &shape{kind: isInteger, min: min, max: max} }
func fraction(min, max float64) *shape         { return &shape{kind: isFloat, min: min, max: max} }
func listOf(each *shape) *shape                { return &shape{kind: isList, each: each} }
func object(keys map[string]*shape) *shape     { return &shape{kind: isMap, keys: keys} }
func (s *shape) require(keys ...string) *shape { s.required = keys; return s }
func (s *shape) orAuto() *shape                { s.auto = true; return s }
func (s *shape) orText() *shape                { s.text = true; return s }
func mapOf(each *shape) *shape                 { return &shape{kind: isMap, each: each} }

var (
	boolean = &shape{kind: isBool}
	free    = &shape{anything: true}
)

// check reports where n, called name, is not of shape s. It returns false where
// n itself has the wrong type, so that nothing more need be said about it.
func (r *reader) check(n *node, name string, s *shape) bool {
	switch {
	case s.anything,
		s.auto && n.kind == isString && n.text == "auto",
		s.text && n.kind == isString:
		return true
	case n.kind != s.kind && (s.kind != isFloat || n.kind != isInteger):
		want := string(s.kind)
		if s.kind == isInteger && n.kind == isFloat {
			want = "a whole number"
		}
		if s.auto {
			want += ` or "auto"`
		}
		if s.text {
			want += " or a string"
		}
		hint := ""
		if s.kind == isString && (n.kind == isInteger || n.kind == isFloat || n.kind == isBool) {
			hint = ` (quote it: "` + n.text + `")`
		}
		r.report(n, "%s must be %s, is %s%s", name, want, n.kind, hint)
		return false
	}
	switch n.kind {
	case isString:
		if s.enum != nil && !slices.Contains(s.enum, n.text) {
			r.report(n, "%s is %q, must be one of %s%s", name, n.text,
				strings.Join(s.enum, ", "), nearest(n.text, s.enum))
		}
	case isInteger, isFloat:
		if (s.min != 0 || s.max != 0) && (n.number < s.min || n.number > s.max) {
			r.report(n, "%s is %s, must be from %s to %s", name, n.text, plainNumber(s.min), plainNumber(s.max))
		}
	case isList:
		for _, item := range n.items {
			r.check(item, "each of "+name, s.each)
		}
	case isMap:
		r.checkKeys(n, name, s)
	}
	return true
}

func (r *reader) checkKeys(n *node, name string, s *shape) {
	for _, f := range n.fields {
		each := s.each
		if s.keys != nil {
			each = s.keys[f.key]
		}
		if each == nil {
			if s.keys != nil {
				r.reportAt(f.line, f.column, "%s has no key %q%s", name, f.key, nearest(f.key, sortedKeys(s.keys)))
			}
			continue
		}
		inner := f.key
		if name != "props" && name != "trigger" && name != "the file" {
			inner = name + "." + f.key
		}
		r.check(f.value, inner, each)
	}
	for _, key := range s.required {
		if n.get(key) == nil {
			r.report(n, "%s needs the key %s", name, key)
		}
	}
}

func plainNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
