package sockettest

import (
	"net/netip"
	"syscall"
	"testing"
	"time"
)

var tcpTests = []test{
	{"ConnectIPv4", func(s suite) { s.tcpConnect(s.b.V4) }},
	{"ConnectIPv6", func(s suite) { s.tcpConnect(s.b.V6) }},
	{"LoopbackIPv4", func(s suite) { s.tcpLoopback(netip.MustParseAddr("127.0.0.1")) }},
	{"LoopbackIPv6", func(s suite) { s.tcpLoopback(netip.MustParseAddr("::1")) }},
	{"OwnAddress", func(s suite) { s.tcpLoopback(s.a.V4) }},
	{"Refused", suite.tcpRefused},
	{"Unreachable", suite.tcpUnreachable},
	{"ConnectErrnos", suite.tcpConnectErrnos},
	{"NewSocketErrnos", suite.tcpNewSocketErrnos},
	{"BindErrnos", suite.tcpBindErrnos},
	{"HalfClose", suite.tcpHalfClose},
	{"ShutdownRead", suite.tcpShutdownRead},
	{"CloseSendsRest", suite.tcpCloseSendsRest},
	{"CloseWithUnreadResets", suite.tcpCloseWithUnread},
	{"LingerZeroResets", suite.tcpLingerZero},
	{"SendToClosed", suite.tcpSendToClosed},
	{"PeekAndTruncate", suite.tcpPeek},
	{"Empty", suite.tcpEmpty},
	{"Buffered", suite.tcpBuffered},
	{"DualStack", suite.tcpDualStack},
	{"V6Only", suite.tcpV6Only},
	{"FullThenWritable", suite.tcpFull},
	{"ReadinessOfStates", suite.tcpReadiness},
	{"Edges", suite.tcpEdges},
	{"ListenAgain", suite.tcpListenAgain},
	{"CloseListener", suite.tcpCloseListener},
	{"Backlog", suite.tcpBacklog},
}

func runTCP(t *testing.T, pair NewPair) { runAll(t, pair, tcpTests) }

func (s suite) tcpConnect(a netip.Addr) {
	l := listen(s, s.b, a)
	if l.LocalAddr().Addr() != a || l.LocalAddr().Port() == 0 {
		s.Fatalf("listener's address is %v", l.LocalAddr())
	}
	client := s.open(s.a, familyOf(a), syscall.SOCK_STREAM)
	if code := client.connect(l.LocalAddr()); code != 0 {
		s.Fatalf("connect: %v", code)
	}
	server, from := l.accept()
	own := s.a.V4
	if a.Is6() {
		own = s.a.V6
	}
	if client.LocalAddr().Addr() != own || client.LocalAddr() != from {
		s.Errorf("client is at %v, and seen as %v; want %v", client.LocalAddr(), from, own)
	}
	s.expectPeer(client, l.LocalAddr())
	s.expectPeer(server, from)
	if server.LocalAddr() != l.LocalAddr() {
		s.Errorf("server end is at %v, want %v", server.LocalAddr(), l.LocalAddr())
	}
	client.mustWrite("question")
	server.mustRead("question")
	server.mustWrite("answer")
	client.mustRead("answer")
}

func (s suite) expectPeer(e *sock, want netip.AddrPort) {
	s.Helper()
	got, code := e.RemoteAddr()
	if code != 0 || got != want {
		s.Errorf("RemoteAddr: %v, %s; want %v", got, name(code), want)
	}
}

func (s suite) tcpLoopback(a netip.Addr) {
	s.b = s.a
	client, server := s.connected(a)
	client.mustWrite("to myself")
	server.mustRead("to myself")
	client.Close()
	server.mustEnd()
}

func (s suite) tcpRefused() {
	for _, to := range []netip.Addr{s.b.V4, s.b.V6, netip.MustParseAddr("127.0.0.1")} {
		c := s.open(s.a, familyOf(to), syscall.SOCK_STREAM)
		code := c.Connect(at(to, 9))
		if code == syscall.EINPROGRESS {
			r := c.await(syscall.EPOLLERR)
			if r&syscall.EPOLLOUT == 0 || r&syscall.EPOLLHUP == 0 {
				s.Errorf("refused connection's readiness is %#x", r)
			}
			code = c.pending()
		}
		expect(s, "connect to a closed port", code, syscall.ECONNREFUSED)
		expect(s, "SO_ERROR once more", c.pending(), 0)
		_, code = c.RemoteAddr()
		expect(s, "RemoteAddr", code, syscall.ENOTCONN)
	}
}

