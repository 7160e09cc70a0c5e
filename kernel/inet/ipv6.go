package inet

import "pith/kernel/link"

// IPv6 (RFC 8200). Of the extension headers only the fragment header means
// something to us; the others are skipped, a routing header with segments left
// is refused.
const (
	ipv6Len     = 40
	fragmentLen = 8
	// maxExtensions is how many extension headers a packet may have.
	maxExtensions = 8

	protoHopByHop    = 0
	protoRouting     = 43
	protoFragment    = 44
	protoNone        = 59
	protoDestination = 60
)

// putIPv6 writes a header in front of f's first byte. length counts the bytes behind it.
func putIPv6(f *link.Buffer, r *route, next uint8, h ipHeader, length int) {
	f.Off -= ipv6Len
	f.Len += ipv6Len
	b := f.Data[f.Off : f.Off+ipv6Len]
	put32(b, 6<<28|uint32(h.tos)<<20)
	put16(b[4:], uint16(length))
	b[6], b[7] = next, h.ttl
	r.src.put(b[8:])
	r.dst.put(b[24:])
}

// putFragmentHeader writes a fragment header in front of f's first byte.
func putFragmentHeader(f *link.Buffer, next uint8, at int, more bool, id uint32) {
	f.Off -= fragmentLen
	f.Len += fragmentLen
	b := f.Data[f.Off : f.Off+fragmentLen]
	b[0], b[1] = next, 0
	w := uint16(at)
	if more {
		w |= 1
	}
	put16(b[2:], w)
	put32(b[4:], id)
}

// ipv6 handles a received IPv6 packet.
func (p *packet) ipv6() {
	if !pull(p.buf, ipv6Len) {
		p.malformed()
		return
	}
	h := p.buf.Bytes()
	if h[0]>>4 != 6 {
		p.malformed()
		return
	}
	if !p.fit(ipv6Len + int(get16(h[4:]))) {
		return
	}
	p.network = p.buf.Off
	p.tos, p.ttl = uint8(get32(h)>>20), h[7]
	p.src, p.dst = v6(h[8:]), v6(h[24:])
	// The mapped form never travels (RFC 4291, section 2.5.5.2); inside here it is IPv4.
	if p.src.isMulticast() || p.src.is4() || p.dst.is4() || !p.accepts() {
		return
	}
	next := h[6]
	p.buf.Off += ipv6Len
	p.buf.Len -= ipv6Len
	p.extensions(next)
}

// extensions skips what lies between the IPv6 header and the transport's.
func (p *packet) extensions(next uint8) {
	for range maxExtensions {
		switch next {
		case protoHopByHop, protoRouting, protoDestination:
			after, ok := p.skipExtension(next)
			if !ok {
				return
			}
			next = after
		case protoFragment:
			after, ok := p.fragment6()
			if !ok {
				return
			}
			next = after
		case protoNone:
			return
		default:
			p.transport(next)
			return
		}
	}
}

// skipExtension drops one extension header and tells which one follows.
func (p *packet) skipExtension(kind uint8) (next uint8, ok bool) {
	if !pull(p.buf, 8) {
		p.malformed()
		return 0, false
	}
	h := p.buf.Bytes()
	length := (int(h[1]) + 1) * 8
	if kind == protoRouting && h[3] != 0 || !pull(p.buf, length) {
		p.malformed()
		return 0, false
	}
	next = p.buf.Bytes()[0]
	p.buf.Off += length
	p.buf.Len -= length
	return next, true
}

// fragment6 takes a fragment; ok is true once the packet is whole.
func (p *packet) fragment6() (next uint8, ok bool) {
	if !pull(p.buf, fragmentLen) {
		p.malformed()
		return 0, false
	}
	p.cut = true
	h := p.buf.Bytes()
	next = h[0]
	word, id := get16(h[2:]), get32(h[4:])
	p.buf.Off += fragmentLen
	p.buf.Len -= fragmentLen
	if word&^6 == 0 { // whole already: an atomic fragment (RFC 6946)
		return next, true
	}
	p.reassemble(fragmentKey{p.src, p.dst, id, next}, int(word&^7), word&1 == 1)
	return next, p.buf != nil
}
