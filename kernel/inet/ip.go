package inet

import (
	"syscall"

	"pith/kernel/link"
)

// What IPv4 and IPv6 share, on the way down.
const (
	protoICMP   = 1
	protoIGMP   = 2
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	defaultTTL = 64
	maxPacket  = 65535
)

var noOffload link.Offload

// ipHeader is what a transport chooses of an IP header.
type ipHeader struct {
	protocol uint8
	ttl      uint8
	tos      uint8
	mayCut   bool // packets larger than the path's MTU go as fragments
}

// headerLen is the length of r's IP header, in bytes.
func (r *route) headerLen() int {
	if r.dst.is4() {
		return ipv4Len
	}
	return ipv6Len
}

// send puts IP and Ethernet headers in front of a transport packet and sends
// it. f's first piece begins with the transport header and has headroom. What o says
// about the checksum's place is completed here. The frame is gone in any case.
func (r *route) send(b *batch, q *queue, f *link.Buffer, h ipHeader, o link.Offload) syscall.Errno {
	length := chainLen(f)
	if length+r.headerLen() > r.mtu && o.Segmentation == link.SegmentNone {
		return r.sendFragments(b, q, f, h, o, length)
	}
	r.putHeader(b, f, h, length)
	if !r.sendFrame(b, q, f, o) {
		return syscall.ENOBUFS
	}
	return 0
}

// putHeader writes the IP header for a packet that is not a fragment.
func (r *route) putHeader(b *batch, f *link.Buffer, h ipHeader, length int) {
	if r.dst.is4() {
		putIPv4(f, r, h, length, 0, flagDF)
		return
	}
	putIPv6(f, r, h.protocol, h, length)
}

// sendFrame puts the Ethernet header in front of an IP packet and sends it.
func (r *route) sendFrame(b *batch, q *queue, f *link.Buffer, o link.Offload) bool {
	kind := uint16(etherIPv6)
	if r.dst.is4() {
		kind = etherIPv4
	}
	if o.NeedsChecksum {
		o.ChecksumStart = uint16(ethernetLen + r.headerLen())
	}
	putEthernet(f, r.mac, r.nic.mac, kind)
	if r.neighbor != nil {
		return r.neighbor.send(b, q, f, o)
	}
	return q.transmit(b, f, o)
}

// sum completes a transport header's checksum, or leaves it to the device. The
// field lies at offset at of f's first piece and is zero.
func (r *route) sum(f *link.Buffer, protocol uint8, at int) link.Offload {
	length := chainLen(f)
	s := pseudoHeader(r.src, r.dst, protocol, length)
	field := f.Data[f.Off+at:]
	if r.nic.features.TxChecksum && length+r.headerLen() <= r.mtu {
		put16(field, s.sum())
		return link.Offload{NeedsChecksum: true, ChecksumOffset: uint16(at)}
	}
	c := s.chain(f).checksum()
	if c == 0 && protocol == protoUDP {
		c = 0xffff // RFC 768: zero says that there is none
	}
	put16(field, c)
	return noOffload
}

// sendFragments cuts a transport packet that is larger than the path's MTU.
func (r *route) sendFragments(b *batch, q *queue, f *link.Buffer, h ipHeader, o link.Offload, length int) syscall.Errno {
	defer f.Free()
	if !h.mayCut || length > maxPacket-r.headerLen() {
		return syscall.EMSGSIZE
	}
	if o.NeedsChecksum {
		panic("BUG: inet: checksum of a fragmented packet left to the device")
	}
	extra := 0
	if !r.dst.is4() {
		extra = fragmentLen
	}
	id := b.s.fragmentID(r)
	most := (r.mtu - r.headerLen() - extra) &^ 7
	for at := 0; at < length; at += most {
		n := min(most, length-at)
		piece := r.nic.dev.Alloc()
		if piece == nil || !copyChain(r.nic.dev, piece, f, at, n) {
			piece.Free()
			b.s.stats.NoBuffer.Add(1)
			return syscall.ENOBUFS
		}
		more := at+n < length
		if r.dst.is4() {
			putIPv4(piece, r, h, n, uint16(id), fragmentWord(at, more))
		} else {
			putFragmentHeader(piece, h.protocol, at, more, id)
			putIPv6(piece, r, protoFragment, h, n+fragmentLen)
		}
		if !r.sendFrame(b, q, piece, noOffload) {
			return syscall.ENOBUFS
		}
	}
	return 0
}

// fragmentID numbers a packet that is cut. Who gets some doesn't learn by their numbers
// which ones others' will have (RFC 7739, section 5.3).
func (s *Stack) fragmentID(r *route) uint32 {
	return uint32(s.isn.tuple(&tuple{local: r.src, remote: r.dst}, 3)) + s.packetID.Add(1)
}

// copyChain appends n bytes of src, from offset at on, to the empty piece dst.
func copyChain(dev link.Device, dst, src *link.Buffer, at, n int) bool {
	for ; src != nil && n > 0; src = src.Next {
		if at >= src.Len {
			at -= src.Len
			continue
		}
		p := src.Bytes()[at:]
		p = p[:min(len(p), n)]
		if !appendBytes(dev, tail(dst), p) {
			return false
		}
		n -= len(p)
		at = 0
	}
	return n == 0
}

// transport hands a packet to the protocol above. buf begins with its header.
func (p *packet) transport(protocol uint8) {
	s := p.b.s
	if (protocol == protoTCP || protocol == protoUDP) && p.forged() {
		return
	}
	if s.raw.any() {
		s.deliverRaw(p, protocol)
	}
	switch protocol {
	case protoTCP:
		p.tcp()
	case protoUDP:
		p.udp()
	case protoICMP:
		if p.src.is4() {
			p.icmp4()
		}
	case protoICMPv6:
		if !p.src.is4() {
			p.icmp6()
		}
	case protoIGMP:
		p.igmp()
	default:
		if !s.raw.any() {
			p.refuse(unreachableProtocol)
		}
	}
}

// forged reports whether a packet claims to come from this machine, though it came over a
// wire.
func (p *packet) forged() bool {
	return !p.nic().loopback && p.b.s.snapshot.Load().isLocal(p.src)
}

// accepts decides whether a packet to p.dst is for this machine, and notes whether
// it is for others too.
func (p *packet) accepts() bool {
	c := p.b.s.snapshot.Load()
	n := p.nic()
	if c.isLocal(p.dst) {
		return n.loopback || !(p.dst.isLoopback() || p.src.isLoopback())
	}
	p.group = true
	switch {
	case p.dst.isMulticast():
		return p.dst == allNodes || p.dst == v4(0xe0000001) || n.groups.has(p.dst) ||
			!p.dst.is4() && p.solicitsUs(c) || n.loopback // a copy that udpEndpoint.loop made
	case p.dst == broadcast || c.isBroadcast(n, p.dst):
		return true
	}
	// A DHCP server may answer to the address that it is about to give.
	return n.dhcp != nil && p.dst.is4() && n.dhcp.waiting()
}

// solicitsUs reports whether p.dst is the solicited-node group of one of our addresses.
func (p *packet) solicitsUs(c *config) bool {
	for i := range c.locals {
		l := &c.locals[i]
		if l.nic == p.nic() && !l.prefix.addr.is4() && l.prefix.addr.solicitedNode() == p.dst {
			return true
		}
	}
	return false
}