func (s suite) tcpUnreachable() {
	c := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "connect without a route", c.Connect(netip.MustParseAddrPort("198.51.100.1:80")), syscall.ENETUNREACH)
	c = s.open(s.a, syscall.AF_INET6, syscall.SOCK_STREAM)
	expect(s, "connect without a route", c.Connect(netip.MustParseAddrPort("[2001:db8:ffff::1]:80")), syscall.ENETUNREACH)
}

func (s suite) tcpConnectErrnos() {
	c, _ := s.connected(s.b.V4)
	// Linux answers the first connect after success with success, the others
	// with EISCONN.
	expect(s, "connect again", c.Connect(at(s.b.V4, 9)), syscall.EISCONN, 0)
	expect(s, "connect once more", c.Connect(at(s.b.V4, 9)), syscall.EISCONN)
	expect(s, "listen when connected", c.Listen(1), syscall.EINVAL)

	// Nobody has this address, so this can't end soon.
	waits := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	to := at(unused(s.b.V4), 80)
	expect(s, "connect", waits.Connect(to), syscall.EINPROGRESS)
	expect(s, "connect meanwhile", waits.Connect(to), syscall.EALREADY)
	if r := waits.Readiness(); r != 0 {
		s.Errorf("readiness while connecting is %#x", r)
	}
	_, code := waits.Send([]byte("x"), nil, netip.AddrPort{}, 0)
	expect(s, "send while connecting", code, syscall.EAGAIN)
	_, _, _, _, code = waits.Receive(make([]byte, 1), nil, 0)
	expect(s, "receive while connecting", code, syscall.EAGAIN)
}

// unused is an address on a's network that nobody has.
func unused(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1] = 250
	u, _ := netip.AddrFromSlice(b)
	return u
}

func (s suite) tcpNewSocketErrnos() {
	e := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	_, code := e.RemoteAddr()
	expect(s, "RemoteAddr", code, syscall.ENOTCONN)
	_, _, _, _, code = e.Receive(make([]byte, 1), nil, 0)
	expect(s, "Receive", code, syscall.ENOTCONN)
	_, code = e.Send([]byte("x"), nil, netip.AddrPort{}, syscall.MSG_NOSIGNAL)
	expect(s, "Send", code, syscall.EPIPE)
	expect(s, "Shutdown", e.Shutdown(syscall.SHUT_WR), syscall.ENOTCONN)
	expect(s, "Shutdown(77)", e.Shutdown(77), syscall.EINVAL, syscall.ENOTCONN)
	_, _, code = e.Accept()
	expect(s, "Accept", code, syscall.EINVAL)
	if a := e.LocalAddr(); a != at(netip.IPv4Unspecified(), 0) {
		s.Errorf("LocalAddr is %v", a)
	}
	expect(s, "Connect to IPv6", e.Connect(at(s.b.V6, 80)), syscall.EAFNOSUPPORT)
	if r := e.Readiness(); r&syscall.EPOLLHUP == 0 {
		s.Errorf("a new socket's readiness is %#x; Linux has EPOLLHUP in it", r)
	}
}

func (s suite) tcpBindErrnos() {
	l := listen(s, s.a, s.a.V4)
	other := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "bind to a taken port", other.Bind(l.LocalAddr()), syscall.EADDRINUSE)
	expect(s, "bind to the wildcard with a taken port",
		other.Bind(at(netip.IPv4Unspecified(), l.LocalAddr().Port())), syscall.EADDRINUSE)
	expect(s, "bind to a foreign address", other.Bind(at(s.b.V4, 0)), syscall.EADDRNOTAVAIL)
	expect(s, "bind to IPv6", other.Bind(at(s.a.V6, 0)), syscall.EAFNOSUPPORT)
	other.mustBind(at(s.a.V4, 0))
	expect(s, "bind twice", other.Bind(at(s.a.V4, 0)), syscall.EINVAL)
	_, _, code := l.Accept()
	expect(s, "Accept when nobody calls", code, syscall.EAGAIN)
}

