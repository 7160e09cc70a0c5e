package inet

import (
	"sync"
	"syscall"
)

const (
	// maxBacklog bounds accept queues, as Linux's somaxconn.
	maxBacklog = 4096
	// minSyns is how many handshakes a listener keeps at least before it turns
	// to cookies.
	minSyns = 256
	// synAckRetries is how often a SYN-ACK is sent again.
	synAckRetries = 5
)

// listener is what a listening socket has besides.
type listener struct {
	ep *tcpEndpoint

	mu      sync.Mutex
	backlog int
	closed  bool
	queue   []*tcpEndpoint // accepted by the stack, not yet by the program
	head    int
	embryos map[tuple]*embryo
	timer   timer

	cookiesUntil int64 // when the last SYN cookie is no longer good
}

// embryo is a connection whose SYN has come and whose handshake isn't done.
type embryo struct {
	name     tuple
	nic      int // by which it came, if its address needs that
	irs, iss uint32
	mss      int
	scale    uint8
	sackOK   bool
	stamped  bool
	recent   uint32
	tries    int
	next     int64 // when to send the SYN-ACK again
	sentAt   int64
}

// ready reports whether Accept would find something. Called with the endpoint's mu held.
func (l *listener) ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head < len(l.queue)
}

// full reports whether the accept queue is. Called with mu held.
func (l *listener) full() bool { return len(l.queue)-l.head > l.backlog }

// input takes a segment for a listening socket (RFC 9293, section 3.10.7.2).
func (l *listener) input(p *packet, g *segment) {
	switch {
	case g.flags&flagRST != 0:
		l.inputReset(p, g)
	case g.flags&flagACK != 0 && g.flags&flagSYN == 0:
		l.inputAck(p, g)
	case g.flags&flagACK != 0:
		p.reset(g)
	case g.flags&flagSYN != 0:
		l.inputSyn(p, g)
	}
}

// inputReset forgets the handshake that a peer gave up.
func (l *listener) inputReset(p *packet, g *segment) {
	name := tuple{p.dst, p.src, g.lport, g.rport}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.embryos[name]; e != nil && g.seq == e.irs+1 {
		delete(l.embryos, name)
	}
}

// inputSyn begins a handshake, or answers a repeated SYN once more.
func (l *listener) inputSyn(p *packet, g *segment) {
	s := p.b.s
	name := tuple{p.dst, p.src, g.lport, g.rport}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || s.tcp.find(&name, s.flowHash(&name)) != nil { // one that has just been made
		return
	}
	if e := l.embryos[name]; e != nil {
		if e.irs == g.seq {
			l.sendSynAck(p.b, e)
			return
		}
		delete(l.embryos, name) // the peer has begun anew
	}
	if l.full() {
		s.stats.AcceptFull.Add(1) // it will try again: drop early
		return
	}
	e := embryo{
		name: name, irs: g.seq, iss: s.initialSeq(&name, p.b.now),
		mss: clampMSS(g.mss, p.src), scale: g.scale, sackOK: g.sackOK,
		stamped: g.stamped, recent: g.stamp,
	}
	if p.src.scoped() {
		e.nic = p.nic().index
	}
	if len(l.embryos) >= max(l.backlog, minSyns) {
		l.sendCookie(p.b, &e)
		return
	}
	kept := e
	l.embryos[name] = &kept
	l.sendSynAck(p.b, &kept)
	kept.next = p.b.now + initialRTO
	s.timers.arm(&l.timer, l, kept.next)
}

// sendSynAck answers a SYN. Called with mu held.
func (l *listener) sendSynAck(b *batch, e *embryo) {
	e.sentAt = b.now
	l.answer(b, e, l.ep.s.stampOffset(&e.name)+uint32(b.now/1e6))
}

// answer sends a SYN-ACK with the given time stamp.
func (l *listener) answer(b *batch, e *embryo, stamp uint32) {
	s := l.ep.s
	v := synOptions{scale: noScale, sackOK: e.sackOK, stamped: e.stamped, stamp: stamp, echo: e.recent}
	r, errno := s.route(e.name.remote, e.name.local, e.nic)
	if errno != 0 {
		return
	}
	v.mss = mssFor(&r)
	if e.scale != noScale {
		v.scale = l.scale()
	}
	var room [maxSynOptions]byte
	k := control{
		tuple: e.name, oif: e.nic, seq: e.iss, ack: e.irs + 1, flags: flagSYN | flagACK,
		window: uint16(min(l.window(), 0xffff)), options: v.put(room[:]),
	}
	s.sendControl(b, &k)
}

// window is what a new connection's receive buffer begins with. The options of the
// listening socket don't change while it listens, except by SetOption, which sets
// both; reading them without its lock is what inherit does under it.
func (l *listener) window() int { return int(l.ep.bufferHint.Load()) }

func (l *listener) scale() uint8 {
	return scaleFor(max(l.ep.s.conf.MaxReceiveBuffer, l.window()))
}

