package packet

import "net/netip"

// ARP operations (RFC 826).
const (
	ARPRequest = 1
	ARPReply   = 2
)

// arpLen is an ARP packet's length for Ethernet and IPv4.
const arpLen = 28

// ARPPacket is an ARP packet for Ethernet and IPv4.
type ARPPacket struct {
	Op                 uint16
	SenderMAC          MAC
	TargetMAC          MAC
	SenderIP, TargetIP netip.Addr
}

// ParseARP reads the ARP packet of a parsed frame.
func ParseARP(p *Packet) (a ARPPacket, ok bool) {
	b := p.Bytes()
	if p.EtherType != EtherARP || len(b) < arpLen || [6]byte(b[:6]) != [6]byte{0, 1, 8, 0, 6, 4} {
		return a, false
	}
	a.Op = get16(b[6:])
	copy(a.SenderMAC[:], b[8:])
	copy(a.TargetMAC[:], b[18:])
	a.SenderIP = netip.AddrFrom4([4]byte(b[14:18]))
	a.TargetIP = netip.AddrFrom4([4]byte(b[24:28]))
	return a, true
}

// NewARP makes the frame of an ARP packet.
func NewARP(a ARPPacket, dst MAC, vlan uint16) *Frame {
	f, b := Ethernet(dst, a.SenderMAC, vlan, EtherARP, arpLen)
	copy(b, []byte{0, 1, 8, 0, 6, 4})
	put16(b[6:], a.Op)
	copy(b[8:], a.SenderMAC[:])
	sender, target := a.SenderIP.As4(), a.TargetIP.As4()
	copy(b[14:], sender[:])
	copy(b[18:], a.TargetMAC[:])
	copy(b[24:], target[:])
	return f
}

// MulticastMAC is the Ethernet address of a group (RFC 1112, section 6.4; RFC 2464,
// section 7).
func MulticastMAC(group netip.Addr) MAC {
	if group.Is4() {
		a := group.As4()
		return MAC{1, 0, 0x5e, a[1] & 0x7f, a[2], a[3]}
	}
	a := group.As16()
	return MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

// SolicitedNode is the group in which an IPv6 address is asked for (RFC 4291,
// section 2.7.1).
func SolicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// LinkLocal is the address that a station makes of its hardware address (RFC
// 4291, appendix A).
func LinkLocal(m MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// Neighbor is a neighbour solicitation or advertisement (RFC 4861, section 4.3).
type Neighbor struct {
	Type      uint8
	Target    netip.Addr
	Link      MAC  // the option's; zero: none
	Router    bool // of an advertisement, as those below
	Solicited bool
	Override  bool
}

// ParseNeighbor reads a solicitation or advertisement, with the checks of RFC 4861,
// section 7.1.
func ParseNeighbor(p *Packet) (n Neighbor, ok bool) {
	t := p.Transport()
	if p.Version != 6 || p.Protocol != ICMPv6 || len(t) < 24 || p.TTL != 255 || p.Code != 0 {
		return n, false
	}
	if p.Type != NeighborSol && p.Type != NeighborAdv {
		return n, false
	}
	n = Neighbor{Type: p.Type, Target: netip.AddrFrom16([16]byte(t[8:24]))}
	n.Router, n.Solicited, n.Override = t[4]&0x80 != 0, t[4]&0x40 != 0, t[4]&0x20 != 0
	want := byte(1)
	if n.Type == NeighborAdv {
		want = 2
	}
	for o := t[24:]; len(o) >= 8; {
		size := int(o[1]) * 8
		if size == 0 || size > len(o) {
			return n, false
		}
		if o[0] == want && size == 8 {
			copy(n.Link[:], o[2:])
		}
		o = o[size:]
	}
	return n, !n.Target.IsMulticast()
}

// NewNeighbor makes the packet of a solicitation or advertisement; the caller
// sets the frame's addresses.
func NewNeighbor(n Neighbor, src, dst netip.Addr) *Packet {
	size := 24
	if n.Link != (MAC{}) {
		size += 8
	}
	p, b := NewIP(IPHeader{Src: src, Dst: dst, Protocol: ICMPv6, TTL: 255}, size)
	target := n.Target.As16()
	b[0] = n.Type
	for i, flag := range []bool{n.Router, n.Solicited, n.Override} {
		if flag {
			b[4] |= 0x80 >> i
		}
	}
	copy(b[8:], target[:])
	if n.Link != (MAC{}) {
		b[24], b[25] = 1, 1
		if n.Type == NeighborAdv {
			b[24] = 2
		}
		copy(b[26:], n.Link[:])
	}
	p.Type = n.Type
	p.SumTransport()
	return p
}
