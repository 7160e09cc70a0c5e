package nft

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// value reads a value, range or prefix of a field's type.
func (p *parser) value(f field) interval {
	t := p.peek()
	if t.kind != tokWord && t.kind != tokString {
		p.expected(t, f.typ.String())
	}
	p.i++
	if t.text == "." || p.is(".") {
		p.fail(t, "concatenations are not supported")
	}
	switch f.typ {
	case typName:
		return p.name(t)
	case typAddr4, typAddr6:
		return p.address(t, f.typ)
	}
	return p.numbers(t, f)
}

// name reads an interface's name, which may end in a star.
func (p *parser) name(t token) interval {
	text, wild := strings.CutSuffix(t.text, "*")
	if text == "" || len(text) > 15 || strings.Contains(text, "*") {
		p.fail(t, "%q can't be an interface's name: 1 to 15 characters, and a star at its end only", t.text)
	}
	v := NameValue(text)
	if !wild {
		return interval{from: v, to: v, pos: t.pos}
	}
	to := v
	for i := len(text); i < 16; i++ {
		if i < 8 {
			to.Hi |= 0xff << (56 - 8*i)
		} else {
			to.Lo |= 0xff << (56 - 8*(i-8))
		}
	}
	return interval{from: v, to: to, pos: t.pos}
}

func (p *parser) address(t token, typ typ) interval {
	from, to, isRange := strings.Cut(t.text, "-")
	e := interval{from: AddrValue(p.addr(t, from, typ)), pos: t.pos}
	e.to = e.from
	if isRange {
		e.to = AddrValue(p.addr(t, to, typ))
		if e.to.less(e.from) {
			p.fail(t, "this range ends before it begins")
		}
		return e
	}
	if !p.take("/") {
		return e
	}
	width := 32
	if typ == typAddr6 {
		width = 128
	}
	n := p.word("a prefix's length")
	bits, err := strconv.Atoi(n.text)
	if err != nil || bits < 0 || bits > width {
		p.fail(n, "a prefix's length is 0 to %d, not %s", width, n.text)
	}
	prefix := netip.PrefixFrom(p.addr(t, from, typ), bits).Masked()
	e.from, e.to = AddrValue(prefix.Addr()), AddrValue(lastOf(prefix))
	return e
}

// lastOf is the highest address of a prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	b := prefix.Addr().AsSlice()
	for i := prefix.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (p *parser) addr(t token, text string, typ typ) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4() != (typ == typAddr4) {
		p.fail(t, "expected %s, found %q", typ, text)
	}
	return a
}

// numbers reads a number or a name, or a range of them.
func (p *parser) numbers(t token, f field) interval {
	if v, ok := f.number(t.text); ok {
		return interval{from: Value{0, v}, to: Value{0, v}, pos: t.pos}
	}
	if from, to, ok := strings.Cut(t.text, "-"); ok {
		a, ok1 := f.number(from)
		b, ok2 := f.number(to)
		if ok1 && ok2 && a > b {
			p.fail(t, "this range ends before it begins")
		}
		if ok1 && ok2 {
			return interval{from: Value{0, a}, to: Value{0, b}, pos: t.pos}
		}
	}
	if n, err := strconv.ParseUint(t.text, 0, 64); err == nil {
		p.fail(t, "%d is too large for %s: it has %d bits", n, f.name, f.bits)
	}
	p.fail(t, "expected %s, found %s%s", f.typ, t.describe(), suggest(t.text, keys(names[f.typ])))
	return interval{}
}

func (f field) number(text string) (uint64, bool) {
	if v, ok := names[f.typ][text]; ok {
		return v, true
	}
	n, err := strconv.ParseUint(text, 0, 64)
	return n, err == nil && (f.bits >= 64 || n < 1<<f.bits)
}

// ofType is a field for values outside of a match.
func ofType(t typ) field {
	bits := map[typ]int{typProto: 8, typPort: 16, typFlags: 8, typState: 32, typICMP: 8, typICMP6: 8, typDSCP: 6, typMark: 32, typFamily: 8, typNumber: 32, typStatus: 32, typDirection: 8}[t]
	return field{name: t.String(), typ: t, bits: bits}
}

