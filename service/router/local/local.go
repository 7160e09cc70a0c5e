// Package local is the router's own stack: TCP on the router's addresses, for its
// metrics.
//
// It relies on gVisor's network stack. What it receives has passed the rules' input
// hook, what it sends passes output. It must not see what is forwarded.
package local

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	nic   = 1
	queue = 512 // packets that wait to be sent
	mtu   = 1280
)

// Stack is the stack.
type Stack struct {
	stack *stack.Stack
	link  *channel.Endpoint
	addrs map[netip.Addr]bool
}

// New makes a stack that sends IP packets by send until ctx ends.
func New(ctx context.Context, send func(ip []byte)) (*Stack, error) {
	s := &Stack{link: channel.New(queue, mtu, ""), addrs: map[netip.Addr]bool{}}
	s.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	if err := s.stack.CreateNIC(nic, s.link); err != nil {
		return nil, fmt.Errorf("the router's own stack: %s", err)
	}
	s.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	go func() {
		for {
			p := s.link.ReadContext(ctx)
			if p == nil {
				return
			}
			v := p.ToView()
			send(v.AsSlice())
			v.Release()
			p.DecRef()
		}
	}()
	return s, nil
}

// SetAddresses makes the stack have these addresses and no others.
func (s *Stack) SetAddresses(list []netip.Addr) error {
	want := map[netip.Addr]bool{}
	for _, a := range list {
		want[a] = true
		if s.addrs[a] {
			continue
		}
		protocol := ipv4.ProtocolNumber
		if a.Is6() {
			protocol = ipv6.ProtocolNumber
		}
		err := s.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{Protocol: protocol,
			AddressWithPrefix: tcpip.AddrFromSlice(a.AsSlice()).WithPrefix()}, stack.AddressProperties{})
		if err != nil {
			return fmt.Errorf("the router's own stack: address %s: %s", a, err)
		}
	}
	for a := range s.addrs {
		if !want[a] {
			s.stack.RemoveAddress(nic, tcpip.AddrFromSlice(a.AsSlice()))
		}
	}
	s.addrs = want
	return nil
}

// Deliver takes an IP packet.
func (s *Stack) Deliver(ip []byte) {
	if len(ip) == 0 {
		return
	}
	protocol := ipv4.ProtocolNumber
	if ip[0]>>4 == 6 {
		protocol = ipv6.ProtocolNumber
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(ip)})
	s.link.InjectInbound(protocol, p)
	p.DecRef()
}

// Listen listens at an address and port, or all addresses.
func (s *Stack) Listen(at netip.AddrPort) (net.Listener, error) {
	full := tcpip.FullAddress{NIC: nic, Port: at.Port()}
	protocol := ipv6.ProtocolNumber // both versions
	if a := at.Addr(); a.IsValid() && !a.IsUnspecified() {
		full.Addr = tcpip.AddrFromSlice(a.AsSlice())
		if a.Is4() {
			protocol = ipv4.ProtocolNumber
		}
	}
	l, err := gonet.ListenTCP(s.stack, full, protocol)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", at, err)
	}
	return l, nil
}
