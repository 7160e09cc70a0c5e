package inet

import (
	"net/netip"
	"syscall"

	"pith/kernel/link"
	"pith/kernel/socket"
)

// The program's side of a TCP socket: socket.Endpoint.

// Bind implements socket.Endpoint.
func (c *tcpEndpoint) Bind(addr netip.AddrPort) syscall.Errno {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, nic, errno := c.parse(addr.Addr())
	if errno != 0 {
		return errno
	}
	if c.state != stateClosed || c.binding != nil || c.orphan {
		return syscall.EINVAL
	}
	if !c.bindable(a) {
		return syscall.EADDRNOTAVAIL
	}
	if nic != 0 {
		c.oif = nic
	}
	return c.bind(a, addr.Port())
}

// bind claims a port. Called with mu held.
func (c *tcpEndpoint) bind(a address, port uint16) syscall.Errno {
	x := c.claim(a, port)
	if errno := c.s.tcpPorts.bind(x); errno != 0 {
		return errno
	}
	c.binding = x
	c.local, c.lport = a, x.port
	return 0
}

// Listen implements socket.Endpoint.
func (c *tcpEndpoint) Listen(backlog int) syscall.Errno {
	c.mu.Lock()
	defer c.mu.Unlock()
	backlog = min(max(backlog, 0), maxBacklog)
	if c.state == stateListen {
		c.listener.mu.Lock()
		c.listener.backlog = backlog
		c.listener.mu.Unlock()
		return 0
	}
	if c.state != stateClosed || c.rport != 0 || c.orphan {
		return syscall.EINVAL
	}
	if c.binding == nil {
		if errno := c.bind(c.local, 0); errno != 0 {
			return errno
		}
	}
	if errno := c.s.tcpPorts.listen(c.binding); errno != 0 {
		return errno
	}
	c.listener = &listener{ep: c, backlog: backlog, embryos: make(map[tuple]*embryo)}
	c.state = stateListen
	c.s.listeners.put(c.key(), c)
	return 0
}

// Accept implements socket.Endpoint.
func (c *tcpEndpoint) Accept() (socket.Endpoint, netip.AddrPort, syscall.Errno) {
	c.mu.Lock()
	l := c.listener
	c.mu.Unlock()
	if l == nil {
		return nil, netip.AddrPort{}, syscall.EINVAL
	}
	child := l.take()
	if child == nil {
		return nil, netip.AddrPort{}, syscall.EAGAIN
	}
	child.mu.Lock()
	from := child.remoteName()
	child.mu.Unlock()
	return child, from, 0
}

// Send implements socket.Endpoint.
func (c *tcpEndpoint) Send(p, _ []byte, to netip.AddrPort, flags int) (int, syscall.Errno) {
	b := c.s.begin()
	c.mu.Lock()
	n, errno := c.send(&b, p)
	c.mu.Unlock()
	b.flush()
	return n, errno
}

// send queues bytes and sends what may be sent. Called with mu held.
func (c *tcpEndpoint) send(b *batch, p []byte) (int, syscall.Errno) {
	switch {
	case c.err != 0:
		return 0, c.takeError()
	case c.closing:
		return 0, syscall.EPIPE
	case c.state == stateSynSent || c.state == stateSynReceived:
		c.wantWrite = true
		return 0, syscall.EAGAIN
	case c.state == stateClosed && c.rport == 0 || c.state == stateListen:
		return 0, syscall.EPIPE
	case c.state != stateEstablished && c.state != stateCloseWait:
		return 0, syscall.EPIPE
	case len(p) == 0:
		return 0, 0
	}
	room := c.sendBuffer - c.out.len
	if room <= 0 {
		c.wantWrite = true
		return 0, syscall.EAGAIN
	}
	if c.inFlight() == 0 && c.sentAt != 0 && b.now-c.sentAt > c.rto {
		c.idle(c.mss)
	}
	c.sentAt = b.now
	if c.unacked > 0 {
		c.pingPong = true
	}
	n := c.out.write(c.s, p[:min(len(p), room)])
	if n < len(p) {
		c.wantWrite = true
	}
	if n == 0 {
		return 0, syscall.EAGAIN
	}
	c.output(b)
	return n, 0
}

// Receive implements socket.Endpoint.
func (c *tcpEndpoint) Receive(p, _ []byte, flags int) (n, oobn, outFlags int, from netip.AddrPort, errno syscall.Errno) {
	if flags&syscall.MSG_OOB != 0 {
		errno = syscall.EINVAL
		return
	}
	c.mu.Lock()
	if c.in.bytes == 0 || len(p) == 0 {
		errno = c.emptyReason(len(p))
		c.mu.Unlock()
		return
	}
	if flags&syscall.MSG_PEEK != 0 {
		n = copyOut(p, c.in.head, 0)
		c.mu.Unlock()
		return
	}
	b := batch{s: c.s}
	var whole *link.Buffer
	var size int
	n, whole, size = c.in.take(p)
	if c.state >= stateEstablished {
		b.now = c.s.conf.Now()
		c.afterRead(&b, n)
	}
	c.mu.Unlock()
	if whole != nil {
		copyOut(p, whole, 0)
		whole.Free()
		c.s.release(size)
	}
	b.flush()
	return
}

