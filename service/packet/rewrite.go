package packet

import "net/netip"

// SetSrc changes the source address, and the checksums with it.
func (p *Packet) SetSrc(a netip.Addr) {
	p.setAddr(&p.Src, a, 12, 8)
}

// SetDst changes the destination address, and the checksums with it.
func (p *Packet) SetDst(a netip.Addr) {
	p.setAddr(&p.Dst, a, 16, 24)
}

func (p *Packet) setAddr(field *netip.Addr, a netip.Addr, at4, at6 int) {
	if *field == a || a.Is4() != (p.Version == 4) {
		return
	}
	*field = a
	h := p.Bytes()
	if p.Version == 4 {
		var old [4]byte
		b := a.As4()
		copy(old[:], h[at4:])
		copy(h[at4:], b[:])
		adjust(h[10:12], old[:], b[:])
		p.adjustTransport(old[:], b[:], true)
		return
	}
	var old [16]byte
	b := a.As16()
	copy(old[:], h[at6:])
	copy(h[at6:], b[:])
	p.adjustTransport(old[:], b[:], true)
}

// adjustTransport changes the transport checksum; inPseudo says that the bytes are
// of the pseudo-header.
func (p *Packet) adjustTransport(old, new []byte, inPseudo bool) {
	at := checksumAt(p.Protocol)
	t := p.Transport()
	if at < 0 || len(t) < at+2 || inPseudo && p.Protocol == ICMP {
		return
	}
	field := t[at : at+2]
	if p.Frame.Offload.NeedsChecksum {
		if inPseudo {
			adjustPartial(field, old, new)
		}
		return
	}
	if p.Protocol == UDP && get16(field) == 0 {
		return
	}
	adjust(field, old, new)
	if p.Protocol == UDP && get16(field) == 0 {
		put16(field, 0xffff)
	}
}

// SetSrcPort changes the source port of TCP and UDP, or an ICMP query's identifier.
func (p *Packet) SetSrcPort(port uint16) {
	if p.isICMP() {
		p.setPort(4, port)
		p.DstPort = port
	} else {
		p.setPort(0, port)
	}
	p.SrcPort = port
}

// SetDstPort changes the destination port of TCP and UDP, or an ICMP query's identifier.
func (p *Packet) SetDstPort(port uint16) {
	if p.isICMP() {
		p.setPort(4, port)
		p.SrcPort = port
	} else {
		p.setPort(2, port)
	}
	p.DstPort = port
}

func (p *Packet) isICMP() bool { return p.Protocol == ICMP || p.Protocol == ICMPv6 }

func (p *Packet) setPort(at int, port uint16) {
	t := p.Transport()
	if len(t) < at+2 || get16(t[at:]) == port {
		return
	}
	var old, b [2]byte
	copy(old[:], t[at:])
	put16(b[:], port)
	copy(t[at:], b[:])
	p.adjustTransport(old[:], b[:], false)
}

// DecrementTTL takes one hop off. The caller has seen that there is one.
func (p *Packet) DecrementTTL() {
	p.TTL--
	h := p.Bytes()
	if p.Version == 6 {
		h[7]--
		return
	}
	old := [2]byte{h[8], h[9]}
	h[8]--
	adjust(h[10:12], old[:], h[8:10])
}

// DontFragment is IPv4's flag; of IPv6 it is always true.
func (p *Packet) DontFragment() bool { return p.Version == 6 || p.Bytes()[6]&0x40 != 0 }

// ClampMSS lowers the MSS that a TCP SYN offers to at most mss.
func (p *Packet) ClampMSS(mss uint16) {
	t := p.Transport()
	if p.Protocol != TCP || p.Flags&SYN == 0 || len(t) < 20 {
		return
	}
	options := t[20:min(len(t), int(t[12]>>4)*4)]
	for len(options) > 1 && options[0] != 0 {
		if options[0] == 1 {
			options = options[1:]
			continue
		}
		n := int(options[1])
		if n < 2 || n > len(options) {
			return
		}
		if options[0] == 2 && n == 4 && get16(options[2:]) > mss {
			put16(options[2:], mss)
			if !p.Frame.Offload.NeedsChecksum && p.Frame.Rest == 0 {
				p.SumTransport()
			}
			return
		}
		options = options[n:]
	}
}
