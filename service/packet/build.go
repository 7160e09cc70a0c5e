package packet

import (
	"encoding/binary"
	"net/netip"
)

// Ethernet makes a frame with n bytes behind its header (and tag, unless vlan is 0).
func Ethernet(dst, src MAC, vlan, etherType uint16, n int) (f *Frame, payload []byte) {
	size := EthernetLen
	if vlan != 0 {
		size += TagLen
	}
	f = NewFrame(size + n)
	b := f.Bytes()
	copy(b, dst[:])
	copy(b[6:], src[:])
	if vlan != 0 {
		put16(b[12:], EtherVLAN)
		put16(b[14:], vlan)
	}
	put16(b[size-2:], etherType)
	return f, b[size:]
}

// IPHeader is what an IP header says.
type IPHeader struct {
	Src, Dst netip.Addr
	Protocol uint8
	TOS, TTL uint8
}

// NewIP makes an IP packet with n bytes behind its header, in a frame without
// hardware addresses. The caller fills in the payload, then calls SumTransport.
func NewIP(h IPHeader, n int) (*Packet, []byte) {
	p := &Packet{Version: 4, Src: h.Src, Dst: h.Dst, Protocol: h.Protocol, TOS: h.TOS, TTL: h.TTL, L3: EthernetLen, EtherType: EtherIPv4}
	size := 20
	if h.Src.Is6() {
		p.Version, p.EtherType, size = 6, EtherIPv6, 40
	}
	f, b := Ethernet(MAC{}, MAC{}, 0, p.EtherType, size+n)
	p.Frame, p.Length, p.L4 = f, size+n, EthernetLen+size
	putIP(b, h, n)
	return p, b[size:]
}

// putIP writes an IP header in front of n bytes.
func putIP(b []byte, h IPHeader, n int) {
	if h.Src.Is6() {
		src, dst := h.Src.As16(), h.Dst.As16()
		b[0], b[1] = 6<<4|h.TOS>>4, h.TOS<<4
		put16(b[4:], uint16(n))
		b[6], b[7] = h.Protocol, h.TTL
		copy(b[8:], src[:])
		copy(b[24:], dst[:])
		return
	}
	src, dst := h.Src.As4(), h.Dst.As4()
	b[0], b[1] = 4<<4|5, h.TOS
	put16(b[2:], uint16(20+n))
	b[8], b[9] = h.TTL, h.Protocol
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	put16(b[10:], Checksum(b[:20]))
}

// Sizes that an ICMP error may have as an IP packet (RFC 1812, section 4.3.2.3;
// RFC 4443, section 2.4).
const (
	maxError4 = 576
	maxError6 = 1280
)

// NewError makes the ICMP or ICMPv6 error about p, from src. word is its second
// 32-bit word (an MTU, a pointer). It returns nil where none may be sent (RFC
// 1122, section 3.2.2; RFC 4443, section 2.4). Its type of service is as RFC 1812,
// section 4.3.2.5, has it.
func NewError(p *Packet, src netip.Addr, typ, code uint8, word uint32) *Packet {
	if !mayComplain(p) {
		return nil
	}
	h := IPHeader{Src: src, Dst: p.Src, Protocol: ICMP, TTL: 64, TOS: p.TOS&0x1e | 0xc0}
	most := maxError4 - 28
	if p.Version == 6 {
		h.Protocol, h.TOS, most = ICMPv6, 0, maxError6-48
	}
	quote := p.Bytes()
	quote = quote[:min(len(quote), most)]
	e, b := NewIP(h, 8+len(quote))
	b[0], b[1] = typ, code
	binary.BigEndian.PutUint32(b[4:], word)
	copy(b[8:], quote)
	e.Type, e.Code = typ, code
	e.SumTransport()
	return e
}

// mayComplain tells whether an error about p may be sent at all.
func mayComplain(p *Packet) bool {
	if p.FragOffset > 0 || p.IsError() || p.DstMAC().Group() || p.Dst.IsMulticast() {
		return false
	}
	if p.Protocol == ICMPv6 && p.L4 != 0 && p.Type == Redirect6 {
		return false
	}
	if p.Src.IsUnspecified() || p.Src.IsMulticast() || p.Src.IsLoopback() {
		return false
	}
	return p.Version == 6 || p.Src.As4()[0] < 224 && p.Dst != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// NewReset answers a TCP segment with a reset (RFC 9293, section 3.10.7.1); nil if p
// is one itself, or no TCP segment.
func NewReset(p *Packet, tos uint8) *Packet {
	if p.Protocol != TCP || p.L4 == 0 || p.Flags&RST != 0 {
		return nil
	}
	t := p.Transport()
	r, b := NewIP(IPHeader{Src: p.Dst, Dst: p.Src, Protocol: TCP, TTL: 64, TOS: tos}, 20)
	copy(b, t[2:4])
	copy(b[2:], t[:2])
	b[12], b[13] = 5<<4, RST
	if p.Flags&ACK != 0 {
		copy(b[4:], t[8:12])
	} else {
		seq := binary.BigEndian.Uint32(t[4:]) + uint32(p.Length-(p.L4-p.L3)-int(t[12]>>4)*4)
		if p.Flags&SYN != 0 {
			seq++
		}
		if p.Flags&FIN != 0 {
			seq++
		}
		b[13] |= ACK
		binary.BigEndian.PutUint32(b[8:], seq)
	}
	r.SrcPort, r.DstPort, r.Flags = p.DstPort, p.SrcPort, b[13]
	r.SumTransport()
	return r
}

// EchoAnswer turns an echo request for this machine into its answer, in place.
func (p *Packet) EchoAnswer() {
	src, dst := p.Src, p.Dst
	p.SetSrc(dst)
	p.SetDst(src)
	t := p.Transport()
	p.Type = EchoReply
	if p.Version == 6 {
		p.Type = EchoReply6
	}
	old := [2]byte{t[0], t[1]}
	t[0] = p.Type
	adjust(t[2:4], old[:], t[:2])
	h := p.Bytes()
	if p.Version == 6 {
		h[7] = 64
	} else {
		oldTTL := [2]byte{h[8], h[9]}
		h[8] = 64
		adjust(h[10:12], oldTTL[:], h[8:10])
	}
	p.TTL = 64
}

// UpdateError writes the checksums of an ICMP error anew after what it quotes was
// changed.
func (p *Packet) UpdateError() { p.SumTransport() }
