package inet

import "syscall"

// tcp handles a received TCP segment.
func (p *packet) tcp() {
	g := &p.segment
	if p.group || !g.parse(p) {
		return
	}
	s := p.b.s
	name := tuple{p.dst, p.src, g.lport, g.rport}
	if n := s.tcp.find(&name, s.flowHash(&name)); n != nil {
		if n.ep != nil {
			n.ep.input(p, g)
			return
		}
		if !s.timeWaits.input(p, g, n) {
			return
		}
	}
	if l, ok := s.listeners.find(p, g.lport, g.rport); ok {
		l.listener.input(p, g)
		return
	}
	p.reset(g)
}

// input takes a segment for this connection.
func (c *tcpEndpoint) input(p *packet, g *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == stateSynSent:
		c.inputSynSent(p, g)
	case c.state >= stateSynReceived:
		c.inputSynchronized(p, g)
	default:
		p.reset(g)
		return
	}
	c.finish(p.b)
}

// finish sends what the segment made possible, and sees to its acknowledgement.
func (c *tcpEndpoint) finish(b *batch) {
	if c.state < stateEstablished {
		return
	}
	if c.out.len > 0 || c.closing || c.mode != repairNone {
		c.output(b)
	}
	if !c.ackNow {
		return
	}
	if len(b.acks) == cap(b.acks) {
		c.sendAck(b)
		return
	}
	if !c.ackQueue {
		c.ackQueue = true
		b.acks = append(b.acks, c)
	}
}

// flushAck sends the acknowledgement that waited for the end of the burst, if
// no data has taken it along.
func (c *tcpEndpoint) flushAck(b *batch) {
	c.mu.Lock()
	c.ackQueue = false
	if c.ackNow && c.state >= stateEstablished {
		c.sendAck(b)
	}
	c.mu.Unlock()
}

// inputSynchronized is RFC 9293, section 3.10.7.4.
func (c *tcpEndpoint) inputSynchronized(p *packet, g *segment) {
	if !c.acceptable(p.b, g) {
		return
	}
	if g.flags&flagRST != 0 {
		c.inputReset(p.b, g)
		return
	}
	if g.flags&flagSYN != 0 {
		if c.state != stateSynReceived || g.seq+1 != c.rcvNxt {
			c.challenge(p.b) // RFC 5961, section 4
			return
		}
		g.flags &^= flagSYN // a simultaneous open's answer
		g.seq++
		g.window >>= c.sndScale
	}
	if g.flags&flagACK == 0 {
		return
	}
	if !c.inputAck(p, g) {
		return
	}
	c.lastHeard = p.b.now
	c.keepProbes = 0
	if g.length > 0 || g.flags&flagFIN != 0 {
		c.inputData(p, g)
	}
}

// outdated is how long a time stamp is to be compared with (RFC 7323,
// section 5.5: 24 days), in nanoseconds.
const outdated = 24 * 24 * 3600e9

// acceptable checks time stamp and sequence number.
func (c *tcpEndpoint) acceptable(b *batch, g *segment) bool {
	if c.stamps && g.stamped && before(g.stamp, c.recent) && g.flags&flagRST == 0 &&
		b.now-c.recentTime < outdated {
		c.duplicate(b, g)
		return false
	}
	if before(g.end(), c.rcvNxt) || before(c.rcvAdv, g.seq) {
		simultaneous := c.state == stateSynReceived && g.flags&flagSYN != 0
		if simultaneous && g.seq+1 == c.rcvNxt {
			return true
		}
		if g.flags&flagRST == 0 {
			c.duplicate(b, g)
		}
		return false
	}
	return true
}

// duplicate answers a segment that brings nothing new. Answers to segments without
// data are kept rare, lest two sides answer each other for ever.
func (c *tcpEndpoint) duplicate(b *batch, g *segment) {
	if g.length == 0 && g.flags&(flagSYN|flagFIN) == 0 {
		if b.now < c.quietUntil {
			return
		}
		c.quietUntil = b.now + 500e6
	}
	if g.length > 0 && before(g.seq, c.rcvNxt) {
		c.dsack = span{g.seq, earlier(g.seq+uint32(g.length), c.rcvNxt)}
	}
	if c.state == stateSynReceived {
		c.sendSyn(b)
		return
	}
	c.sendAck(b)
}

// challenge asks a peer that seems to have lost the connection to prove it (RFC 5961),
// maxChallenges times in challengeSpan (section 7). Each connection counts its own: of a
// count that all share, an outsider could read what he did to others (CVE-2016-5696).
func (c *tcpEndpoint) challenge(b *batch) {
	if b.now >= c.challengesUntil {
		c.challenges, c.challengesUntil = 0, b.now+challengeSpan
	}
	if c.challenges < maxChallenges {
		c.challenges++
		c.sendAck(b)
	}
}

// inputReset takes a RST.
func (c *tcpEndpoint) inputReset(b *batch, g *segment) {
	if g.seq != c.rcvNxt {
		c.challenge(b) // RFC 5961, section 3
		return
	}
	switch c.state {
	case stateSynReceived:
		c.abort(syscall.ECONNREFUSED)
	case stateCloseWait:
		c.abort(syscall.EPIPE)
	default:
		c.abort(syscall.ECONNRESET)
	}
}

