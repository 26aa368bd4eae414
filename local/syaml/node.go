package syaml

import (
	"errors"
	"fmt"
	"math"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

type kind string

const (
	isNull    kind = "empty"
	isString  kind = "a string"
	isInteger kind = "a number"
	isFloat   kind = "a fraction"
	isBool    kind = "a boolean"
	isList    kind = "a list"
	isMap     kind = "a map"
)

// node is a value of the file with its place, plain enough to resolve and check.
type node struct {
	kind         kind
	line, column int
	text         string // of a scalar, as text
	number       float64
	boolean      bool
	items        []*node
	fields       []field

	state resolution
}

type field struct {
	key          string
	line, column int
	value        *node
}

// get returns the value of key, or nil.
func (n *node) get(key string) *node {
	if n == nil || n.kind != isMap {
		return nil
	}
	for _, f := range n.fields {
		if f.key == key {
			return f.value
		}
	}
	return nil
}

// parse reads YAML. It returns nil after reporting why it can't.
func (r *reader) parse(data []byte) *node {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		r.syntax(err)
		return nil
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			r.reportAt(d.Body.GetToken().Position.Line, 1, "a second document: only one is read")
			return nil
		}
		body = d.Body
	}
	if body == nil {
		r.reportAt(1, 1, "the file is empty")
		return nil
	}
	b := builder{reader: r, anchors: map[string]*node{}}
	root := b.build(body)
	if root.kind != isMap {
		r.report(root, "the file must hold a map, is %s", root.kind)
		return nil
	}
	r.root = root
	return root
}

func (r *reader) syntax(err error) {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		p := e.GetToken().Position
		r.reportAt(p.Line, p.Column, "%s", e.GetMessage())
		return
	}
	r.reportAt(1, 1, "%v", err)
}

type builder struct {
	reader  *reader
	anchors map[string]*node
}

func (b *builder) build(n ast.Node) *node {
	out := &node{kind: isNull}
	if n == nil {
		return out
	}
	if t := n.GetToken(); t != nil {
		out.line, out.column = t.Position.Line, t.Position.Column
	}
	switch v := n.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		out.kind, out.text = isString, v.Value
	case *ast.LiteralNode:
		out.kind, out.text = isString, v.Value.Value
	case *ast.BoolNode:
		out.kind, out.boolean, out.text = isBool, v.Value, fmt.Sprint(v.Value)
	case *ast.IntegerNode:
		out.kind, out.text = isInteger, v.Token.Value
		switch i := v.Value.(type) {
		case int64:
			out.number = float64(i)
		case uint64:
			out.number = float64(i)
		}
	case *ast.FloatNode:
		out.kind, out.text, out.number = isFloat, v.Token.Value, v.Value
		if v.Value == math.Trunc(v.Value) {
			out.kind = isInteger
		}
	case *ast.MappingNode:
		out.kind = isMap
		for _, f := range v.Values {
			b.add(out, f)
		}
		if len(out.fields) > 0 { // a block map's own token is its first colon
			out.line, out.column = out.fields[0].line, out.fields[0].column
		}
	case *ast.MappingValueNode:
		out.kind = isMap
		b.add(out, v)
		if len(out.fields) > 0 {
			out.line, out.column = out.fields[0].line, out.fields[0].column
		}
	case *ast.SequenceNode:
		out.kind = isList
		for _, item := range v.Values {
			out.items = append(out.items, b.build(item))
		}
	case *ast.AnchorNode:
		out = b.build(v.Value)
		b.anchors[v.Name.GetToken().Value] = out
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		if known := b.anchors[name]; known != nil {
			return known
		}
		b.reader.report(out, "no anchor &%s before this alias", name)
	default:
		b.reader.report(out, "%s is not understood here", n.Type())
	}
	return out
}

func (b *builder) add(to *node, v *ast.MappingValueNode) {
	t := v.Key.GetToken()
	line, column := t.Position.Line, t.Position.Column
	value := b.build(v.Value)
	if value.line == 0 {
		value.line, value.column = line, column
	}
	if v.Key.IsMergeKey() {
		for _, f := range value.fields {
			if to.get(f.key) == nil {
				to.fields = append(to.fields, f)
			}
		}
		return
	}
	if to.get(t.Value) != nil {
		b.reader.reportAt(line, column, "%s is given twice", t.Value)
		return
	}
	to.fields = append(to.fields, field{key: t.Value, line: line, column: column, value: value})
}
