package inet

import "pith/kernel/link"

// Ethernet II framing (IEEE 802.3, clause 3; RFC 894, RFC 2464).
const (
	ethernetLen = 14
	etherIPv4   = 0x0800
	etherARP    = 0x0806
	etherIPv6   = 0x86dd
)

// packet is one received packet on its way up. buf's first piece begins with the
// header of the layer that looks at it. A layer that keeps buf sets it to nil;
// what is left at the end is freed.
type packet struct {
	b       *batch
	q       *queue
	buf     *link.Buffer
	frame   int // where the frame began in buf.Data
	network int // where the IP header begins in buf.Data
	src     address
	dst     address
	srcMAC  hardwareAddr
	ttl     uint8
	tos     uint8
	group   bool    // sent to several machines, by Ethernet or IP
	checked bool    // the transport checksum is known to be right
	cut     bool    // it had an IPv6 fragment header
	segment segment // TCP's header
}

// nic is the interface the packet came in by.
func (p *packet) nic() *nic { return p.q.nic }

// input takes one frame off the ring. It is the device's delivery callback.
func (q *queue) input(f *link.Buffer, o link.Offload) {
	p := &q.packet
	p.b, p.q, p.buf = &q.batch, q, f
	p.checked = o.ChecksumValid || o.NeedsChecksum
	p.frame = f.Off
	p.cut = false
	p.ethernet()
	if p.buf != nil {
		p.buf.Free()
		p.buf = nil
	}
}

func (p *packet) ethernet() {
	if !pull(p.buf, ethernetLen) {
		p.malformed()
		return
	}
	h := p.buf.Bytes()
	n := p.nic()
	dst := getMAC(h)
	p.group = dst.group()
	if !p.group && dst != n.mac {
		return
	}
	p.srcMAC = getMAC(h[6:])
	kind := get16(h[12:])
	p.buf.Off += ethernetLen
	p.buf.Len -= ethernetLen
	switch kind {
	case etherIPv4:
		p.ipv4()
	case etherIPv6:
		p.ipv6()
	case etherARP:
		p.arp()
	}
}

func (p *packet) malformed() { p.b.s.stats.Malformed.Add(1) }

// putEthernet writes the header in front of a frame's first byte.
func putEthernet(f *link.Buffer, dst, src hardwareAddr, kind uint16) {
	f.Off -= ethernetLen
	f.Len += ethernetLen
	h := f.Data[f.Off : f.Off+ethernetLen]
	dst.put(h)
	src.put(h[6:])
	put16(h[12:], kind)
}
