package syaml

import (
	"regexp"
	"slices"
	"strings"
)

type resolution int

const (
	unresolved resolution = iota
	resolving
	resolved
)

var (
	anyExpression  = regexp.MustCompile(`\$\{[^}]*\}`)
	envExpression  = regexp.MustCompile(`^env\(\s*(?:'([^']*)'|"([^"]*)")\s*(?:,\s*(?:'([^']*)'|"([^"]*)")\s*)?\)$`)
	callExpression = regexp.MustCompile(`^([A-Za-z_]+)\(\s*(?:'([^']*)'|"([^"]*)")?.*\)$`)
	pathExpression = regexp.MustCompile(`^[A-Za-z_][\w-]*(\.[\w-]+)*$`)
)

// prepare puts the overrides in, resolves every expression and scales the
// intervals.
func (r *reader) prepare(root *node) {
	vars := root.get("vars")
	for _, path := range sortedKeys(r.options.Overrides) {
		n := find(vars, strings.Split(path, "."))
		if n == nil || n.kind == isMap || n.kind == isList {
			at := root
			if vars != nil {
				at = vars
			}
			r.report(at, "vars.%s is set from outside, but the file has no such value", path)
			continue
		}
		n.kind, n.text, n.state = isString, r.options.Overrides[path], resolved
	}
	// Before the rest of vars, which may refer to an interval.
	if intervals := vars.get("intervals"); intervals != nil {
		r.resolve(intervals, nil)
		r.scaleIntervals(intervals)
	}
	if vars != nil {
		r.resolve(vars, nil)
	}
	for _, f := range root.fields {
		if f.key != "vars" && f.key != "actions" && f.key != "flow" && f.key != "resources" {
			r.resolve(f.value, nil)
		}
	}
	if resources := root.get("resources"); resources != nil && resources.kind == isMap {
		for _, f := range resources.fields {
			here := &this{name: f.key, resource: f.value}
			for _, part := range f.value.fields {
				// The deploy tool resolves these keys when it runs them.
				if part.key != "actions" {
					r.resolve(part.value, here)
				}
			}
		}
	}
}

// this is the resource that an expression stands in.
type this struct {
	name     string
	resource *node
}

// resolve replaces the expressions in n and below.
func (r *reader) resolve(n *node, here *this) {
	if n.state != unresolved {
		return
	}
	n.state = resolving
	defer func() { n.state = resolved }()
	for _, item := range n.items {
		r.resolve(item, here)
	}
	for _, f := range n.fields {
		r.resolve(f.value, here)
	}
	if n.kind != isString || !strings.Contains(n.text, "${") {
		return
	}
	if whole := anyExpression.FindString(n.text); whole == n.text {
		v := r.evaluate(n, strings.TrimSpace(whole[2:len(whole)-1]), here)
		line, column := n.line, n.column
		*n = *v
		n.line, n.column = line, column
		return
	}
	n.text = anyExpression.ReplaceAllStringFunc(n.text, func(e string) string {
		v := r.evaluate(n, strings.TrimSpace(e[2:len(e)-1]), here)
		if v.kind == isMap || v.kind == isList {
			r.report(n, "%s is %s and can't stand within text", e, v.kind)
		}
		return v.text
	})
	if strings.Contains(n.text, "${") {
		r.report(n, "an expression is not closed: %s", n.text)
	}
}

// evaluate gives the value of one expression; text stands for what is wrong.
func (r *reader) evaluate(at *node, e string, here *this) *node {
	text := func(s string) *node { return &node{kind: isString, text: s, state: resolved} }
	if m := envExpression.FindStringSubmatch(e); m != nil {
		name := m[1] + m[2]
		if r.options.Env != nil {
			if v, ok := r.options.Env(name); ok {
				return text(v)
			}
		}
		if !strings.Contains(e, ",") {
			r.report(at, "the environment has no %s and ${%s} no default", name, e)
		}
		return text(m[3] + m[4])
	}
	if m := callExpression.FindStringSubmatch(e); m != nil {
		if m[1] == "config" && m[2]+m[3] == "AccountID" {
			return text(r.options.AccountID)
		}
		r.report(at, "${%s} is not supported here: only env('NAME', 'default') and config('AccountID') are", e)
		return text("")
	}
	if !pathExpression.MatchString(e) {
		r.report(at, "${%s} is not an expression", e)
		return text("")
	}
	target, owner := r.lookup(at, strings.Split(e, "."), e, here)
	if target == nil {
		return text("")
	}
	if target.state == resolving {
		r.report(at, "${%s} refers to itself", e)
		return text("")
	}
	r.resolve(target, owner)
	return target
}

func (r *reader) lookup(at *node, path []string, e string, here *this) (*node, *this) {
	from, rest, owner := r.root, path, here
	switch path[0] {
	case "vars":
		owner = nil
	case "this":
		if here == nil {
			r.report(at, "${%s} stands outside of a resource", e)
			return nil, nil
		}
		if len(path) == 2 && path[1] == "name" {
			return &node{kind: isString, text: here.name, state: resolved}, nil
		}
		if len(path) == 2 && path[1] == "access" && here.resource.get("access") == nil {
			from, rest, owner = r.root, path[1:], nil
			break
		}
		from, rest = here.resource, path[1:]
	case "resources":
		if len(path) > 2 && path[2] == "output" {
			r.report(at, "${%s} is only known after a deployment", e)
			return nil, nil
		}
		if len(path) > 1 {
			owner = &this{name: path[1], resource: find(r.root, path[:2])}
		}
	default:
		r.report(at, "${%s} starts with neither vars, this nor resources%s", e,
			nearest(path[0], []string{"vars", "this", "resources"}))
		return nil, nil
	}
	for i, key := range rest {
		next := from.get(key)
		if next == nil {
			known := path[:len(path)-len(rest)+i+1]
			r.report(at, "${%s}: there is no %s%s", e, strings.Join(known, "."), nearest(key, keys(from)))
			return nil, nil
		}
		from = next
	}
	return from, owner
}

func find(n *node, path []string) *node {
	for _, key := range path {
		n = n.get(key)
	}
	return n
}

func keys(n *node) []string {
	if n == nil {
		return nil
	}
	var out []string
	for _, f := range n.fields {
		out = append(out, f.key)
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
