package inet

import (
	"syscall"

	"pith/kernel/link"
)

// ICMP (RFC 792, 1122, 1191) and ICMPv6 (RFC 4443): echo, and errors both ways.
const (
	icmpLen = 8

	icmpEchoReply    = 0
	icmpUnreachable  = 3
	icmpEcho         = 8
	icmpTimeExceeded = 11
	icmpParameter    = 12

	icmp6Unreachable  = 1
	icmp6TooBig       = 2
	icmp6TimeExceeded = 3
	icmp6Parameter    = 4
	icmp6Echo         = 128
	icmp6EchoReply    = 129

	// maxError4 and maxError6 bound the ICMP errors that we send, in bytes with
	// their IP header (RFC 1812, section 4.3.2.3; RFC 4443, section 2.4).
	maxError4 = 576
	maxError6 = 1280

	// On average one ICMP error may be sent every errorInterval nanoseconds, and
	// errorBurst of them at once.
	errorInterval = 10e6
	errorBurst    = 50
)

// refusal is why a packet found nobody to take it.
type refusal struct{ type4, code4, type6, code6 uint8 }

var (
	unreachablePort     = refusal{icmpUnreachable, 3, icmp6Unreachable, 4}
	unreachableProtocol = refusal{icmpUnreachable, 2, icmp6Parameter, 1}
)

// icmp4 handles a received ICMP message.
func (p *packet) icmp4() {
	if !pull(p.buf, icmpLen) {
		p.malformed()
		return
	}
	if !p.checked && !partial(0).chain(p.buf).valid() {
		p.b.s.stats.BadChecksum.Add(1)
		return
	}
	h := p.buf.Bytes()
	switch h[0] {
	case icmpEcho:
		if !p.group {
			p.echo(icmpEchoReply, protoICMP)
		}
	case icmpEchoReply:
		p.b.s.deliverPing(p)
	case icmpUnreachable, icmpTimeExceeded, icmpParameter:
		p.icmpError4(h[0], h[1], int(get16(h[6:])))
	}
}

// icmp6 handles a received ICMPv6 message.
func (p *packet) icmp6() {
	if !pull(p.buf, icmpLen) {
		p.malformed()
		return
	}
	if !p.checked && !pseudoHeader(p.src, p.dst, protoICMPv6, chainLen(p.buf)).chain(p.buf).valid() {
		p.b.s.stats.BadChecksum.Add(1)
		return
	}
	h := p.buf.Bytes()
	switch h[0] {
	case icmp6Echo:
		p.echo(icmp6EchoReply, protoICMPv6)
	case icmp6EchoReply:
		p.b.s.deliverPing(p)
	case icmp6Unreachable, icmp6TooBig, icmp6TimeExceeded, icmp6Parameter:
		p.icmpError6(h[0], h[1], get32(h[4:]))
	case mldQuery:
		p.mldQuery()
	case ndpRouterAdvertisement, ndpNeighborSolicit, ndpNeighborAdvertise:
		p.ndp(h[0])
	}
}

// echo answers an echo request in its own Buffer.
func (p *packet) echo(kind, protocol uint8) {
	src := p.dst
	if p.group {
		src = address{}
	}
	oif := 0
	if p.src.scoped() {
		oif = p.nic().index
	}
	r, errno := p.b.s.route(p.src, src, oif)
	if errno != 0 || p.buf.Off-r.headerLen()-ethernetLen < p.frame || r.nic != p.nic() {
		return
	}
	f := p.buf
	p.buf = nil
	h := f.Bytes()
	h[0] = kind
	put16(h[2:], 0)
	o := r.sumICMP(f)
	r.send(p.b, p.replyQueue(&r), f, ipHeader{protocol: protocol, ttl: defaultTTL, tos: p.tos, mayCut: true}, o)
}

// sumICMP completes the checksum of an ICMP message.
func (r *route) sumICMP(f *link.Buffer) link.Offload {
	if !r.dst.is4() {
		return r.sum(f, protoICMPv6, 2)
	}
	put16(f.Data[f.Off+2:], partial(0).chain(f).checksum())
	return noOffload
}

// replyQueue is the queue that p came by, or another if the answer takes another nic.
func (p *packet) replyQueue(r *route) *queue {
	if p.nic() == r.nic {
		return p.q
	}
	return r.nic.queueFor(0)
}

// refuse tells p's sender that nobody takes it (RFC 1122, section 3.2.2).
func (p *packet) refuse(why refusal) {
	if p.group || p.src.unspecified() || !p.b.s.allowError(p.b.now) {
		return
	}
	oif := 0
	if p.src.scoped() {
		oif = p.nic().index
	}
	r, errno := p.b.s.route(p.src, p.dst, oif)
	if errno != 0 {
		return
	}
	f := r.nic.dev.Alloc()
	if f == nil {
		return
	}
	kind, code, protocol, most := why.type4, why.code4, uint8(protoICMP), maxError4
	if !p.src.is4() {
		kind, code, protocol, most = why.type6, why.code6, protoICMPv6, maxError6
	}
	f.Len = icmpLen
	h := f.Bytes()
	clear(h)
	h[0], h[1] = kind, code
	// What of the packet lies in its first piece, from its IP header on, is enough.
	original := p.buf.Data[p.network : p.buf.Off+p.buf.Len]
	original = original[:min(len(original), most-icmpLen-r.headerLen())]
	if !appendBytes(r.nic.dev, f, original) {
		f.Free()
		return
	}
	o := r.sumICMP(f)
	r.send(p.b, p.replyQueue(&r), f, ipHeader{protocol: protocol, ttl: defaultTTL}, o)
}

