package inet

import (
	"net/netip"
	"testing"

	"pith/kernel/link"
)

// What somebody who forges packets can do, and what not.

// answers are the frames that the stack sent since the last call.
func (d *puppet) answers() (list [][]byte) {
	for {
		select {
		case f := <-d.sent:
			b := make([]byte, chainLen(f))
			copyOut(b, f, 0)
			f.Free()
			list = append(list, b)
		default:
			return list
		}
	}
}

// driven is a stack whose packets the test's own goroutine brings in, so that all that comes
// of one has come when feed returns.
type driven struct {
	s *Stack
	d *puppet
	q *queue
}

func newDriven(t testing.TB, c *clock, prefixes ...string) *driven {
	d := makePuppet(t)
	s := newStack(t, Config{Now: c.now})
	n := newNIC(s, "eth0", d)
	s.update(func(c *config) {
		c.nics = append(c.nics, n)
		n.index = len(c.nics)
		n.configure(c, static(prefixes...))
	})
	n.slaac = newSLAAC(n, false)
	v := &driven{s, d, n.queues[0]}
	b := s.begin()
	n.neighbors.get(testIP).resolved(&b, puppetMAC)
	return v
}

func (v *driven) feed(frame []byte) {
	v.d.inject(frame)
	v.q.poll()
}

func (v *driven) feedIPv4(protocol uint8, src address, payload []byte) {
	v.feed(ethernet(etherIPv4, ipv4Packet(protocol, src, stackIP, payload)))
}

// TestSourceIsNoBroadcast: what claims to come from all of the link is not answered, or one
// packet would make all of the link hear of it (RFC 1122, section 3.2.1.3).
func TestSourceIsNoBroadcast(t *testing.T) {
	v := newDriven(t, newClock(), "10.9.0.2/24")
	for _, src := range []address{v4(0x0a0900ff), broadcast, v4(0xe0000001), anyV4} {
		echo := []byte{icmpEcho, 0, 0, 0, 0, 1, 0, 1}
		put16(echo[2:], partial(0).bytes(echo).checksum())
		v.feedIPv4(protoICMP, src, echo)
		v.feedIPv4(protoUDP, src, udpSegment(src, stackIP, 9, 7, []byte("x")))
		v.feedIPv4(protoTCP, src, tcpSegment{sport: 9, dport: 7, flags: flagSYN}.bytes(src, stackIP))
		v.feedIPv4(99, src, []byte("what?"))
		if list := v.d.answers(); len(list) > 0 {
			t.Errorf("%d answers to %v, the first: %x", len(list), src.plain(), list[0])
		}
	}
}

// TestForgedTimestamp: a segment whose acknowledgement is wrong doesn't set the time stamp
// that later ones are compared with; the connection would be deaf from then on.
func TestForgedTimestamp(t *testing.T) {
	stamp := func(value uint32) []byte {
		o := make([]byte, stampLen)
		put32(o, stampWord)
		put32(o[4:], value)
		return o
	}
	d, c, iss := accepted(t, stamp(100)...)
	forged := segmentTo80(1000, iss+1<<30, flagACK, "")
	forged.options = stamp(1 << 30)
	d.sendTCP(forged)
	good := segmentTo80(1000, iss, flagACK, "good")
	good.options = stamp(101)
	d.sendTCP(good)
	eventually(t, "the peer's data arrives", func() bool { return c.ep.Buffered() == 4 })
}

// TestChallengesOutliveFlood: who keeps the stack busy with ICMP errors doesn't keep it from
// challenging a doubtful segment, and can't count challenges to others (CVE-2016-5696).
func TestChallengesOutliveFlood(t *testing.T) {
	d, c, iss := accepted(t)
	s := c.ep.(*tcpEndpoint).s
	for s.allowError(s.conf.Now()) {
	}
	d.sendTCP(segmentTo80(1000, iss, flagSYN, ""))
	if g := d.nextTCP(); g.flags != flagACK || g.ack != 1000 {
		t.Fatalf("instead of a challenge: %+v", g)
	}
}

// TestChallengesAreFew: one connection doesn't answer each of many doubtful segments.
func TestChallengesAreFew(t *testing.T) {
	d, _, iss := accepted(t)
	for range 100 {
		d.sendTCP(segmentTo80(1000, iss, flagSYN, ""))
	}
	d.sendTCP(segmentTo80(1000, iss, flagACK, "last"))
	challenges := 0
	d.next("ACK of what came last", func(b []byte) bool {
		if isTCP(b) && d.parseTCP(b).ack == 1000 {
			challenges++
		}
		return isTCP(b) && d.parseTCP(b).ack == 1004
	})
	if challenges < 1 || challenges > 10 {
		t.Errorf("%d challenges to 100 segments", challenges)
	}
}

