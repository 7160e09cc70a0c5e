package manifest

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a manifest's tree, aliases followed: a small file can stand for an
// endless one.
const (
	maxNodes = 50_000
	maxDepth = 32
)

// form is what a node is.
type form int

const (
	scalar form = iota
	list
	mapping
)

func (f form) String() string { return [...]string{"a value", "a list", "a mapping"}[f] }

// node is a value of the file, aliases and merges resolved.
type node struct {
	spot
	form  form
	null  bool   // a scalar without a value
	text  string // of a scalar
	items []*node
	pairs []pair // in the file's order, keys unique
}

// pair is an entry of a mapping.
type pair struct {
	spot
	key   string
	value *node
}

// get returns the value of a key, nil where there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// treeReader makes nodes of the parser's.
type treeReader struct {
	*report
	anchors map[string]ast.Node
	open    map[string]bool // anchors whose alias is being followed
	count   int
	full    bool
}

// readTree parses a file of one document, whose root is a mapping. It is nil
// where that failed; the report says why.
func readTree(r *report, data []byte) (root *node) {
	tokens := lexer.Tokenize(string(data))
	if at, ok := tooDeep(tokens); ok {
		r.add(at, "this is more than a manifest can hold: it is over %d deep", maxDepth)
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType {
			continue
		}
		if body != nil {
			r.add(place(doc.Body.GetToken()), "a manifest is one document: take this second one out")
			return nil
		}
		body = doc.Body
	}
	if body == nil {
		return &node{spot: spot{1, 1}, form: mapping}
	}
	t := &treeReader{report: r, anchors: map[string]ast.Node{}, open: map[string]bool{}}
	root = t.read(body, 0)
	if t.full {
		return nil
	}
	if root.form != mapping {
		r.add(root.spot, "a manifest is a mapping (name: value), not %s", root.form)
	}
	if r.unclear() {
		return nil
	}
	return root
}

// tooDeep looks for brackets, or dashes of one line, within more of them than a
// manifest has: the parser's time grows with the square of the depth.
func tooDeep(tokens token.Tokens) (at spot, ok bool) {
	brackets, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if p := place(t); p.line != line {
			dashes, line = 0, p.line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType:
			dashes++
		}
		if max(brackets, dashes) > maxDepth {
			return place(t), true
		}
	}
	return spot{}, false
}

// syntax notes what the parser refuses.
func (r *report) syntax(err error) {
	var y yaml.Error
	if errors.As(err, &y) {
		r.add(place(y.GetToken()), "this is no YAML: %s", strings.TrimSpace(y.GetMessage()))
		return
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	r.add(spot{1, 1}, "this is no YAML: %s", first)
}

func place(t *token.Token) spot {
	if t == nil || t.Position == nil {
		return spot{1, 1}
	}
	return spot{t.Position.Line, t.Position.Column}
}

// read makes a node. It never returns nil.
func (t *treeReader) read(n ast.Node, depth int) *node {
	out := &node{spot: spot{1, 1}, null: true}
	if n == nil {
		return out
	}
	out.spot = place(n.GetToken())
	t.count++
	if t.count > maxNodes || depth > maxDepth {
		if !t.full {
			t.add(out.spot, "this is more than a manifest can hold: %d values, %d deep", maxNodes, maxDepth)
		}
		t.full = true
		return out
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		name := n.Name.String()
		out = t.read(n.Value, depth+1)
		t.anchors[name] = n.Value
		return out
	case *ast.AliasNode:
		return t.alias(n, out, depth)
	case *ast.TagNode:
		t.add(out.spot, "a manifest has no tags: take %s out", n.Start.Value)
	case *ast.MappingValueNode:
		out.form, out.null = mapping, false
		t.entry(out, n, depth)
	case *ast.MappingNode:
		out.form, out.null = mapping, false
		if len(n.Values) > 0 && !n.IsFlowStyle {
			out.spot = place(n.Values[0].Key.GetToken())
		}
		for _, v := range n.Values {
			t.entry(out, v, depth)
		}
	case *ast.SequenceNode:
		out.form, out.null = list, false
		for _, v := range n.Values {
			out.items = append(out.items, t.read(v, depth+1))
		}
	case *ast.NullNode:
	case *ast.LiteralNode:
		out.null, out.text = false, n.Value.Value
	case *ast.StringNode:
		out.null, out.text = false, n.Value
	default:
		out.null, out.text = false, n.GetToken().Value
	}
	return out
}

// alias reads what an alias stands for, as if it stood there.
func (t *treeReader) alias(n *ast.AliasNode, out *node, depth int) *node {
	name := n.Value.String()
	target, ok := t.anchors[name]
	if !ok || t.open[name] {
		t.add(out.spot, "there is no anchor &%s before this alias", name)
		return out
	}
	t.open[name] = true
	defer delete(t.open, name)
	return t.read(target, depth+1)
}

// entry reads one entry of a mapping.
func (t *treeReader) entry(m *node, v *ast.MappingValueNode, depth int) {
	if v.Key.IsMergeKey() {
		t.merge(m, t.read(v.Value, depth+1))
		return
	}
	at := place(v.Key.GetToken())
	key := v.Key.GetToken().Value
	value := t.read(v.Value, depth+1)
	if value.null && v.Value == nil {
		value.spot = at
	}
	for i, p := range m.pairs {
		if p.key != key {
			continue
		}
		if p.spot != (spot{}) {
			t.add(at, "%q stands here for the second time: the first is in line %d", key, p.line)
			t.twice++ // the first counts
			return
		}
		m.pairs[i] = pair{at, key, value} // in place of what was merged
		return
	}
	m.pairs = append(m.pairs, pair{at, key, value})
}

// merge adds the entries of "<<" that m doesn't have. They have no spot as long
// as they may be replaced.
func (t *treeReader) merge(m, from *node) {
	sources := []*node{from}
	if from.form == list {
		sources = from.items
	}
	for _, source := range sources {
		if source.form != mapping {
			t.add(source.spot, "<< takes a mapping, not %s", source.form)
			continue
		}
		for _, p := range source.pairs {
			if m.get(p.key) == nil {
				m.pairs = append(m.pairs, pair{spot{}, p.key, p.value})
			}
		}
	}
}