// allowError keeps the rate of ICMP errors within bounds. What one takes of them is a
// matter of chance: else who provokes errors for others, and then some for himself, can
// count which of his packets found an open port (CVE-2020-25705).
func (s *Stack) allowError(now int64) bool {
	for {
		old := s.errorQuota.Load()
		next := max(old, now-errorBurst*errorInterval)
		if next > now {
			return false
		}
		if s.errorQuota.CompareAndSwap(old, next+int64(s.random()%3)*errorInterval) {
			return true
		}
	}
}

// icmpError4 finds out which of our packets an ICMP error is about.
func (p *packet) icmpError4(kind, code uint8, mtu int) {
	original := p.buf.Bytes()[icmpLen:]
	if len(original) < ipv4Len || original[0]>>4 != 4 {
		return
	}
	headerLen := int(original[0]&15) * 4
	if headerLen < ipv4Len || len(original) < headerLen+8 || get16(original[6:])&0x1fff != 0 {
		return
	}
	e := transportError{
		protocol: original[9],
		local:    v4(get32(original[12:])), remote: v4(get32(original[16:])),
		errno: syscall.EHOSTUNREACH,
	}
	switch {
	case kind == icmpParameter:
		e.errno, e.hard = syscall.EPROTO, true
	case kind == icmpUnreachable:
		e.describe4(code)
	}
	if e.errno == syscall.EMSGSIZE {
		if mtu == 0 {
			mtu = nextPlateau(int(get16(original[2:])))
		}
		e.mtu = mtu
	}
	p.b.s.deliverError(p.b, &e, original[headerLen:])
}

func (e *transportError) describe4(code uint8) {
	switch code {
	case 0, 6, 11:
		e.errno = syscall.ENETUNREACH
	case 2:
		e.errno, e.hard = syscall.ENOPROTOOPT, true
	case 3:
		e.errno, e.hard = syscall.ECONNREFUSED, true
	case 4:
		e.errno = syscall.EMSGSIZE
	case 9, 10, 13:
		e.hard = true
	}
}

// icmpError6 is icmpError4 for ICMPv6.
func (p *packet) icmpError6(kind, code uint8, mtu uint32) {
	original := p.buf.Bytes()[icmpLen:]
	if len(original) < ipv6Len+8 || original[0]>>4 != 6 {
		return
	}
	e := transportError{
		protocol: original[6],
		local:    v6(original[8:]), remote: v6(original[24:]),
		errno: syscall.EHOSTUNREACH,
	}
	switch {
	case kind == icmp6TooBig:
		e.errno = syscall.EMSGSIZE
		e.mtu = int(min(mtu, maxPacket))
	case kind == icmp6Parameter:
		e.errno, e.hard = syscall.EPROTO, true
	case kind == icmp6Unreachable && code == 0:
		e.errno = syscall.ENETUNREACH
	case kind == icmp6Unreachable && code == 1:
		e.errno, e.hard = syscall.EACCES, true
	case kind == icmp6Unreachable && code == 4:
		e.errno, e.hard = syscall.ECONNREFUSED, true
	}
	p.b.s.deliverError(p.b, &e, original[ipv6Len:])
}

// nextPlateau guesses a path MTU where a router doesn't tell (RFC 1191, section 7).
func nextPlateau(length int) int {
	for _, mtu := range [...]int{8166, 4352, 2002, 1492, 1006} {
		if mtu < length {
			return mtu
		}
	}
	return minPathMTU
}

// learnPath takes in a path's MTU, and makes sockets look up their routes again if
// that is news.
func (s *Stack) learnPath(dst address, mtu int, now int64) {
	if s.paths.learn(dst, mtu, now) {
		s.update(func(*config) {})
	}
}

// transportError is what became of a packet that we sent.
type transportError struct {
	protocol      uint8
	local, remote address
	errno         syscall.Errno
	hard          bool // an unconnected wait is in vain
	mtu           int  // with EMSGSIZE: what the path carries
}

// deliverError tells the endpoint that sent a packet; header holds its first eight
// transport bytes at least.
func (s *Stack) deliverError(b *batch, e *transportError, header []byte) {
	if e.remote.unspecified() || e.remote.isMulticast() {
		return
	}
	lport, rport := get16(header), get16(header[2:])
	switch e.protocol {
	case protoTCP:
		s.tcpError(b, e, lport, rport, get32(header[4:]))
	case protoUDP:
		s.udpError(b, e, lport, rport)
	}
}

// unreachable tells the endpoint that sent frame that its neighbour doesn't answer.
func (s *Stack) unreachable(b *batch, frame *link.Buffer, errno syscall.Errno) {
	f := frame.Bytes()[ethernetLen:]
	e := transportError{errno: errno, hard: true}
	switch {
	case f[0]>>4 == 4 && len(f) >= ipv4Len+8:
		e.protocol = f[9]
		e.local, e.remote = v4(get32(f[12:])), v4(get32(f[16:]))
		s.deliverError(b, &e, f[ipv4Len:])
	case f[0]>>4 == 6 && len(f) >= ipv6Len+8:
		e.protocol = f[6]
		e.local, e.remote = v6(f[8:]), v6(f[24:])
		s.deliverError(b, &e, f[ipv6Len:])
	}
}