// TestErrorsCannotBeCounted: how many ICMP errors are sent at once is a matter of chance.
// Where it isn't, an outsider finds open ports by counting those that he gets himself
// (CVE-2020-25705).
func TestErrorsCannotBeCounted(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		s := newStack(t, Config{Now: newClock().now})
		n := 0
		for ; s.allowError(s.conf.Now()); n++ {
		}
		if n < errorBurst/2 || n > 2*errorBurst {
			t.Fatalf("%d at once", n)
		}
		seen[n] = true
	}
	if len(seen) == 1 {
		t.Errorf("always the same number: %v", seen)
	}
}

// TestFragmentsHoldLittle floods the stack with fragments of packets that never get whole.
func TestFragmentsHoldLittle(t *testing.T) {
	v := newDriven(t, newClock(), "10.9.0.2/24")
	fragment := func(id uint16, at int) []byte {
		b := ipv4Packet(protoUDP, testIP, stackIP, make([]byte, 1400))
		put16(b[4:], id)
		put16(b[6:], fragmentWord(at, true))
		put16(b[10:], 0)
		put16(b[10:], partial(0).bytes(b[:ipv4Len]).checksum())
		return ethernet(etherIPv4, b)
	}
	for at := range maxPieces / 2 {
		for id := range uint16(maxIncomplete) {
			v.feed(fragment(id, at*1400))
		}
	}
	f := &v.s.fragments
	f.mu.Lock()
	defer f.mu.Unlock()
	held := 0
	for _, d := range f.packets {
		for _, p := range d.pieces {
			held += footprint(p.buf)
		}
	}
	if held != f.memory || held > maxFragmentMemory+link.BufferSize {
		t.Errorf("%d bytes are held, %d counted, of %d", held, f.memory, maxFragmentMemory)
	}
	if len(f.packets) == 0 {
		t.Error("nothing is kept at all")
	}
}

