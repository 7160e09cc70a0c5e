package netstack_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link"
	"pith/kernel/link/linktest"
	"pith/kernel/netstack"
	"pith/kernel/socket"
)

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not after 20 s", what)
}

// attach makes a stack with one card and returns it with the card's other end.
func attach(t testing.TB, conf socket.InterfaceConfig) (*netstack.Stack, *linktest.Card) {
	t.Helper()
	card, far := linktest.Pair(linktest.Options{})
	s, err := netstack.New(link.Options{Hostname: "web"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Attach("eth0", card, conf); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		card.Close()
	})
	return s, far
}

// inject sends a frame from the far card.
func inject(far *linktest.Card, frame []byte) {
	b := far.Alloc()
	if b == nil {
		return
	}
	b.Len = copy(b.Data[b.Off:], frame)
	far.Transmit(0, b, link.Offload{})
	far.Flush(0)
}

// frames returns what the stack sent since the last call.
func frames(far *linktest.Card) (list [][]byte) {
	far.Poll(0, 1000, func(b *link.Buffer, _ link.Offload) {
		list = append(list, slices.Clone(b.Bytes()))
		b.Free()
	})
	return list
}

func TestDHCP(t *testing.T) {
	s, far := attach(t, socket.InterfaceConfig{DHCP: true})
	server := dhcpServer{far: far, t: t}
	eventually(t, "a lease", func() bool {
		server.serve()
		return hasAddress(s, "10.9.0.7/24")
	})
	eventually(t, "the default route", func() bool {
		return hasRoute(s, "0.0.0.0/0", "10.9.0.1") && hasRoute(s, "10.9.0.0/24", "invalid IP")
	})
	eventually(t, "a nameserver", func() bool {
		return slices.Contains(s.Nameservers(), netip.MustParseAddr("10.9.0.3"))
	})
	if mtu := s.Interfaces()[1].MTU; mtu != 1400 {
		t.Errorf("the MTU is %d, the server said 1400", mtu)
	}
}

func hasAddress(s socket.Stack, want string) bool {
	return slices.Contains(s.Interfaces()[1].Addrs, netip.MustParsePrefix(want))
}

func hasRoute(s socket.Stack, to, gateway string) bool {
	for _, r := range s.Routes() {
		if r.Interface == 2 && r.Destination == netip.MustParsePrefix(to) && r.Gateway.String() == gateway {
			return true
		}
	}
	return false
}

// dhcpServer answers on the far end of the cable.
type dhcpServer struct {
	far *linktest.Card
	t   *testing.T
}

func (d dhcpServer) serve() {
	for _, f := range frames(d.far) {
		if len(f) < 14+28+240 || f[12] != 8 || f[23] != 17 || binary.BigEndian.Uint16(f[36:]) != 67 {
			continue
		}
		m := f[42:]
		answer := byte(2) // OFFER
		if m[242] == 3 {
			answer = 5 // ACK
		}
		inject(d.far, dhcpAnswer(m, answer))
	}
}

// dhcpAnswer is a frame with an answer to message m.
func dhcpAnswer(m []byte, typ byte) []byte {
	b := make([]byte, 240)
	copy(b, []byte{2, 1, 6})
	copy(b[4:8], m[4:8])
	copy(b[16:], []byte{10, 9, 0, 7})
	copy(b[28:34], m[28:34])
	copy(b[236:], []byte{99, 130, 83, 99})
	b = append(b, 53, 1, typ, 54, 4, 10, 9, 0, 1, 1, 4, 255, 255, 255, 0, 3, 4, 10, 9, 0, 1,
		6, 4, 10, 9, 0, 3, 51, 4, 0, 0, 14, 16, 26, 2, 1400>>8, 1400&255, 255)
	f := make([]byte, 42, 42+len(b))
	copy(f, []byte{255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 2, 8, 0})
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(b)))
	copy(ip[12:], []byte{10, 9, 0, 1, 255, 255, 255, 255})
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:20], 0))
	binary.BigEndian.PutUint16(ip[20:], 67)
	binary.BigEndian.PutUint16(ip[22:], 68)
	binary.BigEndian.PutUint16(ip[24:], uint16(8+len(b)))
	return append(f, b...)
}

