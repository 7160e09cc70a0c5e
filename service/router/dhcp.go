package router

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"pith/service/packet"
)

// dhcpServer gives the stations of an interface their IPv4 addresses (RFC 2131). Leases
// are kept in memory; a station that comes back gets its old address while
// nobody else needed it.
type dhcpServer struct {
	face  *Interface
	conf  DHCPConfig
	own   netip.Prefix
	fixed map[packet.MAC]netip.Addr

	mu     sync.Mutex
	leases map[packet.MAC]lease
}

// lease is a station's address. until is in the router's nanoseconds.
type lease struct {
	addr  netip.Addr
	until int64
}

func newDHCP(f *Interface, c *DHCPConfig) (*dhcpServer, error) {
	d := &dhcpServer{face: f, conf: *c, fixed: map[packet.MAC]netip.Addr{}, leases: map[packet.MAC]lease{}}
	if d.conf.Lease == 0 {
		d.conf.Lease = Duration(time.Hour)
	}
	for _, p := range f.Addresses {
		if p.Contains(c.First) {
			d.own = p
		}
	}
	for text, addr := range c.Fixed {
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != 6 || !d.own.Contains(addr) {
			return nil, fmt.Errorf("interface %s: dhcp: fixed %s: %s needs a hardware address and one of network %s", f.Name, text, addr, d.own.Masked())
		}
		d.fixed[packet.MAC(mac)] = addr
	}
	return d, nil
}

// keep are the leases that a server with another configuration can go on with.
func (d *dhcpServer) keep(next *dhcpServer) map[packet.MAC]lease {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := map[packet.MAC]lease{}
	for mac, l := range d.leases {
		if next.inRange(l.addr) {
			kept[mac] = l
		}
	}
	return kept
}

func (d *dhcpServer) inRange(a netip.Addr) bool {
	return d.conf.First.Compare(a) <= 0 && a.Compare(d.conf.Last) <= 0
}

// dhcp takes a message to port 67.
func (w *worker) dhcp(p *packet.Packet, in *Interface) {
	t := p.Transport()
	if len(t) < 8 || !p.ChecksumOK() {
		w.r.drop(dropMalformed)
		return
	}
	m, err := dhcpv4.FromBytes(t[8:])
	if err != nil || m.OpCode != dhcpv4.OpcodeBootRequest || len(m.ClientHWAddr) != 6 {
		w.r.drop(dropMalformed)
		return
	}
	answer, err := in.dhcp.answer(m, w.now)
	if err != nil || answer == nil {
		return
	}
	w.sendDHCP(answer, in)
}

// answer decides about a message; nil is silence.
func (d *dhcpServer) answer(m *dhcpv4.DHCPv4, now int64) (*dhcpv4.DHCPv4, error) {
	mac := packet.MAC(m.ClientHWAddr)
	server := net.IP(d.own.Addr().AsSlice())
	if id := m.ServerIdentifier(); id != nil && !id.Equal(server) {
		d.release(mac)
		return nil, nil
	}
	kind := dhcpv4.MessageTypeOffer
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
	case dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
	case dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeDecline:
		d.release(mac)
		return nil, nil
	default:
		return nil, nil
	}
	wanted, _ := netip.AddrFromSlice(m.RequestedIPAddress().To4())
	if ci, _ := netip.AddrFromSlice(m.ClientIPAddr.To4()); ci.IsValid() && !ci.IsUnspecified() {
		wanted = ci
	}
	addr := d.lease(mac, wanted, now)
	if kind == dhcpv4.MessageTypeAck && addr != wanted {
		return dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak), dhcpv4.WithServerIP(server),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)))
	}
	if !addr.IsValid() {
		return nil, nil
	}
	options := []dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithYourIP(net.IP(addr.AsSlice())),
		dhcpv4.WithServerIP(server),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)),
		dhcpv4.WithNetmask(net.CIDRMask(d.own.Bits(), 32)),
		dhcpv4.WithRouter(server),
		dhcpv4.WithLeaseTime(uint32(time.Duration(d.conf.Lease) / time.Second)),
	}
	var dns []net.IP
	for _, a := range d.conf.DNS {
		dns = append(dns, net.IP(a.AsSlice()))
	}
	if len(dns) > 0 {
		options = append(options, dhcpv4.WithDNS(dns...))
	}
	if d.conf.Domain != "" {
		options = append(options, dhcpv4.WithOption(dhcpv4.OptDomainName(d.conf.Domain)))
	}
	return dhcpv4.NewReplyFromRequest(m, options...)
}

func (d *dhcpServer) release(mac packet.MAC) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l, ok := d.leases[mac]; ok {
		l.until = 0
		d.leases[mac] = l
	}
}

// lease finds an address for a station: its fixed one, its last one, the one that it
// wants, or any. Invalid: there is none.
func (d *dhcpServer) lease(mac packet.MAC, wanted netip.Addr, now int64) netip.Addr {
	if a, ok := d.fixed[mac]; ok {
		return a
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := map[netip.Addr]packet.MAC{d.own.Addr(): {}}
	for m, l := range d.leases {
		if m != mac && l.until > now {
			taken[l.addr] = m
		}
	}
	for m, a := range d.fixed {
		taken[a] = m
	}
	free := func(a netip.Addr) bool {
		_, is := taken[a]
		return a.IsValid() && d.inRange(a) && !is
	}
	addr := wanted
	if old, ok := d.leases[mac]; ok && free(old.addr) && (old.until > now || !free(wanted)) {
		addr = old.addr
	}
	if !free(addr) {
		for addr = d.conf.First; !free(addr); addr = addr.Next() {
			if !d.inRange(addr) {
				return netip.Addr{}
			}
		}
	}
	for m, l := range d.leases {
		if l.addr == addr && m != mac {
			delete(d.leases, m)
		}
	}
	d.leases[mac] = lease{addr, now + int64(d.conf.Lease)}
	return addr
}

// sendDHCP sends an answer to where the client hears it (RFC 2131, section 4.1).
func (w *worker) sendDHCP(m *dhcpv4.DHCPv4, in *Interface) {
	dst, mac := netip.AddrFrom4([4]byte{255, 255, 255, 255}), packet.Broadcast
	if ci, _ := netip.AddrFromSlice(m.ClientIPAddr.To4()); ci.IsValid() && !ci.IsUnspecified() && m.MessageType() != dhcpv4.MessageTypeNak {
		dst, mac = ci, packet.MAC(m.ClientHWAddr)
	}
	body := m.ToBytes()
	p, b := packet.NewIP(packet.IPHeader{Src: in.dhcp.own.Addr(), Dst: dst, Protocol: packet.UDP, TTL: 64}, 8+len(body))
	b[1], b[3], b[4], b[5] = 67, 68, byte((8+len(body))>>8), byte(8+len(body))
	copy(b[8:], body)
	p.SumTransport()
	w.send(p, in, mac)
}
