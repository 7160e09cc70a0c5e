package inet

import (
	"net/netip"
	"sync"
	"syscall"

	"pith/kernel/link"
)

// rawEndpoint is a raw IP socket, or a "ping socket": SOCK_DGRAM with ICMP, which may only
// send echo requests and gets the answers to its own.
type rawEndpoint struct {
	base
	ping bool

	mu         sync.Mutex
	queue      datagrams
	closed     bool
	readClosed bool
}

func newRaw(s *Stack, family, protocol int, ping bool) *rawEndpoint {
	e := &rawEndpoint{ping: ping}
	e.init(s, family, uint8(protocol))
	e.receiveBuffer, e.sendBuffer = udpBuffer, udpBuffer
	if !ping {
		e.lport = uint16(protocol)
		s.raw.put(e.key(), e)
	}
	return e
}

// deliverRaw gives copies of a packet to the raw sockets of its protocol.
func (s *Stack) deliverRaw(p *packet, protocol uint8) {
	list := s.raw.at(uint16(protocol))
	for i := range list {
		e := &list[i]
		if e.key.lport != uint16(protocol) || (e.key.family == syscall.AF_INET) != p.src.is4() {
			continue
		}
		if !e.key.remote.unspecified() && e.key.remote != p.src {
			continue
		}
		header := 0
		if p.src.is4() {
			header = p.buf.Off - p.network // an IPv4 raw socket sees the IP header too
		}
		e.ep.input(p, header)
	}
}

// deliverPing gives an echo reply to the socket that asked.
func (s *Stack) deliverPing(p *packet) {
	id := get16(p.buf.Bytes()[4:])
	if e, ok := s.pings.find(p, id, 0); ok {
		e.input(p, 0)
	}
}

// input queues a copy of the packet, with header bytes in front of the transport's.
func (e *rawEndpoint) input(p *packet, header int) {
	lo := e.s.lo
	c := lo.Alloc()
	c.Off = 0
	front := p.buf.Data[p.buf.Off-header : p.buf.Off]
	if !appendBytes(lo, c, front) || !copyChain(lo, c, p.buf, 0, chainLen(p.buf)) {
		c.Free()
		return
	}
	d := datagram{buf: c, src: p.src, dst: p.dst, nic: p.nic().index, ttl: p.ttl, size: footprint(c)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.queue.bytes+d.size > e.receiveBuffer || !e.s.reserve(d.size) {
		c.Free()
		return
	}
	e.queue.push(d)
	if e.queue.count == 1 {
		e.wake(syscall.EPOLLIN)
	}
}

// Bind implements socket.Endpoint. A ping socket's port is its echo identifier.
func (e *rawEndpoint) Bind(addr netip.AddrPort) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, nic, errno := e.parse(addr.Addr())
	if errno != 0 {
		return errno
	}
	if !e.bindable(a) {
		return syscall.EADDRNOTAVAIL
	}
	if nic != 0 {
		e.oif = nic
	}
	if !e.ping {
		e.local = a
		e.s.raw.put(e.key(), e)
		return 0
	}
	if e.lport != 0 {
		return syscall.EINVAL
	}
	return e.bind(a, addr.Port())
}

// bind claims an echo identifier. Called with mu held.
func (e *rawEndpoint) bind(a address, id uint16) syscall.Errno {
	x := e.claim(a, id)
	if errno := e.s.pingPorts.bind(x); errno != 0 {
		return errno
	}
	e.binding = x
	e.local, e.lport = a, x.port
	e.s.pings.put(e.key(), e)
	return 0
}

// Connect implements socket.Endpoint.
func (e *rawEndpoint) Connect(addr netip.AddrPort) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !addr.Addr().IsValid() {
		e.remote = address{}
	} else {
		a, nic, errno := e.parse(addr.Addr())
		if errno != 0 {
			return errno
		}
		if nic != 0 {
			e.oif = nic
		}
		r, errno := e.s.route(toSelf(a), e.boundAddress(), e.oif)
		if errno != 0 {
			return errno
		}
		e.remote = r.dst
		e.local = r.src
	}
	if !e.ping {
		e.s.raw.put(e.key(), e)
	}
	return 0
}

// Send implements socket.Endpoint.
func (e *rawEndpoint) Send(p, oob []byte, to netip.AddrPort, flags int) (int, syscall.Errno) {
	b := e.s.begin()
	e.mu.Lock()
	n, errno := e.send(&b, p, oob, to)
	e.mu.Unlock()
	b.flush()
	return n, errno
}

// send sends one packet. Called with mu held.
func (e *rawEndpoint) send(b *batch, p, oob []byte, to netip.AddrPort) (int, syscall.Errno) {
	if e.err != 0 {
		return 0, e.takeError()
	}
	dst, src, oif := e.remote, e.local, e.oif
	if to.Addr().IsValid() {
		a, nic, errno := e.parse(to.Addr())
		if errno != 0 {
			return 0, errno
		}
		dst = toSelf(a)
		if nic != 0 {
			oif = nic
		}
	} else if dst.unspecified() {
		return 0, syscall.EDESTADDRREQ
	}
	if errno := e.parseControl(oob, &src, &oif); errno != 0 {
		return 0, errno
	}
	if errno := e.way(dst, src, oif); errno != 0 {
		return 0, errno
	}
	if e.route.broadcast && !e.mayBroadcast {
		return 0, syscall.EACCES
	}
	return e.sendTo(b, p)
}

// sendTo sends one packet by e.route. Called with mu held.
func (e *rawEndpoint) sendTo(b *batch, p []byte) (int, syscall.Errno) {
	r := &e.route
	if len(p) > maxPacket-r.headerLen() {
		return 0, syscall.EMSGSIZE
	}
	if e.ping && len(p) < icmpLen || len(p) == 0 {
		return 0, syscall.EINVAL
	}
	if e.ping && (p[0] != icmpEcho && p[0] != icmp6Echo || p[1] != 0) {
		return 0, syscall.EINVAL
	}
	if e.ping && e.lport == 0 {
		if errno := e.bind(e.local, 0); errno != 0 {
			return 0, errno
		}
	}
	f := r.nic.dev.Alloc()
	if f == nil || !appendBytes(r.nic.dev, f, p) {
		f.Free()
		b.s.stats.NoBuffer.Add(1)
		return 0, syscall.ENOBUFS
	}
	o := e.complete(f)
	h := ipHeader{protocol: e.protocol, ttl: e.hopLimit(r.dst), tos: e.tos, mayCut: true}
	if errno := r.send(b, r.nic.queueFor(0), f, h, o); errno != 0 {
		return 0, errno
	}
	return len(p), 0
}

// complete fills in what the stack adds to a message: a ping's identifier and
// checksum, an ICMPv6 message's checksum (RFC 3542, section 3.1).
func (e *rawEndpoint) complete(f *link.Buffer) link.Offload {
	h := f.Bytes()
	if e.ping {
		put16(h[4:], e.lport)
	}
	if len(h) >= icmpLen && (e.ping || e.protocol == protoICMPv6) {
		put16(h[2:], 0)
		return e.route.sumICMP(f)
	}
	return noOffload
}
