package netstack

import (
	"errors"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// minMTU is the least that IPv6 allows (RFC 8200, section 5).
const minMTU = 1280

// Attach implements link.Attacher: it adds dev as an interface, configures it
// and starts a receive goroutine for each queue and, if asked, a DHCP client. It
// doesn't wait for a lease or an advertisement. It fails if the configuration
// makes no sense; the interface may then be there in part.
func (s *Stack) Attach(name string, dev link.Device, conf socket.InterfaceConfig) error {
	if dev.MTU() < minMTU || dev.Queues() < 1 {
		return fmt.Errorf("%s: device with MTU %d and %d queues", name, dev.MTU(), dev.Queues())
	}
	i, err := s.addInterface(name, dev, conf)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := s.configure(i, conf); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := s.enable(i, conf.SLAAC); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for q := range dev.Queues() {
		go i.card.receive(q)
	}
	if conf.DHCP {
		s.startDHCP(i)
	}
	return nil
}

// addInterface makes a disabled interface: it gets its addresses before it
// says a word.
func (s *Stack) addInterface(name string, dev link.Device, conf socket.InterfaceConfig) (*networkInterface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the stack is closed")
	}
	i := &networkInterface{
		id:          loopbackID + 1 + tcpip.NICID(len(s.interfaces)),
		name:        name,
		card:        newCard(dev),
		nameservers: append([]netip.Addr(nil), conf.Nameservers...),
	}
	opts := stack.NICOptions{Name: name, Disabled: true}
	if err := s.stack.CreateNICWithOptions(i.id, i.card, opts); err != nil {
		return nil, failure(err)
	}
	s.interfaces = append(s.interfaces, i)
	s.ndp.call(i.id, name)
	return i, s.bindProtocols(i)
}

// bindProtocols finds the protocols' endpoints on the interface, for the
// receive goroutines.
func (s *Stack) bindProtocols(i *networkInterface) error {
	for _, p := range []struct {
		number tcpip.NetworkProtocolNumber
		at     *stack.NetworkEndpoint
	}{
		{ipv4.ProtocolNumber, &i.card.ip4},
		{ipv6.ProtocolNumber, &i.card.ip6},
		{arp.ProtocolNumber, &i.card.arp},
	} {
		ep, err := s.stack.GetNetworkEndpoint(i.id, p.number)
		if err != nil {
			return fmt.Errorf("protocol %#x: %w", uint32(p.number), failure(err))
		}
		*p.at = ep
	}
	return nil
}

// configure sets static addresses and routes.
func (s *Stack) configure(i *networkInterface, conf socket.InterfaceConfig) error {
	for _, a := range conf.Addrs {
		if err := s.addAddress(i.id, a); err != nil {
			return err
		}
	}
	for _, g := range conf.Gateways {
		if !g.IsValid() {
			return errors.New("invalid gateway")
		}
		s.addRoute(i.id, everything(g), g)
	}
	for _, r := range conf.Routes {
		if !r.Destination.IsValid() {
			return errors.New("invalid route")
		}
		s.addRoute(i.id, r.Destination.Masked(), r.Gateway)
	}
	for _, p := range []string{"fe80::/64", "ff00::/8"} {
		s.addRoute(i.id, netip.MustParsePrefix(p), netip.Addr{})
	}
	return nil
}

// enable brings the interface up, with or without router discovery.
func (s *Stack) enable(i *networkInterface, slaac bool) error {
	conf := ipv6.DefaultNDPConfigurations()
	conf.MaxRtrSolicitationDelay = 0 // a machine alone needn't be polite
	conf.AutoGenTempGlobalAddresses = false
	if !slaac {
		conf.HandleRAs = ipv6.HandlingRAsDisabled
		conf.MaxRtrSolicitations = 0
	}
	ep, ok := i.card.ip6.(ipv6.NDPEndpoint)
	if !ok {
		return errors.New("IPv6 endpoint without neighbour discovery")
	}
	ep.SetNDPConfigurations(conf)
	if err := s.stack.EnableNIC(i.id); err != nil {
		return failure(err)
	}
	return nil
}

// everything is the default route's destination in the family of a.
func everything(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
