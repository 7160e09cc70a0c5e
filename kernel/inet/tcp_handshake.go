package inet

import "syscall"

// scaleFor is the smallest window scale with which a window of size bytes can be told.
func scaleFor(size int) uint8 {
	scale := uint8(0)
	for size>>scale > 0xffff && scale < maxScale {
		scale++
	}
	return scale
}

// mssFor is the MSS to announce on a route: what the link carries.
func mssFor(r *route) int {
	mtu := int(r.nic.mtu.Load())
	if !r.dst.is4() {
		mtu = int(r.nic.mtu6.Load())
	}
	return min(mtu, maxPacket) - r.headerLen() - tcpLen
}

// initialSeq chooses an initial sequence number (RFC 6528): a secret function of the
// tuple, and a clock of 4 µs.
func (s *Stack) initialSeq(t *tuple, now int64) uint32 {
	return uint32(s.isn.tuple(t, 0)) + uint32(now/4000)
}

// stampOffset is what a connection's time stamps count from (RFC 7323, section 5.4).
func (s *Stack) stampOffset(t *tuple) uint32 { return uint32(s.isn.tuple(t, 1)) }

// synOptions are the options of our SYN and SYN-ACK segments.
type synOptions struct {
	mss         int
	scale       uint8 // noScale to leave it out
	sackOK      bool
	stamped     bool
	stamp, echo uint32
}

// put writes the options into o, which has room for 20 bytes, and gives those used.
func (v *synOptions) put(o []byte) []byte {
	o[0], o[1] = optionMSS, 4
	put16(o[2:], uint16(v.mss))
	n := 4
	if v.sackOK {
		o[n], o[n+1] = optionSackOK, 2
		o[n+2], o[n+3] = optionNop, optionNop
		n += 4
	}
	if v.stamped {
		if v.sackOK {
			n -= 2 // the two NOPs become the option's front
		} else {
			o[n], o[n+1] = optionNop, optionNop
			n += 2
		}
		o[n], o[n+1] = optionTimestamp, 10
		put32(o[n+2:], v.stamp)
		put32(o[n+6:], v.echo)
		n += 10
	}
	if v.scale != noScale {
		o[n], o[n+1], o[n+2], o[n+3] = optionNop, optionScale, 3, v.scale
		n += 4
	}
	return o[:n]
}

// maxSynOptions is the most that synOptions.put writes, in bytes.
const maxSynOptions = 20

// sendSyn sends the SYN of a connection in SYN-SENT, the SYN-ACK of one in SYN-RECEIVED.
func (c *tcpEndpoint) sendSyn(b *batch) syscall.Errno {
	if errno := c.way(c.remote, c.local, c.oif); errno != 0 {
		return errno
	}
	answer := c.state == stateSynReceived
	v := synOptions{
		mss: mssFor(&c.route), scale: c.rcvScale, sackOK: c.sackOK || !answer,
		stamped: c.stamps || !answer, stamp: c.stampNow(b.now), echo: c.recent,
	}
	if answer && c.sndScale == 0 && c.rcvScale == 0 {
		v.scale = noScale
	}
	k := control{tuple: c.tuple(), oif: c.oif, seq: c.iss, flags: flagSYN, ttl: c.ttl, tos: c.tos}
	if answer {
		k.ack = c.rcvNxt
		k.flags |= flagACK
	}
	k.window = uint16(min(c.receiveBuffer, 0xffff))
	var room [maxSynOptions]byte
	k.options = v.put(room[:])
	return c.s.sendControl(b, &k)
}

// retrySyn serves the timer of a handshake.
func (c *tcpEndpoint) retrySyn(b *batch) {
	limit := synRetries
	if c.synLimit != 0 {
		limit = c.synLimit
	}
	if c.retries >= limit || c.userTimeout != 0 && b.now-c.progressAt >= c.userTimeout {
		c.abort(c.timeoutError())
		return
	}
	c.retries++
	c.backoff++
	c.sampling = false
	if errno := c.sendSyn(b); errno != 0 {
		c.softError = errno
	}
	c.setTimer(&c.rtoAt, b.now+c.timeout())
}

// Connection: the active side.

