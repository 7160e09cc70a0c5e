package inet

import "syscall"

// setTimer sets one of the connection's deadlines. Called with mu held.
func (c *tcpEndpoint) setTimer(deadline *int64, when int64) {
	*deadline = when
	c.s.timers.arm(&c.timer, c, when)
}

// expire implements expirer.
func (c *tcpEndpoint) expire(b *batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.at = 0
	if c.due(&c.rtoAt, b.now) {
		c.sendTimer(b)
	}
	if c.due(&c.delackAt, b.now) && c.state >= stateEstablished {
		// The program didn't answer in time: don't wait for it the next times.
		c.pingPong = false
		c.quick = quickAcks
		c.sendAck(b)
	}
	if c.due(&c.keepAt, b.now) {
		c.keepTimer(b)
	}
	c.rearm()
}

// due reports whether a deadline has passed, and clears it.
func (c *tcpEndpoint) due(deadline *int64, now int64) bool {
	if *deadline == 0 || *deadline > now {
		return false
	}
	*deadline = 0
	return true
}

// rearm sets the timer for the earliest deadline.
func (c *tcpEndpoint) rearm() {
	first := int64(never)
	for _, d := range [...]int64{c.rtoAt, c.delackAt, c.keepAt} {
		if d != 0 {
			first = min(first, d)
		}
	}
	if first != never {
		c.s.timers.arm(&c.timer, c, first)
	}
}

// watch sets the sending timer after output. Called with mu held.
func (c *tcpEndpoint) watch(b *batch) {
	if c.inFlight() > 0 {
		if c.rtoAt == 0 || c.timerKind == timerPersist {
			c.armRetransmit(b.now)
		}
		return
	}
	if c.dataEnd() != c.sndNxt || c.closing && !c.finSent() {
		// The peer's window or the cork holds data back.
		if c.rtoAt == 0 {
			c.timerKind = timerPersist
			c.setTimer(&c.rtoAt, b.now+c.timeout())
		}
		return
	}
	if c.timerKind != timerResource {
		c.rtoAt = 0
	}
}

// armRetransmit starts the retransmission timer, or before it a tail-loss probe's
// (RFC 8985, section 7.2).
func (c *tcpEndpoint) armRetransmit(now int64) {
	wait := c.timeout()
	c.timerKind = timerRetransmit
	if c.mode == repairNone && !c.probed && c.srtt > 0 && c.retries == 0 && c.connected() {
		probe := max(2*c.srtt, minProbe)
		if c.inFlight() <= c.mss {
			probe += minRTO // the peer may delay its acknowledgement
		}
		if probe < wait {
			c.timerKind = timerProbe
			wait = probe
		}
	}
	c.setTimer(&c.rtoAt, now+wait)
}

// sendTimer serves the sending timer.
func (c *tcpEndpoint) sendTimer(b *batch) {
	switch {
	case c.state == stateSynSent || c.state == stateSynReceived:
		c.retrySyn(b)
		return
	case c.state < stateEstablished:
		return
	case c.timerKind == timerResource:
		c.timerKind = timerRetransmit
		c.output(b)
		return
	}
	if c.timerKind == timerProbe {
		c.tailProbe(b)
		return
	}
	if c.inFlight() == 0 {
		c.probeWindow(b)
		return
	}
	if c.expired(b) {
		c.abort(c.timeoutError())
		return
	}
	c.timeOut(b)
	c.output(b)
	c.armRetransmit(b.now)
}

// expired reports whether the connection has waited for an answer long enough.
func (c *tcpEndpoint) expired(b *batch) bool {
	if c.userTimeout != 0 && b.now-c.progressAt >= c.userTimeout {
		return true
	}
	limit := maxRetries
	if c.orphan {
		limit = orphanTries
	}
	return c.userTimeout == 0 && c.retries >= limit
}

// timeoutError is what a program hears of a peer that doesn't answer.
func (c *tcpEndpoint) timeoutError() syscall.Errno {
	if c.softError != 0 {
		return c.softError
	}
	return syscall.ETIMEDOUT
}

// tailProbe sends something that makes the peer report what it lacks.
func (c *tcpEndpoint) tailProbe(b *batch) {
	c.probed = true
	if c.inFlight() == 0 || !c.ready(b) {
		return
	}
	c.s.stats.Probes.Add(1)
	sent := false
	if c.dataEnd() != c.sndNxt && !c.finSent() {
		if n, fin := c.nextNew(0); n > 0 {
			_, sent = c.sendNew(b, min(n, c.mss), fin && n <= c.mss)
		}
	}
	if !sent {
		n := min(c.inFlight(), c.mss)
		high := c.highRxt
		c.retransmit(b, c.sndNxt-uint32(n), n)
		c.highRxt = high
	}
	c.armRetransmit(b.now)
}

// probeWindow asks a peer with a closed window whether it has opened (RFC 9293,
// section 3.8.6.1), or sends a part of what it takes.
func (c *tcpEndpoint) probeWindow(b *batch) {
	unsent := int(int32(c.dataEnd() - c.sndNxt))
	if unsent <= 0 && !(c.closing && !c.finSent()) {
		return
	}
	if !c.ready(b) {
		return
	}
	window := int(int32(c.sndUna + c.sndWnd - c.sndNxt))
	if n := min(unsent, window, c.mss); n > 0 {
		c.sendNew(b, n, false)
		c.watch(b)
		return
	}
	if c.orphan && c.retries >= orphanTries || c.userTimeout != 0 && b.now-c.progressAt >= c.userTimeout {
		c.abort(syscall.ETIMEDOUT)
		return
	}
	if b.now-c.lastHeard > maxRTO {
		c.retries++ // it doesn't even answer
		if c.retries > maxRetries {
			c.abort(c.timeoutError())
			return
		}
	} else if c.orphan {
		c.retries++
	}
	c.backoff = min(c.backoff+1, 9)
	c.transmit(b, c.sndUna-1, 0, flagACK)
	c.timerKind = timerPersist
	c.setTimer(&c.rtoAt, b.now+c.timeout())
}

// keepTimer serves keep-alive and the end of closed sockets (RFC 9293, section 3.8.4).
func (c *tcpEndpoint) keepTimer(b *batch) {
	if c.orphan {
		if c.state == stateFinWait2 {
			c.detach()
		}
		return
	}
	if !c.keepAlive || !c.connected() {
		return
	}
	quiet := b.now - c.lastHeard
	if quiet < c.keepIdle {
		c.keepProbes = 0
		c.setTimer(&c.keepAt, c.lastHeard+c.keepIdle)
		return
	}
	if c.keepProbes >= c.keepCount || c.userTimeout != 0 && quiet >= c.userTimeout && c.keepProbes > 0 {
		c.sendReset(b)
		c.abort(syscall.ETIMEDOUT)
		return
	}
	c.keepProbes++
	if c.inFlight() == 0 && c.ready(b) {
		c.transmit(b, c.sndUna-1, 0, flagACK)
	}
	c.setTimer(&c.keepAt, b.now+c.keepInterval)
}

// startKeepAlive begins to watch for silence, if the program wants it.
func (c *tcpEndpoint) startKeepAlive(now int64) {
	if c.keepAlive && c.connected() && !c.orphan {
		c.setTimer(&c.keepAt, now+c.keepIdle)
	}
}
