package inet

import (
	"syscall"

	"pith/kernel/link"
)

// segmentRange is received data behind a gap.
type segmentRange struct {
	span
	head, tail *link.Buffer
	size       int // memory, in bytes
	fin        bool
}

// maxLater bounds how many gaps a peer can make us remember.
const maxLater = 128

// inputData takes a segment's payload and FIN (RFC 9293, section 3.10.7.4, seventh and eighth).
func (c *tcpEndpoint) inputData(p *packet, g *segment) {
	if c.state != stateEstablished && c.state != stateFinWait1 && c.state != stateFinWait2 {
		return
	}
	b := p.b
	if c.orphan && before(c.rcvNxt, g.seq+uint32(g.length)) {
		// Nobody will ever read it: say so (RFC 9293, section 3.6.1).
		c.sendReset(b)
		c.detach()
		return
	}
	fin := g.flags&flagFIN != 0
	seq, n := g.seq, g.length
	if before(seq, c.rcvNxt) {
		old := int(c.rcvNxt - seq)
		if old >= n && !(fin && old == n) {
			c.duplicate(b, g)
			return
		}
		old = min(old, n)
		p.buf = advance(p.buf, old)
		seq += uint32(old)
		n -= old
	}
	if most := int(c.rcvAdv - seq); n > most {
		n = max(most, 0)
		trim(p.buf, n)
		fin = false
		c.ackNow = true
	}
	if seq != c.rcvNxt {
		c.keepForLater(p, seq, n, fin)
		c.sendAck(b)
		return
	}
	if n > 0 && !c.deliver(p, n) {
		return
	}
	filled := len(c.later) > 0
	if filled {
		fin = c.deliverLater() || fin
	}
	if fin {
		c.inputFin(b)
		return
	}
	if n > 0 {
		c.scheduleAck(b, n, filled)
	}
}

// deliver gives the payload at rcvNxt to the program.
func (c *tcpEndpoint) deliver(p *packet, n int) bool {
	if c.readClosed {
		c.rcvNxt += uint32(n)
		return true
	}
	var size int
	p.buf, size = c.s.keep(p.buf)
	buf := p.buf
	if !c.admit(size, c.in.size == 0) {
		c.s.stats.QueueFull.Add(1)
		return false
	}
	p.buf = nil
	c.rcvNxt += uint32(n)
	empty := c.in.bytes == 0
	c.s.release(c.in.push(buf, n, size))
	if empty {
		c.wake(syscall.EPOLLIN)
	}
	return true
}

// admit reserves memory for received data. What gets a connection on that has nothing to
// read is granted in any case.
func (c *tcpEndpoint) admit(size int, needed bool) bool {
	if c.in.size > 4*c.receiveBuffer {
		return false
	}
	if c.s.reserve(size) {
		return true
	}
	if !needed {
		return false
	}
	c.s.memory.Add(int64(size))
	return true
}

// keepForLater keeps data that is behind a gap, as far as it doesn't overlap
// what is there.
func (c *tcpEndpoint) keepForLater(p *packet, seq uint32, n int, fin bool) {
	if n == 0 && !fin {
		return
	}
	i := len(c.later)
	for i > 0 && before(seq, c.later[i-1].start) {
		i--
	}
	end := seq + uint32(n)
	if i > 0 && before(seq, c.later[i-1].end) {
		prev := c.later[i-1].end
		if !before(prev, end) {
			c.dsack = span{seq, end}
			return
		}
		p.buf = advance(p.buf, int(prev-seq))
		seq = prev
	}
	if i < len(c.later) && before(c.later[i].start, end) {
		end = c.later[i].start
		fin = false
		if end == seq {
			return
		}
		trim(p.buf, int(end-seq))
	}
	var size int
	p.buf, size = c.s.keep(p.buf)
	if !c.admit(size, false) {
		c.s.stats.QueueFull.Add(1)
		return
	}
	r := segmentRange{span{seq, end}, p.buf, tail(p.buf), size, fin}
	p.buf = nil
	c.insertLater(i, r)
}

// insertLater puts a range at place i, joined with its neighbours where they touch.
func (c *tcpEndpoint) insertLater(i int, r segmentRange) {
	c.recentSack = r.start
	if i > 0 && c.later[i-1].end == r.start {
		prev := &c.later[i-1]
		c.recentSack = prev.start
		c.s.release(prev.join(&r))
		if i < len(c.later) && prev.end == c.later[i].start {
			c.s.release(prev.join(&c.later[i]))
			c.later = append(c.later[:i], c.later[i+1:]...)
		}
		return
	}
	if i < len(c.later) && r.end == c.later[i].start {
		c.s.release(r.join(&c.later[i]))
		c.later[i] = r
		return
	}
	if len(c.later) == maxLater {
		r.head.Free()
		c.s.release(r.size)
		return
	}
	c.later = append(c.later, segmentRange{})
	copy(c.later[i+1:], c.later[i:])
	c.later[i] = r
}

// join appends the next range, and reports the memory that copying saved.
func (r *segmentRange) join(next *segmentRange) (saved int) {
	n := next.len()
	r.end = next.end
	r.fin = next.fin
	if t := r.tail; next.head == next.tail && n <= coalesceLimit && t.Off+t.Len+n <= len(t.Data) {
		copy(t.Data[t.Off+t.Len:], next.head.Bytes())
		t.Len += n
		next.head.Free()
		return next.size
	}
	r.size += next.size
	r.tail.Next = next.head
	r.tail = next.tail
	return 0
}

