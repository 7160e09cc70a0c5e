package deploy

import (
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// ServeDNS answers one question. It is for package dns.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(question)
	if len(question.Question) != 1 || question.Opcode != dns.OpcodeQuery {
		reply.Rcode = dns.RcodeFormatError
		w.WriteMsg(reply)
		return
	}
	asker := netip.Addr{}
	if from, err := netip.ParseAddrPort(w.RemoteAddr().String()); err == nil {
		asker = from.Addr().Unmap()
	}
	wanted, states := s.keeper.known()
	s.answer(reply, wanted, states, asker)
	if w.RemoteAddr().Network() == "udp" {
		reply.Truncate(sizeFor(question))
	}
	w.WriteMsg(reply) // a client that is gone asks no more
}

// sizeFor is the largest answer that a client takes in a datagram.
func sizeFor(question *dns.Msg) int {
	if o := question.IsEdns0(); o != nil {
		return min(max(int(o.UDPSize()), dns.MinMsgSize), 1232)
	}
	return dns.MinMsgSize
}

// answer fills a reply in. Names of one label are the deployment's alone, and so are
// the addresses in it; of others nothing is known here.
func (s *nameServer) answer(reply *dns.Msg, w *Wanted, states map[string]InstanceState, asker netip.Addr) {
	q := reply.Question[0]
	head := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: namesTTL}
	if q.Qtype == dns.TypePTR {
		if name := nameOf(w, reverse(q.Name)); name != "" {
			reply.Answer = append(reply.Answer, &dns.PTR{Hdr: head, Ptr: name + "."})
			return
		}
		reply.Rcode = dns.RcodeNameError
		return
	}
	addrs, known := lookUp(w, states, q.Name, asker, s.network)
	switch {
	case !known && dns.CountLabel(q.Name) > 1:
		reply.Rcode = dns.RcodeRefused
		return
	case !known:
		reply.Rcode = dns.RcodeNameError
		return
	}
	reply.Authoritative = true
	for _, n := range rand.Perm(len(addrs)) { // each client begins with another one
		switch a := addrs[n]; {
		case q.Qtype == dns.TypeA && a.Is4():
			reply.Answer = append(reply.Answer, &dns.A{Hdr: head, A: a.AsSlice()})
		case q.Qtype == dns.TypeAAAA && a.Is6():
			reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	}
}

// reverse is the address that a name in in-addr.arpa or ip6.arpa stands for; an
// invalid one where it stands for none.
func reverse(name string) netip.Addr {
	labels := dns.SplitDomainName(strings.ToLower(name))
	var text strings.Builder
	switch {
	case len(labels) == 6 && strings.HasSuffix(strings.ToLower(name), ".in-addr.arpa."):
		text.WriteString(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
	case len(labels) == 34 && strings.HasSuffix(strings.ToLower(name), ".ip6.arpa."):
		for i := 31; i >= 0; i-- {
			text.WriteString(labels[i])
			if i%4 == 0 && i > 0 {
				text.WriteByte(':')
			}
		}
	}
	a, err := netip.ParseAddr(text.String())
	if back, wrong := dns.ReverseAddr(a.String()); err != nil || wrong != nil || !strings.EqualFold(back, name) {
		return netip.Addr{}
	}
	return a
}
