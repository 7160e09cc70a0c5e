package dns

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// worker is what answering one query after the other needs; it isn't shared.
type worker struct {
	q      query
	m      message
	a      asked
	buf    []byte
	cookie [24]byte
	from   netip.Addr
	udp    bool
}

func newWorker() *worker { return &worker{buf: make([]byte, 0, 4096+512)} }

// action is what is to be done with a query.
type action int

const (
	respond  action = iota // the worker's answer is to be sent
	silence                // nothing is to be sent
	ask                    // the upstream servers know, if any
	transfer               // a whole zone is asked for
)

// serve answers one packet. The answer is valid until the next call.
func (s *Server) serve(w *worker, packet []byte, from netip.Addr, udp bool) ([]byte, action) {
	w.from, w.udp = from, udp
	q, m := &w.q, &w.m
	rcode := q.parse(packet)
	if rcode == ignore {
		s.metrics.ignored.Inc()
		return nil, silence
	}
	m.begin(w.buf, q.question, s.limit(w))
	m.rotation = int(q.id)
	if rcode != parsed {
		m.rcode = rcode
		return s.finish(w)
	}
	switch {
	case q.class != dns.ClassINET && q.class != dns.ClassANY:
		m.rcode = dns.RcodeRefused
	case q.kind == dns.TypeAXFR || q.kind == dns.TypeIXFR && !udp:
		if !udp {
			return nil, transfer
		}
		m.rcode = dns.RcodeFormatError
	case meta(q.kind):
		m.rcode = dns.RcodeFormatError
	default:
		if !s.lookup(w) {
			return nil, ask
		}
	}
	return s.finish(w)
}

// meta tells whether a type stands in questions by no right: it is no data.
func meta(kind uint16) bool {
	switch kind {
	case dns.TypeNone, dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY, dns.TypeMAILA, dns.TypeMAILB:
		return true
	}
	return false
}

// lookup asks the zones; false sends the query to the upstream servers.
func (s *Server) lookup(w *worker) bool {
	kind := w.q.kind
	if kind == dns.TypeIXFR {
		w.q.kind = dns.TypeSOA // over UDP: the asker sees what is new and comes by TCP
	}
	w.a = asked{catalog: s.catalog.Load(), q: &w.q, m: &w.m, udp: w.udp}
	known := w.a.answer()
	w.q.kind = kind
	if known {
		return true
	}
	if s.forward != nil && w.q.flags&flagRD != 0 && w.q.kind != dns.TypeANY && allowed(s.config.Forward.Clients, w.from) {
		return false
	}
	w.m.rcode = dns.RcodeRefused
	return true
}

// limit is the most octets of an answer before its OPT record.
func (s *Server) limit(w *worker) int {
	switch {
	case !w.udp:
		return dns.MaxMsgSize - optSpace
	case !w.q.edns:
		return dns.MinMsgSize
	default:
		return max(min(int(w.q.size), s.config.UDPSize), dns.MinMsgSize) - optSpace
	}
}

// finish limits, completes and counts an answer.
func (s *Server) finish(w *worker) ([]byte, action) {
	q, m := &w.q, &w.m
	var cookie []byte
	known := false
	if q.cookie != nil {
		known = s.cookies.valid(q.cookie, w.from)
		cookie = s.cookies.answer(&w.cookie, q.cookie, w.from)
	}
	if s.forward != nil && allowed(s.config.Forward.Clients, w.from) {
		m.flags |= flagRA
	}
	if s.limiter != nil && w.udp && !known {
		switch s.limiter.check(w.from, m.rcode, s.account(w), time.Now()) {
		case drop:
			s.metrics.limited.Inc()
			return nil, silence
		case truncate:
			s.metrics.slipped.Inc()
			m.begin(w.buf, q.question, m.limit)
			m.flags = flagTC
		}
	}
	s.metrics.count(w)
	answer := m.finish(q, uint16(s.config.UDPSize), cookie)
	w.buf = answer[:0]
	return answer, respond
}

// account is the name that the limiter counts an answer under.
func (s *Server) account(w *worker) []byte {
	if w.m.rcode == dns.RcodeSuccess {
		return w.q.name
	}
	if z, _ := s.catalog.Load().find(w.q.name, &w.q.labels, w.q.kind); z != nil && len(w.q.name) > 0 {
		return []byte(z.apex)
	}
	return nil
}
