package dns

import (
	"net/netip"
	"sort"

	"github.com/miekg/dns"
)

// transferSize is how much of a zone one message of a transfer holds, octets.
const transferSize = 16 << 10

// transfer sends a whole zone (RFC 5936), if the asker may have it. IXFR gets
// the whole zone too (RFC 1995, section 4).
func (s *Server) transfer(c *stream, w *worker, from netip.Addr) error {
	q, m := &w.q, &w.m
	zone := s.catalog.Load().zones[string(q.name)]
	switch {
	case !allowed(s.config.Transfer, from):
		m.rcode = dns.RcodeRefused
	case zone == nil:
		m.rcode = dns.RcodeNotAuth
	}
	if m.rcode != 0 {
		answer, _ := s.finish(w)
		return c.send(answer, true)
	}
	s.metrics.transfers.Inc()
	s.metrics.count(w)
	t := sending{c: c, w: w}
	t.begin(q.question)
	t.set(zone.apex, zone.soa)
	for _, name := range zone.sorted() {
		n := zone.nodes[name]
		for i := range n.sets {
			if n.sets[i].kind != dns.TypeSOA {
				t.set(name, &n.sets[i])
			}
		}
	}
	t.set(zone.apex, zone.soa)
	t.flush()
	return t.err
}

// sorted are the zone's names, the apex first, so that two transfers are equal.
func (z *Zone) sorted() []string {
	names := make([]string, 0, len(z.nodes))
	for name := range z.nodes {
		if name != z.apex {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return append([]string{z.apex}, names...)
}

// sending fills one message after the other.
type sending struct {
	c   *stream
	w   *worker
	err error
}

func (t *sending) begin(question []byte) {
	t.w.m.begin(t.w.buf, question, transferSize)
	t.w.m.flags, t.w.m.rotation = flagAA, 0
}

// set sends a set, record by record, so that none is too large to travel.
func (t *sending) set(owner string, set *rrset) {
	m := &t.w.m
	for _, data := range set.records {
		one := rrset{kind: set.kind, ttl: set.ttl, records: []string{data}}
		if m.add(answerSection, owner, &one) {
			continue
		}
		t.flush()
		t.begin(t.w.q.question)
		m.limit = dns.MaxMsgSize - optSpace
		if !m.add(answerSection, owner, &one) {
			return // can't be: a record's data was packed, with room to spare
		}
		m.limit = transferSize
	}
}

func (t *sending) flush() {
	if t.err != nil {
		return
	}
	msg := t.w.m.finish(&t.w.q, dns.MinMsgSize, nil)
	t.w.buf = msg[:0]
	t.err = t.c.send(msg, true)
}
