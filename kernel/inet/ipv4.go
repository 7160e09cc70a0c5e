package inet

import "pith/kernel/link"

// IPv4 (RFC 791, RFC 1122). Options are skipped, never acted upon.
const (
	ipv4Len = 20
	flagDF  = 0x4000
	flagMF  = 0x2000
)

// putIPv4 writes a header in front of f's first byte. length counts the bytes behind
// it; fragment is the header's fourth 16-bit word.
func putIPv4(f *link.Buffer, r *route, h ipHeader, length int, id, fragment uint16) {
	f.Off -= ipv4Len
	f.Len += ipv4Len
	b := f.Data[f.Off : f.Off+ipv4Len]
	b[0], b[1] = 0x45, h.tos
	put16(b[2:], uint16(length+ipv4Len))
	put16(b[4:], id)
	put16(b[6:], fragment)
	b[8], b[9] = h.ttl, h.protocol
	put16(b[10:], 0)
	put32(b[12:], uint32(r.src.lo))
	put32(b[16:], uint32(r.dst.lo))
	put16(b[10:], partial(0).bytes(b).checksum())
}

// fragmentWord is the word with flags and offset; at is in bytes.
func fragmentWord(at int, more bool) uint16 {
	w := uint16(at / 8)
	if more {
		w |= flagMF
	}
	return w
}

// ipv4 handles a received IPv4 packet.
func (p *packet) ipv4() {
	if !pull(p.buf, ipv4Len) {
		p.malformed()
		return
	}
	h := p.buf.Bytes()
	headerLen := int(h[0]&15) * 4
	total := int(get16(h[2:]))
	if h[0]>>4 != 4 || headerLen < ipv4Len || total < headerLen || !pull(p.buf, headerLen) {
		p.malformed()
		return
	}
	h = p.buf.Bytes()[:headerLen]
	if !p.nic().loopback && !partial(0).bytes(h).valid() {
		p.b.s.stats.BadChecksum.Add(1)
		return
	}
	if !p.fit(total) {
		return
	}
	p.network = p.buf.Off
	p.tos, p.ttl = h[1], h[8]
	p.src, p.dst = v4(get32(h[12:])), v4(get32(h[16:]))
	if p.src.isMulticast() || p.fromBroadcast() || !p.accepts() {
		return
	}
	protocol, fragment := h[9], get16(h[6:])
	p.buf.Off += headerLen
	p.buf.Len -= headerLen
	if fragment&^flagDF != 0 {
		p.reassemble(fragmentKey{p.src, p.dst, uint32(get16(h[4:])), protocol},
			int(fragment&0x1fff)*8, fragment&flagMF != 0)
		if p.buf == nil {
			return
		}
	}
	p.transport(protocol)
}

// fromBroadcast reports whether a packet claims to come from all of the link: an answer
// would go to all of it (RFC 1122, section 3.2.1.3).
func (p *packet) fromBroadcast() bool {
	return p.src == broadcast || p.b.s.snapshot.Load().isBroadcast(p.nic(), p.src)
}

// fit cuts what Ethernet padded behind the IP packet of the given length, and reports
// false if the packet is cut short.
func (p *packet) fit(total int) bool {
	if p.buf.Next == nil && p.buf.Len == total {
		return true
	}
	if have := chainLen(p.buf); have < total {
		p.malformed()
		return false
	}
	trim(p.buf, total)
	return true
}