// emptyReason is what a read finds where nothing can be read. Called with mu held.
func (c *tcpEndpoint) emptyReason(want int) syscall.Errno {
	switch {
	case c.state == stateListen || c.state == stateClosed && c.rport == 0 && c.err == 0:
		return syscall.ENOTCONN
	case c.in.bytes > 0 && want == 0:
		return 0
	case c.err != 0:
		if c.err == syscall.EPIPE {
			c.err = syscall.ECONNRESET
		}
		return c.takeError()
	case c.finSeen || c.readClosed || c.state == stateClosed:
		return 0
	}
	return syscall.EAGAIN
}

// take removes up to len(p) bytes. Pieces that fit whole are given back as a chain,
// whose bytes are p's first; a piece that fits in part is copied here.
func (q *receiveQueue) take(p []byte) (n int, whole *link.Buffer, size int) {
	var last *link.Buffer
	for b := q.head; b != nil && n+b.Len <= len(p); b = b.Next {
		n += b.Len
		size += len(b.Data)
		last = b
	}
	if last != nil {
		whole = q.head
		q.head = last.Next
		last.Next = nil
	}
	if b := q.head; b == nil {
		q.tail = nil
	} else if n < len(p) {
		k := copy(p[n:], b.Bytes())
		b.Off += k
		b.Len -= k
		n += k
	}
	q.bytes -= n
	q.size -= size
	return n, whole, size
}

// Shutdown implements socket.Endpoint.
func (c *tcpEndpoint) Shutdown(how int) syscall.Errno {
	if how < syscall.SHUT_RD || how > syscall.SHUT_RDWR {
		return syscall.EINVAL
	}
	b := c.s.begin()
	c.mu.Lock()
	errno := c.shutdown(&b, how)
	c.mu.Unlock()
	b.flush()
	return errno
}

func (c *tcpEndpoint) shutdown(b *batch, how int) syscall.Errno {
	if c.state == stateListen {
		if how != syscall.SHUT_WR {
			c.stopListening(b)
			c.wake(syscall.EPOLLIN | syscall.EPOLLHUP)
		}
		return 0
	}
	if c.state == stateClosed {
		return syscall.ENOTCONN
	}
	if how != syscall.SHUT_WR {
		c.readClosed = true
	}
	if how != syscall.SHUT_RD {
		c.closeSend(b)
	}
	c.wake(c.readiness())
	return 0
}

// closeSend sends the FIN behind what is queued. Called with mu held.
func (c *tcpEndpoint) closeSend(b *batch) {
	if c.closing {
		return
	}
	switch c.state {
	case stateSynSent:
		c.detach()
		return
	case stateSynReceived, stateEstablished:
		c.state = stateFinWait1
	case stateCloseWait:
		c.state = stateLastAck
	default:
		return
	}
	c.closing = true
	c.output(b)
}

// stopListening turns the socket back into a fresh one. Called with mu held; the
// connections that nobody accepted are reset later, by the caller of b.
func (c *tcpEndpoint) stopListening(b *batch) {
	c.s.listeners.drop(c.lport, c)
	rest := c.listener.close()
	c.listener = nil
	c.state = stateClosed
	if len(rest) == 0 {
		return
	}
	// Their locks come before this one's.
	c.mu.Unlock()
	for _, child := range rest {
		child.mu.Lock()
		child.orphan = true
		child.sendReset(b)
		child.detach()
		child.mu.Unlock()
	}
	c.mu.Lock()
}

// Close implements socket.Endpoint.
func (c *tcpEndpoint) Close() {
	b := c.s.begin()
	c.mu.Lock()
	if !c.orphan {
		c.close(&b)
	}
	c.mu.Unlock()
	b.flush()
}

// close gives the connection into the stack's hands. Called with mu held.
func (c *tcpEndpoint) close(b *batch) {
	c.orphan = true
	c.notify = nil
	switch c.state {
	case stateListen:
		c.stopListening(b)
		c.discard()
		return
	case stateClosed:
		c.discard()
		return
	case stateSynSent:
		c.detach()
		return
	}
	if c.in.bytes > 0 || c.linger == 0 {
		// The peer should know that its data was lost (RFC 9293, section 3.6.1).
		c.sendReset(b)
		c.detach()
		return
	}
	c.readClosed = true
	c.keepAt = 0
	c.closeSend(b)
	if c.state == stateFinWait2 {
		c.setTimer(&c.keepAt, b.now+finTimeout)
	}
	if c.state != stateClosed {
		// The port stays the connection's by its tuple; others may bind it.
		c.s.tcpPorts.release(c.binding)
		c.binding = nil
	}
}

// LocalAddr implements socket.Endpoint.
func (c *tcpEndpoint) LocalAddr() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.localName()
}

// RemoteAddr implements socket.Endpoint.
func (c *tcpEndpoint) RemoteAddr() (netip.AddrPort, syscall.Errno) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < stateEstablished {
		return netip.AddrPort{}, syscall.ENOTCONN
	}
	return c.remoteName(), 0
}

// Buffered implements socket.Endpoint.
func (c *tcpEndpoint) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.in.bytes
}

// Readiness implements socket.Endpoint.
func (c *tcpEndpoint) Readiness() socket.Readiness {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readiness()
}

// Notify implements socket.Endpoint.
func (c *tcpEndpoint) Notify(f func(socket.Readiness)) {
	c.mu.Lock()
	c.notify = f
	c.mu.Unlock()
}
