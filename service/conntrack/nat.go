package conntrack

import (
	"math/rand/v2"
	"net/netip"

	"pith/service/packet"
)

// Range is what an address may be translated to. An invalid From leaves the address
// as it is; PortFrom 0 leaves the port, if it is free.
type Range struct {
	From, To         netip.Addr
	PortFrom, PortTo uint16
}

// SourceNAT makes an unconfirmed connection's source look like one of r. It reports
// false if none is free. One that looks so already is not translated, as in Linux
// (nf_nat_setup_info): it makes a difference to ct status and to ICMP errors.
func (t *Table) SourceNAT(c *Conn, r Range, now int64) bool {
	k := c.Reply.Reverse() // as it leaves
	if r.From.IsValid() {
		k.Src = pick(r.From, r.To, t.hash(&c.Orig))
	}
	before := c.Reply
	ok := t.free(c, k, r, true, now)
	c.SNAT = c.SNAT || c.Reply != before
	return ok
}

// DestinationNAT sends an unconfirmed connection to one of r.
func (t *Table) DestinationNAT(c *Conn, r Range, now int64) bool {
	k := c.Reply.Reverse()
	if r.From.IsValid() {
		k.Dst = pick(r.From, r.To, t.hash(&c.Orig))
	}
	before, ok := c.Reply, true
	if r.PortFrom == 0 || !hasPorts(c.Orig.Protocol) {
		c.Reply = k.Reverse()
	} else {
		ok = t.free(c, k, r, false, now)
	}
	c.DNAT = c.DNAT || c.Reply != before
	return ok
}

// Clash tells whether the answers of an unconfirmed connection would be taken for
// another one's.
func (t *Table) Clash(c *Conn, now int64) bool { return t.taken(&c.Reply, now) }

// pick chooses an address of a range for a flow, always the same.
func pick(from, to netip.Addr, h uint64) netip.Addr {
	if !to.IsValid() || from == to {
		return from
	}
	a, b := from.As16(), to.As16()
	low := func(x [16]byte) (v uint64) {
		for _, c := range x[8:] {
			v = v<<8 | uint64(c)
		}
		return v
	}
	n := low(b) - low(a) + 1
	if n == 0 {
		return from
	}
	v := low(a) + h%n
	for i := range 8 {
		a[15-i] = byte(v >> (8 * i))
	}
	if from.Is4() {
		return netip.AddrFrom4([4]byte(a[12:]))
	}
	return netip.AddrFrom16(a)
}

func hasPorts(protocol uint8) bool {
	return protocol == packet.TCP || protocol == packet.UDP || protocol == packet.ICMP || protocol == packet.ICMPv6
}

// class are the ports that may take another's place: privileged ones stay so.
func class(port uint16) (from, to uint16) {
	switch {
	case port < 512:
		return 1, 511
	case port < 1024:
		return 600, 1023
	}
	return 1024, 65535
}

// tries is how many ports are tried before giving up.
const tries = 256

// free finds a port with which the answers' tuple is nobody else's, and sets it: the
// source's or the destination's.
func (t *Table) free(c *Conn, k Tuple, r Range, source bool, now int64) bool {
	icmp := c.Orig.Protocol == packet.ICMP || c.Orig.Protocol == packet.ICMPv6
	from, to := r.PortFrom, r.PortTo
	if from == 0 {
		from, to = class(k.SrcPort)
	}
	with := func(v uint16) Tuple {
		n := k
		if source || icmp {
			n.SrcPort = v
		}
		if !source || icmp {
			n.DstPort = v
		}
		return n.Reverse()
	}
	first := k.SrcPort
	if !source {
		first = k.DstPort
	}
	if r.PortFrom == 0 || first >= from && first <= to {
		if reply := with(first); !t.taken(&reply, now) {
			c.Reply = reply
			return true
		}
	}
	if !hasPorts(c.Orig.Protocol) {
		return false
	}
	n := int(to) - int(from) + 1
	start := rand.IntN(n)
	for i := range min(n, tries) {
		if reply := with(from + uint16((start+i)%n)); !t.taken(&reply, now) {
			c.Reply = reply
			return true
		}
	}
	if !source { // the source's port will tell them apart; see Clash
		c.Reply = with(from)
		return true
	}
	return false
}

// TranslateDst gives a packet the destination that its connection has behind the
// router: before it is routed.
func (v View) TranslateDst(p *packet.Packet) {
	c := v.Conn
	switch {
	case c == nil:
	case !v.Reply && c.DNAT:
		v.setDst(p, c.Reply.Src, c.Reply.SrcPort)
	case v.Reply && c.SNAT:
		v.setDst(p, c.Orig.Src, c.Orig.SrcPort)
	}
}

// TranslateSrc gives a packet the source that its connection shows: after it was
// routed.
func (v View) TranslateSrc(p *packet.Packet) {
	c := v.Conn
	switch {
	case c == nil:
	case !v.Reply && c.SNAT:
		v.setSrc(p, c.Reply.Dst, c.Reply.DstPort)
	case v.Reply && c.DNAT:
		v.setSrc(p, c.Orig.Dst, c.Orig.DstPort)
	}
}

func (v View) setDst(p *packet.Packet, a netip.Addr, port uint16) {
	if p.IsError() {
		var in packet.Packet
		if p.Inner(&in) {
			in.SetSrc(a)
			setPort(&in, port, true)
		}
		p.SetDst(a)
		p.UpdateError()
		return
	}
	p.SetDst(a)
	setPort(p, port, false)
}

func (v View) setSrc(p *packet.Packet, a netip.Addr, port uint16) {
	if p.IsError() {
		var in packet.Packet
		if p.Inner(&in) {
			in.SetDst(a)
			setPort(&in, port, false)
		}
		p.SetSrc(a)
		p.UpdateError()
		return
	}
	p.SetSrc(a)
	setPort(p, port, true)
}

func setPort(p *packet.Packet, port uint16, source bool) {
	if !hasPorts(p.Protocol) || p.L4 == 0 {
		return
	}
	if source {
		p.SetSrcPort(port)
		return
	}
	p.SetDstPort(port)
}
