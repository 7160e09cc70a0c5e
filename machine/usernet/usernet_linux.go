// Package usernet is a network in user space for machines that share the host's
// kernel: it needs no rights, no rule and no interface on the host. A machine's
// frames come from a tap in its network namespace; what it sends to the
// outside, this process sends by sockets of its own, and published ports of the
// host are carried inwards.
//
// It offers what QEMU's user-mode network does, at the same addresses, but for
// the host's own loopback, which a machine can't reach. It relies on gVisor's
// TCP/IP stack. It must not be given a machine that has a network already, and
// carries IPv4 TCP and UDP only.
package usernet

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"pith"
)

// The network's addresses are those of QEMU's user-mode network.
var (
	machineAddr = netip.MustParsePrefix("10.0.2.15/24")
	gateway     = netip.MustParseAddr("10.0.2.2")
	nameserver  = netip.MustParseAddr("10.0.2.3")
)

const (
	mtu     = 1500
	nicID   = tcpip.NICID(1)
	gateMAC = tcpip.LinkAddress("\x52\x55\x0a\x00\x02\x02")
)

// Link is how the machine's card is configured.
func Link(mac string) pith.Link {
	return pith.Link{
		Network: "user", MAC: mac, Addrs: []netip.Prefix{machineAddr},
		Gateway: []netip.Addr{gateway}, DNS: []netip.Addr{nameserver},
	}
}

// Network is one machine's network. Close ends it.
type Network struct {
	stack    *stack.Stack
	resolver string // the file that names the host's DNS server

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]bool // listeners and connections of the host
}

// New serves the frames of a tap and publishes ports. It keeps a descriptor of
// its own; the caller may close tap.
func New(tap *os.File, ports []pith.Port) (*Network, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
	})
	n := &Network{stack: s, resolver: "/etc/resolv.conf", open: map[io.Closer]bool{}}
	if err := n.start(tap); err != nil {
		n.Close()
		return nil, fmt.Errorf("user network: %w", err)
	}
	n.forwardOut()
	for _, p := range ports {
		if err := n.publish(p); err != nil {
			n.Close()
			return nil, err
		}
	}
	return n, nil
}

// start sets the stack up and plugs it in.
func (n *Network) start(tap *os.File) error {
	// Published ports are carried inwards from one address: without this, connections that
	// have ended hold its ports for a minute.
	reuse := tcpip.TCPTimeWaitReuseGlobal
	if err := n.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &reuse); err != nil {
		return errors.New(err.String())
	}
	return n.plug(tap)
}

// plug makes the stack the gateway at the other end of the tap, which takes
// packets to any address.
func (n *Network) plug(tap *os.File) error {
	card, err := n.openCard(tap)
	if err != nil {
		return err
	}
	if err := n.stack.CreateNIC(nicID, card); err != nil {
		return errors.New(err.String())
	}
	for _, a := range []netip.Addr{gateway, nameserver} {
		address := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFromSlice(a.AsSlice()), PrefixLen: machineAddr.Bits(),
		}}
		if err := n.stack.AddProtocolAddress(nicID, address, stack.AddressProperties{}); err != nil {
			return errors.New(err.String())
		}
	}
	n.stack.SetSpoofing(nicID, true)
	n.stack.SetPromiscuousMode(nicID, true)
	n.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}})
	return nil
}

// Close ends the network and all of its connections.
func (n *Network) Close() {
	n.mu.Lock()
	open := n.open
	n.open, n.closed = nil, true
	n.mu.Unlock()
	for c := range open {
		c.Close()
	}
	n.stack.Close()
}

// keep remembers what Close must close; it closes c at once where that has
// happened already.
func (n *Network) keep(c io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		c.Close()
		return
	}
	n.open[c] = true
}

// drop closes what is done with.
func (n *Network) drop(c io.Closer) {
	n.mu.Lock()
	delete(n.open, c)
	n.mu.Unlock()
	c.Close()
}

// guest is the machine's address and one of its ports.
func guest(port uint16) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFromSlice(machineAddr.Addr().AsSlice()), Port: port}
}
