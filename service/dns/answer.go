package dns

import "github.com/miekg/dns"

// maxChain bounds the aliases that one answer follows. A longer chain, and one
// that runs in a circle, ends with SERVFAIL.
const maxChain = 12

// asked is the state of one answer.
type asked struct {
	catalog *catalog
	q       *query
	m       *message
	udp     bool
	aliases [maxChain]link
}

// link is one alias of a chain.
type link struct {
	owner string
	set   *rrset
}

// answer writes what the zones know. It returns false if none of them holds the
// question's name.
func (a *asked) answer() bool {
	zone, depth := a.catalog.find(a.q.name, &a.q.labels, a.q.kind)
	if zone == nil {
		return false
	}
	name, at := a.q.name, &a.q.labels
	owner := ownerIsQuestion
	a.m.flags |= flagAA
	for hop := 0; zone != nil; hop++ {
		r := zone.lookup(name, at, depth, a.q.kind)
		if r.kind != alias && r.kind != redirected {
			a.last(zone, r, owner, hop)
			return true
		}
		if hop == maxChain {
			a.m.rcode = dns.RcodeServerFailure
			return true
		}
		target, ok := a.follow(r, owner, name, hop)
		if !ok {
			return true
		}
		// A chain is rare enough for an allocation.
		name, at, owner = []byte(lower(target)), &labels{}, target
		at.scan(name)
		zone, depth = a.catalog.find(name, at, a.q.kind)
	}
	return true
}

// follow writes an alias, once, and returns where it leads; false ends the answer.
func (a *asked) follow(r result, owner string, name []byte, hop int) (string, bool) {
	a.aliases[hop] = link{lower(owner), r.set}
	if r.kind == alias {
		return r.set.records[0], a.circular(name, hop) || a.put(answerSection, owner, r.set)
	}
	if !a.put(answerSection, r.owner, r.set) {
		return "", false
	}
	target := string(name[:len(name)-len(r.owner)]) + r.set.records[0]
	if len(target) > 255 {
		a.m.rcode = dns.RcodeYXDomain
		return "", false
	}
	made := rrset{kind: dns.TypeCNAME, ttl: r.set.ttl, records: []string{target}}
	return target, a.put(answerSection, owner, &made)
}

// circular tells whether the chain was at this alias before.
func (a *asked) circular(name []byte, hop int) bool {
	for _, l := range a.aliases[:hop] {
		if l.set == a.aliases[hop].set && (l.owner == string(name) || l.owner == ownerIsQuestion && string(name) == string(a.q.name)) {
			return true
		}
	}
	return false
}

// put writes a set that the answer can't do without.
func (a *asked) put(section int, owner string, set *rrset) bool {
	if a.m.add(section, owner, set) {
		return true
	}
	a.m.flags |= flagTC
	return false
}

// last writes what a chain ends with.
func (a *asked) last(zone *Zone, r result, owner string, hop int) {
	switch r.kind {
	case found:
		a.found(zone, r, owner)
	case noName:
		a.m.rcode = dns.RcodeNameError
		a.put(authoritySection, zone.apex, zone.negative)
	case noData:
		a.put(authoritySection, zone.apex, zone.negative)
	case delegated:
		if hop == 0 {
			a.m.flags &^= flagAA
		}
		a.referral(zone, r)
	}
}

// found writes a set. For ANY over UDP one set is enough (RFC 8482, section 4.1).
func (a *asked) found(zone *Zone, r result, owner string) {
	if a.q.kind != dns.TypeANY {
		if a.put(answerSection, owner, r.set) && a.q.kind == dns.TypeNS {
			a.servers(zone, r.set)
		}
		return
	}
	for i := range r.node.sets {
		if !a.put(answerSection, owner, &r.node.sets[i]) || a.udp {
			return
		}
	}
}

// servers adds the addresses of a zone's own name servers, as far as they fit.
func (a *asked) servers(zone *Zone, set *rrset) {
	for _, data := range set.records {
		if n := zone.nodes[lower(data)]; n != nil {
			a.addresses(n, data)
		}
	}
}

// addresses adds a name's addresses; false where they don't fit.
func (a *asked) addresses(n *node, name string) bool {
	for _, kind := range [...]uint16{dns.TypeA, dns.TypeAAAA} {
		if set := n.find(kind); set != nil && !a.m.add(additionalSection, name, set) {
			return false
		}
	}
	return true
}

// referral names the servers of a delegation, with their addresses where those
// lie below it or another one: nobody else knows them (RFC 9471).
func (a *asked) referral(zone *Zone, r result) {
	if !a.put(authoritySection, r.owner, r.set) {
		return
	}
	for _, data := range r.set.records {
		server := lower(data)
		n := zone.nodes[server]
		if n == nil || !zone.below(server) {
			continue
		}
		if !a.addresses(n, data) && within(server, r.owner) {
			a.m.flags |= flagTC
			return
		}
	}
}

// below tells whether a name of the zone lies at or below a delegation.
func (z *Zone) below(name string) bool {
	for ; name != z.apex; name = parent(name) {
		if n := z.nodes[name]; n != nil && n.cut != nil {
			return true
		}
	}
	return false
}
