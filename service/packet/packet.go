// Package packet reads and changes Ethernet frames in place: Ethernet II with
// 802.1Q tags, ARP, IPv4 with options, IPv6 with extension headers, TCP, UDP,
// ICMP and ICMPv6 with the packets that their errors quote.
//
// It relies on RFC 791, 792, 768, 9293, 8200, 4443, 4861, 826 and 1624 (incremental
// checksums). It must not keep a frame, allocate on the path of a packet that is
// forwarded, or trust a length that a packet gives.
package packet

import (
	"encoding/binary"
	"net/netip"
)

// EtherTypes (IEEE 802 numbers).
const (
	EtherIPv4 = 0x0800
	EtherARP  = 0x0806
	EtherVLAN = 0x8100
	EtherIPv6 = 0x86dd
)

// Protocol numbers (IANA).
const (
	HopByHop = 0
	ICMP     = 1
	TCP      = 6
	UDP      = 17
	Routing  = 43
	Fragment = 44
	AH       = 51
	ICMPv6   = 58
	NoNext   = 59
	Options6 = 60
)

// TCP flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// EthernetLen is an untagged header's length; a tag has TagLen bytes more.
const (
	EthernetLen = 14
	TagLen      = 4
)

// MAC is an Ethernet address.
type MAC [6]byte

// Broadcast is every station's address.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Group tells a group's address (broadcast included) from a station's.
func (m MAC) Group() bool { return m[0]&1 != 0 }

// Packet is what Parse found in a frame. Offsets count from the frame's first
// byte. A Packet is reused for one frame after another.
type Packet struct {
	Frame     *Frame
	EtherType uint16 // behind a tag, if there is one
	VLAN      uint16 // 0: untagged
	L3        int    // where the IP header is

	Version  uint8 // 4 or 6; 0: no IP
	Src, Dst netip.Addr
	Protocol uint8 // behind extension headers
	TOS, TTL uint8
	Length   int // of the IP packet, bytes, headers included

	// A fragment: FragOffset in bytes, and whether others follow.
	FragID     uint32
	FragOffset int
	More       bool
	FragAt     int // IPv6: where the fragment header is
	NextAt     int // IPv6: the byte that names the header at FragAt
	// Largest is, of a datagram that came in pieces and was put together, the
	// largest piece's length as an IP packet; else 0.
	Largest int

	L4               int    // where the transport header is; 0: none that is whole
	SrcPort, DstPort uint16 // TCP, UDP; of an ICMP query both are the identifier
	Flags            uint8  // TCP
	Type, Code       uint8  // ICMP, ICMPv6
}

// Result of Parse.
type Result uint8

// Results.
const (
	OK        Result = iota
	NotIP            // another EtherType
	Malformed        // lengths that can't be, or a wrong IPv4 header checksum
)

// Bytes are the IP packet's bytes that lie in the frame's first piece.
func (p *Packet) Bytes() []byte { return p.Frame.Bytes()[p.L3:] }

// Transport is the transport header and what follows it in the first piece; nil
// if there is none.
func (p *Packet) Transport() []byte {
	if p.L4 == 0 {
		return nil
	}
	return p.Frame.Bytes()[p.L4:]
}

// Headers is the length of the IP and transport headers in bytes: of a frame to be cut
// into segments, what each of them gets. (Offload.HeaderLen is only a hint.)
func (p *Packet) Headers() int {
	t := p.Transport()
	switch {
	case p.Protocol == TCP && len(t) >= 20:
		return p.L4 - p.L3 + int(t[12]>>4)*4
	case p.Protocol == UDP && len(t) >= 8:
		return p.L4 - p.L3 + 8
	}
	return p.Length
}

// IsFragment tells whether this is a part of a datagram.
func (p *Packet) IsFragment() bool { return p.More || p.FragOffset > 0 }

// SrcMAC is the frame's sender.
func (p *Packet) SrcMAC() MAC { return MAC(p.Frame.Bytes()[6:12]) }