func (s suite) tcpHalfClose() {
	client, server := s.connected(s.b.V4)
	client.mustWrite("last words")
	expect(s, "Shutdown", client.Shutdown(syscall.SHUT_WR), 0)
	_, code := client.Send([]byte("x"), nil, netip.AddrPort{}, syscall.MSG_NOSIGNAL)
	expect(s, "send after SHUT_WR", code, syscall.EPIPE)
	server.mustRead("last words")
	server.mustEnd()
	if r := server.await(syscall.EPOLLRDHUP); r&syscall.EPOLLIN == 0 || r&syscall.EPOLLOUT == 0 || r&syscall.EPOLLHUP != 0 {
		s.Errorf("readiness after the peer's SHUT_WR is %#x", r)
	}
	server.mustWrite("still here")
	client.mustRead("still here")
	expect(s, "Shutdown", server.Shutdown(syscall.SHUT_WR), 0)
	client.mustEnd()
	client.await(syscall.EPOLLHUP)
}

func (s suite) tcpShutdownRead() {
	client, server := s.connected(s.b.V4)
	expect(s, "Shutdown", client.Shutdown(syscall.SHUT_RD), 0)
	client.mustEnd()
	client.mustWrite("one way")
	server.mustRead("one way")
}

func (s suite) tcpCloseSendsRest() {
	client, server := s.connected(s.b.V4)
	rest := make([]byte, 100<<10)
	for i := range rest {
		rest[i] = byte(i)
	}
	if code := client.write(rest); code != 0 {
		s.Fatal(code)
	}
	client.Close()
	got := make([]byte, len(rest))
	server.readFull(got)
	if string(got) != string(rest) {
		s.Error("what was sent before Close arrived changed")
	}
	server.mustEnd()
}

// reads until the stream is over, and returns how it ended.
func (s *sock) drain() syscall.Errno {
	p := make([]byte, 4096)
	for {
		if n, code := s.read(p); n == 0 || code != 0 {
			return code
		}
	}
}

func (s suite) tcpCloseWithUnread() {
	client, server := s.connected(s.b.V4)
	client.mustWrite("nobody reads this")
	server.await(syscall.EPOLLIN)
	server.Close()
	client.await(syscall.EPOLLHUP | syscall.EPOLLERR | syscall.EPOLLIN)
	expect(s, "read after the peer closed with unread bytes", client.drain(), syscall.ECONNRESET)
}

func (s suite) tcpLingerZero() {
	client, server := s.connected(s.b.V4)
	if code := client.SetOption(syscall.SOL_SOCKET, syscall.SO_LINGER, append(intValue(1), intValue(0)...)); code != 0 {
		s.Fatal(code)
	}
	client.Close()
	r := server.await(syscall.EPOLLERR)
	if r&syscall.EPOLLHUP == 0 || r&syscall.EPOLLIN == 0 {
		s.Errorf("readiness after a reset is %#x", r)
	}
	expect(s, "SO_ERROR after a reset", server.pending(), syscall.ECONNRESET)
	server.mustEnd() // the error is told once
	_, code := server.Send([]byte("x"), nil, netip.AddrPort{}, syscall.MSG_NOSIGNAL)
	expect(s, "send after a reset", code, syscall.EPIPE)
}

func (s suite) tcpSendToClosed() {
	client, server := s.connected(s.b.V4)
	server.Close()
	client.mustEnd()
	// The first write provokes a reset, later ones learn of it.
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		code := client.write([]byte("anybody?"))
		if code == syscall.EPIPE || code == syscall.ECONNRESET {
			return
		}
		if code != 0 {
			s.Fatalf("send: %v", code)
		}
		time.Sleep(time.Millisecond)
	}
	s.Error("sends to a closed peer go on succeeding")
}

func (s suite) tcpPeek() {
	client, server := s.connected(s.b.V4)
	client.mustWrite("abcdef")
	server.await(syscall.EPOLLIN)
	p := make([]byte, 4)
	for range 2 {
		n, _, flags, _, code := server.Receive(p, nil, syscall.MSG_PEEK)
		if code != 0 || n != 4 || string(p) != "abcd" || flags != 0 {
			s.Fatalf("peek: %q, %#x, %s", p[:n], flags, name(code))
		}
	}
	n, _, _, _, code := server.Receive(p[:2], nil, syscall.MSG_TRUNC)
	if n != 2 || code != 0 {
		s.Errorf("discard: %d bytes, %s", n, name(code))
	}
	server.mustRead("cdef")
}

