package inet

import (
	"bytes"
	"net/netip"
	"syscall"
	"testing"

	"pith/kernel/link/linktest"
)

func bound(t testing.TB, s *Stack, at netip.AddrPort) *sock {
	t.Helper()
	u := open(t, s, familyOf(at.Addr()), syscall.SOCK_DGRAM)
	if errno := u.ep.Bind(at); errno != 0 {
		t.Fatalf("bind %v: %v", at, errno)
	}
	return u
}

func TestUDPEcho(t *testing.T) {
	for _, c := range []struct {
		name   string
		server netip.Addr
		o      linktest.Options
	}{
		{"v4", addrB, linktest.Options{}},
		{"v6", addrB6, linktest.Options{}},
		{"v4 offload", addrB, linktest.Options{Features: full}},
		{"v6 offload", addrB6, linktest.Options{Features: full}},
		{"wide", addrB, linktest.Options{MTU: 9000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.o)
			server := bound(t, w.b, netip.AddrPortFrom(c.server, 7))
			client := open(t, w.a, familyOf(c.server), syscall.SOCK_DGRAM)
			buf := make([]byte, 70000)
			for _, n := range []int{0, 1, 2, 511, 1472, 1473, 5000, 20001, 65507 - 20*(1-flag(c.server.Is4()))} {
				want := bytes.Repeat([]byte{byte(n), 7, byte(n >> 8)}, n/3+1)[:n]
				if err := client.sendTo(want, netip.AddrPortFrom(c.server, 7)); err != nil {
					t.Fatalf("%d bytes: send: %v", n, err)
				}
				got, from, err := server.recvFrom(buf)
				if err != nil || !bytes.Equal(buf[:got], want) {
					t.Fatalf("%d bytes: got %d, %v", n, got, err)
				}
				if err := server.sendTo(buf[:got], from); err != nil {
					t.Fatal(err)
				}
				got, from, err = client.recvFrom(buf)
				if err != nil || !bytes.Equal(buf[:got], want) || from.Addr() != c.server || from.Port() != 7 {
					t.Fatalf("%d bytes: back %d from %v, %v", n, got, from, err)
				}
			}
		})
	}
}

func TestUDPBind(t *testing.T) {
	s, _ := newPuppet(t, static("10.9.0.2/24", "fd00::2/64"))
	type option struct{ level, name int }
	reuse, reusePort := option{syscall.SOL_SOCKET, syscall.SO_REUSEADDR}, option{syscall.SOL_SOCKET, soReusePort}
	only6 := option{syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY}
	for _, typ := range []int{syscall.SOCK_DGRAM, syscall.SOCK_STREAM} {
		for i, c := range []struct {
			a, b   string
			oa, ob []option
			want   syscall.Errno
		}{
			{a: "0.0.0.0:53", b: "0.0.0.0:53", want: syscall.EADDRINUSE},
			{a: "0.0.0.0:53", b: "10.9.0.2:53", want: syscall.EADDRINUSE},
			{a: "127.0.0.1:53", b: "10.9.0.2:53"},
			{a: "[::]:53", b: "0.0.0.0:53", want: syscall.EADDRINUSE},
			{a: "[::]:53", b: "0.0.0.0:53", oa: []option{only6}},
			{a: "[::1]:53", b: "0.0.0.0:53"},
			{a: "[::]:53", b: "[fd00::2]:53", want: syscall.EADDRINUSE},
			{a: "0.0.0.0:53", b: "0.0.0.0:53", oa: []option{reuse}, ob: []option{reuse}},
			{a: "0.0.0.0:53", b: "0.0.0.0:53", oa: []option{reuse}, want: syscall.EADDRINUSE},
			{a: "0.0.0.0:53", b: "0.0.0.0:53", oa: []option{reusePort}, ob: []option{reusePort}},
			{a: "10.9.0.3:53", want: syscall.EADDRNOTAVAIL},
			{a: "[fd00::3]:53", want: syscall.EADDRNOTAVAIL},
		} {
			bind := func(at string, options []option) (*sock, syscall.Errno) {
				addr := netip.MustParseAddrPort(at)
				u := open(t, s, familyOf(addr.Addr()), typ)
				for _, o := range options {
					if errno := u.setInt(o.level, o.name, 1); errno != 0 {
						t.Fatal(errno)
					}
				}
				return u, u.ep.Bind(addr)
			}
			a, errno := bind(c.a, c.oa)
			if c.b != "" && errno == 0 {
				var b *sock
				b, errno = bind(c.b, c.ob)
				b.ep.Close()
			}
			if errno != c.want {
				t.Errorf("type %d, case %d: %s then %s: %v, want %v", typ, i, c.a, c.b, errno, c.want)
			}
			a.ep.Close()
		}
	}
}