// startConnect begins a handshake. The addresses are set. Called with mu held.
func (c *tcpEndpoint) startConnect(b *batch) syscall.Errno {
	if !c.s.tcp.insert(c.s, c) {
		return syscall.EADDRNOTAVAIL
	}
	c.hooked = true
	name := c.tuple()
	c.iss = c.s.initialSeq(&name, b.now)
	c.stampBase = c.s.stampOffset(&name)
	c.sndUna, c.sndNxt = c.iss, c.iss+1
	c.out.base = c.iss + 1
	c.rcvScale = scaleFor(max(c.s.conf.MaxReceiveBuffer, c.receiveBuffer))
	c.state = stateSynSent
	c.retries, c.backoff = 0, 0
	c.rto = initialRTO
	c.progressAt = b.now
	c.timerKind = timerRetransmit
	c.startSample(c.iss, b.now)
	if errno := c.sendSyn(b); errno != 0 && errno != syscall.ENOBUFS {
		c.detach()
		return errno
	}
	if c.state == stateSynSent {
		c.setTimer(&c.rtoAt, b.now+c.timeout())
	}
	return 0
}

// inputSynSent is RFC 9293, section 3.10.7.3.
func (c *tcpEndpoint) inputSynSent(p *packet, g *segment) {
	acks := g.flags&flagACK != 0
	if acks && g.ack != c.sndNxt {
		p.reset(g)
		return
	}
	if g.flags&flagRST != 0 {
		if acks {
			c.abort(syscall.ECONNREFUSED)
		}
		return
	}
	if g.flags&flagSYN == 0 {
		return
	}
	c.acceptSyn(g, p.b.now)
	if !acks { // a simultaneous open
		c.state = stateSynReceived
		c.sendSyn(p.b)
		return
	}
	c.establish(p.b)
	if !c.ready(p.b) {
		return
	}
	c.open(c.mss)
	c.ackNow = true
	if c.out.len == 0 && !c.closing {
		c.sendAck(p.b)
	}
}

// acceptSyn takes over what the peer's SYN says.
func (c *tcpEndpoint) acceptSyn(g *segment, now int64) {
	c.rcvNxt = g.seq + 1
	c.rcvAdv = c.rcvNxt + uint32(min(c.receiveBuffer, 0xffff))
	c.lastAckSeq = c.rcvNxt
	c.sndWnd = g.window // a SYN's is never scaled (RFC 7323, section 2.2)
	c.maxWnd = c.sndWnd
	c.sndWL1, c.sndWL2 = g.seq, c.iss
	c.peerMSS = clampMSS(g.mss, c.remote)
	c.sackOK = g.sackOK
	c.stamps = g.stamped
	c.recent, c.recentTime = g.stamp, now
	if g.scale == noScale {
		c.rcvScale, c.sndScale = 0, 0
	} else {
		c.sndScale = g.scale
	}
	c.lastHeard = now
	c.mss = c.peerMSS
	c.open(c.mss)
	c.template.ip = 0
}

// clampMSS is the MSS option's value, or the default without one.
func clampMSS(mss int, peer address) int {
	if mss == 0 && peer.is4() {
		return defaultMSS
	}
	if mss == 0 {
		return defaultMSS6
	}
	return max(mss, minMSS)
}

// tcpError takes an ICMP error about a segment that we sent.
func (s *Stack) tcpError(b *batch, e *transportError, lport, rport uint16, seq uint32) {
	name := tuple{e.local, e.remote, lport, rport}
	n := s.tcp.find(&name, s.flowHash(&name))
	if n == nil || n.ep == nil {
		return
	}
	c := n.ep
	if e.mtu != 0 && c.sent(seq) {
		s.learnPath(e.remote, e.mtu, b.now) // before the lock, see package comment
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.covers(seq):
	case e.mtu != 0:
		c.shrinkPath(b)
	case c.state == stateSynSent || c.state == stateSynReceived:
		c.abort(e.errno)
	default:
		c.softError = e.errno
	}
}

// sent reports whether seq is in flight: whoever quotes it has seen the segment.
func (c *tcpEndpoint) sent(seq uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.covers(seq)
}

func (c *tcpEndpoint) covers(seq uint32) bool {
	return c.state >= stateSynSent && !before(seq, c.sndUna) && before(seq, c.sndNxt)
}

// shrinkPath adapts to a smaller path MTU and sends again what didn't fit.
func (c *tcpEndpoint) shrinkPath(b *batch) {
	old := c.mss
	if c.state < stateEstablished || !c.ready(b) || c.mss >= old || c.inFlight() == 0 {
		return
	}
	if c.mode == repairNone {
		c.rememberForUndo()
	}
	c.mode = repairLoss
	c.recoverSeq = c.sndNxt
	c.highRxt = c.sndUna
	c.output(b)
}
