package deploy

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"
)

// Listen opens sockets inside the deployment's networks.
type Listen struct {
	Stream func(address string) (net.Listener, error)
	Packet func(address string) (net.PacketConn, error)
}

// Limits of the name server.
const (
	namesTTL     = 1  // seconds: instances come and go
	nameStreams  = 64 // connections at once, of an address and protocol
	namesTimeout = 5 * time.Second
)

// nameServer tells the machines of one network the names of those that they share
// networks with: by DNS, and as JSON at http://pith.internal/names for who serves them
// on (service/dns). It knows nothing else, and asks nobody.
type nameServer struct {
	keeper  *Keeper
	network string
	closers []func() error
}

// serveNames opens name servers where the wanted networks have the host's addresses, and
// closes the others. What can't be opened is told, and the deployment goes on.
func (k *Keeper) serveNames() {
	wanted := map[netip.AddrPort]string{}
	if k.Listen.Stream != nil && k.wanted != nil {
		for _, n := range own(k.wanted.Networks) {
			for _, a := range n.Gateway {
				wanted[netip.AddrPortFrom(a, 53)] = n.Name
			}
		}
	}
	for at, s := range k.names {
		if wanted[at] != s.network {
			s.close()
			delete(k.names, at)
		}
	}
	for at, network := range wanted {
		if k.names[at] != nil {
			continue
		}
		s := &nameServer{keeper: k, network: network}
		if err := s.open(at); err != nil {
			s.close()
			k.Log.Error("names can't be served", "network", network, "error", err)
			continue
		}
		k.names[at] = s
	}
}

func (k *Keeper) closeNames() {
	for _, s := range k.names {
		s.close()
	}
}

// open serves at an address of the host's.
func (s *nameServer) open(at netip.AddrPort) error {
	packets, err := s.keeper.Listen.Packet(at.String())
	if err != nil {
		return err
	}
	udp := &dns.Server{PacketConn: packets, Handler: s, ReadTimeout: namesTimeout, WriteTimeout: namesTimeout}
	s.closers = append(s.closers, packets.Close)
	streams, err := s.keeper.Listen.Stream(at.String())
	if err != nil {
		return err
	}
	s.closers = append(s.closers, streams.Close)
	tcp := &dns.Server{Listener: netutil.LimitListener(streams, nameStreams), Handler: s, ReadTimeout: namesTimeout, WriteTimeout: namesTimeout}
	pages, err := s.keeper.Listen.Stream(netip.AddrPortFrom(at.Addr(), 80).String())
	if err != nil {
		return err
	}
	web := &http.Server{Handler: http.HandlerFunc(s.page), ReadTimeout: namesTimeout, WriteTimeout: namesTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	s.closers = append(s.closers, pages.Close, web.Close)
	for _, serve := range []func() error{udp.ActivateAndServe, tcp.ActivateAndServe, func() error { return web.Serve(netutil.LimitListener(pages, nameStreams)) }} {
		go func() {
			if err := serve(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				s.keeper.Log.Error("names are served no more", "network", s.network, "error", err)
			}
		}()
	}
	return nil
}

func (s *nameServer) close() {
	for _, c := range s.closers {
		c() // who listens no more needs no word
	}
}

// page answers GET /names with {"service": ["address", ...]}.
func (s *nameServer) page(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/names" {
		http.NotFound(w, r)
		return
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		http.Error(w, "who asks?", http.StatusBadRequest)
		return
	}
	wanted, states := s.keeper.known()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(namesOf(wanted, states, from.Addr().Unmap(), s.network))
}

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
