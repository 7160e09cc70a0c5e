package inet

import (
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
)

// DHCP client for IPv4 (RFC 2131, 2132, 3442): asks for a lease and keeps it. It speaks
// below the sockets, since there is no address yet; RELEASE and INFORM aren't
// sent.
const (
	dhcpClientPort = 68
	dhcpServerPort = 67

	// dhcpFirstRetry is when the first question is repeated, dhcpMaxRetry how long
	// the pauses get, in nanoseconds. A machine that boots in 100 ms shouldn't
	// wait the 4 s of RFC 2131, section 4.1, for a lost packet.
	dhcpFirstRetry = 500e6
	dhcpMaxRetry   = 32e9
	// dhcpMaxRequests is how often a request is repeated before the search for
	// servers begins anew.
	dhcpMaxRequests = 4
	// dhcpMinRenew is the least time between renewals, in nanoseconds (RFC 2131,
	// section 4.4.5).
	dhcpMinRenew = 60e9
)

// dhcpState is a state of RFC 2131, figure 5.
type dhcpState int32

const (
	dhcpSelecting dhcpState = iota
	dhcpRequesting
	dhcpBound
	dhcpRenewing
	dhcpRebinding
)

// dhcpClient gets and keeps one interface's lease.
type dhcpClient struct {
	nic   *nic
	state atomic.Int32 // dhcpState; written with mu held

	mu      sync.Mutex
	xid     uint32
	began   int64 // of the exchange
	tries   int
	next    int64
	offer   lease
	current lease // what is configured
	timer   timer
}

// lease is what a server gives.
type lease struct {
	addr    prefix
	server  address // its identifier
	routers []address
	routes  []routeEntry // classless static routes
	servers []netip.Addr // DNS
	mtu     int
	// When to renew, rebind, and stop using it.
	renew, rebind, end int64
}

func newDHCP(n *nic) *dhcpClient { return &dhcpClient{nic: n} }

// waiting reports whether the client has no address yet.
func (d *dhcpClient) waiting() bool { return dhcpState(d.state.Load()) < dhcpBound }

// start begins to look for servers.
func (d *dhcpClient) start() {
	b := d.nic.s.begin()
	d.mu.Lock()
	d.discover(&b)
	d.mu.Unlock()
	b.flush()
}

// discover begins anew. Called with mu held.
func (d *dhcpClient) discover(b *batch) {
	d.enter(b, dhcpSelecting)
	d.send(b)
}

// enter changes the state and begins an exchange. Called with mu held.
func (d *dhcpClient) enter(b *batch, s dhcpState) {
	if s != dhcpRequesting {
		d.xid = uint32(d.nic.s.random())
		d.began = b.now
	}
	d.state.Store(int32(s))
	d.tries = 0
}

// send sends the message of the state, and sets the time to repeat it. Called with mu held.
func (d *dhcpClient) send(b *batch) {
	pause := min(int64(dhcpFirstRetry)<<min(d.tries, 10), dhcpMaxRetry)
	pause += int64(bits.ReverseBytes32(d.xid)) % (pause/4 + 1) // so that machines don't ask in step
	d.tries++
	switch dhcpState(d.state.Load()) {
	case dhcpRenewing:
		pause = max((d.current.rebind-b.now)/2, dhcpMinRenew)
		d.next = min(b.now+pause, d.current.rebind)
	case dhcpRebinding:
		pause = max((d.current.end-b.now)/2, dhcpMinRenew)
		d.next = min(b.now+pause, d.current.end)
	default:
		d.next = b.now + pause
	}
	b.s.timers.arm(&d.timer, d, d.next)
	d.transmit(b)
}

// expire implements expirer.
func (d *dhcpClient) expire(b *batch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer.at = 0
	if b.now < d.next {
		b.s.timers.arm(&d.timer, d, d.next)
		return
	}
	switch state := dhcpState(d.state.Load()); {
	case state == dhcpSelecting:
		d.send(b)
	case state == dhcpRequesting && d.tries < dhcpMaxRequests:
		d.send(b)
	case state == dhcpRequesting:
		d.discover(b)
	case b.now >= d.current.end:
		d.release()
		d.discover(b)
	case b.now >= d.current.rebind:
		if state != dhcpRebinding {
			d.enter(b, dhcpRebinding)
		}
		d.send(b)
	default:
		if state != dhcpRenewing {
			d.enter(b, dhcpRenewing)
		}
		d.send(b)
	}
}

