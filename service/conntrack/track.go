package conntrack

import (
	"pith/service/packet"
)

// State of a packet with regard to its connection.
type State uint8

// States; the values are the bits that package nft uses.
const (
	Invalid     State = 1
	Established State = 2
	Related     State = 4
	New         State = 8
	Untracked   State = 64
)

// View is a packet's part in a connection.
type View struct {
	Conn  *Conn // nil: invalid or untracked
	Reply bool  // it goes against the direction of the first packet
	State State
}

const second = int64(1e9)

// Times after which a silent connection is forgotten, in nanoseconds (Linux's
// defaults, Documentation/networking/nf_conntrack-sysctl.rst).
const (
	icmpTime    = 30 * second
	udpTime     = 30 * second
	udpLongTime = 120 * second
	otherTime   = 600 * second
)

// Track finds the packet's connection or makes a new one, which is in the table only
// after Confirm. now is in nanoseconds.
func (t *Table) Track(p *packet.Packet, now int64) View {
	if !plausible(p) {
		return View{State: Invalid}
	}
	if p.Version == 6 && p.Protocol == packet.ICMPv6 && local6(p.Type) {
		return View{State: Untracked}
	}
	if p.IsError() {
		return t.related(p, now)
	}
	k, ok := TupleOf(p)
	if !ok {
		return View{State: Invalid}
	}
	n := t.find(&k, now)
	if n == nil {
		return begin(p, k, now)
	}
	return t.more(p, k, n, now)
}

// local6 are ICMPv6 messages of the link itself.
func local6(typ uint8) bool { return typ >= 130 && typ <= 137 || typ == 143 }

// plausible tells whether the transport header can be what it says.
func plausible(p *packet.Packet) bool {
	switch p.Protocol {
	case packet.TCP:
		return p.L4 != 0 && validFlags(p.Flags) && p.ChecksumOK()
	case packet.UDP:
		return p.L4 != 0 && udpLength(p) && p.ChecksumOK()
	case packet.ICMP:
		return p.Version == 4 && p.L4 != 0 && p.ChecksumOK()
	case packet.ICMPv6:
		return p.Version == 6 && p.L4 != 0 && p.ChecksumOK()
	}
	return true
}

func udpLength(p *packet.Packet) bool {
	t := p.Transport()
	n, have := int(t[4])<<8|int(t[5]), p.Length-(p.L4-p.L3)
	return n >= 8 && n <= have || p.Frame.Offload.NeedsChecksum
}

// begin makes the connection of a first packet.
func begin(p *packet.Packet, k Tuple, now int64) View {
	c := &Conn{Orig: k, Reply: k.Reverse()}
	time := otherTime
	switch p.Protocol {
	case packet.TCP:
		next := transition(false, kindOf(p.Flags), tcpNone)
		if next >= tcpIgnore {
			return View{State: Invalid}
		}
		c.tcp, c.last, c.finished = next, lastSegment{kind: kindOf(p.Flags)}, next == tcpFinWait
		time = tcpTime(next, false)
	case packet.UDP:
		time = udpTime
	case packet.ICMP:
		if p.Type != packet.EchoRequest && p.Type != 13 && p.Type != 15 && p.Type != 17 {
			return View{State: Invalid}
		}
		time = icmpTime
	case packet.ICMPv6:
		if p.Type != packet.EchoRequest6 {
			return View{State: Invalid}
		}
		time = icmpTime
	}
	c.deadline.Store(now + time)
	c.packets[0].Store(1)
	return View{Conn: c, State: New}
}

// more goes on with a connection.
func (t *Table) more(p *packet.Packet, k Tuple, n *node, now int64) View {
	c := n.conn
	v := View{Conn: c, Reply: n.reply, State: Established}
	if p.Protocol == packet.TCP {
		switch verdict := c.segment(p, n.reply, now); verdict {
		case tcpInvalid:
			return View{State: Invalid}
		case tcpRefused:
			t.remove(c)
		case tcpReopen:
			t.remove(c)
			return begin(p, k, now)
		}
	} else {
		c.deadline.Store(now + c.time(p.Protocol))
	}
	i := 0
	if n.reply {
		i = 1
		if !c.seen.Load() {
			c.seen.Store(true)
		}
	} else if !c.seen.Load() {
		v.State = New
	}
	c.packets[i].Add(1)
	return v
}

func (c *Conn) time(protocol uint8) int64 {
	switch protocol {
	case packet.UDP:
		if c.seen.Load() {
			return udpLongTime
		}
		return udpTime
	case packet.ICMP, packet.ICMPv6:
		return icmpTime
	}
	return otherTime
}

// related finds the connection that an ICMP error is about. The error goes the way
// of an answer to the packet that it quotes.
func (t *Table) related(p *packet.Packet, now int64) View {
	var in packet.Packet
	if !p.Inner(&in) {
		return View{State: Invalid}
	}
	k, ok := TupleOf(&in)
	if !ok {
		return View{State: Invalid}
	}
	k = k.Reverse()
	n := t.find(&k, now)
	if n == nil {
		return View{State: Invalid}
	}
	return View{Conn: n.conn, Reply: n.reply, State: Related}
}
