package dns

import "github.com/miekg/dns"

// result is what a zone knows of a name and type.
type result struct {
	kind  resultKind
	node  *node
	set   *rrset // what the kind needs: the records, the alias, the delegation
	owner string // of a delegation or DNAME
}

type resultKind int

const (
	found      resultKind = iota
	noData                // the name is there, the type isn't
	noName                // NXDOMAIN
	alias                 // CNAME
	redirected            // DNAME
	delegated
)

// lookup finds a name, folded, that lies in the zone (RFC 1034, section 4.3.2,
// as RFC 4592 and RFC 6672 made it clear). depth is the number of the zone's own
// labels.
func (z *Zone) lookup(name []byte, l *labels, depth int, kind uint16) result {
	var above *node
	for i := l.n - depth; i >= 0; i-- {
		suffix := l.suffix(name, i)
		n := z.nodes[string(suffix)]
		if n == nil {
			return z.wildcard(name, l, i+1, kind)
		}
		if n.cut != nil && (i > 0 || kind != dns.TypeDS) {
			return result{kind: delegated, set: n.cut, owner: string(suffix)}
		}
		if n.dname != nil && i > 0 {
			return result{kind: redirected, set: n.dname, owner: string(suffix)}
		}
		above = n
	}
	return above.answer(kind)
}

// wildcard answers for a name that isn't there; encloser is the label where the
// closest name that is there begins.
func (z *Zone) wildcard(name []byte, l *labels, encloser int, kind uint16) result {
	var buf [258]byte
	star := append(buf[:0], 1, '*')
	star = append(star, l.suffix(name, encloser)...)
	n := z.nodes[string(star)]
	if n == nil {
		return result{kind: noName}
	}
	return n.answer(kind)
}

func (n *node) answer(kind uint16) result {
	if kind == dns.TypeANY {
		if len(n.sets) == 0 {
			return result{kind: noData}
		}
		return result{kind: found, node: n}
	}
	if set := n.find(kind); set != nil {
		return result{kind: found, node: n, set: set}
	}
	if n.cname != nil {
		return result{kind: alias, node: n, set: n.cname}
	}
	return result{kind: noData, node: n}
}

// catalog is all zones at one moment; it never changes.
type catalog struct {
	zones map[string]*Zone
	names []string // sorted, for people
}

// find returns the zone that a name lies in, and the number of its labels. A DS
// record is the parent's (RFC 4035, section 3.1.4.1).
func (c *catalog) find(name []byte, l *labels, kind uint16) (*Zone, int) {
	first := 0
	if kind == dns.TypeDS && l.n > 0 {
		if z, depth := c.from(name, l, 1); z != nil {
			return z, depth
		}
	}
	return c.from(name, l, first)
}

func (c *catalog) from(name []byte, l *labels, first int) (*Zone, int) {
	for i := first; i <= l.n; i++ {
		if z := c.zones[string(l.suffix(name, i))]; z != nil {
			return z, l.n - i
		}
	}
	return nil, 0
}
