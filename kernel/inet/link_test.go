package inet

import (
	"bytes"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link/linktest"
	"pith/kernel/socket"
)

func isARP(op uint16) func([]byte) bool {
	return func(b []byte) bool { return get16(b[12:]) == etherARP && get16(b[20:]) == op }
}

func isICMPv6(kind byte) func([]byte) bool {
	return func(b []byte) bool {
		return get16(b[12:]) == etherIPv6 && b[20] == protoICMPv6 && b[54] == kind
	}
}

func isUDP(b []byte) bool { return get16(b[12:]) == etherIPv4 && b[ethernetLen+9] == protoUDP }

func TestARP(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	b := d.next("announcement", isARP(arpRequest))
	if getMAC(b) != broadcastMAC || get32(b[28:]) != uint32(stackIP.lo) || get32(b[38:]) != uint32(stackIP.lo) {
		t.Fatalf("announcement %x", b)
	}
	u := open(t, s, syscall.AF_INET, syscall.SOCK_DGRAM)
	for i := range maxWaiting + 2 {
		if err := u.sendTo([]byte{byte(i)}, netip.AddrPortFrom(addrA, 7)); err != nil {
			t.Fatal(err)
		}
	}
	b = d.next("ARP request", isARP(arpRequest))
	if getMAC(b) != broadcastMAC || get32(b[38:]) != uint32(testIP.lo) || get32(b[28:]) != uint32(stackIP.lo) {
		t.Fatalf("request %x", b)
	}
	d.answerARP()
	for i := 2; i < maxWaiting+2; i++ { // the oldest two had to go
		b := d.next("datagram", isUDP)
		if getMAC(b) != puppetMAC || b[ethernetLen+28] != byte(i) {
			t.Fatalf("datagram %d: %x", i, b)
		}
	}
	// A request for our address is answered, one for another isn't.
	ask := func(target address) {
		b := make([]byte, arpLen)
		put16(b, 1)
		put16(b[2:], etherIPv4)
		b[4], b[5] = 6, 4
		put16(b[6:], arpRequest)
		puppetMAC.put(b[8:])
		put32(b[14:], uint32(testIP.lo))
		put32(b[24:], uint32(target.lo))
		d.inject(ethernet(etherARP, b))
	}
	ask(stackIP)
	b = d.next("ARP reply", isARP(arpReply))
	if getMAC(b) != puppetMAC || getMAC(b[22:]) != stackMAC || get32(b[28:]) != uint32(stackIP.lo) {
		t.Fatalf("reply %x", b)
	}
	ask(v4(0x0a090003))
	d.none("ARP reply", isARP(arpReply))
}

func TestARPStaleEntryIsProbed(t *testing.T) {
	clock := newClock()
	s, d := newPuppetFor(t, Config{Now: clock.now}, static("10.9.0.2/24"))
	meet(t, s, d)
	u := open(t, s, syscall.AF_INET, syscall.SOCK_DGRAM)
	d.drop()
	clock.advance(2 * reachableTime)
	u.sendTo([]byte("x"), netip.AddrPortFrom(addrA, 7))
	b := d.next("probe", isARP(arpRequest))
	if getMAC(b) != puppetMAC {
		t.Fatalf("not unicast: %x", b)
	}
	d.next("datagram, sent meanwhile", isUDP)
	e := s.snapshot.Load().nics[1].neighbors.find(testIP)
	eventually(t, "the neighbour is forgotten", func() bool {
		clock.advance(solicitInterval / 10)
		s.timers.run()
		return e.mac.Load() == 0
	})
}

// clock is a clock that the test moves.
type clock struct{ ns chan int64 }

func newClock() *clock {
	c := &clock{make(chan int64, 1)}
	c.ns <- 1e9
	return c
}

func (c *clock) now() int64 {
	n := <-c.ns
	c.ns <- n
	return n
}

func (c *clock) advance(d time.Duration) { c.ns <- <-c.ns + int64(d) }

