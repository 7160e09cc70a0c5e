// Package netstack puts gVisor's network stack (gvisor.dev/gvisor/pkg/tcpip)
// behind the kernel's own interfaces: it is a socket.Stack for programs, and a
// link.Attacher for drivers.
//
// It is the only package that imports gVisor. It relies on the Go runtime being
// up, on link.Device and on package socket; it sits above package os, unlike
// the rest of the kernel. It must not know a file descriptor, a system call's
// number or a device's registers, and nothing in it blocks the caller of a
// socket.Endpoint.
//
// It speaks IPv4 (RFC 791), ARP (RFC 826), ICMP (RFC 792), IPv6 (RFC 8200) with
// neighbour discovery and SLAAC (RFC 4861, 4862, 8106), TCP (RFC 9293) with
// SACK, window scaling, time stamps and CUBIC (RFC 2018, 6675, 7323, 9438), UDP (RFC 768), and as a client DHCP (RFC 2131, package dhcp).
//
// What it leaves out on purpose: packet sockets, netfilter, forwarding between
// interfaces, VLANs, DHCPv6.
package netstack

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/raw"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// loopbackID is the loopback interface's index, as on Linux.
const loopbackID tcpip.NICID = 1

// Stack is one machine's network. It implements socket.Stack and
// link.Attacher.
type Stack struct {
	stack    *stack.Stack
	ndp      *discovery
	hostname string // told to DHCP servers

	mu         sync.Mutex
	interfaces []*networkInterface // by index from 2
	groups     map[membership]int  // by how many endpoints
	closed     bool
}

var (
	_ socket.Stack  = (*Stack)(nil)
	_ link.Attacher = (*Stack)(nil)
)

// networkInterface is an attached device and what is configured on it.
type networkInterface struct {
	id   tcpip.NICID
	name string
	card *card
	stop func() // ends the DHCP client; may be nil

	nameservers     []netip.Addr // static
	dhcpNameservers []netip.Addr
}

// New returns a Stack that has the loopback interface only. It starts one
// goroutine for each CPU. Without o.Random it uses crypto/rand, and without
// o.Memory it assumes that there is plenty. It fails only if gVisor refuses
// our configuration, which a test would have found.
func New(o link.Options) (*Stack, error) {
	s := &Stack{ndp: newDiscovery(), hostname: o.Hostname, groups: map[membership]int{}}
	s.stack = stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{
			ipv4.NewProtocol,
			ipv6.NewProtocolWithOptions(s.ndp.options()),
			arp.NewProtocol,
		},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocolCUBIC,
			udp.NewProtocol,
			icmp.NewProtocol4,
			icmp.NewProtocol6,
		},
		HandleLocal: true,
		RawFactory:  raw.EndpointFactory{},
		SecureRNG:   entropy(o.Random),
	})
	s.ndp.start(s)
	if err := s.tune(o.Memory); err != nil {
		return nil, err
	}
	if err := s.addLoopback(); err != nil {
		return nil, fmt.Errorf("loopback interface: %w", err)
	}
	return s, nil
}

// Sizes of socket buffers, in bytes. gVisor adapts them between minimum and
// maximum to what a connection's window needs, as Linux does; the maxima are
// those of Linux's tcp_rmem and tcp_wmem.
const (
	bufferMin          = 4 << 10
	tcpReceiveDefault  = 128 << 10
	tcpReceiveMax      = 6 << 20
	tcpSendDefault     = 128 << 10
	tcpSendMax         = 4 << 20
	datagramDefault    = 208 << 10 // net.core.rmem_default
	datagramBufferMax  = 4 << 20
	firstEphemeralPort = 32768 // net.ipv4.ip_local_port_range
	lastEphemeralPort  = 60999
)

// random is an io.Reader of a function that fills slices.
type random func([]byte)

func (r random) Read(p []byte) (int, error) {
	r(p)
	return len(p), nil
}

// entropy returns nil, which gVisor takes for crypto/rand, for a nil fill.
func entropy(fill func([]byte)) io.Reader {
	if fill == nil {
		return nil
	}
	return random(fill)
}

// most bounds the memory of one socket's buffer: gVisor has no bound for all
// together, so a single one may have a sixteenth of what Options.Memory gives.
func most(limit, memory int) int {
	if memory == 0 {
		return limit
	}
	return min(limit, max(memory/16, tcpReceiveDefault))
}

// tune sets what differs from gVisor's defaults.
//
// RACK (RFC 8985) is off and losses are found by SACK (RFC 6675) instead. gVisor's
// RACK can leave a connection with unacknowledged bytes and no timer: after a
// retransmission timeout its count of outstanding packets falls to zero too
// early, the tail loss probe takes the retransmission timer's place, and postXmit arms
// none for a count of zero. At 1 % loss the contract suite's transfer
// ran into it nearly every time.
func (s *Stack) tune(memory int) error {
	sack := tcpip.TCPSACKEnabled(true)
	nagle := tcpip.TCPDelayEnabled(true) // as on Linux; Go turns it off for each connection
	recovery := tcpip.TCPRecovery(0)     // not RACK, see below
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	reuse := tcpip.TCPTimeWaitReuseGlobal
	for _, o := range []tcpip.SettableTransportProtocolOption{
		&sack, &nagle, &recovery, &moderate, &reuse,
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: bufferMin, Default: tcpReceiveDefault, Max: most(tcpReceiveMax, memory)},
		&tcpip.TCPSendBufferSizeRangeOption{Min: bufferMin, Default: tcpSendDefault, Max: most(tcpSendMax, memory)},
	} {
		if err := s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("TCP option %T: %w", o, failure(err))
		}
	}
	for _, o := range []any{
		tcpip.ReceiveBufferSizeOption{Min: bufferMin, Default: datagramDefault, Max: max(datagramDefault, most(datagramBufferMax, memory))},
		tcpip.SendBufferSizeOption{Min: bufferMin, Default: datagramDefault, Max: max(datagramDefault, most(datagramBufferMax, memory))},
	} {
		if err := s.stack.SetOption(o); err != nil {
			return fmt.Errorf("stack option %T: %w", o, failure(err))
		}
	}
	if err := s.stack.SetPortRange(firstEphemeralPort, lastEphemeralPort); err != nil {
		return fmt.Errorf("port range: %w", failure(err))
	}
	return nil
}

