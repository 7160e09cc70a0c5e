package inet

import (
	"net/netip"
	"syscall"
)

// The active side of a handshake.

// Connect implements socket.Endpoint.
func (c *tcpEndpoint) Connect(addr netip.AddrPort) syscall.Errno {
	b := c.s.begin()
	c.mu.Lock()
	errno := c.connect(&b, addr)
	c.mu.Unlock()
	b.flush()
	return errno
}

// connect begins a connection. Called with mu held.
func (c *tcpEndpoint) connect(b *batch, addr netip.AddrPort) syscall.Errno {
	switch {
	case c.state == stateSynSent || c.state == stateSynReceived:
		return syscall.EALREADY
	case c.state != stateClosed:
		return syscall.EISCONN
	case c.err != 0:
		return c.takeError()
	case c.orphan:
		return syscall.EBADF
	case !addr.Addr().IsValid():
		return syscall.EINVAL
	}
	a, nic, errno := c.parse(addr.Addr())
	if errno != 0 {
		return errno
	}
	a = toSelf(a)
	if a.isMulticast() || a == broadcast || addr.Port() == 0 {
		return syscall.ENETUNREACH
	}
	if nic != 0 {
		c.oif = nic
	}
	if errno := c.way(a, c.boundAddress(), c.oif); errno != 0 {
		return errno
	}
	if c.route.broadcast {
		return syscall.ENETUNREACH
	}
	c.reset(a, addr.Port())
	if c.binding != nil {
		errno = c.startConnect(b)
	} else {
		errno = c.connectAnywhere(b)
	}
	if errno != 0 {
		c.remote, c.rport = address{}, 0
		return errno
	}
	return syscall.EINPROGRESS
}

// reset makes a socket that may have been connected before ready for a new connection.
func (c *tcpEndpoint) reset(remote address, port uint16) {
	c.local = c.route.src
	c.remote, c.rport = remote, port
	c.closing, c.finSeen, c.readClosed = false, false, false
	c.in.clear(c.s)
	c.mode, c.dupAcks, c.retries, c.probed = repairNone, 0, 0, false
	c.rtt = rtt{rto: initialRTO}
	c.template.ip = 0
	c.softError = 0
}

// connectAnywhere connects from an ephemeral port. Ports are shared between
// connections to different peers; the search begins where a secret function of the peer
// says, and goes on from the last one (RFC 6056, section 3.3.3).
func (c *tcpEndpoint) connectAnywhere(b *batch) syscall.Errno {
	s := c.s
	name := tuple{c.local, c.remote, 0, c.rport}
	const span = lastEphemeral - firstEphemeral + 1
	start := uint32(s.isn.tuple(&name, 2)) + s.packetID.Add(1)
	for i := range uint32(span) {
		c.lport = uint16(firstEphemeral + (start+i)%span)
		if s.tcpPorts.taken(c.lport) {
			continue
		}
		if errno := c.startConnect(b); errno != syscall.EADDRNOTAVAIL {
			if errno != 0 {
				c.lport = 0
			}
			return errno
		}
	}
	c.lport = 0
	return syscall.EADDRNOTAVAIL
}
