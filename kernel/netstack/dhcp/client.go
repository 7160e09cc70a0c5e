package dhcp

import (
	"net/netip"
	"sync"
	"time"
)

// Client asks for a lease and keeps it. Set the exported fields, then call
// Run on a goroutine of its own.
type Client struct {
	MAC  [6]byte
	Host string // the machine's name, told to the server; may be empty
	// Send puts a frame on the wire. It must not block, and may drop it.
	Send func(frame []byte)
	// Gained is told each new or renewed lease, Lost that the last one is over. They are
	// called on Run's goroutine.
	Gained func(Lease)
	Lost   func()
	// Random returns unpredictable bits, for transaction numbers and pauses.
	Random func() uint32

	once     sync.Once
	received chan reply
	stopped  chan struct{}
}

// reply is a message for us and the hardware address that it came from.
type reply struct {
	Message
	from [6]byte
}

// Pauses between transmissions (RFC 2131, section 4.1: 4 s doubled up to
// 64 s, each give or take one second). Ours begins shorter, because a
// machine that starts faster than a network comes up is the normal case here.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 64 * time.Second
	// minRenewal bounds how often a lease is renewed (RFC 2131, section
	// 4.4.5).
	minRenewal = 60 * time.Second
	// minLease: shorter leases are stretched, so that a broken server can't
	// keep us busy.
	minLease = 10 * time.Second
)

func (c *Client) init() {
	c.once.Do(func() {
		c.received = make(chan reply, 8)
		c.stopped = make(chan struct{})
	})
}

// Receive is given every frame that might hold a DHCP message. It doesn't
// block and keeps nothing of the frame. It may be called from several goroutines.
func (c *Client) Receive(frame []byte) {
	c.init()
	b, e, ok := unwrap(frame)
	if !ok {
		return
	}
	m, err := Parse(b)
	if err != nil || !m.Reply || m.MAC != c.MAC {
		return
	}
	select {
	case c.received <- reply{m, e.fromMAC}:
	default:
	}
}

// Stop makes Run return. It is called once.
func (c *Client) Stop() {
	c.init()
	close(c.stopped)
}

// Run works until Stop.
func (c *Client) Run() {
	c.init()
	for {
		l, from, ok := c.acquire()
		if !ok {
			return
		}
		c.Gained(l)
		ok = c.keep(l, from)
		c.Lost()
		if !ok {
			return
		}
	}
}

// acquire goes from INIT to BOUND (RFC 2131, figure 5). ok is false after
// Stop.
func (c *Client) acquire() (l Lease, from [6]byte, ok bool) {
	for {
		offer, ok := c.exchange(Message{Type: Discover, Rapid: true}, broadcast(), 0, func(r reply) bool {
			return r.Type == Offer && r.Lease.Server.IsValid() || r.Type == ACK && r.Rapid
		})
		if !ok {
			return l, from, false
		}
		if !usable(offer.Lease.Addr.Addr()) {
			if !c.pause(firstPause) {
				return l, from, false
			}
			continue
		}
		if offer.Type == ACK {
			return offer.Lease.stretched(), offer.from, true
		}
		ask := Message{Type: Request, Requested: offer.Lease.Addr.Addr()}
		ask.Lease.Server = offer.Lease.Server
		answer, ok := c.exchange(ask, broadcast(), 4, isVerdict)
		if ok && answer.Type == ACK && usable(answer.Lease.Addr.Addr()) {
			return answer.Lease.stretched(), answer.from, true
		}
		// Refused, or the server went away: from the start, not at once.
		if !c.pause(firstPause) {
			return l, from, false
		}
	}
}

// keep renews the lease until it ends. ok is false after Stop, which gives the
// lease back.
func (c *Client) keep(l Lease, from [6]byte) (ok bool) {
	for {
		if l.Lifetime < 0 {
			<-c.stopped
			c.release(l, from)
			return false
		}
		start := time.Now()
		if !c.pause(l.Renew) {
			c.release(l, from)
			return false
		}
		next, via, outcome := c.renew(l, from, start)
		switch outcome {
		case renewed:
			l, from = next, via
			c.Gained(l)
		case refused:
			return true
		case stopped:
			c.release(l, from)
			return false
		}
	}
}

