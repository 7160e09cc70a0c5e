package inet

import (
	"net/netip"
	"sync"
	"syscall"

	"pith/kernel/link"
	"pith/kernel/socket"
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

// Send implements socket.Endpoint.
func (e *udpEndpoint) Send(p, oob []byte, to netip.AddrPort, flags int) (int, syscall.Errno) {
	b := e.s.begin()
	e.mu.Lock()
	n, errno := e.send(&b, p, oob, to)
	e.mu.Unlock()
	b.flush()
	return n, errno
}

// send builds and sends one datagram. Called with mu held.
func (e *udpEndpoint) send(b *batch, p, oob []byte, to netip.AddrPort) (int, syscall.Errno) {
	if e.err != 0 {
		return 0, e.takeError()
	}
	if e.sendClosed {
		return 0, syscall.EPIPE
	}
	if len(p) > maxPacket-udpLen {
		return 0, syscall.EMSGSIZE
	}
	dst, dport, errno := e.aim(to, oob)
	if errno != 0 {
		return 0, errno
	}
	r := &e.route
	f := r.nic.dev.Alloc()
	if f == nil {
		b.s.stats.NoBuffer.Add(1)
		return 0, e.block(b)
	}
	f.Len = udpLen
	h := f.Bytes()
	put16(h, e.lport)
	put16(h[2:], dport)
	put16(h[4:], uint16(udpLen+len(p)))
	put16(h[6:], 0)
	if !appendBytes(r.nic.dev, f, p) {
		f.Free()
		b.s.stats.NoBuffer.Add(1)
		return 0, e.block(b)
	}
	o := r.sum(f, protoUDP, 6)
	q := r.nic.queueFor(uint32(e.lport) + uint32(dport))
	if dst.isMulticast() && !e.multicastMute {
		e.loop(b, f)
	}
	h2 := ipHeader{protocol: protoUDP, ttl: e.hopLimit(dst), tos: e.tos, mayCut: !e.neverCut}
	errno = r.send(b, q, f, h2, o)
	if errno == syscall.ENOBUFS {
		return 0, e.block(b)
	}
	if errno != 0 {
		return 0, errno
	}
	return len(p), 0
}

// aim finds out where a datagram goes and looks up its route. Called with mu held.
func (e *udpEndpoint) aim(to netip.AddrPort, oob []byte) (dst address, dport uint16, errno syscall.Errno) {
	dst, dport = e.remote, e.rport
	oif, src := e.oif, e.local
	if to.Addr().IsValid() {
		var nic int
		dst, nic, errno = e.parse(to.Addr())
		if errno != 0 {
			return
		}
		dst, dport = toSelf(dst), to.Port()
		if nic != 0 {
			oif = nic
		}
		if dport == 0 {
			return dst, 0, syscall.EINVAL
		}
	} else if e.rport == 0 {
		return dst, 0, syscall.EDESTADDRREQ
	}
	if e.lport == 0 {
		if errno = e.bind(e.local, 0); errno != 0 {
			return
		}
	}
	if dst.isMulticast() && oif == 0 {
		oif = e.multicastNIC
	}
	if len(oob) != 0 {
		if errno = e.parseControl(oob, &src, &oif); errno != 0 {
			return
		}
	}
	if src.isMulticast() || src == broadcast {
		src = address{}
	}
	if errno = e.way(dst, src, oif); errno != 0 {
		return
	}
	if e.route.broadcast && !e.mayBroadcast {
		errno = syscall.EACCES
	}
	return
}

// block makes a program wait for room; a timer tells when to try again.
// Called with mu held.
func (e *udpEndpoint) block(b *batch) syscall.Errno {
	e.blocked = true
	e.s.timers.arm(&e.timer, e, b.now+retryInterval)
	return syscall.EAGAIN
}

// expire implements expirer.
func (e *udpEndpoint) expire(*batch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer.at = 0
	if e.blocked {
		e.blocked = false
		e.wake(syscall.EPOLLOUT)
	}
}

// loop gives this machine's own members of a multicast group a copy of f, which begins
// with the UDP header. Called with mu held.
func (e *udpEndpoint) loop(b *batch, f *link.Buffer) {
	r := e.route
	if !r.nic.groups.has(r.dst) {
		return
	}
	lo := e.s.lo
	c := lo.Alloc()
	if !copyChain(lo, c, f, 0, chainLen(f)) {
		c.Free()
		return
	}
	r.nic, r.neighbor, r.mac, r.mtu = lo.nic, nil, 0, loopbackMTU
	h := ipHeader{protocol: protoUDP, ttl: e.hopLimit(r.dst), tos: e.tos}
	r.send(b, lo.nic.queues[0], c, h, link.Offload{NeedsChecksum: true, ChecksumOffset: 6})
}

// Receive implements socket.Endpoint.
func (e *udpEndpoint) Receive(p, oob []byte, flags int) (n, oobn, outFlags int, from netip.AddrPort, errno syscall.Errno) {
	e.mu.Lock()
	if e.queue.count == 0 {
		errno = e.emptyReason()
		e.mu.Unlock()
		return
	}
	if flags&syscall.MSG_PEEK != 0 {
		d := *e.queue.first()
		n, oobn, outFlags, from = e.read(&d, p, oob, flags)
		e.mu.Unlock()
		return
	}
	d := e.queue.pop()
	e.reading = true
	if e.relief != nil && e.queue.bytes <= e.receiveBuffer/2 {
		e.relief.relieve()
		e.relief = nil
	}
	e.mu.Unlock()
	// The datagram is ours alone: copying needs no lock.
	n, oobn, outFlags, from = e.read(&d, p, oob, flags)
	d.buf.Free()
	e.s.release(d.size)
	return
}

// emptyReason is what a read finds where no datagram is. Called with mu held.
func (e *udpEndpoint) emptyReason() syscall.Errno {
	switch {
	case e.err != 0:
		return e.takeError()
	case e.readClosed:
		return 0
	}
	return syscall.EAGAIN
}

// read copies one datagram out.
func (e *udpEndpoint) read(d *datagram, p, oob []byte, flags int) (n, oobn, outFlags int, from netip.AddrPort) {
	n = copyOut(p, d.buf, 0)
	if total := chainLen(d.buf); n < total {
		outFlags |= syscall.MSG_TRUNC
		if flags&syscall.MSG_TRUNC != 0 {
			n = total
		}
	}
	if len(oob) != 0 && (e.packetInfo || e.packetInfo6 || e.hopLimitInfo) {
		var cut bool
		oobn, cut = e.putControl(oob, d)
		if cut {
			outFlags |= syscall.MSG_CTRUNC
		}
	}
	from = netip.AddrPortFrom(d.src.netip(e.family, d.nic), d.sport)
	return
}

// Shutdown implements socket.Endpoint.
func (e *udpEndpoint) Shutdown(how int) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rport == 0 {
		return syscall.ENOTCONN
	}
	if how != syscall.SHUT_WR {
		e.readClosed = true
	}
	if how != syscall.SHUT_RD {
		e.sendClosed = true
	}
	e.wake(e.readiness())
	return 0
}

