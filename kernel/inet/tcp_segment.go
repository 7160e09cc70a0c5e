package inet

import (
	"pith/kernel/link"
)

// TCP's header, and its options (RFC 9293, section 3.1; RFC 2018; RFC 7323).
const (
	tcpLen = 20

	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagPSH = 8
	flagACK = 16

	optionEnd       = 0
	optionNop       = 1
	optionMSS       = 2
	optionScale     = 3
	optionSackOK    = 4
	optionSack      = 5
	optionTimestamp = 8

	stampLen     = 12 // with two NOPs in front
	stampWord    = optionNop<<24 | optionNop<<16 | optionTimestamp<<8 | 10
	maxOptions   = 40
	maxScale     = 14
	maxSackSpans = 4
)

// segment is a received TCP segment's header.
type segment struct {
	seq, ack     uint32
	window       uint32 // not scaled yet
	length       int    // payload, in bytes
	flags        uint8
	stamped      bool
	stamp, echo  uint32 // TSval, TSecr
	sack         [maxSackSpans]span
	sackCount    int
	lport, rport uint16

	// Of a SYN only:
	mss    int
	scale  uint8 // noScale where the option is missing
	sackOK bool
}

const noScale = 255

// end is the sequence number behind the segment, SYN and FIN included.
func (g *segment) end() uint32 {
	end := g.seq + uint32(g.length)
	if g.flags&flagSYN != 0 {
		end++
	}
	if g.flags&flagFIN != 0 {
		end++
	}
	return end
}

// parse reads the header at the front of p.buf, checks the checksum, and leaves the payload
// in p.buf. It reports false for a segment that must be ignored.
func (g *segment) parse(p *packet) bool {
	if !pull(p.buf, tcpLen) {
		p.malformed()
		return false
	}
	headerLen := int(p.buf.Data[p.buf.Off+12]>>4) * 4
	if headerLen < tcpLen || !pull(p.buf, headerLen) {
		p.malformed()
		return false
	}
	total := chainLen(p.buf)
	if !p.checked && !pseudoHeader(p.src, p.dst, protoTCP, total).chain(p.buf).valid() {
		p.b.s.stats.BadChecksum.Add(1)
		return false
	}
	h := p.buf.Bytes()[:headerLen]
	g.rport, g.lport = get16(h), get16(h[2:])
	g.seq, g.ack = get32(h[4:]), get32(h[8:])
	g.flags = h[13] & (flagFIN | flagSYN | flagRST | flagPSH | flagACK)
	g.window = uint32(get16(h[14:]))
	g.length = total - headerLen
	g.stamped = false
	g.sackCount = 0
	p.buf.Off += headerLen
	p.buf.Len -= headerLen
	if headerLen == tcpLen+stampLen && get32(h[tcpLen:]) == stampWord {
		g.stamped = true
		g.stamp, g.echo = get32(h[24:]), get32(h[28:])
	} else {
		g.options(h[tcpLen:])
	}
	return true
}

// options reads the options. Malformed ones end the list.
func (g *segment) options(o []byte) {
	g.mss, g.scale, g.sackOK = 0, noScale, false
	for len(o) > 0 {
		kind := o[0]
		if kind == optionEnd {
			return
		}
		if kind == optionNop {
			o = o[1:]
			continue
		}
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return
		}
		g.option(kind, o[2:o[1]])
		o = o[o[1]:]
	}
}

func (g *segment) option(kind uint8, v []byte) {
	syn := g.flags&flagSYN != 0
	switch {
	case kind == optionMSS && len(v) == 2 && syn:
		g.mss = int(get16(v))
	case kind == optionScale && len(v) == 1 && syn:
		g.scale = min(v[0], maxScale)
	case kind == optionSackOK && len(v) == 0 && syn:
		g.sackOK = true
	case kind == optionTimestamp && len(v) == 8:
		g.stamped = true
		g.stamp, g.echo = get32(v), get32(v[4:])
	case kind == optionSack && len(v)%8 == 0:
		for ; len(v) > 0 && g.sackCount < maxSackSpans; v = v[8:] {
			g.sack[g.sackCount] = span{get32(v), get32(v[4:])}
			g.sackCount++
		}
	}
}

// template is what all of a connection's headers have in common, so that a segment
// costs a copy and a few stores.
type template struct {
	bytes  [ethernetLen + ipv6Len + tcpLen + stampLen]byte
	ip     int     // length of Ethernet and IP header; 0 means to be made anew
	header partial // of the IPv4 header, without total length
	pseudo partial // of the pseudo-header, without length
}

// prepare writes the template for the current route.
func (c *tcpEndpoint) prepare() {
	t := &c.template
	r := &c.route
	t.ip = ethernetLen + r.headerLen()
	f := link.Buffer{Data: t.bytes[:], Off: t.ip}
	h := ipHeader{protocol: protoTCP, ttl: c.hopLimit(c.remote), tos: c.tos}
	r.putHeader(nil, &f, h, 0)
	kind := uint16(etherIPv6)
	if r.dst.is4() {
		kind = etherIPv4
		ip := t.bytes[ethernetLen:]
		put16(ip[2:], 0)
		put16(ip[10:], 0)
		t.header = partial(0).bytes(ip[:ipv4Len])
	}
	putEthernet(&f, r.mac, r.nic.mac, kind)
	t.pseudo = pseudoHeader(c.local, c.remote, protoTCP, 0)
	h4 := t.bytes[t.ip:]
	clear(h4)
	put16(h4, c.lport)
	put16(h4[2:], c.rport)
	if c.stamps {
		put32(h4[tcpLen:], stampWord)
	}
}

// putIPLength completes the IP header of a frame whose transport part has length
// bytes.
func (t *template) putIPLength(h []byte, length int) {
	if t.ip == ethernetLen+ipv4Len {
		total := uint16(length + ipv4Len)
		put16(h[ethernetLen+2:], total)
		put16(h[ethernetLen+10:], t.header.word(total).checksum())
		return
	}
	put16(h[ethernetLen+4:], uint16(length))
}