// TestForgottenNeighbor: a neighbour that had to give its place in the table to others is
// asked for again by those who have its route.
func TestForgottenNeighbor(t *testing.T) {
	clock := newClock()
	v := newDriven(t, clock, "10.9.0.2/16")
	u := bound(t, v.s, netip.AddrPortFrom(addrB, 7))
	send := func() {
		t.Helper()
		if _, errno := u.ep.Send([]byte("x"), nil, netip.AddrPortFrom(addrA, 9), 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	send()
	v.d.next("datagram", isUDP)
	table := &v.q.nic.neighbors
	b := v.s.begin()
	for i := uint32(0); table.find(testIP) != nil; i++ {
		table.get(v4(0x0a090100+i)).resolved(&b, hardwareAddr(0x020000100000+uint64(i)))
	}
	clock.advance(2 * reachableTime)
	v.d.drop()
	send()
	v.d.next("question for the neighbour", func(b []byte) bool {
		return isARP(arpRequest)(b) && v4(get32(b[38:])) == testIP
	})
	v.d.answerARP()
	v.q.poll()
	v.s.timers.run()
	for range maxSolicits + 1 { // whatever was asked has been answered, or given up
		clock.advance(2 * solicitInterval)
		v.s.timers.run()
	}
	v.d.drop()
	send()
	v.d.answerARP()
	v.q.poll()
	v.d.next("datagram after the neighbour was found again", isUDP)
}

// TestFlowsDontMeet: who may choose his address and port can't choose that many connections
// meet in one bucket.
func TestFlowsDontMeet(t *testing.T) {
	s := newStack(t, Config{})
	seen := map[uint32]bool{}
	const flows = 1000
	for i := range uint64(flows) {
		name := tuple{local: fromNetip(addrB6), remote: fromNetip(addrA6), lport: 80, rport: uint16(1000 ^ i)}
		name.remote.lo ^= i << 32
		seen[s.flowHash(&name)] = true
	}
	if len(seen) < flows*9/10 {
		t.Errorf("%d flows have %d hashes", flows, len(seen))
	}
}

// TestFragmentIDs: who gets fragments doesn't learn which numbers others' will have.
func TestFragmentIDs(t *testing.T) {
	v := newDriven(t, newClock(), "10.9.0.2/24")
	u := bound(t, v.s, netip.AddrPortFrom(addrB, 7))
	other := v4(0x0a090003)
	b := v.s.begin()
	v.q.nic.neighbors.get(other).resolved(&b, puppetMAC)
	id := func(to address) uint16 {
		t.Helper()
		dst, _ := netip.AddrFromSlice(to.plain().AsSlice())
		if _, errno := u.ep.Send(make([]byte, 2000), nil, netip.AddrPortFrom(dst, 9), 0); errno != 0 {
			t.Fatal(errno)
		}
		p := v.d.next("fragment", func(b []byte) bool { return get16(b[12:]) == etherIPv4 && get16(b[20:])&flagMF != 0 })
		return get16(p[18:])
	}
	near := 0
	for range 10 {
		if d := id(other) - id(testIP); d < 16 || d > 0xfff0 {
			near++
		}
	}
	if near > 5 {
		t.Errorf("%d of 10 numbers follow from another's", near)
	}
}

// TestUnaskedCookie: an acknowledgement that would fit a cookie makes no connection where no
// cookie has been given out: then there is nothing to guess.
func TestUnaskedCookie(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	meet(t, s, d)
	listen(t, s, netip.AddrPortFrom(addrB, 80), 8)
	d.drop()
	name := tuple{stackIP, testIP, 80, 1000}
	minute := uint32(s.conf.Now() / cookieMinute)
	d.sendTCP(tcpSegment{sport: 1000, dport: 80, seq: 1000, ack: s.cookieFor(&name, 999, minute, 0) + 1, flags: flagACK, window: 100})
	if g := d.nextTCP(); g.flags != flagRST {
		t.Fatalf("instead of a RST: %+v", g)
	}
}

// TestNeighborInFragments: Neighbor Discovery doesn't come in fragments (RFC 6980).
func TestNeighborInFragments(t *testing.T) {
	v := newDriven(t, newClock(), "fd00::2/64")
	src, dst := fromNetip(addrA6), fromNetip(addrB6)
	m := make([]byte, ndpLen+8)
	m[0] = ndpNeighborSolicit
	dst.put(m[8:])
	m[ndpLen], m[ndpLen+1] = ndpSourceMAC, 1
	puppetMAC.put(m[ndpLen+2:])
	put16(m[2:], pseudoHeader(src, dst, protoICMPv6, len(m)).bytes(m).checksum())
	atomic := append([]byte{protoICMPv6, 0, 0, 0, 0, 0, 0, 1}, m...)
	v.feed(ethernet(etherIPv6, ipv6Packet(protoFragment, src, dst, 255, atomic)))
	if list := v.d.answers(); len(list) != 0 {
		t.Fatalf("answered: %x", list[0])
	}
	v.feed(ethernet(etherIPv6, ipv6Packet(protoICMPv6, src, dst, 255, m)))
	if list := v.d.answers(); len(list) != 1 {
		t.Fatalf("%d answers to a question that is whole", len(list))
	}
}

// TestWaitingFramesAreBounded: frames to many addresses that nobody has don't use up the
// card's Buffers while they wait for an answer.
func TestWaitingFramesAreBounded(t *testing.T) {
	clock := newClock()
	v := newDriven(t, clock, "10.9.0.2/16")
	u := bound(t, v.s, netip.AddrPortFrom(addrB, 7))
	to := netip.MustParseAddr("10.9.1.0")
	for range 2 * maxNeighborFrames / maxWaiting {
		for range maxWaiting {
			u.ep.Send([]byte("x"), nil, netip.AddrPortFrom(to, 9), 0)
		}
		to = to.Next()
	}
	held := func() (n int) {
		table := &v.q.nic.neighbors
		table.mu.Lock()
		defer table.mu.Unlock()
		for _, e := range table.entries {
			e.mu.Lock()
			n += len(e.waiting)
			e.mu.Unlock()
		}
		return n
	}
	if n := held(); n == 0 || n > maxNeighborFrames {
		t.Errorf("%d frames wait", n)
	}
	eventually(t, "all are given up", func() bool {
		v.d.drop()
		clock.advance(solicitInterval)
		v.s.timers.run()
		return held() == 0
	})
	if n := v.q.nic.neighbors.waiting.Load(); n != 0 {
		t.Errorf("%d frames are counted of none", n)
	}
	v.d.drop()
	u.ep.Send([]byte("x"), nil, netip.AddrPortFrom(to, 9), 0)
	v.d.next("question", isARP(arpRequest))
	if held() != 1 {
		t.Error("the next one doesn't wait")
	}
}