// Close implements socket.Endpoint.
func (e *udpEndpoint) Close() {
	b := e.s.begin()
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	if e.lport != 0 {
		e.s.udp.drop(e.lport, e)
		e.s.udpPorts.release(e.binding)
	}
	e.s.timers.disarm(&e.timer)
	e.s.release(e.queue.drain())
	e.notify = nil
	for _, m := range e.groups {
		e.s.leave(&b, m)
	}
	e.groups = nil
	e.mu.Unlock()
	b.flush()
}

// LocalAddr implements socket.Endpoint.
func (e *udpEndpoint) LocalAddr() netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.localName()
}

// RemoteAddr implements socket.Endpoint.
func (e *udpEndpoint) RemoteAddr() (netip.AddrPort, syscall.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rport == 0 {
		return netip.AddrPort{}, syscall.ENOTCONN
	}
	return e.remoteName(), 0
}

// Listen implements socket.Endpoint.
func (e *udpEndpoint) Listen(int) syscall.Errno { return syscall.EOPNOTSUPP }

// Accept implements socket.Endpoint.
func (e *udpEndpoint) Accept() (socket.Endpoint, netip.AddrPort, syscall.Errno) {
	return nil, netip.AddrPort{}, syscall.EOPNOTSUPP
}

// Buffered implements socket.Endpoint: the next datagram's length, as on Linux.
func (e *udpEndpoint) Buffered() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.queue.count == 0 {
		return 0
	}
	return chainLen(e.queue.first().buf)
}

// Readiness implements socket.Endpoint.
func (e *udpEndpoint) Readiness() socket.Readiness {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.readiness()
}

func (e *udpEndpoint) readiness() socket.Readiness {
	var r socket.Readiness
	if !e.blocked {
		r |= syscall.EPOLLOUT
	}
	if e.queue.count != 0 || e.readClosed {
		r |= syscall.EPOLLIN
	}
	if e.readClosed {
		r |= syscall.EPOLLRDHUP
		if e.sendClosed {
			r |= syscall.EPOLLHUP
		}
	}
	if e.err != 0 {
		r |= syscall.EPOLLERR
	}
	return r
}

// Notify implements socket.Endpoint.
func (e *udpEndpoint) Notify(f func(socket.Readiness)) {
	e.mu.Lock()
	e.notify = f
	e.mu.Unlock()
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
