package inet

import (
	"net/netip"
	"syscall"

	"pith/kernel/socket"
)

// Receive implements socket.Endpoint.
func (e *rawEndpoint) Receive(p, oob []byte, flags int) (n, oobn, outFlags int, from netip.AddrPort, errno syscall.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.queue.count == 0 {
		switch {
		case e.err != 0:
			errno = e.takeError()
		case !e.readClosed:
			errno = syscall.EAGAIN
		}
		return
	}
	d := *e.queue.first()
	n = copyOut(p, d.buf, 0)
	if total := chainLen(d.buf); n < total {
		outFlags |= syscall.MSG_TRUNC
		if flags&syscall.MSG_TRUNC != 0 {
			n = total
		}
	}
	if len(oob) != 0 {
		var cut bool
		if oobn, cut = e.putControl(oob, &d); cut {
			outFlags |= syscall.MSG_CTRUNC
		}
	}
	from = netip.AddrPortFrom(d.src.netip(e.family, d.nic), 0)
	if flags&syscall.MSG_PEEK == 0 {
		e.queue.pop()
		d.buf.Free()
		e.s.release(d.size)
	}
	return
}

// Shutdown implements socket.Endpoint.
func (e *rawEndpoint) Shutdown(how int) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.remote.unspecified() {
		return syscall.ENOTCONN
	}
	if how != syscall.SHUT_WR {
		e.readClosed = true
		e.wake(syscall.EPOLLIN | syscall.EPOLLRDHUP)
	}
	return 0
}

// Close implements socket.Endpoint.
func (e *rawEndpoint) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.closed = true
	if !e.ping {
		e.s.raw.drop(e.lport, e)
	} else if e.lport != 0 {
		e.s.pings.drop(e.lport, e)
		e.s.pingPorts.release(e.binding)
	}
	e.s.release(e.queue.drain())
	e.notify = nil
}

// LocalAddr implements socket.Endpoint.
func (e *rawEndpoint) LocalAddr() netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.localName()
}

// RemoteAddr implements socket.Endpoint.
func (e *rawEndpoint) RemoteAddr() (netip.AddrPort, syscall.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.remote.unspecified() {
		return netip.AddrPort{}, syscall.ENOTCONN
	}
	return e.remoteName(), 0
}

// Listen implements socket.Endpoint.
func (e *rawEndpoint) Listen(int) syscall.Errno { return syscall.EOPNOTSUPP }

// Accept implements socket.Endpoint.
func (e *rawEndpoint) Accept() (socket.Endpoint, netip.AddrPort, syscall.Errno) {
	return nil, netip.AddrPort{}, syscall.EOPNOTSUPP
}

// SetOption implements socket.Endpoint.
func (e *rawEndpoint) SetOption(level, name int, value []byte) syscall.Errno {
	e.mu.Lock()
	defer e.mu.Unlock()
	errno, handled := e.setOption(level, name, value)
	if !handled {
		return syscall.ENOPROTOOPT
	}
	return errno
}

// Option implements socket.Endpoint.
func (e *rawEndpoint) Option(level, name int, value []byte) (int, syscall.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if level == syscall.SOL_SOCKET && name == syscall.SO_TYPE {
		typ := syscall.SOCK_RAW
		if e.ping {
			typ = syscall.SOCK_DGRAM
		}
		return putNumber(value, typ), 0
	}
	if level == syscall.SOL_SOCKET && name == syscall.SO_ACCEPTCONN {
		return putNumber(value, 0), 0
	}
	n, errno, handled := e.option(level, name, value)
	if !handled {
		return 0, syscall.ENOPROTOOPT
	}
	return n, errno
}

// Buffered implements socket.Endpoint.
func (e *rawEndpoint) Buffered() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.queue.count == 0 {
		return 0
	}
	return chainLen(e.queue.first().buf)
}

// Readiness implements socket.Endpoint.
func (e *rawEndpoint) Readiness() socket.Readiness {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := socket.Readiness(syscall.EPOLLOUT)
	if e.queue.count != 0 || e.readClosed {
		r |= syscall.EPOLLIN
	}
	if e.err != 0 {
		r |= syscall.EPOLLERR
	}
	return r
}

// Notify implements socket.Endpoint.
func (e *rawEndpoint) Notify(f func(socket.Readiness)) {
	e.mu.Lock()
	e.notify = f
	e.mu.Unlock()
}