// inputAck takes the acknowledgement and the window. It reports false if the segment's
// data is not to be looked at.
func (c *tcpEndpoint) inputAck(p *packet, g *segment) bool {
	b := p.b
	if before(c.sndNxt, g.ack) || before(g.ack, c.sndUna-c.maxWnd) {
		if c.state == stateSynReceived {
			p.reset(g)
			return false
		}
		c.challenge(b) // RFC 5961, section 5
		return false
	}
	if c.state == stateSynReceived {
		if g.ack != c.sndNxt {
			p.reset(g)
			return false
		}
		c.establish(b)
	}
	c.noteStamp(g, b.now)
	opened := c.updateWindow(g)
	acked := int(int32(g.ack - c.sndUna))
	added := 0
	if g.sackCount > 0 && c.sackOK {
		added = c.noteSack(g)
	}
	switch {
	case acked > 0:
		c.newAck(b, g, acked)
	case acked == 0 && g.length == 0 && !opened && c.inFlight() > 0 && g.flags&flagFIN == 0:
		if added > 0 || !c.sackOK {
			c.dupAcks++
		}
	}
	if c.inFlight() > 0 && (added > 0 || c.dupAcks > 0) {
		c.detectLoss(b)
	}
	return c.advanceState(b)
}

// noteStamp keeps the time stamp that later ones are compared with (RFC 7323, section
// 4.3): only one of a segment whose acknowledgement can be, lest a forged one make the
// connection deaf to its peer.
func (c *tcpEndpoint) noteStamp(g *segment, now int64) {
	if g.stamped && c.stamps && !before(g.stamp, c.recent) && !before(c.lastAckSeq, g.seq) {
		c.recent = g.stamp
		c.recentTime = now
	}
}

// updateWindow takes in how much the peer takes (RFC 9293, section 3.10.7.4) and
// reports whether that changed.
func (c *tcpEndpoint) updateWindow(g *segment) bool {
	if before(g.seq, c.sndWL1) || g.seq == c.sndWL1 && before(g.ack, c.sndWL2) {
		return false
	}
	old := c.sndWnd
	c.sndWnd = g.window << c.sndScale
	c.sndWL1, c.sndWL2 = g.seq, g.ack
	c.maxWnd = max(c.maxWnd, c.sndWnd)
	if c.sndWnd != old && c.timerKind == timerPersist && c.rtoAt != 0 {
		c.rtoAt = 0
		c.backoff = 0
		c.retries = 0
	}
	return c.sndWnd != old
}

// newAck takes in that acked more sequence numbers have arrived.
func (c *tcpEndpoint) newAck(b *batch, g *segment, acked int) {
	flight := c.inFlight()
	c.limited = flight+c.mss > c.cwnd || c.cwnd < c.ssthresh && 2*flight >= c.cwnd
	data := min(acked, c.out.len)
	c.sndUna = g.ack
	c.out.discard(c.s, data)
	if c.retries > 0 && g.stamped && c.stamps {
		c.sample((int64(c.stampNow(b.now)-g.echo) + 1) * 1e6)
	}
	c.endSample(g.ack, b.now)
	c.backoff, c.retries = 0, 0
	c.probed = false
	c.progressAt = b.now
	c.softError = 0
	if len(c.sacked) > 0 {
		c.pruneSacked(g.ack)
	}
	if c.mode == repairFast {
		c.advanceRepair(g, b.now)
	} else {
		if c.mode == repairLoss {
			c.advanceRepair(g, b.now)
		}
		if !c.sackOK || c.sackedBytes == 0 {
			c.dupAcks = 0
		}
		c.grow(acked, c.mss, b.now, c.srtt)
	}
	if c.inFlight() == 0 {
		c.rtoAt = 0
	} else {
		c.armRetransmit(b.now)
	}
	if n := c.route.neighbor; n != nil {
		n.confirm(b.now)
	}
	c.roomForWriter()
}

// roomForWriter wakes a program that waits for room, once there is enough of it.
func (c *tcpEndpoint) roomForWriter() {
	if !c.sendLocked {
		c.sendBuffer = min(max(c.sendBuffer, 2*c.cwnd), c.s.conf.MaxSendBuffer)
	}
	if c.wantWrite && c.out.len <= c.sendBuffer/3*2 {
		c.wantWrite = false
		c.wake(syscall.EPOLLOUT)
	}
}

// advanceState moves on when our FIN has been acknowledged. It reports false if the
// connection is over.
func (c *tcpEndpoint) advanceState(b *batch) bool {
	if !c.closing || !c.finSent() || c.sndUna != c.sndNxt {
		return true
	}
	switch c.state {
	case stateFinWait1:
		c.state = stateFinWait2
		if c.orphan {
			c.setTimer(&c.keepAt, b.now+finTimeout)
		}
	case stateClosing:
		c.toTimeWait(b)
		return false
	case stateLastAck:
		c.detach()
		c.wake(c.readiness())
		return false
	}
	return true
}

// establish ends the handshake of a connection in SYN-RECEIVED.
func (c *tcpEndpoint) establish(b *batch) {
	c.state = stateEstablished
	c.sndUna = c.iss + 1
	c.retries, c.backoff = 0, 0
	c.rtoAt = 0
	c.endSample(c.sndUna, b.now)
	c.startKeepAlive(b.now)
	c.wake(syscall.EPOLLOUT)
}
