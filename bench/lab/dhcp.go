package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
)

// leaseTime is longer than any measurement.
const leaseTime = 24 * time.Hour

// Leases is somebody who answers DHCP on the lab's bridge.
type Leases struct {
	conn    net.PacketConn
	granted chan struct{} // closed after the first lease
}

// DHCP answers machines that can't be told their address in another way: each
// card gets the address of the place that its hardware address belongs to (RFC
// 2131). Close ends that.
func (l *Lab) DHCP() (*Leases, error) {
	conn, err := server4.NewIPv4UDPConn(bridge, &net.UDPAddr{Port: dhcpv4.ServerPort})
	if err != nil {
		return nil, fmt.Errorf("lab: DHCP: %w", err)
	}
	s := &Leases{conn, make(chan struct{})}
	go s.answer()
	return s, nil
}

// Granted is closed when a machine was given its address.
func (s *Leases) Granted() <-chan struct{} { return s.granted }

// Close ends the answers.
func (s *Leases) Close() error { return s.conn.Close() }

// answer goes on until the connection is closed, or the bridge is gone. A reply
// that can't be sent is lost; the machine asks again.
func (s *Leases) answer() {
	granted := sync.OnceFunc(func() { close(s.granted) })
	everybody := &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort}
	buf := make([]byte, 1500)
	for {
		n, _, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if m, err := parse(buf[:n]); err == nil {
			s.reply(lease(m), everybody, granted)
		}
	}
}

// reply sends m, which may be nil, and calls granted if it gives an address.
func (s *Leases) reply(m *dhcpv4.DHCPv4, to net.Addr, granted func()) {
	if m == nil {
		return
	}
	if _, err := s.conn.WriteTo(m.ToBytes(), to); err == nil && m.MessageType() == dhcpv4.MessageTypeAck {
		granted()
	}
}

// parse reads a message. eggos leaves out the option that ends it.
func parse(data []byte) (*dhcpv4.DHCPv4, error) {
	m, err := dhcpv4.FromBytes(data)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return dhcpv4.FromBytes(append(slices.Clone(data), dhcpv4.OptionEnd.Code()))
	}
	return m, err
}

// lease is the reply to a message, or nil if there is none.
func lease(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	addr, ok := addressOf(m.ClientHWAddr)
	if !ok || m.OpCode != dhcpv4.OpcodeBootRequest {
		return nil
	}
	kind := dhcpv4.MessageTypeOffer
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
	case dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
	default:
		return nil
	}
	reply, err := dhcpv4.NewReplyFromRequest(m,
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithYourIP(addr.AsSlice()),
		dhcpv4.WithServerIP(host.AsSlice()),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(host.AsSlice())),
		dhcpv4.WithNetmask(net.CIDRMask(subnet.Bits(), 32)),
		dhcpv4.WithRouter(host.AsSlice()),
		dhcpv4.WithDNS(host.AsSlice()),
		dhcpv4.WithLeaseTime(uint32(leaseTime.Seconds())))
	if err != nil {
		return nil // m came off the wire and is not whole
	}
	return reply
}

// addressOf is the address that goes with the hardware address of a place.
func addressOf(hw net.HardwareAddr) (netip.Addr, bool) {
	if len(hw) != 6 || hw.String() != mac(hw[5]) || hw[5] < 2 || hw[5] == 255 {
		return netip.Addr{}, false
	}
	b := host.As4()
	b[3] = hw[5]
	return netip.AddrFrom4(b), true
}