func TestFragments(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24", "fd00::2/64"))
	u := bound(t, s, netip.AddrPortFrom(addrB, 7))
	payload := content(3000)
	whole := udpSegment(testIP, stackIP, 9, 7, payload)
	fragment := func(id uint16, at, n int, more bool) {
		b := ipv4Packet(protoUDP, testIP, stackIP, whole[at:at+n])
		put16(b[4:], id)
		put16(b[6:], fragmentWord(at, more))
		put16(b[10:], 0)
		put16(b[10:], partial(0).bytes(b[:ipv4Len]).checksum())
		d.inject(ethernet(etherIPv4, b))
	}
	buf := make([]byte, 4000)
	receive := func(what string) {
		t.Helper()
		n, from, err := u.recvFrom(buf)
		if err != nil || !bytes.Equal(buf[:n], payload) || from.Port() != 9 {
			t.Fatalf("%s: %d bytes, %v", what, n, err)
		}
	}
	fragment(1, 0, 1480, true)
	fragment(1, 1480, 1528, false)
	receive("in order")
	fragment(2, 1480, 1528, false)
	fragment(2, 0, 1480, true)
	receive("backwards")
	fragment(3, 800, 800, true)
	fragment(3, 800, 800, true) // a duplicate
	fragment(3, 0, 800, true)
	fragment(3, 1600, 1408, false)
	receive("with a duplicate")
	// An overlap makes the whole packet suspect.
	fragment(4, 0, 1480, true)
	fragment(4, 1472, 800, true)
	fragment(4, 1480, 1528, false)
	eventually(t, "the overlap is noticed", func() bool { return s.stats.Malformed.Load() == 1 })
	if u.ep.Buffered() != 0 {
		t.Error("an overlapping packet was delivered")
	}
	// Many incomplete packets don't take more than their share.
	for id := range uint16(1000) {
		fragment(100+id, 0, 1480, true)
	}
	eventually(t, "all are taken in", func() bool { return len(d.rx) == 0 })
	s.fragments.mu.Lock()
	n, memory := len(s.fragments.packets), s.fragments.memory
	s.fragments.mu.Unlock()
	if n > maxIncomplete || memory > maxFragmentMemory+4096 {
		t.Errorf("%d packets, %d bytes wait", n, memory)
	}
}

func TestICMPEcho(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	meet(t, s, d)
	m := append([]byte{icmpEcho, 0, 0, 0, 1, 2, 3, 4}, "payload"...)
	put16(m[2:], partial(0).bytes(m).checksum())
	d.inject(ethernet(etherIPv4, ipv4Packet(protoICMP, testIP, stackIP, m)))
	b := d.next("echo reply", func(b []byte) bool { return get16(b[12:]) == etherIPv4 && b[23] == protoICMP })
	if b[34] != icmpEchoReply || !partial(0).bytes(b[34:]).valid() || !bytes.Equal(b[38:], m[4:]) {
		t.Fatalf("%x", b)
	}
	// Not to a broadcast, and no error about an error.
	d.inject(ethernet(etherIPv4, ipv4Packet(protoICMP, testIP, v4(0x0a0900ff), m)))
	bad := ipv4Packet(200, testIP, stackIP, m)
	d.inject(ethernet(etherIPv4, bad))
	b = d.next("unreachable", func(b []byte) bool { return get16(b[12:]) == etherIPv4 && b[23] == protoICMP })
	if b[34] != icmpUnreachable || b[35] != 2 || !bytes.Equal(b[42:], bad) {
		t.Fatalf("%x", b)
	}
	d.none("ICMP", func(b []byte) bool { return get16(b[12:]) == etherIPv4 })
}

