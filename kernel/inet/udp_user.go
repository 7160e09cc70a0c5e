package inet

import (
	"net/netip"
	"syscall"

	"pith/kernel/socket"
)

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