// elements reads { value, ... } or { value : result, ... } into a set.
func (p *parser) elements(s *Set) {
	open := p.need("{")
	p.braces++
	f := ofType(s.typ)
	for {
		p.newlines()
		if p.take("}") {
			break
		}
		if p.peek().kind == tokEnd {
			p.fail(open, "this brace is not closed")
		}
		p.element(s, f)
		p.newlines()
		if !p.is("}") && !p.take(",") {
			p.expected(p.peek(), "a comma or }")
		}
	}
	p.braces--
	if s.Name == "" && len(s.elements) == 0 {
		p.fail(open, "this set is empty")
	}
	if at, overlap := s.seal(); overlap {
		panic(newError(p.texts[at.File], at, "this element overlaps another one"))
	}
}

func (p *parser) element(s *Set, f field) {
	if p.is("{") { // of a variable
		inner := &Set{Name: "inner", typ: s.typ}
		p.elements(inner)
		s.elements = append(s.elements, inner.elements...)
		return
	}
	e := p.value(f)
	if f.typ == typFlags {
		for p.take("|") {
			e.from.Lo |= p.value(f).from.Lo
		}
		e.to = e.from
	}
	if s.Name != "" && !s.interval && e.from != e.to {
		panic(newError(p.texts[e.pos.File], e.pos, fmt.Sprintf("set %s holds single values: add \"flags interval\" to it", s.Name)))
	}
	for p.is("comment") {
		p.i++
		p.word("a comment")
	}
	if s.isMap {
		p.need(":")
		if s.verdicts {
			e.verdict = p.verdict()
		} else {
			e.data = p.result(s)
		}
	}
	s.elements = append(s.elements, e)
}

// result reads what a map leads to.
func (p *parser) result(s *Set) element {
	t := p.peek()
	want := s.result
	if want == typNone { // of a NAT statement: an address or a port
		want = typPort
		if strings.Count(t.text, ".") == 3 {
			want = typAddr4
		} else if strings.Contains(t.text, ":") {
			want = typAddr6
		}
	}
	e := p.value(ofType(want))
	if e.from != e.to {
		p.fail(t, "a map leads to single values")
	}
	switch want {
	case typPort:
		return element{port: uint16(e.from.Lo), hasPort: true}
	case typAddr4, typAddr6:
		return element{addr: e.from, is6: want == typAddr6, hasAddr: true}
	}
	p.fail(t, "a map must lead to addresses, ports or verdicts")
	return element{}
}

// setBlock reads a named set or map.
func (p *parser) setBlock(isMap bool) {
	name := p.word("a set's name")
	s := &Set{Name: name.text, isMap: isMap, pos: name.pos}
	if p.table.Sets[s.Name] != nil {
		p.fail(name, "table %s has a set %s already", p.table.Name, s.Name)
	}
	p.block("set "+s.Name, func() {
		t := p.word("type, typeof, flags, elements, size, auto-merge or }")
		switch t.text {
		case "type":
			p.setType(s, func() typ {
				w := p.word("a type")
				typ, ok := setTypes[w.text]
				if !ok {
					p.fail(w, "%s is no type of a set that is supported: use %s", w.describe(), strings.Join(keys(setTypes), ", "))
				}
				return typ
			})
		case "typeof":
			p.setType(s, func() typ { return p.fieldOf(&Chain{Table: &Table{}}, &Rule{}).typ })
		case "flags":
			p.setFlags(s)
		case "auto-merge", "constant":
		case "size":
			p.word("a number")
		case "policy", "comment":
			p.word("a value of " + t.text)
		case "elements":
			p.need("=")
			if s.typ == typNone {
				p.fail(t, "the set's type must come before its elements")
			}
			p.elements(s)
		default:
			p.fail(t, "expected type, typeof, flags, elements, size or auto-merge, found %s", t.describe())
		}
		p.end("the statement")
	})
	if s.typ == typNone && len(p.errs) == 0 {
		p.fail(name, "set %s has no type", s.Name)
	}
	p.table.Sets[s.Name] = s
}

// setType reads what a set holds and a map leads to.
func (p *parser) setType(s *Set, one func() typ) {
	s.typ = one()
	if p.is(".") {
		p.fail(p.peek(), "concatenations are not supported")
	}
	if !s.isMap {
		return
	}
	p.need(":")
	if p.take("verdict") {
		s.verdicts = true
		return
	}
	s.result = one()
}

func (p *parser) setFlags(s *Set) {
	for {
		w := p.word("interval or constant")
		switch w.text {
		case "interval":
			s.interval = true
		case "constant":
		default:
			p.fail(w, "flag %s of sets is not supported: use interval", w.text)
		}
		if !p.take(",") {
			return
		}
	}
}