func TestPingSockets(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	for _, c := range []struct {
		to              netip.Addr
		protocol        int
		request, answer byte
	}{
		{addrB, syscall.IPPROTO_ICMP, icmpEcho, icmpEchoReply},
		{addrB6, syscall.IPPROTO_ICMPV6, icmp6Echo, icmp6EchoReply},
	} {
		for _, typ := range []int{syscall.SOCK_DGRAM, syscall.SOCK_RAW} {
			ep, errno := w.a.Socket(familyOf(c.to), typ, c.protocol)
			if errno != 0 {
				t.Fatal(errno)
			}
			s := wrap(t, ep)
			m := []byte{c.request, 0, 0, 0, 0, 1, 0, 2, 'h', 'i'}
			if c.to.Is4() && typ == syscall.SOCK_RAW {
				put16(m[2:], partial(0).bytes(m).checksum())
			}
			if err := s.sendTo(m, netip.AddrPortFrom(c.to, 0)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			for {
				n, from, err := s.recvFrom(buf)
				if err != nil || from.Addr() != c.to {
					t.Fatalf("%v: from %v, %v", c.to, from, err)
				}
				b := buf[:n]
				if c.to.Is4() && typ == syscall.SOCK_RAW {
					b = b[ipv4Len:]
				}
				if b[0] == c.answer && bytes.Equal(b[6:], m[6:]) {
					break
				}
			}
			s.ep.Close()
		}
	}
}

func TestNDP(t *testing.T) {
	s, d := newPuppet(t, static("fd00::2/64"))
	mine, his := fromNetip(addrB6), fromNetip(addrA6)
	d.next("claim of fd00::2", func(b []byte) bool {
		return isICMPv6(ndpNeighborSolicit)(b) && v6(b[22:]).unspecified() && v6(b[62:]) == mine
	})
	u := open(t, s, syscall.AF_INET6, syscall.SOCK_DGRAM)
	u.sendTo([]byte("hello"), netip.AddrPortFrom(addrA6, 7))
	b := d.next("solicitation", func(b []byte) bool { return isICMPv6(ndpNeighborSolicit)(b) && v6(b[62:]) == his })
	if v6(b[22:]) != mine || v6(b[38:]) != his.solicitedNode() || getMAC(b) != his.solicitedNode().multicastMAC() || b[21] != 255 {
		t.Fatalf("%x", b)
	}
	advertise := func(hops byte) {
		m := make([]byte, 32)
		m[0] = ndpNeighborAdvertise
		put32(m[4:], ndpSolicited|ndpOverride)
		his.put(m[8:])
		m[24], m[25] = ndpTargetMAC, 1
		puppetMAC.put(m[26:])
		d.injectICMPv6(his, mine, hops, m)
	}
	advertise(64) // from beyond a router: not to be believed
	d.none("datagram", func(b []byte) bool { return get16(b[12:]) == etherIPv6 && b[20] == protoUDP })
	advertise(255)
	d.next("datagram", func(b []byte) bool {
		return get16(b[12:]) == etherIPv6 && b[20] == protoUDP && getMAC(b) == puppetMAC
	})
	m := make([]byte, 24)
	m[0] = ndpNeighborSolicit
	mine.put(m[8:])
	d.injectICMPv6(his, mine.solicitedNode(), 255, m)
	b = d.next("advertisement", isICMPv6(ndpNeighborAdvertise))
	if v6(b[62:]) != mine || getMAC(b[80:]) != stackMAC || get32(b[58:]) != ndpSolicited|ndpOverride {
		t.Fatalf("%x", b)
	}
}

// injectICMPv6 sends a message with its checksum.
func (d *puppet) injectICMPv6(src, dst address, hops byte, m []byte) {
	put16(m[2:], 0)
	put16(m[2:], pseudoHeader(src, dst, protoICMPv6, len(m)).bytes(m).checksum())
	d.inject(ethernet(etherIPv6, ipv6Packet(protoICMPv6, src, dst, hops, m)))
}

func ipv6Packet(next byte, src, dst address, hops byte, payload []byte) []byte {
	b := make([]byte, ipv6Len, ipv6Len+len(payload))
	b[0] = 0x60
	put16(b[4:], uint16(len(payload)))
	b[6], b[7] = next, hops
	src.put(b[8:])
	dst.put(b[24:])
	return append(b, payload...)
}

func TestIPv6Extensions(t *testing.T) {
	s, d := newPuppet(t, static("fd00::2/64"))
	u := bound(t, s, netip.AddrPortFrom(addrB6, 7))
	src, dst := fromNetip(addrA6), fromNetip(addrB6)
	segment := udpSegment(src, dst, 9, 7, []byte("deep"))
	options := append([]byte{protoDestination, 0, 1, 4, 0, 0, 0, 0}, protoUDP, 1, 1, 4, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0)
	d.inject(ethernet(etherIPv6, ipv6Packet(protoHopByHop, src, dst, 64, append(options, segment...))))
	buf := make([]byte, 10)
	if n, _, err := u.recvFrom(buf); string(buf[:n]) != "deep" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	// Too many headers, and a routing header that wants to go on, are dropped.
	var many []byte
	for range maxExtensions {
		many = append(many, protoDestination, 0, 1, 4, 0, 0, 0, 0)
	}
	d.inject(ethernet(etherIPv6, ipv6Packet(protoDestination, src, dst, 64, append(append(many, protoUDP, 0, 1, 4, 0, 0, 0, 0), segment...))))
	d.inject(ethernet(etherIPv6, ipv6Packet(protoRouting, src, dst, 64, append([]byte{protoUDP, 0, 0, 1, 0, 0, 0, 0}, segment...))))
	eventually(t, "all are taken in", func() bool { return len(d.rx) == 0 })
	time.Sleep(10 * time.Millisecond)
	if u.ep.Buffered() != 0 {
		t.Error("delivered")
	}
}

func TestSLAAC(t *testing.T) {
	clock := newClock()
	s, d := newPuppetFor(t, Config{Now: clock.now}, socket.InterfaceConfig{SLAAC: true})
	b := d.next("router solicitation", isICMPv6(ndpRouterSolicit))
	own := v6(b[22:])
	if !own.isLinkLocal() || v6(b[38:]) != allRouter {
		t.Fatalf("%x", b)
	}
	router := fromNetip(netip.MustParseAddr("fe80::1"))
	advertise := func(lifetime uint16, preferred, valid uint32) {
		m := make([]byte, 16)
		m[0] = ndpRouterAdvertisement
		put16(m[6:], lifetime)
		m = append(m, ndpSourceMAC, 1, 2, 0, 0, 0, 0, 1)
		p := make([]byte, 32)
		p[0], p[1], p[2], p[3] = ndpPrefix, 4, 64, 0xc0
		put32(p[4:], valid)
		put32(p[8:], preferred)
		fromNetip(netip.MustParseAddr("2001:db8:5::")).put(p[16:])
		m = append(m, p...)
		m = append(m, ndpMTU, 1, 0, 0, 0, 0, 0x05, 0x78)
		dns := make([]byte, 24)
		dns[0], dns[1] = ndpDNS, 3
		put32(dns[4:], 600)
		fromNetip(netip.MustParseAddr("2001:db8:5::53")).put(dns[8:])
		d.injectICMPv6(router, allNodes, 255, append(m, dns...))
	}
	advertise(1800, 3600, 7200)
	want := netip.MustParsePrefix("2001:db8:5:0:0:ff:fe00:2/64")
	has := func() bool {
		for _, p := range s.Interfaces()[1].Addrs {
			if p == want {
				return true
			}
		}
		return false
	}
	eventually(t, "the address is formed", has)
	d.next("claim", func(b []byte) bool {
		return isICMPv6(ndpNeighborSolicit)(b) && v6(b[62:]) == fromNetip(want.Addr())
	})
	eventually(t, "the routes and servers are known", func() bool {
		return fmt.Sprint(s.Nameservers()) == "[2001:db8:5::53]" && fmt.Sprint(s.Routes()[len(s.Routes())-1]) == "{::/0 fe80::1 2}"
	})
	r, errno := s.route(fromNetip(netip.MustParseAddr("2001:db8:9::9")), address{}, 0)
	if errno != 0 || r.src != fromNetip(want.Addr()) || r.mtu != 1400 || r.neighbor.addr != router {
		t.Fatalf("route %+v, %v", r, errno)
	}
	// The router goes, and later the prefix.
	advertise(0, 3600, 7200)
	eventually(t, "the default route is gone", func() bool {
		_, errno := s.route(fromNetip(netip.MustParseAddr("2001:db8:9::9")), address{}, 0)
		return errno == syscall.ENETUNREACH
	})
	clock.advance(2 * time.Hour)
	s.timers.run()
	eventually(t, "the address is gone", func() bool { return !has() })
}

// TestLinkLocalClaimWaits: an address that nobody asked for is in no start's way.
func TestLinkLocalClaimWaits(t *testing.T) {
	clock := newClock()
	s, d := newPuppetFor(t, Config{Now: clock.now}, static("10.9.0.2/24"))
	isClaim := isICMPv6(ndpNeighborSolicit)
	for len(d.sent) > 0 {
		f := <-d.sent
		b := make([]byte, chainLen(f))
		copyOut(b, f, 0)
		f.Free()
		if isClaim(b) {
			t.Fatalf("sent at once: %x", b)
		}
	}
	clock.advance(2 * claimDelay)
	s.timers.run()
	b := d.next("claim", isClaim)
	if own := v6(b[62:]); !own.isLinkLocal() || !v6(b[22:]).unspecified() {
		t.Fatalf("%x", b)
	}
}

func TestDuplicateAddress(t *testing.T) {
	s, d := newPuppet(t, static("fd00::2/64"))
	mine := fromNetip(addrB6)
	d.next("claim", func(b []byte) bool { return isICMPv6(ndpNeighborSolicit)(b) && v6(b[62:]) == mine })
	m := make([]byte, 32)
	m[0] = ndpNeighborAdvertise
	put32(m[4:], ndpOverride)
	mine.put(m[8:])
	m[24], m[25] = ndpTargetMAC, 1
	puppetMAC.put(m[26:])
	d.injectICMPv6(mine, allNodes, 255, m)
	eventually(t, "the address is given up", func() bool { return !s.snapshot.Load().isLocal(mine) })
}

func TestForgedSourceIsDropped(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	u := bound(t, s, netip.AddrPortFrom(addrB, 7))
	for _, src := range []address{stackIP, loopback4, v4(0xe0000001), broadcast} {
		d.inject(ethernet(etherIPv4, ipv4Packet(protoUDP, src, stackIP, udpSegment(src, stackIP, 9, 7, []byte("forged")))))
	}
	d.inject(ethernet(etherIPv4, ipv4Packet(protoUDP, testIP, loopback4, udpSegment(testIP, loopback4, 9, 7, []byte("forged")))))
	d.inject(ethernet(etherIPv4, ipv4Packet(protoUDP, testIP, stackIP, udpSegment(testIP, stackIP, 9, 7, []byte("true")))))
	buf := make([]byte, 10)
	if n, _, err := u.recvFrom(buf); string(buf[:n]) != "true" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}
