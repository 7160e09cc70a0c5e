package inet

import (
	"net/netip"
	"syscall"

	"pith/kernel/link"
)

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