// deliverLater gives the program what a filled gap sets free, and reports whether the
// FIN is among it.
func (c *tcpEndpoint) deliverLater() (fin bool) {
	i := 0
	for ; i < len(c.later) && !before(c.rcvNxt, c.later[i].start); i++ {
		r := &c.later[i]
		skip := int(c.rcvNxt - r.start)
		if n := r.len() - skip; n > 0 {
			c.rcvNxt = r.end
			empty := c.in.bytes == 0
			c.s.release(c.in.push(advance(r.head, skip), n, r.size))
			if empty {
				c.wake(syscall.EPOLLIN)
			}
		} else {
			r.head.Free()
			c.s.release(r.size)
		}
		fin = fin || r.fin
	}
	c.later = append(c.later[:0], c.later[i:]...)
	return fin
}

// evacuate moves what is held to ordinary memory, when the device has no Buffer left
// for what would get the connection on. Called with mu held.
func (c *tcpEndpoint) evacuate() {
	before := c.in.size
	if c.in.head != nil {
		c.in.head = toHeap(c.in.head)
		c.in.tail = c.in.head
		c.in.size = len(c.in.head.Data)
	}
	freed := before - c.in.size
	for i := range c.later {
		r := &c.later[i]
		r.head = toHeap(r.head)
		r.tail = r.head
		freed += r.size - len(r.head.Data)
		r.size = len(r.head.Data)
	}
	c.s.release(freed)
}

// scheduleAck decides when n received bytes are acknowledged: at the end of the
// burst, or with the program's answer, at the latest after delayedAck.
func (c *tcpEndpoint) scheduleAck(b *batch, n int, filled bool) {
	c.unacked += n
	switch {
	case filled || c.unacked >= 2*c.mss:
		c.ackNow = true
	case !c.pingPong && c.quick > 0:
		c.quick--
		c.ackNow = true
	case c.delackAt == 0:
		c.setTimer(&c.delackAt, b.now+delayedAck)
	}
}

// inputFin takes the peer's FIN, all data before it having arrived.
func (c *tcpEndpoint) inputFin(b *batch) {
	c.rcvNxt++
	c.rcvAdv = later(c.rcvAdv, c.rcvNxt)
	c.finSeen = true
	c.dropLater() // nothing can come behind it
	c.ackNow = true
	c.wake(syscall.EPOLLIN | syscall.EPOLLRDHUP)
	switch c.state {
	case stateEstablished:
		c.state = stateCloseWait
	case stateFinWait1:
		c.state = stateClosing
	case stateFinWait2:
		c.sendAck(b)
		c.toTimeWait(b)
	}
}

// advertise gives the window for the next segment's header, and notes its right
// edge. The edge never moves back, and only by steps worth a segment (RFC 9293,
// section 3.8.6.2.2).
func (c *tcpEndpoint) advertise() uint16 {
	free := c.space()
	if edge := c.rcvNxt + uint32(free); before(c.rcvAdv, edge) {
		if int(edge-c.rcvAdv) >= min(c.mss, c.receiveBuffer/2) {
			c.rcvAdv = edge
		}
	}
	return uint16(min((c.rcvAdv-c.rcvNxt)>>c.rcvScale, 0xffff))
}

// space is how many bytes may still come.
func (c *tcpEndpoint) space() int {
	limit := c.receiveBuffer
	if c.s.memory.Load() > int64(c.s.conf.Memory)/8*7 {
		limit = min(limit, 8*c.mss)
	}
	return max(limit-c.in.bytes, 0)
}

// putSack writes the SACK option, padded in front: what arrived last comes first
// (RFC 2018, section 4), a duplicate before that (RFC 2883).
func (c *tcpEndpoint) putSack(o []byte) {
	n := (len(o) - 4) / 8
	o[0], o[1], o[2], o[3] = optionNop, optionNop, optionSack, uint8(2+8*n)
	o = o[4:]
	put := func(s span) {
		if len(o) >= 8 {
			put32(o, s.start)
			put32(o[4:], s.end)
			o = o[8:]
		}
	}
	if c.dsack.len() > 0 {
		put(c.dsack)
	}
	first := 0
	for i := range c.later {
		if c.later[i].start == c.recentSack {
			first = i
		}
	}
	if len(c.later) > 0 {
		put(c.later[first].span)
	}
	for i := range c.later {
		if i != first {
			put(c.later[i].span)
		}
	}
}

// afterRead sees to the window once the program has taken n bytes. Called with mu held.
func (c *tcpEndpoint) afterRead(b *batch, n int) {
	if c.state < stateEstablished || c.finSeen {
		return
	}
	c.autotune(b.now, n)
	offered := int(c.rcvAdv - c.rcvNxt)
	space := c.space()
	if space-offered >= min(c.receiveBuffer/2, max(2*offered, 2*c.mss)) && offered < c.receiveBuffer/2 {
		c.sendAck(b)
	}
}

// autotune lets the receive buffer grow while the program empties most of it within a
// round trip: then it is the buffer that limits the rate.
func (c *tcpEndpoint) autotune(now int64, n int) {
	c.readBytes += n
	if now-c.readSince < max(c.srtt, 1e6) {
		return
	}
	if !c.receiveLocked && c.readBytes > c.receiveBuffer/2 &&
		c.s.memory.Load() < int64(c.s.conf.Memory)/2 {
		c.receiveBuffer = min(2*c.receiveBuffer, c.s.conf.MaxReceiveBuffer)
	}
	c.readBytes = 0
	c.readSince = now
}