func TestUDPConnected(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	server := bound(t, w.b, netip.AddrPortFrom(addrB, 7))
	stranger := bound(t, w.b, netip.AddrPortFrom(addrB, 8))
	c := open(t, w.a, syscall.AF_INET, syscall.SOCK_DGRAM)
	if err := c.sendTo([]byte("x"), netip.AddrPort{}); err != syscall.EDESTADDRREQ {
		t.Error(err)
	}
	if errno := c.ep.Connect(netip.AddrPortFrom(addrB, 7)); errno != 0 {
		t.Fatal(errno)
	}
	if a := c.ep.LocalAddr(); a.Addr() != addrA || a.Port() < firstEphemeral {
		t.Errorf("local address %v", a)
	}
	c.sendTo([]byte("one"), netip.AddrPort{})
	buf := make([]byte, 10)
	_, from, err := server.recvFrom(buf)
	if err != nil || from != c.ep.LocalAddr() {
		t.Fatal(from, err)
	}
	stranger.sendTo([]byte("not for you"), from)
	server.sendTo([]byte("two"), from)
	if n, from, err := c.recvFrom(buf); string(buf[:n]) != "two" || from.Port() != 7 || err != nil {
		t.Fatalf("%q from %v, %v", buf[:n], from, err)
	}
	// Nobody at the other end: the next call hears of it, once.
	c.ep.Connect(netip.AddrPortFrom(addrB, 9))
	c.sendTo([]byte("x"), netip.AddrPort{})
	if _, _, err := c.recvFrom(buf); err != syscall.ECONNREFUSED {
		t.Error(err)
	}
	if _, _, _, _, errno := c.ep.Receive(buf, nil, 0); errno != syscall.EAGAIN {
		t.Error(errno)
	}
	if errno := c.ep.Connect(netip.AddrPort{}); errno != 0 {
		t.Error(errno)
	}
	if _, errno := c.ep.RemoteAddr(); errno != syscall.ENOTCONN {
		t.Error(errno)
	}
	stranger.sendTo([]byte("now"), netip.AddrPortFrom(addrA, c.ep.LocalAddr().Port()))
	if n, _, err := c.recvFrom(buf); string(buf[:n]) != "now" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestUDPDualStack(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	server := bound(t, w.b, netip.AddrPortFrom(netip.IPv6Unspecified(), 7))
	buf := make([]byte, 10)
	for _, to := range []netip.Addr{addrB, addrB6} {
		c := open(t, w.a, familyOf(to), syscall.SOCK_DGRAM)
		c.sendTo([]byte("ping"), netip.AddrPortFrom(to, 7))
		_, from, err := server.recvFrom(buf)
		if err != nil || from.Addr().Is4() || from.Addr().Is4In6() != to.Is4() {
			t.Fatalf("from %v, %v", from, err)
		}
		server.sendTo([]byte("pong"), from)
		if n, from, err := c.recvFrom(buf); err != nil || string(buf[:n]) != "pong" || from.Addr() != to {
			t.Fatalf("%q from %v, %v", buf[:n], from, err)
		}
	}
}

func TestUDPTruncation(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	server := bound(t, w.b, netip.AddrPortFrom(addrB, 7))
	c := open(t, w.a, syscall.AF_INET, syscall.SOCK_DGRAM)
	for range 2 {
		c.sendTo([]byte("0123456789"), netip.AddrPortFrom(addrB, 7))
	}
	eventually(t, "both are there", func() bool {
		e := server.ep.(*udpEndpoint)
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.queue.count == 2
	})
	b := make([]byte, 4)
	if n, _, out, _, errno := server.ep.Receive(b, nil, syscall.MSG_PEEK); n != 4 || out != syscall.MSG_TRUNC || errno != 0 {
		t.Error(n, out, errno)
	}
	if n, _, out, _, errno := server.ep.Receive(b, nil, syscall.MSG_TRUNC); n != 10 || out != syscall.MSG_TRUNC || errno != 0 {
		t.Error(n, out, errno)
	}
	if n, _, out, _, errno := server.ep.Receive(make([]byte, 20), nil, 0); n != 10 || out != 0 || errno != 0 {
		t.Error(n, out, errno)
	}
	if err := c.sendTo(make([]byte, 65508), netip.AddrPortFrom(addrB, 7)); err != syscall.EMSGSIZE {
		t.Error(err)
	}
	c.setInt(syscall.IPPROTO_IP, ipMTUDiscover, pmtuDo)
	if err := c.sendTo(make([]byte, 1473), netip.AddrPortFrom(addrB, 7)); err != syscall.EMSGSIZE {
		t.Error(err)
	}
}

func TestUDPPacketInfo(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	for _, c := range []struct {
		to                netip.Addr
		level, name, kind int
	}{
		{addrB, syscall.IPPROTO_IP, syscall.IP_PKTINFO, syscall.IP_PKTINFO},
		{addrB6, syscall.IPPROTO_IPV6, ipv6ReceivePacketInfo, ipv6PacketInfo},
	} {
		any := netip.IPv4Unspecified()
		if c.to.Is6() {
			any = netip.IPv6Unspecified()
		}
		server := bound(t, w.b, netip.AddrPortFrom(any, 7))
		server.setInt(c.level, c.name, 1)
		client := open(t, w.a, familyOf(c.to), syscall.SOCK_DGRAM)
		client.sendTo([]byte("x"), netip.AddrPortFrom(c.to, 7))
		oob := make([]byte, 64)
		var n int
		try(server.in, func() (errno syscall.Errno) {
			_, n, _, _, errno = server.ep.Receive(make([]byte, 4), oob, 0)
			return errno
		})
		messages, err := syscall.ParseSocketControlMessage(oob[:n])
		if err != nil || len(messages) != 1 || int(messages[0].Header.Type) != c.kind {
			t.Fatalf("%v, %v", messages, err)
		}
		want := c.to.AsSlice()
		if data := messages[0].Data; !bytes.Contains(data, want) || !bytes.Contains(data, []byte{2, 0, 0, 0}) {
			t.Errorf("packet info %v", data)
		}
		// What came in may go out: the message names the source.
		if _, errno := server.ep.Send([]byte("y"), oob[:n], client.ep.LocalAddr(), 0); errno != 0 && client.ep.LocalAddr().Addr().IsUnspecified() {
			_, errno = server.ep.Send([]byte("y"), oob[:n], netip.AddrPortFrom(map[bool]netip.Addr{true: addrA, false: addrA6}[c.to.Is4()], client.ep.LocalAddr().Port()), 0)
			if errno != 0 {
				t.Fatal(errno)
			}
		}
		server.ep.Close()
	}
}

func TestUDPBroadcastAndMulticast(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	server := bound(t, w.b, netip.MustParseAddrPort("0.0.0.0:7"))
	twin := open(t, w.b, syscall.AF_INET, syscall.SOCK_DGRAM)
	twin.setInt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	server.ep.Close()
	server = open(t, w.b, syscall.AF_INET, syscall.SOCK_DGRAM)
	server.setInt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	for _, s := range []*sock{server, twin} {
		if errno := s.ep.Bind(netip.MustParseAddrPort("0.0.0.0:7")); errno != 0 {
			t.Fatal(errno)
		}
	}
	c := open(t, w.a, syscall.AF_INET, syscall.SOCK_DGRAM)
	buf := make([]byte, 20)
	for _, to := range []string{"255.255.255.255:7", "10.9.0.255:7"} {
		c.setInt(syscall.SOL_SOCKET, syscall.SO_BROADCAST, 0)
		if err := c.sendTo([]byte("all"), netip.MustParseAddrPort(to)); err != syscall.EACCES {
			t.Errorf("%s without SO_BROADCAST: %v", to, err)
		}
		c.setInt(syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1)
		if err := c.sendTo([]byte("all"), netip.MustParseAddrPort(to)); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*sock{server, twin} {
			if n, _, err := s.recvFrom(buf); string(buf[:n]) != "all" {
				t.Fatalf("%s: %q, %v", to, buf[:n], err)
			}
		}
	}
	group := netip.MustParseAddrPort("239.1.2.3:7")
	mreq := append([]byte{239, 1, 2, 3}, 0, 0, 0, 0)
	if errno := server.ep.SetOption(syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP, mreq); errno != 0 {
		t.Fatal(errno)
	}
	c.sendTo([]byte("members"), group)
	if n, _, err := server.recvFrom(buf); string(buf[:n]) != "members" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	groups := &w.b.snapshot.Load().nics[1].groups
	if !groups.has(fromNetip(group.Addr())) {
		t.Error("the interface doesn't know of the group")
	}
	server.ep.SetOption(syscall.IPPROTO_IP, syscall.IP_DROP_MEMBERSHIP, mreq)
	if groups.has(fromNetip(group.Addr())) {
		t.Error("the interface still has the group")
	}

	server6 := bound(t, w.b, netip.MustParseAddrPort("[::]:9"))
	mreq6 := make([]byte, 20)
	a := netip.MustParseAddr("ff02::1234").As16()
	copy(mreq6, a[:])
	putLE32(mreq6[16:], 2)
	if errno := server6.ep.SetOption(syscall.IPPROTO_IPV6, ipv6JoinGroup, mreq6); errno != 0 {
		t.Fatal(errno)
	}
	c6 := open(t, w.a, syscall.AF_INET6, syscall.SOCK_DGRAM)
	if err := c6.sendTo([]byte("six"), netip.MustParseAddrPort("[ff02::1234%eth0]:9")); err != nil {
		t.Fatal(err)
	}
	n, from, err := server6.recvFrom(buf)
	if err != nil || string(buf[:n]) != "six" || from.Addr().Zone() != "2" || !from.Addr().IsLinkLocalUnicast() {
		t.Fatalf("%q from %v, %v", buf[:n], from, err)
	}
	if err := server6.sendTo([]byte("back"), from); err != nil {
		t.Fatal(err)
	}
	if n, _, err := c6.recvFrom(buf); string(buf[:n]) != "back" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

func TestUDPQueueIsBounded(t *testing.T) {
	w := newWorld(t, linktest.Options{Ring: 2048})
	server := bound(t, w.b, netip.AddrPortFrom(addrB, 7))
	server.setInt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, 20000)
	if got := server.intOption(syscall.SOL_SOCKET, syscall.SO_RCVBUF); got != 40000 {
		t.Errorf("SO_RCVBUF %d", got)
	}
	c := open(t, w.a, syscall.AF_INET, syscall.SOCK_DGRAM)
	for range 500 {
		c.sendTo([]byte("flood"), netip.AddrPortFrom(addrB, 7))
	}
	eventually(t, "some are dropped", func() bool { return w.b.stats.QueueFull.Load() > 0 })
	if m := w.b.memory.Load(); m > 40000 {
		t.Errorf("%d bytes held", m)
	}
	buf := make([]byte, 10)
	n := 0
	for ; ; n++ {
		if _, _, _, _, errno := server.ep.Receive(buf, nil, 0); errno != 0 {
			break
		}
	}
	if n == 0 {
		t.Error("nothing was kept")
	}
	server.ep.Close()
	if m := w.b.memory.Load(); m != 0 {
		t.Errorf("%d bytes held after Close", m)
	}
}
