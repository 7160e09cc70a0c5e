package nft

import (
	"net/netip"
	"strings"
)

func natStatement(p *parser, c *Chain, r *Rule) {
	word := p.tokens[p.i-1]
	o := op{kind: opNAT, needs: "nat prerouting output"}
	o.nat.Kind = DNAT
	if word.text == "snat" {
		o.nat.Kind, o.needs = SNAT, "nat postrouting input"
	}
	o.nat.Is6 = c.Table.Family == IP6
	known := c.Table.Family != Inet
	for _, f := range []string{"ip", "ip6"} {
		if t := p.peek(); t.text == f && t.kind == tokWord {
			p.i++
			o.nat.Is6, known = f == "ip6", true
			p.ofFamily(c, r, t, map[string]uint8{"ip": 4, "ip6": 6}[f])
		}
	}
	p.need("to")
	t := p.peek()
	if groups[t.text] || fields[t.text].id != fNone {
		p.natMap(c, r, &o)
	} else {
		p.natTarget(&o, known)
		if !known && o.nat.HasAddr {
			v := uint8(4)
			if o.nat.Is6 {
				v = 6
			}
			p.ofFamily(c, r, t, v)
		}
	}
	p.natFlags(&o)
	r.ops = append(r.ops, o)
}

// natTarget reads ADDRESS, FIRST-LAST, with :PORT or :FIRST-LAST behind, or :PORT.
func (p *parser) natTarget(o *op, known bool) {
	if p.take(":") {
		t := p.word("a port")
		p.natPorts(o, t, t.text)
		return
	}
	t := p.word("an address")
	addrs, ports := t.text, ""
	if rest, ok := strings.CutPrefix(addrs, "["); ok {
		a, after, closed := strings.Cut(rest, "]")
		if !closed {
			p.fail(t, "this bracket is not closed")
		}
		addrs, ports = a, strings.TrimPrefix(after, ":")
	} else if strings.Count(addrs, ":") == 1 {
		addrs, ports, _ = strings.Cut(addrs, ":")
	}
	from, to, _ := strings.Cut(addrs, "-")
	first, err := netip.ParseAddr(from)
	if err != nil || first.Zone() != "" {
		p.fail(t, "expected an address, found %q", from)
	}
	if known && first.Is6() != o.nat.Is6 {
		p.fail(t, "%s is not an address of the family that is translated here", from)
	}
	last := first
	if to != "" {
		if last, err = netip.ParseAddr(to); err != nil || last.Is4() != first.Is4() || last.Less(first) {
			p.fail(t, "%q is no range of addresses", addrs)
		}
	}
	o.nat.HasAddr, o.nat.Is6, o.nat.From, o.nat.To = true, first.Is6(), AddrValue(first), AddrValue(last)
	if ports != "" {
		p.natPorts(o, t, ports)
	} else if p.take(":") {
		w := p.word("a port")
		p.natPorts(o, w, w.text)
	}
}

func (p *parser) natPorts(o *op, t token, text string) {
	f := ofType(typPort)
	t.text = text
	e := p.numbers(t, f)
	if e.from.Lo == 0 {
		p.fail(t, "port 0 can't be translated to")
	}
	o.nat.PortFrom, o.nat.PortTo = uint16(e.from.Lo), uint16(e.to.Lo)
}

// natMap reads FIELD map { ... }.
func (p *parser) natMap(c *Chain, r *Rule, o *op) {
	f := p.fieldOf(c, r)
	p.need("map")
	o.field, o.typ = f.id, f.typ
	if p.take("@") {
		name := p.word("a map's name")
		set := &Set{}
		o.set = set
		p.fixups = append(p.fixups, fixup{p.table, name, f.typ, func(s *Set) string {
			if !s.isMap || s.verdicts {
				return s.Name + " is not a map to addresses or ports"
			}
			*set = *s
			return ""
		}})
		return
	}
	o.set = &Set{typ: f.typ, isMap: true, interval: true}
	p.elements(o.set)
}

func (p *parser) natFlags(o *op) {
	for {
		switch {
		case p.take("random"), p.take("fully-random"):
			o.nat.FullRandom = true
		case p.take("persistent"), p.take(","):
		default:
			return
		}
	}
}

func masqueradeStatement(p *parser, _ *Chain, r *Rule) {
	portStatement(p, r, Masquerade, "nat postrouting")
}

func redirectStatement(p *parser, _ *Chain, r *Rule) {
	portStatement(p, r, Redirect, "nat prerouting output")
}

func portStatement(p *parser, r *Rule, kind NATKind, needs string) {
	o := op{kind: opNAT, needs: needs, nat: NAT{Kind: kind}}
	if p.take("to") {
		p.need(":")
		t := p.word("a port")
		p.natPorts(&o, t, t.text)
	}
	p.natFlags(&o)
	r.ops = append(r.ops, o)
}
