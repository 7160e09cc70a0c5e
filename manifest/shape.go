package manifest

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// shape is what a value may look like. The reader and the JSON Schema are made
// of the same shapes.
type shape struct {
	doc  string
	form form

	// Of a scalar: a word of enum; else true or false; else a whole number from
	// least to most; else a text that parse takes.
	enum        []string
	boolean     bool
	number      bool
	least, most int64
	parse       func(string) error
	optional    bool // null is a value too

	item   *shape           // of a list, and of a mapping whose keys are free
	keys   *regexp.Regexp   // of a mapping whose keys are free
	fields map[string]field // of another mapping
	or     []*shape         // other forms, at most one of each
}

// field is one key of a mapping.
type field struct {
	doc string
	*shape
}

// check reports all that in n doesn't have the shape.
func (r *report) check(n *node, s *shape) {
	chosen := s.choose(n)
	if chosen == nil {
		r.add(n.spot, "%s is expected here, not %s", s.describe(), n.describe())
		return
	}
	switch chosen.form {
	case scalar:
		if err := chosen.checkScalar(n); err != nil {
			r.add(n.spot, "%v", err)
		}
	case list:
		for _, item := range n.items {
			r.check(item, chosen.item)
		}
	case mapping:
		r.checkMapping(n, chosen)
	}
}

// choose returns the shape, or the other one, that has the node's form.
func (s *shape) choose(n *node) *shape {
	for _, c := range append([]*shape{s}, s.or...) {
		if n.null && c.optional || !n.null && c.form == n.form {
			return c
		}
	}
	return nil
}

func (n *node) describe() string {
	if n.null {
		return "nothing"
	}
	return n.form.String()
}

// describe names the forms that a shape takes.
func (s *shape) describe() string {
	var words []string
	for _, c := range append([]*shape{s}, s.or...) {
		words = append(words, c.form.String())
	}
	return strings.Join(words, " or ")
}

func (s *shape) checkScalar(n *node) error {
	switch {
	case n.null:
		return nil
	case s.enum != nil:
		if !slices.Contains(s.enum, n.text) {
			return fmt.Errorf("%q is not one of %s", n.text, strings.Join(s.enum, ", "))
		}
	case s.boolean:
		if n.text != "true" && n.text != "false" {
			return fmt.Errorf("%q is neither true nor false", n.text)
		}
	case s.number:
		v, err := strconv.ParseInt(n.text, 10, 64)
		if err != nil || v < s.least || v > s.most {
			return fmt.Errorf("%q is no whole number from %s", n.text, s.span())
		}
	case s.parse != nil:
		return s.parse(n.text)
	}
	return nil
}

func (s *shape) span() string {
	if s.most == math.MaxInt32 {
		return fmt.Sprintf("%d on", s.least)
	}
	return fmt.Sprintf("%d to %d", s.least, s.most)
}

func (r *report) checkMapping(n *node, s *shape) {
	for _, p := range n.pairs {
		at := p.spot
		if at == (spot{}) {
			at = p.value.spot
		}
		if s.fields == nil {
			if !s.keys.MatchString(p.key) {
				r.add(at, "%q can't be a name here: %s", p.key, s.doc)
			}
			r.check(p.value, s.item)
			continue
		}
		f, ok := s.fields[p.key]
		if !ok {
			r.unknown(at, p.key, s)
			continue
		}
		r.check(p.value, f.shape)
	}
}

// unknown reports a key that a mapping doesn't have, with the nearest that it
// has.
func (r *report) unknown(at spot, key string, s *shape) {
	if why, ok := refused[key]; ok {
		r.add(at, "%q can't be had: %s", key, why)
		return
	}
	names := s.names()
	best, distance := "", len(key)/2+1
	for _, name := range names {
		if d := editDistance(key, name); d < distance {
			best, distance = name, d
		}
	}
	if best != "" {
		r.add(at, "there is no key %q: do you mean %q?", key, best)
		return
	}
	r.add(at, "there is no key %q here: there are %s", key, strings.Join(names, ", "))
}

// names are the keys of a mapping, sorted.
func (s *shape) names() []string {
	var names []string
	for name := range s.fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// editDistance counts the letters to add, remove, replace or exchange with
// their neighbour to make b of a.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
