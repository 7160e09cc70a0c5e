package inet

import (
	"syscall"

	"pith/kernel/link"
)

// stampNow is the time stamp of a connection's segments, in milliseconds from a
// secret offset.
func (c *tcpEndpoint) stampNow(now int64) uint32 { return c.stampBase + uint32(now/1e6) }

// inFlight is what has been sent and not acknowledged, SYN and FIN included.
func (c *tcpEndpoint) inFlight() int { return int(c.sndNxt - c.sndUna) }

// optionsLen is the length of the options of a segment with n bytes of payload. SACK
// blocks give way to payload.
func (c *tcpEndpoint) optionsLen(n int) int {
	options := 0
	if c.stamps {
		options = stampLen
	}
	if !c.sackOK || len(c.later) == 0 && c.dsack.len() == 0 {
		return options
	}
	spans := c.sackSpans()
	if n > 0 {
		spans = min(spans, (c.mss-n-4)/8)
	}
	if spans > 0 {
		options += 4 + 8*spans
	}
	return options
}

// sackSpans is how many SACK blocks there are to send, as far as they fit.
func (c *tcpEndpoint) sackSpans() int {
	k := len(c.later)
	if c.dsack.len() > 0 {
		k++
	}
	if c.stamps {
		return min(k, 3)
	}
	return min(k, 4)
}

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

// transmit builds one segment in a fresh Buffer and hands it to the device. It
// reports false if there was no Buffer or no room on the ring.
func (c *tcpEndpoint) transmit(b *batch, seq uint32, n int, flags uint8) bool {
	dev := c.route.nic.dev
	f := dev.Alloc()
	if f == nil {
		c.noBuffer()
		return false
	}
	t := &c.template
	options := c.optionsLen(n)
	header := t.ip + tcpLen + options
	f.Off = link.Headroom - t.ip
	f.Len = header
	h := f.Data[f.Off : f.Off+header]
	copy(h, t.bytes[:t.ip+tcpLen+stampLen])
	t.putIPLength(h, tcpLen+options+n)
	c.putSegment(b, h[t.ip:], seq, flags, options)
	if n > 0 && !c.out.copyTo(dev, f, seq, n) {
		f.Free()
		c.noBuffer()
		return false
	}
	o := c.putChecksum(f, tcpLen+options+n)
	if n > c.mss {
		o.Segmentation = link.SegmentTCP6
		if c.route.dst.is4() {
			o.Segmentation = link.SegmentTCP4
		}
		o.SegmentSize = uint16(c.mss)
		o.HeaderLen = uint16(header)
	}
	if !c.launch(b, f, o) {
		return false
	}
	c.acknowledged()
	return true
}

// noBuffer takes in that the device has no Buffer left.
func (c *tcpEndpoint) noBuffer() {
	c.s.stats.NoBuffer.Add(1)
	c.evacuate()
}

// putSegment fills in the TCP header and its options, all but the checksum.
func (c *tcpEndpoint) putSegment(b *batch, h []byte, seq uint32, flags uint8, options int) {
	put32(h[4:], seq)
	put32(h[8:], c.rcvNxt)
	h[12] = uint8((tcpLen + options) / 4 << 4)
	h[13] = flags
	put16(h[14:], c.advertise())
	o := h[tcpLen:]
	if c.stamps {
		put32(o[4:], c.stampNow(b.now))
		put32(o[8:], c.recent)
		o = o[stampLen:]
	}
	if len(o) > 0 {
		c.putSack(o)
	}
}

// putChecksum completes the checksum of a frame with length transport bytes, or
// leaves it to the device.
func (c *tcpEndpoint) putChecksum(f *link.Buffer, length int) link.Offload {
	t := &c.template
	s := t.pseudo.word(uint16(length))
	field := f.Data[f.Off+t.ip+16:]
	if c.route.nic.features.TxChecksum {
		put16(field, s.sum())
		return link.Offload{NeedsChecksum: true, ChecksumStart: uint16(t.ip), ChecksumOffset: 16}
	}
	put16(field, 0)
	f.Off += t.ip
	f.Len -= t.ip
	s = s.chain(f)
	f.Off -= t.ip
	f.Len += t.ip
	put16(field, s.checksum())
	return noOffload
}

// launch sends a whole frame on its way.
func (c *tcpEndpoint) launch(b *batch, f *link.Buffer, o link.Offload) bool {
	q := c.route.nic.queueFor(uint32(c.rport) + uint32(c.lport))
	if e := c.route.neighbor; e != nil {
		return e.send(b, q, f, o)
	}
	return q.transmit(b, f, o)
}

// acknowledged notes that a segment with the current acknowledgement went out.
func (c *tcpEndpoint) acknowledged() {
	c.ackNow = false
	c.unacked = 0
	c.delackAt = 0
	c.lastAckSeq = c.rcvNxt
	c.dsack = span{}
}

// sendAck sends a segment that only acknowledges. Called with mu held.
func (c *tcpEndpoint) sendAck(b *batch) {
	if !c.ready(b) {
		return
	}
	c.s.stats.PureAcks.Add(1)
	if !c.transmit(b, c.sndNxt, 0, flagACK) {
		c.setTimer(&c.delackAt, b.now+retryInterval)
	}
}

// sendReset tells the peer that the connection is gone. Called with mu held.
func (c *tcpEndpoint) sendReset(b *batch) {
	if c.state >= stateSynReceived && c.ready(b) {
		c.transmit(b, c.sndNxt, 0, flagRST|flagACK)
	}
}

// control is a segment that no connection's template serves: a SYN, or an answer on
// behalf of nobody.
type control struct {
	tuple
	oif      int
	seq, ack uint32
	flags    uint8
	window   uint16
	options  []byte // padded to a multiple of four
	ttl, tos uint8
}

// sendControl builds and sends a segment without payload.
func (s *Stack) sendControl(b *batch, g *control) syscall.Errno {
	r, errno := s.route(g.remote, g.local, g.oif)
	if errno != 0 {
		return errno
	}
	f := r.nic.dev.Alloc()
	if f == nil {
		s.stats.NoBuffer.Add(1)
		return syscall.ENOBUFS
	}
	f.Len = tcpLen + len(g.options)
	h := f.Bytes()
	put16(h, g.lport)
	put16(h[2:], g.rport)
	put32(h[4:], g.seq)
	put32(h[8:], g.ack)
	h[12], h[13] = uint8(len(h)/4<<4), g.flags
	put16(h[14:], g.window)
	put32(h[16:], 0)
	copy(h[tcpLen:], g.options)
	o := r.sum(f, protoTCP, 16)
	q := r.nic.queueFor(uint32(g.rport) + uint32(g.lport))
	ttl := g.ttl
	if ttl == 0 {
		ttl = defaultTTL
	}
	return r.send(b, q, f, ipHeader{protocol: protoTCP, ttl: ttl, tos: g.tos}, o)
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
