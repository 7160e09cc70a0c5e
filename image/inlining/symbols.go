package main

import (
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// function is one of the program's as its source has it.
type function struct {
	name  string
	start int // line of its declaration
}

// body is the code of a function that stands alone.
type body struct {
	low, high uint64
	function  function
	inlined   []inlined // in it, outer ones first
}

// inlined is a function's code within another one.
type inlined struct {
	ranges   [][2]uint64
	function function
}

type line struct {
	at     uint64
	number int
}

// symbols are those of a program, by address.
type symbols struct {
	bodies []body
	lines  []line
}

// readSymbols reads a program's DWARF.
func readSymbols(path string) (*symbols, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := f.DWARF()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &symbols{}
	if err := s.read(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	slices.SortFunc(s.bodies, func(a, b body) int { return compare(a.low, b.low) })
	slices.SortStableFunc(s.lines, func(a, b line) int { return compare(a.at, b.at) })
	return s, nil
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (s *symbols) read(data *dwarf.Data) error {
	named := map[dwarf.Offset]function{}
	for r := data.Reader(); ; {
		e, err := r.Next()
		if err != nil || e == nil {
			return err
		}
		switch e.Tag {
		case dwarf.TagCompileUnit:
			err = s.addLines(data, e)
		case dwarf.TagSubprogram:
			s.addFunction(e, named)
		case dwarf.TagInlinedSubroutine:
			err = s.addInlined(data, e, named)
		}
		if err != nil {
			return err
		}
	}
}

func (s *symbols) addLines(data *dwarf.Data, unit *dwarf.Entry) error {
	r, err := data.LineReader(unit)
	if err != nil || r == nil {
		return err
	}
	for {
		var e dwarf.LineEntry
		err := r.Next(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !e.EndSequence {
			s.lines = append(s.lines, line{e.Address, e.Line})
		}
	}
}

// addFunction takes in a function's description, its code, or, where the description
// stands apart because it is inlined as well, the one after the other.
func (s *symbols) addFunction(e *dwarf.Entry, named map[dwarf.Offset]function) {
	name, _ := e.Val(dwarf.AttrName).(string)
	start, _ := e.Val(dwarf.AttrDeclLine).(int64)
	f := function{name, int(start)}
	if origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
		f = named[origin]
	}
	named[e.Offset] = f
	low, ok := e.Val(dwarf.AttrLowpc).(uint64)
	if !ok {
		return
	}
	high, _ := e.Val(dwarf.AttrHighpc).(uint64)
	if size, ok := e.Val(dwarf.AttrHighpc).(int64); ok {
		high = low + uint64(size)
	}
	s.bodies = append(s.bodies, body{low: low, high: high, function: f})
}

func (s *symbols) addInlined(data *dwarf.Data, e *dwarf.Entry, named map[dwarf.Offset]function) error {
	ranges, err := data.Ranges(e)
	if err != nil || len(s.bodies) == 0 {
		return err
	}
	origin, _ := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
	b := &s.bodies[len(s.bodies)-1]
	b.inlined = append(b.inlined, inlined{ranges, named[origin]})
	return nil
}

// body is the one that at lies in, nil if there is none.
func (s *symbols) body(at uint64) *body {
	i := sort.Search(len(s.bodies), func(i int) bool { return s.bodies[i].low > at }) - 1
	if i < 0 || at >= s.bodies[i].high {
		return nil
	}
	return &s.bodies[i]
}

// function is the address where the function begins whose code lies at at; 0 if there is
// none.
func (s *symbols) function(at uint64) uint64 {
	if b := s.body(at); b != nil {
		return b.low
	}
	return 0
}

// frames are the functions whose code lies at at: the one that stands alone, then those
// inlined, each in the one before; and the line in the last.
func (s *symbols) frames(at uint64) (list []function, number int) {
	b := s.body(at)
	if b == nil {
		return nil, 0
	}
	list = append(list, b.function)
	for _, in := range b.inlined {
		if slices.ContainsFunc(in.ranges, func(r [2]uint64) bool { return r[0] <= at && at < r[1] }) {
			list = append(list, in.function)
		}
	}
	if i := sort.Search(len(s.lines), func(i int) bool { return s.lines[i].at > at }) - 1; i >= 0 {
		number = s.lines[i].number
	}
	return list, number
}