func (s *Stack) addLoopback() error {
	opts := stack.NICOptions{Name: "lo"}
	if err := s.stack.CreateNICWithOptions(loopbackID, loopback.New(), opts); err != nil {
		return failure(err)
	}
	for _, p := range []string{"127.0.0.1/8", "::1/128"} {
		if err := s.addAddress(loopbackID, netip.MustParsePrefix(p)); err != nil {
			return err
		}
	}
	return nil
}

// addAddress gives an interface an address, and a route to the network on its
// link.
func (s *Stack) addAddress(id tcpip.NICID, p netip.Prefix) error {
	if !p.IsValid() {
		return errors.New("invalid address")
	}
	protocol := header.IPv4ProtocolNumber
	if p.Addr().Is6() {
		protocol = header.IPv6ProtocolNumber
	}
	err := s.stack.AddProtocolAddress(id, tcpip.ProtocolAddress{
		Protocol: protocol,
		AddressWithPrefix: tcpip.AddressWithPrefix{
			Address:   toAddress(p.Addr()),
			PrefixLen: p.Bits(),
		},
	}, stack.AddressProperties{})
	if err != nil {
		return fmt.Errorf("address %v: %w", p, failure(err))
	}
	s.addRoute(id, p.Masked(), netip.Addr{})
	return nil
}

// removeAddress undoes addAddress.
func (s *Stack) removeAddress(id tcpip.NICID, p netip.Prefix) {
	s.stack.RemoveAddress(id, toAddress(p.Addr())) // gone already is as good
	s.removeRoute(id, p.Masked(), netip.Addr{})
}

// addRoute adds a route, once. The zero gateway means on link.
func (s *Stack) addRoute(id tcpip.NICID, to netip.Prefix, gateway netip.Addr) {
	s.removeRoute(id, to, gateway)
	s.stack.AddRoute(tcpip.Route{Destination: toSubnet(to), Gateway: toGateway(gateway), NIC: id})
}

func (s *Stack) removeRoute(id tcpip.NICID, to netip.Prefix, gateway netip.Addr) {
	subnet, via := toSubnet(to), toGateway(gateway)
	s.stack.RemoveRoutes(func(r tcpip.Route) bool {
		return r.NIC == id && r.Destination.Equal(subnet) && r.Gateway == via
	})
}

// Close ends the stack's goroutines and gives up its interfaces. Endpoints
// must not be used afterwards. A machine's own stack is never closed.
func (s *Stack) Close() {
	s.mu.Lock()
	interfaces := s.interfaces
	s.interfaces = nil
	s.closed = true
	s.mu.Unlock()
	for _, i := range interfaces {
		if i.stop != nil {
			i.stop()
		}
	}
	s.ndp.close()
	s.stack.Destroy()
}

// Interfaces implements socket.Stack.
func (s *Stack) Interfaces() []socket.Interface {
	info := s.stack.NICInfo()
	list := make([]socket.Interface, 0, len(info))
	for id := loopbackID; len(list) < len(info); id++ {
		nic, ok := info[id]
		if !ok {
			continue
		}
		i := socket.Interface{
			Index:    int(id),
			Name:     nic.Name,
			MTU:      int(nic.MTU),
			Loopback: nic.Flags.Loopback,
			Up:       nic.Flags.Up,
			Groups:   s.joinedOn(id),
		}
		copy(i.HardwareAddr[:], nic.LinkAddress)
		for _, a := range nic.ProtocolAddresses {
			i.Addrs = append(i.Addrs, fromPrefix(a.AddressWithPrefix))
		}
		list = append(list, i)
	}
	return list
}

// Routes implements socket.Stack.
func (s *Stack) Routes() []socket.Route {
	var routes []socket.Route
	for _, r := range s.stack.GetRouteTable() {
		routes = append(routes, socket.Route{
			Destination: fromSubnet(r.Destination),
			Gateway:     fromAddress(r.Gateway),
			Interface:   int(r.NIC),
		})
	}
	return routes
}

// Nameservers implements socket.Stack: what was configured first, then what
// DHCP, then what router advertisements told.
func (s *Stack) Nameservers() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []netip.Addr
	for _, i := range s.interfaces {
		all = append(all, i.nameservers...)
	}
	for _, i := range s.interfaces {
		all = append(all, i.dhcpNameservers...)
	}
	return unique(append(all, s.ndp.nameservers()...))
}

// unique drops repetitions and keeps the order.
func unique(addrs []netip.Addr) []netip.Addr {
	seen := make(map[netip.Addr]bool, len(addrs))
	out := addrs[:0]
	for _, a := range addrs {
		if !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}
