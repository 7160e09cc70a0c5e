package router

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"pith/service/packet"
)

// Times in nanoseconds.
const (
	offerTime   = 60e9  // an address that was offered is held so long for a station to ask for it
	declineTime = 600e9 // one that a station found to be another's isn't given out so long
)

// dhcpServer gives the stations of an interface their IPv4 addresses (RFC 2131). Leases
// are kept in memory; a station that comes back gets its old address while
// nobody else needed it.
type dhcpServer struct {
	face  *Interface
	conf  DHCPConfig
	own   netip.Prefix
	fixed map[packet.MAC]netip.Addr
	taken map[netip.Addr]bool // those of fixed, and the server's own

	mu       sync.Mutex
	leases   map[packet.MAC]lease
	holders  map[netip.Addr]packet.MAC // whose leases they are
	declined map[netip.Addr]int64      // until when
	full     int64                     // no address is free before
}

// lease is a station's address. until is in the router's nanoseconds.
type lease struct {
	addr  netip.Addr
	until int64
}

func newDHCP(f *Interface, c *DHCPConfig) (*dhcpServer, error) {
	d := &dhcpServer{
		face: f, conf: *c, fixed: map[packet.MAC]netip.Addr{}, taken: map[netip.Addr]bool{},
		leases: map[packet.MAC]lease{}, holders: map[netip.Addr]packet.MAC{}, declined: map[netip.Addr]int64{},
	}
	if d.conf.Lease == 0 {
		d.conf.Lease = Duration(time.Hour)
	}
	for _, p := range f.Addresses {
		if p.Contains(c.First) {
			d.own = p
		}
	}
	d.taken[d.own.Addr()] = true
	for text, addr := range c.Fixed {
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != 6 || !d.own.Contains(addr) {
			return nil, fmt.Errorf("interface %s: dhcp: fixed %s: %s needs a hardware address and one of network %s", f.Name, text, addr, d.own.Masked())
		}
		d.fixed[packet.MAC(mac)] = addr
		d.taken[addr] = true
	}
	return d, nil
}

// inherit goes on with the leases of a server with another configuration, as far as that
// allows them.
func (d *dhcpServer) inherit(old *dhcpServer) {
	old.mu.Lock()
	defer old.mu.Unlock()
	for mac, l := range old.leases {
		if d.inRange(l.addr) {
			d.leases[mac], d.holders[l.addr] = l, mac
		}
	}
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
	case dhcpv4.MessageTypeRelease:
		d.release(mac)
		return nil, nil
	case dhcpv4.MessageTypeDecline:
		d.decline(mac, now)
		return nil, nil
	default:
		return nil, nil
	}
	wanted, _ := netip.AddrFromSlice(m.RequestedIPAddress().To4())
	if ci, _ := netip.AddrFromSlice(m.ClientIPAddr.To4()); ci.IsValid() && !ci.IsUnspecified() {
		wanted = ci
	}
	addr := d.lease(mac, wanted, kind, now)
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

// release ends a station's lease. The address stays its own while nobody else needs it.
func (d *dhcpServer) release(mac packet.MAC) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l, ok := d.leases[mac]; ok {
		l.until = 0
		d.leases[mac], d.full = l, 0
	}
}

// decline takes a station's address out of use for a while: it found that another has it.
func (d *dhcpServer) decline(mac packet.MAC, now int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l, ok := d.leases[mac]; ok {
		d.declined[l.addr] = now + declineTime
		delete(d.leases, mac)
		delete(d.holders, l.addr)
	}
}

// lease finds an address for a station and holds it: for an offer briefly. One that asks
// for an address (kind is an acknowledgement) gets that or none. Invalid: there is none.
func (d *dhcpServer) lease(mac packet.MAC, wanted netip.Addr, kind dhcpv4.MessageType, now int64) netip.Addr {
	if a, ok := d.fixed[mac]; ok {
		return a
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.leases[mac]
	addr := wanted
	switch {
	case d.free(old.addr, mac, now) && (old.until > now || !d.free(wanted, mac, now)):
		addr = old.addr
	case !d.free(wanted, mac, now):
		addr = d.any(mac, now)
	}
	until := now + int64(d.conf.Lease)
	if kind == dhcpv4.MessageTypeOffer {
		until = now + offerTime
		if addr == old.addr {
			until = max(until, old.until)
		}
	} else if addr != wanted {
		return netip.Addr{}
	}
	if addr.IsValid() {
		if holder, ok := d.holders[addr]; ok {
			delete(d.leases, holder)
		}
		delete(d.holders, old.addr)
		d.leases[mac], d.holders[addr] = lease{addr, until}, mac
	}
	return addr
}

// free tells whether a station may have an address. mu is held.
func (d *dhcpServer) free(a netip.Addr, mac packet.MAC, now int64) bool {
	return a.IsValid() && d.inRange(a) && !d.taken[a] && d.until(a, mac) <= now
}

// until is how long an address is kept from a station. mu is held.
func (d *dhcpServer) until(a netip.Addr, mac packet.MAC) int64 {
	until := d.declined[a]
	if holder, ok := d.holders[a]; ok && holder != mac {
		until = max(until, d.leases[holder].until)
	}
	return until
}

// any finds an address: one that nobody had yet before those that others had. mu is held.
func (d *dhcpServer) any(mac packet.MAC, now int64) (found netip.Addr) {
	if now < d.full {
		return netip.Addr{} // who asks again and again has us search once
	}
	d.full = math.MaxInt64
	for a := d.conf.First; d.inRange(a); a = a.Next() {
		if !d.free(a, mac, now) {
			if !d.taken[a] {
				d.full = min(d.full, d.until(a, mac))
			}
			continue
		}
		if _, had := d.holders[a]; !had {
			d.full = 0
			return a
		}
		if !found.IsValid() {
			found = a
		}
	}
	if found.IsValid() {
		d.full = 0
	}
	return found
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