// DstMAC is the frame's destination.
func (p *Packet) DstMAC() MAC { return MAC(p.Frame.Bytes()[:6]) }

// Parse reads a frame's headers. Bytes behind the IP packet (padding) are cut off.
func (p *Packet) Parse(f *Frame) Result {
	b := f.Bytes()
	p.Frame, p.VLAN, p.Version = f, 0, 0
	if len(b) < EthernetLen {
		return Malformed
	}
	p.EtherType, p.L3 = binary.BigEndian.Uint16(b[12:]), EthernetLen
	if p.EtherType == EtherVLAN {
		if len(b) < EthernetLen+TagLen {
			return Malformed
		}
		p.VLAN = binary.BigEndian.Uint16(b[14:]) & 0xfff
		p.EtherType, p.L3 = binary.BigEndian.Uint16(b[16:]), EthernetLen+TagLen
	}
	switch p.EtherType {
	case EtherIPv4:
		return p.ipv4(true)
	case EtherIPv6:
		return p.ipv6(true)
	}
	return NotIP
}

// clear forgets the IP part of the packet before.
func (p *Packet) clear() {
	p.FragID, p.FragOffset, p.More, p.FragAt, p.NextAt, p.Largest = 0, 0, false, 0, 0, 0
	p.L4, p.SrcPort, p.DstPort, p.Flags, p.Type, p.Code = 0, 0, 0, 0, 0, 0
}

// ipv4 reads an IPv4 header. whole says that the packet must be there to its end
// and its checksum be right; what an ICMP error quotes is not.
func (p *Packet) ipv4(whole bool) Result {
	p.clear()
	h := p.Bytes()
	if len(h) < 20 || h[0]>>4 != 4 {
		return Malformed
	}
	size := int(h[0]&15) * 4
	p.Length = int(binary.BigEndian.Uint16(h[2:]))
	if size < 20 || size > len(h) || size > p.Length {
		return Malformed
	}
	if whole {
		if Checksum(h[:size]) != 0 || !p.Frame.trim(p.L3+p.Length) {
			return Malformed
		}
	}
	p.Version, p.TOS, p.TTL, p.Protocol = 4, h[1], h[8], h[9]
	p.Src, p.Dst = netip.AddrFrom4([4]byte(h[12:16])), netip.AddrFrom4([4]byte(h[16:20]))
	frag := binary.BigEndian.Uint16(h[6:])
	p.FragID, p.FragOffset, p.More = uint32(binary.BigEndian.Uint16(h[4:])), int(frag&0x1fff)*8, frag&0x2000 != 0
	if p.FragOffset == 0 {
		p.transport(p.L3+size, p.Length-size, whole)
	}
	return OK
}

// maxExtensions bounds the walk over IPv6's extension headers.
const maxExtensions = 8

func (p *Packet) ipv6(whole bool) Result {
	p.clear()
	h := p.Bytes()
	if len(h) < 40 || h[0]>>4 != 6 {
		return Malformed
	}
	p.Length = 40 + int(binary.BigEndian.Uint16(h[4:]))
	if whole && !p.Frame.trim(p.L3+p.Length) {
		return Malformed
	}
	p.Version, p.TOS, p.TTL = 6, h[0]<<4|h[1]>>4, h[7]
	p.Src, p.Dst = netip.AddrFrom16([16]byte(h[8:24])), netip.AddrFrom16([16]byte(h[24:40]))
	return p.extensions(p.Bytes(), whole)
}