func (s suite) tcpEmpty() {
	client, server := s.connected(s.b.V4)
	n, code := client.Send(nil, nil, netip.AddrPort{}, 0)
	if n != 0 || code != 0 {
		s.Errorf("send of nothing: %d, %s", n, name(code))
	}
	client.mustWrite("x")
	server.await(syscall.EPOLLIN)
	n, _, _, _, code = server.Receive(nil, nil, 0)
	if n != 0 || code != 0 {
		s.Errorf("receive into nothing: %d, %s", n, name(code))
	}
	server.mustRead("x")
	_, _, _, _, code = server.Receive(make([]byte, 1), nil, 0)
	expect(s, "receive when there is nothing", code, syscall.EAGAIN)
}

func (s suite) tcpBuffered() {
	client, server := s.connected(s.b.V4)
	if n := server.Buffered(); n != 0 {
		s.Errorf("Buffered is %d at first", n)
	}
	client.mustWrite("12345")
	server.await(syscall.EPOLLIN)
	if n := server.Buffered(); n != 5 {
		s.Errorf("Buffered is %d, want 5", n)
	}
}

func (s suite) tcpDualStack() {
	l := listen(s, s.b, netip.IPv6Unspecified())
	if a := l.LocalAddr(); a.Addr() != netip.IPv6Unspecified() {
		s.Errorf("listener is at %v", a)
	}
	c4 := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	if code := c4.connect(at(s.b.V4, l.LocalAddr().Port())); code != 0 {
		s.Fatalf("IPv4 client: %v", code)
	}
	server, from := l.accept()
	if from != at(mapped(s.a.V4), c4.LocalAddr().Port()) {
		s.Errorf("IPv4 client appears as %v", from)
	}
	if a := server.LocalAddr(); a.Addr() != mapped(s.b.V4) {
		s.Errorf("the server's end is at %v", a)
	}
	c6 := s.open(s.a, syscall.AF_INET6, syscall.SOCK_STREAM)
	if code := c6.connect(at(s.b.V6, l.LocalAddr().Port())); code != 0 {
		s.Fatalf("IPv6 client: %v", code)
	}
	_, from = l.accept()
	if from.Addr() != s.a.V6 {
		s.Errorf("IPv6 client appears as %v", from)
	}
	// An AF_INET6 client reaches IPv4 by the mapped address.
	l4 := listen(s, s.b, s.b.V4)
	c := s.open(s.a, syscall.AF_INET6, syscall.SOCK_STREAM)
	if code := c.connect(at(mapped(s.b.V4), l4.LocalAddr().Port())); code != 0 {
		s.Fatalf("mapped client: %v", code)
	}
	if a := c.LocalAddr().Addr(); a != mapped(s.a.V4) {
		s.Errorf("mapped client is at %v", a)
	}
	_, from = l4.accept()
	if from.Addr() != s.a.V4 {
		s.Errorf("mapped client appears as %v", from)
	}
}

func (s suite) tcpV6Only() {
	l := s.open(s.b, syscall.AF_INET6, syscall.SOCK_STREAM)
	l.setInt(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1)
	l.mustBind(at(netip.IPv6Unspecified(), 0))
	expect(s, "Listen", l.Listen(1), 0)
	c := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "IPv4 client of an IPv6-only listener", c.connect(at(s.b.V4, l.LocalAddr().Port())), syscall.ECONNREFUSED)
	// The port is still free in the other family.
	l4 := s.open(s.b, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "IPv4 bind next to it", l4.Bind(at(netip.IPv4Unspecified(), l.LocalAddr().Port())), 0)
}

func (s suite) tcpFull() {
	client, server := s.connected(s.b.V4)
	chunk := make([]byte, 64<<10)
	sent := 0
	for {
		n, code := client.Send(chunk, nil, netip.AddrPort{}, 0)
		if code == syscall.EAGAIN {
			// What is in flight may make room for a moment.
			if _, ok := client.within(syscall.EPOLLOUT, 200*time.Millisecond); !ok {
				break
			}
			continue
		}
		if code != 0 {
			s.Fatal(code)
		}
		sent += n
		if sent > 256<<20 {
			s.Fatal("the buffers never fill up")
		}
	}
	got := 0
	for got < sent {
		n, code := server.read(chunk)
		if code != 0 || n == 0 {
			s.Fatalf("after %d of %d bytes: %d, %v", got, sent, n, code)
		}
		got += n
	}
	client.await(syscall.EPOLLOUT)
}