type outcome int

const (
	renewed outcome = iota
	refused
	stopped
)

// renew asks the lease's server, and from l.Rebind on any server, until l ends.
func (c *Client) renew(l Lease, from [6]byte, start time.Time) (Lease, [6]byte, outcome) {
	for {
		age := time.Since(start)
		if age >= l.Lifetime {
			return l, from, refused
		}
		to := endpoints{toMAC: from, from: l.Addr.Addr(), to: l.Server}
		until := l.Rebind
		if age >= l.Rebind || !l.Server.IsValid() {
			to.toMAC, to.to = broadcastMAC, limited
			until = l.Lifetime
		}
		answer, ok := c.exchange(Message{Type: Request, Client: l.Addr.Addr()}, to, 1, isVerdict)
		switch {
		case ok && answer.Type == NAK:
			return l, from, refused
		case ok && usable(answer.Lease.Addr.Addr()):
			return answer.Lease.stretched(), answer.from, renewed
		case c.done():
			return l, from, stopped
		}
		// RFC 2131, section 4.4.5: wait half of what is left.
		left := until - time.Since(start)
		if !c.pause(min(max(left/2, minRenewal), max(left, 0))) {
			return l, from, stopped
		}
	}
}

// release gives the lease back; there is no answer to it.
func (c *Client) release(l Lease, from [6]byte) {
	if !l.Server.IsValid() {
		return
	}
	m := Message{Type: Release, XID: c.Random(), MAC: c.MAC, Client: l.Addr.Addr()}
	m.Lease.Server = l.Server
	c.Send(wrap(endpoints{fromMAC: c.MAC, toMAC: from, from: l.Addr.Addr(), to: l.Server}, m.Append(nil)))
}

// exchange sends m again and again, until an answer is accepted. It gives up
// after tries transmissions (0: never) or after Stop, and then ok is false.
func (c *Client) exchange(m Message, to endpoints, tries int, accept func(reply) bool) (r reply, ok bool) {
	m.XID, m.MAC, m.Host = c.Random(), c.MAC, c.Host
	to.fromMAC = c.MAC
	pause := firstPause
	for i := 0; tries == 0 || i < tries; i++ {
		c.Send(wrap(to, m.Append(nil)))
		timer := time.NewTimer(c.jitter(pause))
		r, ok, again := c.await(m.XID, timer.C, accept)
		timer.Stop()
		if !again {
			return r, ok
		}
		pause = min(2*pause, lastPause)
	}
	return r, false
}

// await waits for an answer to transaction xid. again means that it's time
// for the next transmission.
func (c *Client) await(xid uint32, expired <-chan time.Time, accept func(reply) bool) (r reply, ok, again bool) {
	for {
		select {
		case <-c.stopped:
			return r, false, false
		case <-expired:
			return r, false, true
		case r := <-c.received:
			if r.XID == xid && accept(r) {
				return r, true, false
			}
		}
	}
}

// pause waits for d, and drops what arrives. It reports false after Stop.
func (c *Client) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-c.stopped:
			return false
		case <-timer.C:
			return true
		case <-c.received:
		}
	}
}

func (c *Client) done() bool {
	select {
	case <-c.stopped:
		return true
	default:
		return false
	}
}

// jitter varies d by up to a quarter, so that machines that start together
// don't go on together.
func (c *Client) jitter(d time.Duration) time.Duration {
	quarter := d / 4
	return d - quarter + time.Duration(c.Random())%(2*quarter+1)
}

var limited = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// broadcast is the way to all servers for a client without an address.
func broadcast() endpoints {
	return endpoints{toMAC: broadcastMAC, from: netip.IPv4Unspecified(), to: limited}
}

func isVerdict(r reply) bool { return r.Type == ACK || r.Type == NAK }

// usable tells whether a can be an interface's address.
func usable(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != limited
}

// stretched repairs a lease so short that renewing it would be all we did.
func (l Lease) stretched() Lease {
	if l.Lifetime >= 0 && l.Lifetime < minLease {
		l.Lifetime, l.Renew, l.Rebind = minLease, minLease/2, minLease*7/8
	}
	return l
}