// extensions walks to the transport header (RFC 8200, section 4).
func (p *Packet) extensions(h []byte, whole bool) Result {
	next, at, nextAt := h[6], 40, 6
	for range maxExtensions {
		p.Protocol = next
		size := 0
		switch next {
		case HopByHop, Routing, Options6, AH, Fragment:
			if len(h) < at+8 {
				return Malformed
			}
		default:
			p.transport(p.L3+at, p.Length-at, whole)
			return OK
		}
		switch next {
		case Fragment:
			frag := binary.BigEndian.Uint16(h[at+2:])
			p.FragID, p.FragOffset, p.More = binary.BigEndian.Uint32(h[at+4:]), int(frag&^7), frag&1 != 0
			p.FragAt, p.NextAt = p.L3+at, p.L3+nextAt
			size = 8
		case AH:
			size = int(h[at+1])*4 + 8
		default:
			size = int(h[at+1])*8 + 8
		}
		next, nextAt = h[at], at
		at += size
		if at > len(h) || at > p.Length {
			return Malformed
		}
		if p.FragOffset > 0 {
			p.Protocol = next
			return OK
		}
	}
	return Malformed
}

// transport reads the transport header at an offset, of which n bytes follow
// in the packet. A header that is not whole leaves L4 zero; of a quoted
// packet eight bytes are enough, and of a protocol that isn't known any.
func (p *Packet) transport(at, n int, whole bool) {
	b := p.Frame.Bytes()
	n = min(n, len(b)-at)
	if n <= 0 {
		return
	}
	h := b[at : at+n]
	if n < 8 && checksumAt(p.Protocol) >= 0 {
		return
	}
	switch p.Protocol {
	case TCP:
		if whole && (n < 20 || int(h[12]>>4)*4 < 20 || int(h[12]>>4)*4 > n) {
			return
		}
		if n >= 14 {
			p.Flags = h[13]
		}
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])
	case UDP:
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])
	case ICMP, ICMPv6:
		p.Type, p.Code = h[0], h[1]
		if p.IsQuery() {
			p.SrcPort = binary.BigEndian.Uint16(h[4:])
			p.DstPort = p.SrcPort
		}
	}
	p.L4 = at
}

// ICMP types that the services know.
const (
	EchoReply    = 0
	Unreachable  = 3
	Redirect     = 5
	EchoRequest  = 8
	TimeExceeded = 11
	ParamProblem = 12

	Unreachable6  = 1
	TooBig6       = 2
	TimeExceeded6 = 3
	EchoRequest6  = 128
	EchoReply6    = 129
	RouterSolicit = 133
	RouterAdvert  = 134
	NeighborSol   = 135
	NeighborAdv   = 136
	Redirect6     = 137
)

// IsQuery tells whether an ICMP message has an identifier.
func (p *Packet) IsQuery() bool {
	if p.Protocol == ICMP && p.Version == 4 {
		switch p.Type {
		case EchoReply, EchoRequest, 13, 14, 15, 16, 17, 18:
			return true
		}
	}
	return p.Protocol == ICMPv6 && p.Version == 6 && (p.Type == EchoRequest6 || p.Type == EchoReply6)
}

// IsError tells whether an ICMP message quotes the packet that it is about.
func (p *Packet) IsError() bool {
	if p.Protocol == ICMP && p.Version == 4 {
		switch p.Type {
		case Unreachable, 4, Redirect, TimeExceeded, ParamProblem:
			return true
		}
	}
	return p.Protocol == ICMPv6 && p.Version == 6 && p.Type < 128 && p.Type > 0
}

// Inner reads the packet that an ICMP error quotes. Its offsets count in the
// same frame.
func (p *Packet) Inner(in *Packet) bool {
	if p.L4 == 0 || !p.IsError() || len(p.Frame.Bytes()) < p.L4+8 {
		return false
	}
	in.Frame, in.VLAN, in.L3 = p.Frame, p.VLAN, p.L4+8
	if p.Version == 4 {
		in.EtherType = EtherIPv4
		return in.ipv4(false) == OK && in.L4 != 0
	}
	in.EtherType = EtherIPv6
	return in.ipv6(false) == OK && in.L4 != 0
}

// HeaderEnd is where in the frame a fragment's payload begins.
func (p *Packet) HeaderEnd() int {
	if p.Version == 6 {
		return p.FragAt + 8
	}
	return p.L3 + int(p.Bytes()[0]&15)*4
}
