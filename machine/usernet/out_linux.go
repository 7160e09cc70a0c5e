package usernet

import (
	"bufio"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	dialTime   = 20 * time.Second // for a connection to the outside
	maxDialing = 4096             // connections that are being made at once; others try again a second later
)

// forwardOut hands what the machine sends to sockets of this process.
func (n *Network) forwardOut() {
	streams := tcp.NewForwarder(n.stack, 0, maxDialing, n.connect)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, streams.HandlePacket)
	packets := udp.NewForwarder(n.stack, n.datagrams)
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber, packets.HandlePacket)
}

// outside is where a packet to an address really goes; ok is false for the
// gateway itself and for what must not leave the host's loopback.
func (n *Network) outside(addr tcpip.Address, port uint16) (to netip.AddrPort, ok bool) {
	a, _ := netip.AddrFromSlice(addr.AsSlice())
	switch {
	case a == nameserver && port == 53:
		dns := hostResolver(n.resolver) // it may be another one than a minute ago
		return dns, dns.IsValid()
	case machineAddr.Contains(a), a.IsLoopback(), a.IsMulticast(), a.IsUnspecified(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return to, false
	}
	return netip.AddrPortFrom(a, port), true
}

// connect takes a connection of the machine's: it is made when the one to the
// outside stands, and refused when that fails.
func (n *Network) connect(r *tcp.ForwarderRequest) {
	id := r.ID()
	to, ok := n.outside(id.LocalAddress, id.LocalPort)
	if !ok {
		r.Complete(true)
		return
	}
	far, err := net.DialTimeout("tcp", to.String(), dialTime)
	if err != nil {
		r.Complete(true)
		return
	}
	var queue waiter.Queue
	ep, failed := r.CreateEndpoint(&queue)
	if failed != nil {
		r.Complete(true)
		far.Close()
		return
	}
	r.Complete(false)
	n.join(gonet.NewTCPConn(&queue, ep), far.(*net.TCPConn))
}

// datagrams begins to carry a flow of datagrams. The endpoint is made before
// the flow's next packet is looked at, which must find it.
func (n *Network) datagrams(r *udp.ForwarderRequest) {
	id := r.ID()
	to, ok := n.outside(id.LocalAddress, id.LocalPort)
	if !ok {
		return
	}
	var queue waiter.Queue
	ep, failed := r.CreateEndpoint(&queue)
	if failed != nil {
		return
	}
	near := gonet.NewUDPConn(&queue, ep)
	go func() {
		far, err := net.Dial("udp", to.String())
		if err != nil {
			near.Close()
			return
		}
		n.exchange(near, far)
	}()
}

// hostResolver is the host's first DNS server, none where it names none.
// Source: resolv.conf(5).
func hostResolver(path string) netip.AddrPort {
	f, err := os.Open(path)
	if err != nil {
		return netip.AddrPort{}
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(words[1]); err == nil {
			return netip.AddrPortFrom(a, 53)
		}
	}
	return netip.AddrPort{}
}
