package conntrack

import (
	"encoding/binary"

	"pith/service/packet"
)

// tcpState is where a TCP connection stands, as a router between its ends sees it.
type tcpState uint8

const (
	tcpNone tcpState = iota
	tcpSynSent
	tcpSynReceived
	tcpEstablished
	tcpFinWait
	tcpCloseWait
	tcpLastAck
	tcpTimeWait
	tcpClosed
	tcpSynSent2 // both ends have sent a SYN
	tcpIgnore   // the packet may pass, and changes nothing
	tcpInvalid
	tcpRefused // a reset was the first answer: there is no connection any more
	tcpReopen  // a connection with the same tuple begins anew
)

// tcpTimes are the time-outs of the states (Linux's defaults).
var tcpTimes = [...]int64{
	tcpNone: 60 * second, tcpSynSent: 120 * second, tcpSynReceived: 60 * second, tcpEstablished: 432000 * second,
	tcpFinWait: 120 * second, tcpCloseWait: 60 * second, tcpLastAck: 30 * second, tcpTimeWait: 120 * second,
	tcpClosed: 10 * second, tcpSynSent2: 120 * second,
}

// unansweredTime is how long a connection of which only one side was heard counts as
// established.
const unansweredTime = 300 * second

// stands tells whether both sides have agreed on the connection, and it is not over.
func (c *Conn) stands() bool {
	if !c.seen.Load() {
		return false
	}
	if c.Orig.Protocol != packet.TCP {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tcp >= tcpEstablished && c.tcp <= tcpLastAck
}

// kinds of segments, by their flags.
const (
	segSyn = iota
	segSynAck
	segFin
	segAck
	segReset
	segNone
)

// tcpTime is how long a connection of a state is kept without a word.
func tcpTime(s tcpState, answered bool) int64 {
	if s == tcpEstablished && !answered {
		return unansweredTime
	}
	return tcpTimes[s]
}

func kindOf(flags uint8) int {
	switch {
	case flags&packet.RST != 0:
		return segReset
	case flags&packet.SYN != 0 && flags&packet.ACK != 0:
		return segSynAck
	case flags&packet.SYN != 0:
		return segSyn
	case flags&packet.FIN != 0:
		return segFin
	case flags&packet.ACK != 0:
		return segAck
	}
	return segNone
}

// validFlags are the combinations that a TCP sends, PSH and ECN aside.
func validFlags(flags uint8) bool {
	switch flags &^ (packet.ECE | packet.CWR | packet.PSH) {
	case packet.SYN, packet.SYN | packet.URG, packet.SYN | packet.ACK, packet.RST, packet.RST | packet.ACK,
		packet.FIN | packet.ACK, packet.FIN | packet.ACK | packet.URG, packet.ACK, packet.ACK | packet.URG:
		return true
	}
	return false
}

const (
	sNO = tcpNone
	sSS = tcpSynSent
	sSR = tcpSynReceived
	sES = tcpEstablished
	sFW = tcpFinWait
	sCW = tcpCloseWait
	sLA = tcpLastAck
	sTW = tcpTimeWait
	sCL = tcpClosed
	sS2 = tcpSynSent2
	sIG = tcpIgnore
	sIV = tcpInvalid
)

// transitions by direction, kind of segment and state. The columns are sNO, sSS,
// sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2.
var transitions = [2][6][10]tcpState{
	{ // of the side that began
		segSyn:    {sSS, sSS, sIG, sIG, sIG, sIG, sIG, sSS, sSS, sS2},
		segSynAck: {sIV, sIV, sSR, sIV, sIV, sIV, sIV, sIV, sIV, sSR},
		segFin:    {sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV},
		segAck:    {sES, sIV, sES, sES, sCW, sCW, sTW, sTW, sCL, sIV},
		segReset:  {sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL},
		segNone:   {sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV},
	},
	{ // of the other
		segSyn:    {sIV, sS2, sIV, sIV, sIV, sIV, sIV, sSS, sIV, sS2},
		segSynAck: {sIV, sSR, sIG, sIG, sIG, sIG, sIG, sIG, sIG, sSR},
		segFin:    {sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV},
		segAck:    {sIV, sIG, sSR, sES, sCW, sCW, sTW, sTW, sCL, sIG},
		segReset:  {sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL},
		segNone:   {sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV},
	},
}

func transition(reply bool, kind int, s tcpState) tcpState {
	i := 0
	if reply {
		i = 1
	}
	return transitions[i][kind][s]
}

// lastSegment is what of a connection's last segment counts for the next one.
type lastSegment struct {
	kind  int
	reply bool
	end   uint32 // of a SYN that was ignored: what acknowledges it
}

// end is the sequence number behind a segment with SYN.
func end(p *packet.Packet) uint32 {
	t := p.Transport()
	data := p.Length - (p.L4 - p.L3) - int(t[12]>>4)*4
	return binary.BigEndian.Uint32(t[4:]) + uint32(data) + 1
}

func acknowledged(p *packet.Packet) uint32 { return binary.BigEndian.Uint32(p.Transport()[8:]) }

// segment brings a connection on. Whether a SYN begins anew what has been closed depends
// on who closed it, as in Linux (nf_conntrack_tcp_packet): a SYN that does not may be
// one that the other side never sees, and passes without a change until it is answered. It returns the new state, or
// one of those behind tcpIgnore.
func (c *Conn) segment(p *packet.Packet, reply bool, now int64) tcpState {
	kind := kindOf(p.Flags)
	c.mu.Lock()
	defer c.mu.Unlock()
	next := transition(reply, kind, c.tcp)
	if next == tcpSynSent && c.tcp >= tcpTimeWait {
		if c.finished || c.last == (lastSegment{kind: segReset, reply: reply}) {
			return tcpReopen
		}
		next = tcpIgnore
	}
	if next == tcpIgnore && kind == segSynAck && c.last.kind == segSyn && c.last.reply != reply && acknowledged(p) == c.last.end {
		next = tcpSynReceived // of a SYN that was ignored
	}
	switch next {
	case tcpInvalid:
		return next
	case tcpIgnore:
		c.last = lastSegment{kind, reply, 0}
		if kind == segSyn {
			c.last.end = end(p)
		}
		return next
	}
	c.last = lastSegment{kind: kind, reply: reply}
	c.finished = c.finished || next == tcpFinWait
	if kind == segReset && !c.seen.Load() {
		next = tcpRefused
	} else {
		c.tcp = next
	}
	if next != tcpRefused {
		c.deadline.Store(now + tcpTime(next, reply || c.seen.Load()))
	}
	return next
}

// Close notes that the router itself has reset the connection.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Orig.Protocol == packet.TCP && c.confirmed.Load() {
		c.tcp = tcpClosed
	}
}
