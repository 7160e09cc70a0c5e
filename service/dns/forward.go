package dns

import (
	"context"
	"errors"
	"math/rand/v2" // its top-level functions are ChaCha8, seeded by the system
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

// forwarder asks upstream servers for clients that may, and remembers. An answer is
// only ever given to the question that it answered: nothing else in it is believed.
type forwarder struct {
	config  *ForwardConfig
	metrics *metrics
	cache   *cache
	flights singleflight.Group // equal questions wait for one answer
	slots   chan struct{}
}

// Bounds of the forwarder.
const (
	maxForwarded    = 1000 // questions under way
	upstreamTime    = 2 * time.Second
	upstreamUDPSize = 1232
	firstPort       = 1024
	maxPortTries    = 8 // ports may be taken; the last try leaves the choice to the system
)

func newForwarder(c *ForwardConfig, m *metrics) *forwarder {
	return &forwarder{config: c, metrics: m, cache: newCache(c.Cache), slots: make(chan struct{}, maxForwarded)}
}

// enter takes one of the slots; false where there is none.
func (f *forwarder) enter() bool {
	select {
	case f.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (f *forwarder) leave() { <-f.slots }

// askUpstream answers a query that was found to be for the upstream servers.
func (s *Server) askUpstream(ctx context.Context, packet []byte, from netip.Addr, udp bool) []byte {
	w := newWorker()
	w.from, w.udp = from, udp
	if w.q.parse(packet) != parsed {
		return nil
	}
	msg := s.forward.resolve(ctx, &w.q)
	w.m.begin(w.buf, w.q.question, s.limit(w))
	if msg == nil {
		w.m.rcode = dns.RcodeServerFailure
		answer, _ := s.finish(w)
		return answer
	}
	w.m.rcode = msg.Rcode & 15
	for i, section := range [][]dns.RR{msg.Answer, msg.Ns} {
		for _, rr := range section {
			if !w.m.foreign(i, rr) {
				w.m.flags |= flagTC
				answer, _ := s.finish(w)
				return answer
			}
		}
	}
	answer, _ := s.finish(w)
	return answer
}

// foreign writes a record that another server sent.
func (m *message) foreign(section int, rr dns.RR) bool {
	owner, err := wire(rr.Header().Name)
	if err != nil {
		return false
	}
	data, err := rdata(rr)
	if err != nil {
		return false
	}
	return m.add(section, owner, &rrset{kind: rr.Header().Rrtype, ttl: rr.Header().Ttl, records: []string{data}})
}

// busy answers a query that there is no slot for.
func (s *Server) busy(w *worker, packet []byte, from netip.Addr, udp bool) []byte {
	w.from, w.udp = from, udp
	if w.q.parse(packet) != parsed {
		return nil
	}
	w.m.begin(w.buf, w.q.question, s.limit(w))
	w.m.rcode = dns.RcodeServerFailure
	answer, _ := s.finish(w)
	return answer
}

// resolve asks the memory, then the upstream servers; nil where none answers.
func (f *forwarder) resolve(ctx context.Context, q *query) *dns.Msg {
	key := cacheKey(q)
	if msg := f.cache.get(key, time.Now()); msg != nil {
		f.metrics.hits.Inc()
		return msg
	}
	f.metrics.misses.Inc()
	question := dns.Question{Name: text(string(q.name)), Qtype: q.kind, Qclass: q.class}
	do, cd := q.do, q.flags&flagCD != 0
	msg, err, _ := f.flights.Do(key, func() (any, error) {
		msg, err := f.exchange(ctx, question, do, cd)
		if err != nil {
			return nil, err
		}
		f.cache.put(key, msg, time.Now())
		return msg, nil
	})
	if err != nil {
		f.metrics.failures.Inc()
		return nil
	}
	return msg.(*dns.Msg).Copy() // the cache and other askers hold the same, and packing writes
}

// exchange asks the upstream servers in turn, beginning anywhere.
func (f *forwarder) exchange(ctx context.Context, question dns.Question, do, cd bool) (*dns.Msg, error) {
	err := errors.New("no upstream server")
	start := rand.IntN(len(f.config.Upstreams))
	for i := range f.config.Upstreams {
		server := f.config.Upstreams[(start+i)%len(f.config.Upstreams)]
		var msg *dns.Msg
		msg, err = f.exchangeWith(ctx, server, question, do, cd)
		if err == nil {
			return msg, nil
		}
	}
	return nil, err
}

// exchangeWith asks one server: from a new port with a new number over UDP, and
// over TCP where the answer was cut.
func (f *forwarder) exchangeWith(ctx context.Context, server string, question dns.Question, do, cd bool) (*dns.Msg, error) {
	if f.config.MixedCase {
		question.Name = mixCase(question.Name)
	}
	for _, network := range []string{"udp", "tcp"} {
		m := &dns.Msg{Question: []dns.Question{question}}
		m.Id, m.RecursionDesired, m.CheckingDisabled = dns.Id(), true, cd
		m.SetEdns0(upstreamUDPSize, do)
		r, err := converse(ctx, network, server, m)
		if err != nil {
			return nil, err
		}
		if err := f.verify(m, r); err != nil {
			return nil, err
		}
		if !r.Truncated {
			return r, nil
		}
	}
	return nil, errors.New("the answer is cut even over TCP")
}

// converse sends a message and reads the answer. Over UDP it leaves from a port
// that is picked here, because not every system picks one that can't be guessed.
func converse(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: upstreamTime}
	var conn *dns.Conn
	err := errors.New("no port")
	for try := 0; try < maxPortTries && err != nil; try++ {
		dialer := &net.Dialer{Timeout: upstreamTime}
		if network == "udp" && try < maxPortTries-1 {
			dialer.LocalAddr = &net.UDPAddr{Port: firstPort + rand.IntN(1<<16-firstPort)}
		}
		client.Dialer = dialer
		conn, err = client.DialContext(ctx, server)
		if network != "udp" {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	return r, err
}

// verify tells whether r answers m, and whether it can be passed on.
func (f *forwarder) verify(m, r *dns.Msg) error {
	switch {
	case !r.Response || r.Id != m.Id || len(r.Question) != 1:
		return errors.New("that is no answer to the question")
	case r.Question[0].Qtype != m.Question[0].Qtype || r.Question[0].Qclass != m.Question[0].Qclass:
		return errors.New("that is the answer to another question")
	case f.config.MixedCase && r.Question[0].Name != m.Question[0].Name:
		return errors.New("the question's letters were changed")
	case !strings.EqualFold(r.Question[0].Name, m.Question[0].Name):
		return errors.New("that is the answer to another question")
	case r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError:
		return errors.New("the server answered " + dns.RcodeToString[r.Rcode])
	}
	return nil
}

// mixCase turns letters of a name at random; escapes have digits only.
func mixCase(name string) string {
	b := []byte(name)
	for i, c := range b {
		if ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') && rand.IntN(2) == 1 {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}