func (s suite) tcpReadiness() {
	l := listen(s, s.b, s.b.V4)
	if r := l.Readiness(); r != 0 {
		s.Errorf("a listener's readiness is %#x", r)
	}
	client := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "connect", client.connect(l.LocalAddr()), 0)
	if r := l.await(syscall.EPOLLIN); r != syscall.EPOLLIN {
		s.Errorf("a called listener's readiness is %#x", r)
	}
	server, _ := l.accept()
	if r := server.Readiness(); r != syscall.EPOLLOUT {
		s.Errorf("a new connection's readiness is %#x", r)
	}
	client.mustWrite("x")
	if r := server.await(syscall.EPOLLIN); r != syscall.EPOLLIN|syscall.EPOLLOUT {
		s.Errorf("readiness with bytes to read is %#x", r)
	}
	server.mustRead("x")
	if r := server.Readiness(); r != syscall.EPOLLOUT {
		s.Errorf("readiness after reading is %#x", r)
	}
}

// tcpEdges checks that each change is told, by waiting on notifications alone.
func (s suite) tcpEdges() {
	client, server := s.connected(s.b.V4)
	for i := range 50 {
		drainReady(server)
		client.mustWrite("x")
		s.edge(server, "data", i)
		server.mustRead("x")
		_, _, _, _, code := server.Receive(make([]byte, 1), nil, 0)
		expect(s, "receive", code, syscall.EAGAIN)
	}
	drainReady(server)
	client.Shutdown(syscall.SHUT_WR)
	s.edge(server, "end of stream", 0)
	server.mustEnd()
}

// drainReady forgets notifications of the past.
func drainReady(e *sock) {
	select {
	case <-e.ready:
	default:
	}
}

func (s suite) edge(e *sock, what string, i int) {
	s.Helper()
	deadline := time.After(patience)
	for e.Readiness()&syscall.EPOLLIN == 0 {
		select {
		case <-e.ready:
		case <-deadline:
			s.Fatalf("%s %d was never told", what, i)
		}
	}
}

func (s suite) tcpListenAgain() {
	l := s.open(s.b, syscall.AF_INET, syscall.SOCK_STREAM)
	l.setInt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	l.mustBind(at(s.b.V4, 0))
	expect(s, "Listen", l.Listen(1), 0)
	client := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "connect", client.connect(l.LocalAddr()), 0)
	server, _ := l.accept()
	addr := l.LocalAddr()
	server.Close()
	client.mustEnd()
	client.Close()
	l.Close()
	// The server closed first, so its end is in TIME-WAIT: SO_REUSEADDR, which
	// Go sets on every listener, must help.
	again := s.open(s.b, syscall.AF_INET, syscall.SOCK_STREAM)
	again.setInt(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	again.mustBind(addr)
	expect(s, "listen on the same port", again.Listen(1), 0)
	client = s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "connect to the new listener", client.connect(addr), 0)
}

func (s suite) tcpCloseListener() {
	l := listen(s, s.b, s.b.V4)
	addr := l.LocalAddr()
	client := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "connect", client.connect(l.LocalAddr()), 0)
	l.await(syscall.EPOLLIN)
	l.Close() // a connection that nobody accepted is reset
	code := client.drain()
	expect(s, "read from a listener that went away", code, syscall.ECONNRESET)
	late := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	expect(s, "connect to a closed listener", late.connect(addr), syscall.ECONNREFUSED)
}

func (s suite) tcpBacklog() {
	l := s.open(s.b, syscall.AF_INET, syscall.SOCK_STREAM)
	l.mustBind(at(s.b.V4, 0))
	expect(s, "Listen", l.Listen(4), 0)
	var clients []*sock
	for range 4 {
		c := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
		expect(s, "connect within the backlog", c.connect(l.LocalAddr()), 0)
		clients = append(clients, c)
	}
	for range clients {
		e, _ := l.accept()
		e.Close()
	}
}
