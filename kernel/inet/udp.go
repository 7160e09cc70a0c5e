package inet

import (
	"net/netip"
	"sync"
	"syscall"
)

// UDP (RFC 768), with Linux's socket semantics.
const (
	udpLen = 8
	// udpBuffer is the default of SO_RCVBUF and SO_SNDBUF, in bytes.
	udpBuffer = 256 << 10
	// retryInterval is when a sender that found the ring full is woken, in
	// nanoseconds.
	retryInterval = 1e6
)

// udpEndpoint is one UDP socket.
type udpEndpoint struct {
	base

	mu         sync.Mutex
	queue      datagrams
	readClosed bool
	sendClosed bool
	closed     bool
	timer      timer // wakes a sender that found no room
	blocked    bool
	groups     []membership
	reading    bool   // since the queue was last found full
	relief     *queue // to be told when the queue is half empty again
}

func newUDP(s *Stack, family int) *udpEndpoint {
	e := &udpEndpoint{}
	e.init(s, family, protoUDP)
	e.receiveBuffer, e.sendBuffer = udpBuffer, udpBuffer
	return e
}

// udp handles a received UDP packet.
func (p *packet) udp() {
	if !pull(p.buf, udpLen) {
		p.malformed()
		return
	}
	h := p.buf.Bytes()
	sport, dport, length := get16(h), get16(h[2:]), int(get16(h[4:]))
	if length < udpLen || !p.fit(length) {
		p.malformed()
		return
	}
	if sum := get16(h[6:]); !p.checked && (sum != 0 || !p.src.is4()) {
		if !pseudoHeader(p.src, p.dst, protoUDP, length).chain(p.buf).valid() {
			p.b.s.stats.BadChecksum.Add(1)
			return
		}
	}
	if d := p.nic().dhcp; d != nil && dport == dhcpClientPort && p.dst.is4() {
		d.input(p)
		return
	}
	if p.group {
		p.b.s.udpGroup(p, dport, sport)
		return
	}
	e, ok := p.b.s.udp.find(p, dport, sport)
	if !ok {
		p.refuse(unreachablePort)
		return
	}
	p.buf.Off += udpLen
	p.buf.Len -= udpLen
	e.input(p, sport)
}

// udpGroup gives copies of a multicast or broadcast packet to all who want it.
func (s *Stack) udpGroup(p *packet, dport, sport uint16) {
	p.buf.Off += udpLen
	p.buf.Len -= udpLen
	var last *udpEndpoint
	list := s.udp.at(dport)
	for i := range list {
		e := &list[i]
		if e.key.score(p.dst, p.src, dport, sport, p.nic().index) < 0 {
			continue
		}
		if last != nil {
			last.inputCopy(p, sport)
		}
		last = e.ep
	}
	if last != nil {
		last.input(p, sport)
	}
}

// inputCopy queues a copy of the packet.
func (e *udpEndpoint) inputCopy(p *packet, sport uint16) {
	original := p.buf
	c := p.nic().dev.Alloc()
	if c == nil {
		return
	}
	c.Off = 0
	if !copyChain(p.nic().dev, c, original, 0, chainLen(original)) {
		c.Free()
		return
	}
	p.buf = c
	e.input(p, sport)
	if p.buf != nil {
		p.buf.Free()
	}
	p.buf = original
}

// input queues a packet whose buf begins with the payload.
func (e *udpEndpoint) input(p *packet, sport uint16) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.readClosed || e.closed {
		return
	}
	d := datagram{src: p.src, dst: p.dst, sport: sport, nic: p.nic().index, ttl: p.ttl}
	p.buf, d.size = e.s.keep(p.buf)
	d.buf = p.buf
	if e.queue.bytes+d.size > e.receiveBuffer || !e.s.reserve(d.size) {
		e.overflow(p)
		return
	}
	p.buf = nil
	e.queue.push(d)
	if e.queue.count == 1 {
		e.wake(syscall.EPOLLIN)
	}
}

// overflow takes in that a packet found the queue full. If the program reads at all, it is
// worth waiting for. Called with mu held.
func (e *udpEndpoint) overflow(p *packet) {
	e.s.stats.QueueFull.Add(1)
	if e.reading || e.relief == p.q {
		p.q.crowded++
		e.relief = p.q
	}
	e.reading = false
}

// Bind implements socket.Endpoint.
func (e *udpEndpoint) Bind(addr netip.AddrPort) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	a, nic, errno := e.parse(addr.Addr())
	if errno != 0 {
		return errno
	}
	if e.lport != 0 {
		return syscall.EINVAL
	}
	if !e.bindable(a) {
		return syscall.EADDRNOTAVAIL
	}
	if nic != 0 {
		e.oif = nic
	}
	return e.bind(a, addr.Port())
}

// bind claims a port and makes the socket findable. Called with mu held.
func (e *udpEndpoint) bind(a address, port uint16) syscall.Errno {
	if e.closed {
		return syscall.EBADF
	}
	x := e.claim(a, port)
	if errno := e.s.udpPorts.bind(x); errno != 0 {
		return errno
	}
	e.binding = x
	e.local, e.lport = a, x.port
	e.s.udp.put(e.key(), e)
	return 0
}

// Connect implements socket.Endpoint.
func (e *udpEndpoint) Connect(addr netip.AddrPort) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !addr.Addr().IsValid() {
		return e.disconnect()
	}
	a, nic, errno := e.parse(addr.Addr())
	if errno != 0 {
		return errno
	}
	a = toSelf(a)
	if nic == 0 {
		nic = e.oif
	}
	r, errno := e.s.route(a, e.boundAddress(), nic)
	if errno != 0 {
		return errno
	}
	if r.broadcast && !e.mayBroadcast {
		return syscall.EACCES
	}
	if e.lport == 0 {
		if errno := e.bind(e.local, 0); errno != 0 {
			return errno
		}
	}
	e.route = r
	e.local = r.src
	e.remote, e.rport = a, addr.Port()
	if a.scoped() {
		e.oif = r.nic.index
	}
	e.s.udp.put(e.key(), e)
	return 0
}

// toSelf is where packets to the wildcard address go: the machine itself, as on Linux.
func toSelf(a address) address {
	switch a {
	case anyV4:
		return loopback4
	case address{}:
		return loopback6
	}
	return a
}

// boundAddress is the address that the program has bound, not one that Connect chose.
func (e *base) boundAddress() address {
	if e.binding != nil {
		return e.binding.addr
	}
	return address{}
}

// disconnect dissolves the association. Called with mu held.
func (e *udpEndpoint) disconnect() syscall.Errno {
	if e.rport == 0 {
		return 0
	}
	e.remote, e.rport = address{}, 0
	e.local = e.binding.addr
	e.s.udp.put(e.key(), e)
	return 0
}

// udpError tells a socket what became of its datagram. As on Linux only a
// connected socket hears of it, and only of what won't pass by itself.
func (s *Stack) udpError(b *batch, e *transportError, lport, rport uint16) {
	list := s.udp.at(lport)
	for i := range list {
		k := &list[i].key
		if k.lport != lport || k.rport != 0 && (k.rport != rport || k.remote != e.remote) {
			continue
		}
		if e.mtu != 0 {
			s.learnPath(e.remote, e.mtu, b.now)
			return
		}
		if k.rport == 0 || !e.hard {
			continue
		}
		ep := list[i].ep
		ep.mu.Lock()
		ep.err = e.errno
		ep.wake(syscall.EPOLLERR | syscall.EPOLLIN | syscall.EPOLLOUT)
		ep.mu.Unlock()
	}
}
