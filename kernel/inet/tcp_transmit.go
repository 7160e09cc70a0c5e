package inet

import (
	"syscall"

	"pith/kernel/link"
)

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