// sum is the Internet checksum of RFC 1071, not complemented.
func sum(b []byte, acc uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

func TestSLAAC(t *testing.T) {
	s, far := attach(t, socket.InterfaceConfig{SLAAC: true})
	eventually(t, "a router solicitation", func() bool {
		return slices.ContainsFunc(frames(far), func(f []byte) bool {
			return len(f) > 54 && f[12] == 0x86 && f[20] == 58 && f[54] == 133
		})
	})
	inject(far, advertisement())
	// The interface identifier comes from the card's address (RFC 4291).
	eventually(t, "an address", func() bool { return hasAddress(s, "2001:db8:5::5054:ff:fe00:1/64") })
	eventually(t, "routes", func() bool {
		return hasRoute(s, "::/0", "fe80::2") && hasRoute(s, "2001:db8:5::/64", "invalid IP")
	})
	eventually(t, "a nameserver", func() bool {
		return slices.Contains(s.Nameservers(), netip.MustParseAddr("2001:db8:5::53"))
	})
}

// advertisement is a frame with a router advertisement (RFC 4861, 8106).
func advertisement() []byte {
	prefix := netip.MustParseAddr("2001:db8:5::").As16()
	dns := netip.MustParseAddr("2001:db8:5::53").As16()
	from, to := netip.MustParseAddr("fe80::2").As16(), netip.MustParseAddr("ff02::1").As16()
	ra := []byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	ra = append(ra, 3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0)
	ra = append(ra, prefix[:]...)
	ra = append(ra, 25, 3, 0, 0, 0, 0, 14, 16)
	ra = append(ra, dns[:]...)
	ip := []byte{0x60, 0, 0, 0, 0, byte(len(ra)), 58, 255}
	ip = append(append(ip, from[:]...), to[:]...)
	binary.BigEndian.PutUint16(ra[2:], ^sum(ra, uint32(sum(ip[8:], 58+uint32(len(ra))))))
	f := []byte{0x33, 0x33, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 0x86, 0xdd}
	return append(append(f, ip...), ra...)
}

func TestStaticConfiguration(t *testing.T) {
	s, _ := attach(t, socket.InterfaceConfig{
		Addrs:       []netip.Prefix{netip.MustParsePrefix("10.0.2.15/24"), netip.MustParsePrefix("2001:db8::5/64")},
		Gateways:    []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("2001:db8::1")},
		Routes:      []socket.Route{{Destination: netip.MustParsePrefix("10.1.0.9/16"), Gateway: netip.MustParseAddr("10.0.2.9")}},
		Nameservers: []netip.Addr{netip.MustParseAddr("10.0.2.3"), netip.MustParseAddr("10.0.2.3")},
	})
	if !hasAddress(s, "10.0.2.15/24") || !hasAddress(s, "2001:db8::5/64") || !hasAddress(s, "fe80::5054:ff:fe00:1/64") {
		t.Errorf("addresses are %v", s.Interfaces()[1].Addrs)
	}
	for _, r := range [][2]string{{"0.0.0.0/0", "10.0.2.2"}, {"::/0", "2001:db8::1"}, {"10.1.0.0/16", "10.0.2.9"}, {"10.0.2.0/24", "invalid IP"}} {
		if !hasRoute(s, r[0], r[1]) {
			t.Errorf("no route to %s via %s in %v", r[0], r[1], s.Routes())
		}
	}
	if n := s.Nameservers(); len(n) != 1 || n[0].String() != "10.0.2.3" {
		t.Errorf("nameservers are %v", n)
	}
}

