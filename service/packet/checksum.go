package packet

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// sum adds the 16-bit words of b to a running sum, eight bytes at a time.
func sum(b []byte, s uint64) uint64 {
	for len(b) >= 8 {
		var carry uint64
		s, carry = bits.Add64(s, binary.BigEndian.Uint64(b), 0)
		s += carry
		b = b[8:]
	}
	if len(b) >= 4 {
		s = add(s, uint64(binary.BigEndian.Uint32(b)))
		b = b[4:]
	}
	if len(b) >= 2 {
		s = add(s, uint64(binary.BigEndian.Uint16(b)))
		b = b[2:]
	}
	if len(b) > 0 {
		s = add(s, uint64(b[0])<<8)
	}
	return s
}

func add(a, b uint64) uint64 {
	s, carry := bits.Add64(a, b, 0)
	return s + carry
}

func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}

// Checksum is the Internet checksum of b (RFC 1071); 0 if b contains its own.
func Checksum(b []byte) uint16 { return ^fold(sum(b, 0)) }

// pseudo is the sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200,
// section 8.1) of n transport bytes.
func pseudo(src, dst netip.Addr, protocol uint8, n int) uint64 {
	s := uint64(protocol) + uint64(n)
	if src.Is4() {
		a, b := src.As4(), dst.As4()
		return sum(b[:], sum(a[:], s))
	}
	a, b := src.As16(), dst.As16()
	return sum(b[:], sum(a[:], s))
}

// checksumAt is where in the transport header the checksum is; -1: nowhere.
func checksumAt(protocol uint8) int {
	switch protocol {
	case TCP:
		return 16
	case UDP:
		return 6
	case ICMP, ICMPv6:
		return 2
	}
	return -1
}

// SumTransport writes the transport checksum of a packet that lies in one piece.
func (p *Packet) SumTransport() {
	at := checksumAt(p.Protocol)
	if at < 0 || p.L4 == 0 {
		return
	}
	t := p.Transport()
	put16(t[at:], 0)
	c := p.transportSum(t)
	if c == 0 && p.Protocol == UDP {
		c = 0xffff
	}
	put16(t[at:], c)
	p.Frame.Offload = Offload{}
}

func (p *Packet) transportSum(t []byte) uint16 {
	var s uint64
	if p.Protocol != ICMP {
		s = pseudo(p.Src, p.Dst, p.Protocol, len(t))
	}
	return ^fold(sum(t, s))
}

// ChecksumOK checks the transport checksum, as far as it can be: it must be in one
// piece, whole, and not left to a card.
func (p *Packet) ChecksumOK() bool {
	o := &p.Frame.Offload
	if o.NeedsChecksum || o.ChecksumValid || p.Frame.Rest > 0 || p.L4 == 0 || checksumAt(p.Protocol) < 0 {
		return true
	}
	t := p.Transport()
	if p.Protocol == UDP && p.Version == 4 && get16(t[6:]) == 0 {
		return true
	}
	return p.transportSum(t) == 0
}

// adjust changes a checksum for bytes that went from old to new (RFC 1624,
// equation 3). Both have the same even length.
func adjust(field, old, new []byte) {
	s := uint64(^get16(field))
	for i := 0; i+1 < len(old); i += 2 {
		s += uint64(^get16(old[i:])) + uint64(get16(new[i:]))
	}
	put16(field, ^fold(s))
}

// adjustPartial does so for a field that holds a pseudo-header's sum only.
func adjustPartial(field, old, new []byte) {
	s := uint64(get16(field))
	for i := 0; i+1 < len(old); i += 2 {
		s += uint64(^get16(old[i:])) + uint64(get16(new[i:]))
	}
	put16(field, fold(s))
}

func get16(b []byte) uint16    { return binary.BigEndian.Uint16(b) }
func put16(b []byte, v uint16) { binary.BigEndian.PutUint16(b, v) }
