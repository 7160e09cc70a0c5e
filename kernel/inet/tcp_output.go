package inet

// stampNow is the time stamp of a connection's segments, in milliseconds from a
// secret offset.
func (c *tcpEndpoint) stampNow(now int64) uint32 { return c.stampBase + uint32(now/1e6) }

// inFlight is what has been sent and not acknowledged, SYN and FIN included.
func (c *tcpEndpoint) inFlight() int { return int(c.sndNxt - c.sndUna) }

// output sends whatever may be sent. Called with mu held.
func (c *tcpEndpoint) output(b *batch) {
	if c.state < stateEstablished && c.state != stateClosed {
		return
	}
	if c.state == stateClosed || !c.ready(b) {
		return
	}
	pipe := c.pipe()
	for {
		n, again := c.outputOne(b, pipe)
		if !again {
			break
		}
		pipe += n
	}
	c.watch(b)
}

// ready looks the route up again if it changed.
func (c *tcpEndpoint) ready(b *batch) bool {
	if c.template.ip != 0 && c.route.current(c.s) {
		return true
	}
	c.route.gen = 0
	if errno := c.way(c.remote, c.local, c.oif); errno != 0 {
		c.softError = errno
		c.retryLater(b)
		return false
	}
	c.prepare()
	c.setMSS()
	return true
}

// setMSS computes what a full segment carries on the current route.
func (c *tcpEndpoint) setMSS() {
	mss := min(c.peerMSS, c.route.mtu-c.route.headerLen()-tcpLen)
	if c.stamps {
		mss -= stampLen
	}
	c.mss = max(mss, minMSS)
}

// outputOne sends the next segment: one that was lost, or a new one. It reports how many
// bytes that puts into the pipe, and false when there is nothing to send.
func (c *tcpEndpoint) outputOne(b *batch, pipe int) (int, bool) {
	if c.recovering() {
		if seq, n := c.nextLost(); n > 0 {
			if pipe+n > c.cwnd && pipe > 0 {
				return 0, false
			}
			return n, c.retransmit(b, seq, n)
		}
	}
	n, fin := c.nextNew(pipe)
	if n == 0 && !fin {
		return 0, false
	}
	return c.sendNew(b, n, fin)
}

// nextNew decides how many new bytes may go in one (perhaps large) segment, and
// whether the FIN goes with them.
func (c *tcpEndpoint) nextNew(pipe int) (n int, fin bool) {
	unsent := int(int32(c.dataEnd() - c.sndNxt))
	if unsent < 0 {
		return 0, false // the FIN has been sent
	}
	window := int(int32(c.sndUna + c.sndWnd - c.sndNxt))
	room := c.cwnd - pipe
	if room < c.mss && pipe > 0 && room < unsent {
		return 0, false
	}
	n = min(unsent, max(window, 0), max(room, c.mss), c.largest())
	if n < unsent {
		n = c.wholeSegments(n, window)
		return n, false
	}
	if n > 0 && n%c.mss != 0 && c.holdBack() {
		n -= n % c.mss
		return n, false
	}
	return n, c.closing && n == unsent && (window > n || c.inFlight() == 0)
}

// wholeSegments avoids small segments where more data waits (RFC 9293, section 3.8.6.2.1).
func (c *tcpEndpoint) wholeSegments(n, window int) int {
	if n >= c.mss {
		return n - n%c.mss
	}
	if n == window && n >= int(c.maxWnd/2) {
		return n
	}
	return 0
}

// holdBack is Nagle's algorithm (RFC 9293, section 3.7.4): a partial segment
// waits for what is in flight.
func (c *tcpEndpoint) holdBack() bool {
	if c.closing {
		return false
	}
	return c.cork || !c.noDelay && c.inFlight() > 0
}

// largest is how many payload bytes one frame may carry.
func (c *tcpEndpoint) largest() int {
	f := &c.route.nic.features
	tso := f.TSO6
	if c.route.dst.is4() {
		tso = f.TSO4
	}
	if !tso {
		return c.mss
	}
	most := maxPacket - ipv6Len - tcpLen - maxOptions
	return max(most-most%c.mss, c.mss)
}

// sendNew sends n bytes that were never sent before, and the FIN.
func (c *tcpEndpoint) sendNew(b *batch, n int, fin bool) (int, bool) {
	flags := uint8(flagACK)
	if n > 0 && c.sndNxt+uint32(n) == c.dataEnd() {
		flags |= flagPSH
	}
	if fin {
		flags |= flagFIN
	}
	if !c.transmit(b, c.sndNxt, n, flags) {
		c.retryLater(b)
		return 0, false
	}
	if c.inFlight() == 0 {
		c.progressAt = b.now
	}
	start := c.sndNxt
	c.sndNxt += uint32(n)
	if fin {
		c.sndNxt++
	}
	c.startSample(start, b.now)
	return n, true
}

// retransmit sends n sequence numbers from seq on again.
func (c *tcpEndpoint) retransmit(b *batch, seq uint32, n int) bool {
	flags := uint8(flagACK)
	data := n
	if end := seq + uint32(n); c.finSent() && end == c.sndNxt {
		flags |= flagFIN
		data--
	}
	if data > 0 && seq+uint32(data) == c.dataEnd() {
		flags |= flagPSH
	}
	if !c.transmit(b, seq, data, flags) {
		c.retryLater(b)
		return false
	}
	c.s.stats.Retransmits.Add(1)
	c.highRxt = later(c.highRxt, seq+uint32(n))
	c.cancelSample(seq)
	if c.undoStamp == 0 {
		c.undoStamp = c.stampNow(b.now) | 1
	}
	return true
}

// retryLater comes back when a Buffer may be free again.
func (c *tcpEndpoint) retryLater(b *batch) {
	if c.rtoAt == 0 || c.rtoAt > b.now+retryInterval {
		c.timerKind = timerResource
		c.setTimer(&c.rtoAt, b.now+retryInterval)
	}
}

// reset answers a segment that belongs to no connection (RFC 9293, section 3.10.7.1).
func (p *packet) reset(g *segment) {
	if g.flags&flagRST != 0 || p.group || p.src.unspecified() {
		return
	}
	k := control{tuple: tuple{p.dst, p.src, g.lport, g.rport}, flags: flagRST}
	if p.src.scoped() {
		k.oif = p.nic().index
	}
	if g.flags&flagACK != 0 {
		k.seq = g.ack
	} else {
		k.ack = g.end()
		k.flags |= flagACK
	}
	p.b.s.sendControl(p.b, &k)
}
