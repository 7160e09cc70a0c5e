package dns

import (
	"slices"

	"github.com/miekg/dns"
)

// setKey names a record set.
type setKey struct {
	name string
	kind uint16
}

// builder makes a zone of records and finds what is wrong with the whole.
type builder struct {
	*reader
	zone  *Zone
	where map[setKey][]located // the records of each set
}

func (b *builder) complain(l located, warning bool, text string) {
	b.mistakes = append(b.mistakes, Mistake{File: l.file, Line: l.line, Text: text, Warning: warning})
}

func (b *builder) build(file string) {
	b.node(b.zone.apex)
	for _, l := range b.records {
		b.add(l)
	}
	apex := b.zone.nodes[b.zone.apex]
	if b.zone.soa = apex.find(dns.TypeSOA); b.zone.soa == nil {
		b.wrong(file, 0, "the zone %s has no SOA record", b.zone.Name())
	} else {
		b.negatives()
	}
	if apex.find(dns.TypeNS) == nil {
		b.wrong(file, 0, "the zone %s has no NS record of its own", b.zone.Name())
	}
	for name, n := range b.zone.nodes {
		b.link(name, n)
	}
	for name, n := range b.zone.nodes {
		b.checkTargets(name, n)
	}
}

// negatives makes the SOA of negative answers: its TTL is the lesser of its own
// and the minimum field.
func (b *builder) negatives() {
	set := *b.zone.soa
	data := set.records[0]
	at := len(data) - 4
	minimum := uint32(data[at])<<24 | uint32(data[at+1])<<16 | uint32(data[at+2])<<8 | uint32(data[at+3])
	set.ttl = min(set.ttl, minimum)
	b.zone.negative = &set
}

// node returns the node of a name, with its ancestors up to the apex.
func (b *builder) node(name string) *node {
	n := b.zone.nodes[name]
	if n != nil {
		return n
	}
	n = &node{}
	b.zone.nodes[name] = n
	if name != b.zone.apex {
		b.node(parent(name))
	}
	return n
}

// add puts a record into its set.
func (b *builder) add(l located) {
	h := l.rr.Header()
	owner, err := wire(h.Name)
	if err != nil {
		b.complain(l, false, h.Name+" is no domain name")
		return
	}
	name := lower(owner)
	switch {
	case h.Class != dns.ClassINET:
		b.complain(l, false, "class "+dns.Class(h.Class).String()+" is not served: only IN is")
		return
	case !within(name, b.zone.apex):
		b.complain(l, false, h.Name+" does not lie in the zone "+b.zone.Name())
		return
	case h.Rrtype == dns.TypeSOA && name != b.zone.apex:
		b.complain(l, false, "a SOA record stands at "+h.Name+" and not at the zone's own name "+b.zone.Name())
		return
	}
	data, err := rdata(l.rr)
	if err != nil {
		b.complain(l, false, "the record can't be sent: "+err.Error())
		return
	}
	b.insert(l, b.node(name), setKey{name, h.Rrtype}, data)
}

func (b *builder) insert(l located, n *node, key setKey, data string) {
	ttl := l.rr.Header().Ttl
	set := n.find(key.kind)
	if set == nil {
		n.sets = append(n.sets, rrset{kind: key.kind, ttl: ttl})
		set = &n.sets[len(n.sets)-1]
	}
	switch {
	case slices.Contains(set.records, data):
		b.complain(l, true, "the same record stands here twice")
		return
	case len(set.records) > 0 && (key.kind == dns.TypeSOA || key.kind == dns.TypeCNAME || key.kind == dns.TypeDNAME):
		b.complain(l, false, text(key.name)+" has more than one "+dns.TypeToString[key.kind]+" record")
		return
	case ttl != set.ttl:
		b.complain(l, true, "the TTL differs from that of the set's first record, which is used (RFC 2181, section 5.2)")
	}
	set.records = append(set.records, data)
	b.where[key] = append(b.where[key], l)
	b.zone.records++
}

// rdata packs a record's data alone.
func rdata(rr dns.RR) (string, error) {
	buf := make([]byte, dns.Len(rr)+1)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return "", err
	}
	owner := 0
	for buf[owner] != 0 {
		owner += int(buf[owner]) + 1
	}
	return string(buf[owner+1+10 : end]), nil
}

// link finds the sets that change how names below or at a node are answered.
func (b *builder) link(name string, n *node) {
	n.cname, n.dname = n.find(dns.TypeCNAME), n.find(dns.TypeDNAME)
	if name != b.zone.apex {
		n.cut = n.find(dns.TypeNS)
	}
	if n.cname != nil && len(n.sets) > 1 {
		b.complain(b.where[setKey{name, dns.TypeCNAME}][0], false, text(name)+" has a CNAME record and others: a CNAME stands alone")
	}
}

// checkTargets looks at the name servers and mail exchangers that lie in the
// zone itself.
func (b *builder) checkTargets(name string, n *node) {
	for i := range n.sets {
		set := &n.sets[i]
		for k, data := range set.records {
			at := b.where[setKey{name, set.kind}][k]
			switch set.kind {
			case dns.TypeNS:
				b.checkTarget(at, "name server", lower(data), name != b.zone.apex)
			case dns.TypeMX:
				b.checkTarget(at, "mail exchanger", lower(data[2:]), true)
			}
		}
	}
}

// checkTarget complains of a target in the zone that has no address. That of a
// delegation may lie below it, where only glue is needed; a mail exchanger is
// only warned of.
func (b *builder) checkTarget(at located, what, target string, gentle bool) {
	if !within(target, b.zone.apex) || target == "\x00" || b.zone.below(target) && what != "name server" {
		return
	}
	n := b.zone.nodes[target]
	switch {
	case n != nil && n.cname != nil:
		b.complain(at, what != "name server", "the "+what+" "+text(target)+" is a CNAME (RFC 2181, section 10.3)")
	case n == nil && b.covered(target):
	case n == nil || n.find(dns.TypeA) == nil && n.find(dns.TypeAAAA) == nil:
		b.complain(at, gentle, "the "+what+" "+text(target)+" has no address in this zone")
	}
}

// covered tells whether a wildcard stands for a name that isn't there.
func (b *builder) covered(name string) bool {
	for name != b.zone.apex && b.zone.nodes[name] == nil {
		name = parent(name)
	}
	return b.zone.nodes["\x01*"+name] != nil
}