func TestAttachRefuses(t *testing.T) {
	s, err := netstack.New(link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	small, _ := linktest.Pair(linktest.Options{MTU: 576})
	if err := s.Attach("eth0", small, socket.InterfaceConfig{}); err == nil {
		t.Error("took a card whose MTU is too small for IPv6")
	}
	card, _ := linktest.Pair(linktest.Options{})
	defer card.Close()
	conf := socket.InterfaceConfig{Gateways: []netip.Addr{{}}}
	if err := s.Attach("eth1", card, conf); err == nil {
		t.Error("took an invalid gateway")
	}
	if err := s.Attach("lo", card, socket.InterfaceConfig{}); err == nil {
		t.Error("took a second interface named lo")
	}
}

// TestTwoInterfaces sends through each of two cards by route, and to a
// link-local address by zone.
func TestTwoInterfaces(t *testing.T) {
	s, err := netstack.New(link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var far [2]*linktest.Card
	for i, p := range []string{"10.1.0.1/24", "10.2.0.1/24"} {
		card, other := linktest.Pair(linktest.Options{})
		defer card.Close()
		far[i] = other
		conf := socket.InterfaceConfig{Addrs: []netip.Prefix{netip.MustParsePrefix(p)}}
		if err := s.Attach([]string{"eth0", "eth1"}[i], card, conf); err != nil {
			t.Fatal(err)
		}
	}
	e, _ := s.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	defer e.Close()
	if _, code := e.Send([]byte("x"), nil, netip.MustParseAddrPort("10.2.0.9:9"), 0); code != 0 {
		t.Fatal(code)
	}
	eventually(t, "an ARP request on the second card", func() bool {
		return slices.ContainsFunc(frames(far[1]), func(f []byte) bool { return f[12] == 8 && f[13] == 6 })
	})
	six, _ := s.Socket(syscall.AF_INET6, syscall.SOCK_DGRAM, 0)
	defer six.Close()
	if _, code := six.Send([]byte("x"), nil, netip.MustParseAddrPort("[fe80::9%eth1]:9"), 0); code != 0 {
		t.Fatal(code)
	}
	eventually(t, "a neighbour solicitation on the second card", func() bool {
		return slices.ContainsFunc(frames(far[1]), func(f []byte) bool {
			return len(f) > 77 && f[12] == 0x86 && f[54] == 135 && f[77] == 9
		})
	})
	if slices.ContainsFunc(frames(far[0]), func(f []byte) bool { return f[12] == 8 && f[13] == 6 }) {
		t.Error("an ARP request left by the first card")
	}
}

// TestFlushOncePerBatch checks that what is sent while a batch of frames is worked
// on reaches the device with few notifications, and that nothing stays behind.
func TestFlushOncePerBatch(t *testing.T) {
	card, far := linktest.Pair(linktest.Options{})
	s, err := netstack.New(link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer card.Close()
	conf := socket.InterfaceConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")}}
	if err := s.Attach("eth0", card, conf); err != nil {
		t.Fatal(err)
	}
	inject(far, arpReply())
	time.Sleep(10 * time.Millisecond)
	frames(far)
	before := card.Flushes.Load()
	const n = 32
	for range n {
		b := far.Alloc()
		b.Len = copy(b.Data[b.Off:], pingFrame())
		far.Transmit(0, b, link.Offload{})
	}
	far.Flush(0)
	got := 0
	eventually(t, "the answers", func() bool {
		for _, f := range frames(far) {
			if len(f) == len(pingFrame()) && f[23] == 1 && f[34] == 0 {
				got++
			}
		}
		return got == n
	})
	if flushes := card.Flushes.Load() - before; flushes > n/4 {
		t.Errorf("%d notifications for %d answers", flushes, n)
	}
	if card.Free() != 4096 || far.Free() != 4096 {
		t.Errorf("of 4096 Buffers each %d and %d came back", card.Free(), far.Free())
	}
}

// arpReply tells the stack who 10.1.0.2 is.
func arpReply() []byte {
	return []byte{0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1,
		0x52, 0x54, 0, 0, 0, 2, 10, 1, 0, 2, 0, 0, 0, 0, 0, 0, 10, 1, 0, 1}
}

// pingFrame is an ICMP echo request from 10.1.0.2.
func pingFrame() []byte {
	f := udpFrame([6]byte{0x52, 0x54, 0, 0, 0, 1}, "12345678")
	ip := f[14:]
	ip[9] = 1
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:20], 0))
	copy(ip[20:], []byte{8, 0, 0, 0, 0, 1, 0, 1})
	binary.BigEndian.PutUint16(ip[22:], ^sum(ip[20:], 0))
	return f
}

// TestForeignFrames checks that frames for other stations are not taken.
func TestForeignFrames(t *testing.T) {
	s, far := attach(t, socket.InterfaceConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24")}})
	e, _ := s.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	defer e.Close()
	e.Bind(netip.MustParseAddrPort("10.1.0.1:99"))
	mine, other := [6]byte{0x52, 0x54, 0, 0, 0, 1}, [6]byte{0x52, 0x54, 0, 0, 0, 9}
	inject(far, udpFrame(other, "not mine"))
	inject(far, udpFrame(mine, "mine"))
	eventually(t, "a datagram", func() bool { return e.Readiness()&syscall.EPOLLIN != 0 })
	p := make([]byte, 100)
	n, _, _, _, _ := e.Receive(p, nil, 0)
	if string(p[:n]) != "mine" {
		t.Errorf("received %q", p[:n])
	}
}

// udpFrame is a datagram from 10.1.0.2:53 to 10.1.0.1:99 without a checksum.
func udpFrame(to [6]byte, data string) []byte {
	f := make([]byte, 42)
	copy(f, to[:])
	copy(f[6:], []byte{0x52, 0x54, 0, 0, 0, 2, 8, 0})
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(data)))
	copy(ip[12:], []byte{10, 1, 0, 2, 10, 1, 0, 1})
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:20], 0))
	binary.BigEndian.PutUint16(ip[20:], 53)
	binary.BigEndian.PutUint16(ip[22:], 99)
	binary.BigEndian.PutUint16(ip[24:], uint16(8+len(data)))
	return append(f, data...)
}

// FuzzReceive throws frames at a stack: it must neither panic nor lose Buffers.
func FuzzReceive(f *testing.F) {
	f.Add(advertisement())
	f.Add(udpFrame([6]byte{0x52, 0x54, 0, 0, 0, 1}, "hello"))
	f.Add(udpFrame([6]byte{255, 255, 255, 255, 255, 255}, ""))
	f.Add([]byte{0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 10, 1, 0, 2, 0, 0, 0, 0, 0, 0, 10, 1, 0, 1})
	f.Add(dhcpAnswer(make([]byte, 300), 2))
	s, far := attach(f, socket.InterfaceConfig{
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/24"), netip.MustParsePrefix("fd00::1/64")},
		DHCP:  true, SLAAC: true,
	})
	l, _ := s.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	l.Bind(netip.MustParseAddrPort("[::]:80"))
	l.Listen(10)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 15 || len(frame) > 1514 {
			return
		}
		inject(far, frame)
		frames(far)
	})
}
