package deploy

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
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