// release forgets the lease. Called with mu held.
func (d *dhcpClient) release() {
	d.current = lease{}
	d.nic.s.update(func(c *config) {
		c.drop(d.nic, fromDHCP, true)
		c.setNameservers(d.nic, fromDHCP, nil)
	})
}

// input takes a UDP packet to the client's port; p.buf begins with the UDP header.
func (d *dhcpClient) input(p *packet) {
	if !pull(p.buf, min(chainLen(p.buf), len(p.buf.Data)-p.buf.Off)) {
		return
	}
	m, ok := parseDHCP(p.buf.Bytes()[udpLen:])
	if !ok {
		p.malformed()
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.xid != d.xid || m.mac != d.nic.mac {
		return
	}
	switch state := dhcpState(d.state.Load()); {
	case state == dhcpSelecting && m.kind == dhcpOffer && !m.lease.addr.addr.unspecified():
		d.offer = m.lease
		d.enter(p.b, dhcpRequesting)
		d.send(p.b)
	case state == dhcpSelecting || state == dhcpBound:
	case m.kind == dhcpNak:
		if state != dhcpRequesting {
			d.release()
		}
		d.discover(p.b)
	case m.kind == dhcpAck && m.seconds != 0 && !m.lease.addr.addr.unspecified():
		d.bind(p.b, &m)
	}
}

// bind takes a lease into use. Called with mu held.
func (d *dhcpClient) bind(b *batch, m *dhcpMessage) {
	l := m.lease
	l.renew, l.rebind, l.end = never, never, never
	if m.seconds != infinite {
		whole := int64(m.seconds) * 1e9
		l.end = d.began + whole
		l.rebind = d.began + orSeconds(m.rebind, whole/8*7)
		l.renew = d.began + orSeconds(m.renew, whole/2)
		l.rebind = min(l.rebind, l.end)
		l.renew = min(l.renew, l.rebind)
	}
	if l.server.unspecified() {
		l.server = d.offer.server
	}
	moved := l.addr != d.current.addr
	d.current = l
	d.state.Store(int32(dhcpBound))
	d.configure(&l)
	if l.end != never {
		d.next = l.renew
		b.s.timers.arm(&d.timer, d, d.next)
	} else {
		d.next = never
	}
	if moved {
		d.nic.sendARP(b, arpRequest, broadcastMAC, l.addr.addr, 0, l.addr.addr)
	}
}

// orSeconds is a time that a server gave, or the default.
func orSeconds(given uint32, otherwise int64) int64 {
	if given == 0 {
		return otherwise
	}
	return int64(given) * 1e9
}

// configure makes the interface's configuration what the lease says.
func (d *dhcpClient) configure(l *lease) {
	n := d.nic
	if l.mtu >= minPathMTU && l.mtu <= n.dev.MTU() {
		n.mtu.Store(int32(l.mtu))
	}
	n.s.update(func(c *config) {
		c.drop(n, fromDHCP, true)
		c.addAddress(n, l.addr, fromDHCP)
		for _, r := range l.routes {
			r.nic, r.origin, r.metric = n, fromDHCP, n.index
			c.addRoute(r)
		}
		if len(l.routes) == 0 { // RFC 3442: routers don't count where routes are given
			for _, r := range l.routers {
				c.addDefault(n, r, fromDHCP)
			}
		}
		c.setNameservers(n, fromDHCP, l.servers)
	})
}

// transmit sends the message that the state asks for. Called with mu held.
func (d *dhcpClient) transmit(b *batch) {
	n, state := d.nic, dhcpState(d.state.Load())
	r := route{nic: n, src: anyV4, dst: broadcast, mac: broadcastMAC, mtu: int(n.mtu.Load())}
	switch state {
	case dhcpRenewing:
		way, errno := n.s.route(d.current.server, d.current.addr.addr, n.index)
		if errno != 0 {
			return
		}
		r = way
	case dhcpRebinding:
		r.src = d.current.addr.addr
	}
	f := n.dev.Alloc()
	if f == nil {
		b.s.stats.NoBuffer.Add(1)
		return
	}
	f.Len = udpLen
	message := d.message(f.Data[f.Off+udpLen:f.Off+udpLen], state, b.now)
	f.Len += len(message)
	h := f.Bytes()
	put16(h, dhcpClientPort)
	put16(h[2:], dhcpServerPort)
	put16(h[4:], uint16(f.Len))
	put16(h[6:], 0)
	o := r.sum(f, protoUDP, 6)
	r.send(b, n.queues[0], f, ipHeader{protocol: protoUDP, ttl: defaultTTL}, o)
}
