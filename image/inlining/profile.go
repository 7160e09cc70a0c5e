package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// edge is a call in a profile's words.
type edge struct {
	caller   function
	line     int
	function function
}

// profileOf writes the calls of functions that are called from one place as a CPU profile,
// which is what the compiler reads. Each counts the same, so that all of them are hot.
//
// A call that comes to stand in another function, because the one that it is written in is
// inlined there, is looked for by the compiler under the other one's name, with the line
// that it has in the source. So it is listed for all functions in which it may end.
func profileOf(c calls, s *symbols) ([]byte, error) {
	edges := map[edge]bool{}
	for at, places := range c {
		if len(places) != 1 {
			continue // it would be translated several times instead of once
		}
		callee, _ := s.frames(at)
		_, line := s.frames(places[0])
		for _, caller := range s.above(places[0], c) {
			if e := (edge{caller, line, callee[0]}); e.known() {
				edges[e] = true
			}
		}
	}
	return encode(edges)
}

// above lists the functions in which the code at a place may come to stand: those that it
// is in, and as long as the outermost is called from one place only, those there.
func (s *symbols) above(at uint64, c calls) (list []function) {
	for seen := map[uint64]bool{}; !seen[at]; {
		seen[at] = true
		callers, _ := s.frames(at)
		list = append(list, callers...)
		if up := c[s.function(at)]; len(up) == 1 {
			at = up[0]
		}
	}
	return list
}

// known tells whether an edge says something of other programs as well.
func (e edge) known() bool {
	return e.line > 0 && e.caller.start > 0 && e.function.start > 0 && e.caller != e.function &&
		!strings.HasPrefix(e.caller.name, "main.") && !strings.HasPrefix(e.function.name, "main.")
}

func encode(edges map[edge]bool) ([]byte, error) {
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}}}
	functions := map[function]*profile.Function{}
	locate := func(f function, line int) *profile.Location {
		if functions[f] == nil {
			functions[f] = &profile.Function{ID: uint64(len(functions) + 1), Name: f.name, SystemName: f.name, StartLine: int64(f.start)}
			p.Function = append(p.Function, functions[f])
		}
		l := &profile.Location{ID: uint64(len(p.Location) + 1), Line: []profile.Line{{Function: functions[f], Line: int64(line)}}}
		p.Location = append(p.Location, l)
		return l
	}
	for _, e := range slices.SortedFunc(maps.Keys(edges), edge.compare) {
		p.Sample = append(p.Sample, &profile.Sample{
			Location: []*profile.Location{locate(e.function, e.function.start), locate(e.caller, e.line)},
			Value:    []int64{1},
		})
	}
	if err := p.CheckValid(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err := p.Write(&b)
	return b.Bytes(), err
}

func (e edge) compare(o edge) int {
	if c := strings.Compare(e.caller.name, o.caller.name); c != 0 {
		return c
	}
	if e.line != o.line {
		return e.line - o.line
	}
	return strings.Compare(e.function.name, o.function.name)
}