// inputAck ends a handshake.
func (l *listener) inputAck(p *packet, g *segment) {
	name := tuple{p.dst, p.src, g.lport, g.rport}
	l.mu.Lock()
	var e embryo
	if kept := l.embryos[name]; kept != nil {
		e = *kept
	} else if !l.checkCookie(p, g, &e) {
		l.mu.Unlock()
		if !p.late(g, &name) {
			p.reset(g)
		}
		return
	}
	if g.ack != e.iss+1 || before(g.seq, e.irs+1) || l.closed {
		l.mu.Unlock()
		p.reset(g)
		return
	}
	if l.full() {
		p.b.s.stats.AcceptFull.Add(1)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	l.spawn(p, g, &e)
}

// late gives a segment to the connection that another queue's segment has just made, and
// reports whether there is one.
func (p *packet) late(g *segment, name *tuple) bool {
	s := p.b.s
	n := s.tcp.find(name, s.flowHash(name))
	if n == nil || n.ep == nil {
		return false
	}
	n.ep.input(p, g)
	return true
}

// spawn makes the connection and hands it to the program.
func (l *listener) spawn(p *packet, g *segment, e *embryo) {
	c := newTCP(p.b.s, l.ep.family)
	c.inherit(l.ep)
	c.mu.Lock()
	c.adopt(p.b, g, e, l.scale())
	if !l.admit(c) {
		c.state = stateClosed
		c.mu.Unlock()
		p.late(g, &e.name)
		return
	}
	defer c.mu.Unlock()
	c.startKeepAlive(p.b.now)
	c.inputSynchronized(p, g)
	c.finish(p.b)
}

// adopt makes c the connection that an embryo has become.
func (c *tcpEndpoint) adopt(b *batch, g *segment, e *embryo, scale uint8) {
	c.local, c.remote, c.lport, c.rport = e.name.local, e.name.remote, e.name.lport, e.name.rport
	c.oif = e.nic
	syn := segment{seq: e.irs, mss: e.mss, scale: e.scale, sackOK: e.sackOK, stamped: e.stamped, stamp: e.recent}
	c.rcvScale = scale
	c.acceptSyn(&syn, b.now)
	c.iss = e.iss
	c.stampBase = c.s.stampOffset(&e.name)
	c.sndUna, c.sndNxt = e.iss+1, e.iss+1
	c.out.base = c.sndNxt
	c.state = stateEstablished
	c.sndWnd = g.window << c.sndScale
	c.maxWnd = c.sndWnd
	c.sndWL1, c.sndWL2 = g.seq, g.ack
	if e.tries == 0 && e.sentAt != 0 {
		c.sample(b.now - e.sentAt)
	}
	c.progressAt = b.now
	if c.ready(b) {
		c.open(c.mss)
	}
}

// admit puts a connection into the place of its embryo and into the accept queue, unless
// the listener is closed or the connection there already. It does so in one step: a
// segment that comes by another queue meanwhile finds the one or the other. Called with
// the connection's mu held.
func (l *listener) admit(c *tcpEndpoint) bool {
	l.mu.Lock()
	if l.closed || !c.s.tcp.insert(c.s, c) {
		l.mu.Unlock()
		return false
	}
	c.hooked = true
	delete(l.embryos, c.tuple())
	l.queue = append(l.queue, c)
	first := len(l.queue)-l.head == 1
	l.mu.Unlock()
	if first {
		l.ep.wakeListener()
	}
	return true
}

// take removes the oldest connection from the accept queue, or gives nil.
func (l *listener) take() *tcpEndpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == len(l.queue) {
		return nil
	}
	c := l.queue[l.head]
	l.queue[l.head] = nil
	l.head++
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
	} else if l.head > 64 && l.head > len(l.queue)/2 {
		n := copy(l.queue, l.queue[l.head:])
		clear(l.queue[n:])
		l.queue, l.head = l.queue[:n], 0
	}
	return c
}

// close refuses everything from now on and gives what nobody accepted.
func (l *listener) close() []*tcpEndpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	rest := l.queue[l.head:]
	l.queue, l.head = nil, 0
	clear(l.embryos)
	l.ep.s.timers.disarm(&l.timer)
	return rest
}

// expire implements expirer: it repeats the SYN-ACKs that are due.
func (l *listener) expire(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer.at = 0
	first := int64(never)
	for name, e := range l.embryos {
		if e.next <= b.now {
			if e.tries == synAckRetries {
				delete(l.embryos, name)
				continue
			}
			e.tries++
			e.next = b.now + initialRTO<<e.tries
			l.sendSynAck(b, e)
		}
		first = min(first, e.next)
	}
	if first != never {
		l.ep.s.timers.arm(&l.timer, l, first)
	}
}

// inherit takes over a listening socket's options.
func (c *tcpEndpoint) inherit(from *tcpEndpoint) {
	from.mu.Lock()
	defer from.mu.Unlock()
	c.options = from.options
	c.noDelay, c.cork = from.noDelay, from.cork
	c.sendLocked, c.receiveLocked = from.sendLocked, from.receiveLocked
	c.keepIdle, c.keepInterval, c.keepCount = from.keepIdle, from.keepInterval, from.keepCount
	c.userTimeout = from.userTimeout
}

// wakeListener tells the program that there is something to accept.
func (c *tcpEndpoint) wakeListener() {
	c.mu.Lock()
	c.wake(syscall.EPOLLIN)
	c.mu.Unlock()
}
