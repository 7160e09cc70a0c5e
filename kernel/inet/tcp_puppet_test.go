package inet

import (
	"bytes"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// accepted makes a connection from the test's port 1000 to the stack's port 80. The test's
// sequence numbers begin at 1000, and it has no options but what is given.
func accepted(t *testing.T, options ...byte) (*puppet, *sock, uint32) {
	t.Helper()
	s, d := newPuppet(t, static("10.9.0.2/24"))
	meet(t, s, d)
	l := listen(t, s, netip.AddrPortFrom(addrB, 80), 8)
	d.drop()
	d.sendTCP(tcpSegment{sport: 1000, dport: 80, seq: 999, flags: flagSYN, window: 65535, options: options})
	g := d.nextTCP()
	if g.flags != flagSYN|flagACK || g.ack != 1000 {
		t.Fatalf("instead of SYN-ACK: %+v", g)
	}
	d.sendTCP(tcpSegment{sport: 1000, dport: 80, seq: 1000, ack: g.seq + 1, flags: flagACK, window: 65535})
	c, err := l.accept()
	if err != nil {
		t.Fatal(err)
	}
	return d, c, g.seq + 1
}

func segmentTo80(seq, ack uint32, flags uint8, payload string) tcpSegment {
	return tcpSegment{sport: 1000, dport: 80, seq: seq, ack: ack, flags: flags, window: 65535, payload: []byte(payload)}
}

func TestTCPOutOfOrder(t *testing.T) {
	d, c, iss := accepted(t, optionMSS, 4, 5, 0xb4, optionSackOK, 2, optionNop, optionNop)
	d.sendTCP(segmentTo80(1005, iss, flagACK, "fghij"))
	g := d.nextTCP()
	if g.ack != 1000 || !bytes.Equal(g.options, []byte{1, 1, 5, 10, 0, 0, 3, 0xed, 0, 0, 3, 0xf2}) {
		t.Fatalf("instead of a SACK: %+v", g)
	}
	d.sendTCP(segmentTo80(1012, iss, flagACK, "mn"))
	g = d.nextTCP()
	if want := []byte{1, 1, 5, 18, 0, 0, 3, 0xf4, 0, 0, 3, 0xf6, 0, 0, 3, 0xed, 0, 0, 3, 0xf2}; !bytes.Equal(g.options, want) {
		t.Fatalf("SACK %v, want %v", g.options, want)
	}
	d.sendTCP(segmentTo80(1008, iss, flagACK, "ijklmn")) // overlaps on both sides
	d.nextTCP()
	d.sendTCP(segmentTo80(998, iss, flagACK, "xxabcdefg")) // old bytes in front
	if g = d.nextTCP(); g.ack != 1014 || len(g.options) != 0 {
		t.Fatalf("after the gap: %+v", g)
	}
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != "abcdefghijklmn" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	// Something old once more is reported as a duplicate (RFC 2883).
	d.sendTCP(segmentTo80(1002, iss, flagACK, "cde"))
	if g = d.nextTCP(); g.ack != 1014 || !bytes.Equal(g.options, []byte{1, 1, 5, 10, 0, 0, 3, 0xea, 0, 0, 3, 0xed}) {
		t.Fatalf("instead of a D-SACK: %+v", g)
	}
}

func TestTCPResetMustFitExactly(t *testing.T) {
	d, c, iss := accepted(t)
	d.sendTCP(segmentTo80(1001, iss, flagRST, "")) // in the window, but not the next
	if g := d.nextTCP(); g.flags != flagACK || g.ack != 1000 {
		t.Fatalf("instead of a challenge: %+v", g)
	}
	d.sendTCP(segmentTo80(900000, iss, flagRST, "")) // outside
	d.sendTCP(segmentTo80(1000, iss, flagSYN, ""))   // a SYN in the window
	if g := d.nextTCP(); g.flags != flagACK || g.ack != 1000 {
		t.Fatalf("instead of a challenge: %+v", g)
	}
	d.sendTCP(segmentTo80(1000, iss, flagRST, ""))
	if _, err := c.Read(make([]byte, 1)); err != syscall.ECONNRESET {
		t.Fatalf("after RST: %v", err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err.Error() != "EOF" {
		t.Fatalf("the error is told once, then the end: %d, %v", n, err)
	}
	if _, err := c.Write([]byte("x")); err != syscall.EPIPE {
		t.Fatalf("write after RST: %v", err)
	}
}

func TestTCPBlindDataIsChallenged(t *testing.T) {
	d, _, iss := accepted(t)
	d.sendTCP(segmentTo80(1000, iss+500000, flagACK, "evil")) // acknowledges what was never sent
	if g := d.nextTCP(); g.ack != 1000 {
		t.Fatalf("took data with a wrong acknowledgement: %+v", g)
	}
	d.sendTCP(segmentTo80(1000, iss-500000, flagACK, "evil")) // and what was long ago
	if g := d.nextTCP(); g.ack != 1000 {
		t.Fatalf("took data with an old acknowledgement: %+v", g)
	}
}

func TestTCPUnknownPort(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	meet(t, s, d)
	d.drop()
	d.sendTCP(tcpSegment{sport: 5, dport: 6, seq: 100, flags: flagSYN, window: 100})
	if g := d.nextTCP(); g.flags != flagRST|flagACK || g.ack != 101 || g.seq != 0 {
		t.Fatalf("to a SYN: %+v", g)
	}
	d.sendTCP(tcpSegment{sport: 5, dport: 6, seq: 100, ack: 77, flags: flagACK, payload: []byte("x")})
	if g := d.nextTCP(); g.flags != flagRST || g.seq != 77 {
		t.Fatalf("to an ACK: %+v", g)
	}
	d.sendTCP(tcpSegment{sport: 5, dport: 6, seq: 100, flags: flagRST})
	d.none("answer to a RST", isTCP)
}

func TestTCPDelayedAck(t *testing.T) {
	d, c, iss := accepted(t)
	d.sendTCP(segmentTo80(1000, iss, flagACK|flagPSH, "request"))
	buf := make([]byte, 10)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "request" {
		t.Fatal(n, err)
	}
	c.Write([]byte("answer"))
	g := d.nextTCP()
	if string(g.payload) != "answer" || g.ack != 1007 || g.flags != flagACK|flagPSH {
		t.Fatalf("instead of an answer that acknowledges: %+v", g)
	}
	iss += 6
	d.sendTCP(segmentTo80(1007, iss, flagACK|flagPSH, "one way"))
	began := time.Now()
	if g = d.nextTCP(); g.ack != 1014 || len(g.payload) != 0 {
		t.Fatalf("instead of an ACK: %+v", g)
	}
	if wait := time.Since(began); wait < 20*time.Millisecond || wait > time.Second {
		t.Errorf("the ACK came after %v", wait)
	}
}

func TestTCPZeroWindowProbe(t *testing.T) {
	d, c, iss := accepted(t)
	shut := segmentTo80(1000, iss, flagACK, "")
	shut.window = 0
	d.sendTCP(shut)
	eventually(t, "the window is shut", func() bool {
		e := c.ep.(*tcpEndpoint)
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.sndWnd == 0
	})
	d.drop()
	c.Write([]byte("wait"))
	for range 2 { // probes, each an old sequence number without data
		if g := d.nextTCP(); g.seq != iss-1 || len(g.payload) != 0 {
			t.Fatalf("instead of a probe: %+v", g)
		}
		d.sendTCP(shut)
	}
	d.sendTCP(segmentTo80(1000, iss, flagACK, ""))
	if g := d.nextTCP(); string(g.payload) != "wait" {
		t.Fatalf("after the window opened: %+v", g)
	}
}

func TestTCPNagle(t *testing.T) {
	d, c, iss := accepted(t)
	c.Write([]byte("a"))
	if g := d.nextTCP(); string(g.payload) != "a" {
		t.Fatalf("%+v", g)
	}
	c.Write([]byte("b"))
	c.Write([]byte("c"))
	d.none("small segment before the ACK", isTCP)
	d.sendTCP(segmentTo80(1000, iss+1, flagACK, ""))
	if g := d.nextTCP(); string(g.payload) != "bc" {
		t.Fatalf("%+v", g)
	}
	c.setInt(syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	c.Write([]byte("d"))
	if g := d.nextTCP(); string(g.payload) != "d" {
		t.Fatalf("with TCP_NODELAY: %+v", g)
	}
}

func TestTCPFastRetransmit(t *testing.T) {
	for _, sack := range []bool{true, false} {
		var o []byte
		if sack {
			o = []byte{optionSackOK, 2, optionNop, optionNop}
		}
		d, c, iss := accepted(t, append([]byte{optionMSS, 4, 0, 100}, o...)...)
		c.setInt(syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		c.Write(make([]byte, 600)) // six segments
		for i := range uint32(6) {
			if g := d.nextTCP(); g.seq != iss+100*i || len(g.payload) != 100 {
				t.Fatalf("segment %d: %+v", i, g)
			}
		}
		// The second is lost.
		for i := range uint32(4) {
			g := segmentTo80(1000, iss+100, flagACK, "")
			if sack {
				g.options = append([]byte{1, 1, optionSack, 10}, make([]byte, 8)...)
				put32(g.options[4:], iss+200)
				put32(g.options[8:], iss+300+100*i)
			}
			d.sendTCP(g)
		}
		if g := d.nextTCP(); g.seq != iss+100 || len(g.payload) != 100 {
			t.Fatalf("sack %v: instead of a retransmission: %+v", sack, g)
		}
		d.sendTCP(segmentTo80(1000, iss+600, flagACK, ""))
		e := c.ep.(*tcpEndpoint)
		eventually(t, "the repair ends", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.mode == repairNone && e.inFlight() == 0 && e.sackedBytes == 0
		})
	}
}

func TestTCPRetransmitsAndBacksOff(t *testing.T) {
	d, c, iss := accepted(t)
	c.Write([]byte("lost"))
	d.nextTCP()
	var last time.Time
	var gaps []time.Duration
	for range 3 {
		if g := d.nextTCP(); g.seq != iss || string(g.payload) != "lost" {
			t.Fatalf("%+v", g)
		}
		if !last.IsZero() {
			gaps = append(gaps, time.Since(last))
		}
		last = time.Now()
	}
	if gaps[1] < gaps[0]*3/2 {
		t.Errorf("pauses of %v don't grow", gaps)
	}
	d.sendTCP(segmentTo80(1000, iss+4, flagACK, ""))
	d.none("segment after the ACK", isTCP)
}

func TestTCPUserTimeout(t *testing.T) {
	d, c, _ := accepted(t)
	c.setInt(syscall.IPPROTO_TCP, tcpUserTimeout, 500)
	c.Write([]byte("into the void"))
	d.nextTCP()
	if _, err := c.Read(make([]byte, 1)); err != syscall.ETIMEDOUT {
		t.Fatal(err)
	}
}

func TestTCPKeepAlive(t *testing.T) {
	d, c, iss := accepted(t)
	c.setInt(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 1)
	c.setInt(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 1)
	c.setInt(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 2)
	c.setInt(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	if g := d.nextTCP(); g.seq != iss-1 || len(g.payload) != 0 {
		t.Fatalf("instead of a probe: %+v", g)
	}
	d.sendTCP(segmentTo80(1000, iss, flagACK, "")) // still there
	for range 2 {
		if g := d.nextTCP(); g.seq != iss-1 {
			t.Fatalf("instead of a probe: %+v", g)
		}
	}
	if g := d.nextTCP(); g.flags&flagRST == 0 {
		t.Fatalf("instead of RST: %+v", g)
	}
	if _, err := c.Read(make([]byte, 1)); err != syscall.ETIMEDOUT {
		t.Fatal(err)
	}
}

func TestTCPCloseWithUnreadDataResets(t *testing.T) {
	d, c, iss := accepted(t)
	d.sendTCP(segmentTo80(1000, iss, flagACK, "never read"))
	eventually(t, "the data is there", func() bool { return c.ep.Buffered() == 10 })
	c.ep.Close()
	if g := d.next("RST", func(b []byte) bool { return isTCP(b) && d.parseTCP(b).flags&flagRST != 0 }); g == nil {
		t.Fatal()
	}
}

func TestTCPDataAfterCloseResets(t *testing.T) {
	d, c, iss := accepted(t)
	c.ep.Close()
	if g := d.nextTCP(); g.flags&flagFIN == 0 || g.seq != iss {
		t.Fatalf("instead of FIN: %+v", g)
	}
	d.sendTCP(segmentTo80(1000, iss+1, flagACK, "too late"))
	if g := d.nextTCP(); g.flags&flagRST == 0 {
		t.Fatalf("instead of RST: %+v", g)
	}
}

func TestTCPLingerZeroResets(t *testing.T) {
	d, c, _ := accepted(t)
	var v [8]byte
	putLE32(v[:], 1)
	c.ep.SetOption(syscall.SOL_SOCKET, syscall.SO_LINGER, v[:])
	c.ep.Close()
	if g := d.nextTCP(); g.flags&flagRST == 0 {
		t.Fatalf("instead of RST: %+v", g)
	}
}

func TestTCPTimeWait(t *testing.T) {
	d, c, iss := accepted(t)
	c.ep.Close()
	d.nextTCP() // FIN
	d.sendTCP(segmentTo80(1000, iss+1, flagACK|flagFIN, ""))
	if g := d.nextTCP(); g.ack != 1001 {
		t.Fatalf("to the FIN: %+v", g)
	}
	d.sendTCP(segmentTo80(1000, iss+1, flagACK|flagFIN, "")) // our ACK was lost
	if g := d.nextTCP(); g.ack != 1001 || g.flags != flagACK {
		t.Fatalf("to the FIN once more: %+v", g)
	}
	d.sendTCP(segmentTo80(1001, iss+1, flagRST, "")) // RFC 1337
	d.sendTCP(segmentTo80(500, 0, flagSYN, ""))      // old
	d.none("SYN-ACK for an old SYN", func(b []byte) bool { return isTCP(b) && d.parseTCP(b).flags&flagSYN != 0 })
	d.sendTCP(segmentTo80(900000, 0, flagSYN, "")) // a new connection from the same port
	if g := d.nextTCP(); g.flags != flagSYN|flagACK || g.ack != 900001 {
		t.Fatalf("to a new SYN: %+v", g)
	}
}

func TestTCPSynCookies(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	meet(t, s, d)
	l := listen(t, s, netip.AddrPortFrom(addrB, 80), 1)
	d.drop()
	syn := tcpSegment{
		dport: 80, seq: 999, flags: flagSYN, window: 65535,
		options: []byte{optionMSS, 4, 5, 0xb4, optionSackOK, 2, optionTimestamp, 10, 0, 0, 0, 9, 0, 0, 0, 0, optionNop, optionScale, 3, 7},
	}
	for port := range uint16(minSyns) {
		syn.sport = 10000 + port
		d.sendTCP(syn)
		d.nextTCP()
	}
	syn.sport = 1000
	d.sendTCP(syn)
	g := d.nextTCP()
	if s.stats.Cookies.Load() != 1 || g.flags != flagSYN|flagACK {
		t.Fatalf("no cookie: %+v", g)
	}
	echo := g.options[len(g.options)-12:]
	ack := tcpSegment{sport: 1000, dport: 80, seq: 1000, ack: g.seq + 2, flags: flagACK, window: 1000, options: make([]byte, 12)}
	put32(ack.options, stampWord)
	put32(ack.options[4:], 10)
	put32(ack.options[8:], get32(echo))
	d.sendTCP(ack) // not the cookie
	// The other handshakes repeat their SYN-ACKs meanwhile.
	reply := d.next("answer", func(b []byte) bool { return isTCP(b) && d.parseTCP(b).dport == 1000 })
	if r := d.parseTCP(reply); r.flags&flagRST == 0 {
		t.Fatalf("a wrong cookie got %+v", r)
	}
	ack.ack--
	ack.options[11] = g.options[11]
	for i := 0; i+10 <= len(g.options); i++ {
		if g.options[i] == optionTimestamp && g.options[i+1] == 10 {
			copy(ack.options[8:], g.options[i+2:i+6])
		}
	}
	ack.payload = []byte("hi")
	d.sendTCP(ack)
	c, err := l.accept()
	if err != nil {
		t.Fatal(err)
	}
	e := c.ep.(*tcpEndpoint)
	if !e.sackOK || !e.stamps || e.sndScale != 7 || e.peerMSS != 1460 || e.sndWnd != 1000<<7 {
		t.Errorf("cookie lost options: sack %v stamps %v scale %d mss %d window %d", e.sackOK, e.stamps, e.sndScale, e.peerMSS, e.sndWnd)
	}
	buf := make([]byte, 10)
	if n, _ := c.Read(buf); string(buf[:n]) != "hi" {
		t.Errorf("read %q", buf[:n])
	}
}

func TestTCPPathMTU(t *testing.T) {
	d, c, iss := accepted(t, optionMSS, 4, 5, 0xb4)
	c.Write(make([]byte, 3000))
	first := d.nextTCP()
	if len(first.payload) != 1460 {
		t.Fatalf("%d bytes", len(first.payload))
	}
	quote := ipv4Packet(protoTCP, stackIP, testIP, tcpSegment{sport: 80, dport: 1000, seq: iss - 5}.bytes(stackIP, testIP)[:8])
	tooBig := func(quote []byte) {
		m := append([]byte{icmpUnreachable, 4, 0, 0, 0, 0, 0x03, 0xe8}, quote...)
		put16(m[2:], partial(0).bytes(m).checksum())
		d.inject(ethernet(etherIPv4, ipv4Packet(protoICMP, v4(0x0a0900fe), stackIP, m)))
	}
	d.drop()
	tooBig(quote) // forged: quotes what is not in flight
	d.none("retransmission for a forged ICMP", func(b []byte) bool { return isTCP(b) && len(d.parseTCP(b).payload) == 960 })
	put32(quote[ipv4Len+4:], iss)
	tooBig(quote)
	b := d.next("smaller segment", func(b []byte) bool { return isTCP(b) && d.parseTCP(b).seq == iss && len(b) < 1100 })
	if g := d.parseTCP(b); len(g.payload) != 960 {
		t.Fatalf("%d bytes for an MTU of 1000", len(g.payload))
	}
}

func TestTCPPortUnreachable(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	meet(t, s, d)
	d.drop()
	c := open(t, s, syscall.AF_INET, syscall.SOCK_STREAM)
	done := make(chan error, 1)
	go func() { done <- c.connect(netip.AddrPortFrom(addrA, 99)) }()
	syn := d.next("SYN", isTCP)
	m := append([]byte{icmpUnreachable, 1, 0, 0, 0, 0, 0, 0}, syn[ethernetLen:ethernetLen+ipv4Len+8]...)
	put16(m[2:], partial(0).bytes(m).checksum())
	d.inject(ethernet(etherIPv4, ipv4Packet(protoICMP, testIP, stackIP, m)))
	if err := <-done; err != syscall.EHOSTUNREACH {
		t.Fatal(err)
	}
}
