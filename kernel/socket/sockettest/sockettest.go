// Package sockettest is the contract suite of socket.Stack: whatever stands
// behind that interface must pass Run, so that programs can't tell stacks
// apart. Expectations are Linux's behaviour as the manual pages socket, ip,
// ipv6, tcp, udp and the calls' own (section 2) describe it, within what
// package socket promises.
//
// It relies on package testing, socket and linktest. It must not know any
// stack.
package sockettest

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link/linktest"
	"pith/kernel/socket"
)

// Node is a stack and its addresses on the link to the other Node. Both Nodes
// must be on the same IPv4 and IPv6 networks, with global addresses, and have
// no default route.
type Node struct {
	Stack  socket.Stack
	V4, V6 netip.Addr
}

// NewPair makes two Nodes that are linked under the given conditions in both
// directions. It registers what ends them with t.Cleanup.
type NewPair func(t testing.TB, c linktest.Conditions) (a, b Node)

// patience is how long anything may take that should happen at once. It is
// long because machines under test are emulated, and shared.
const patience = 60 * time.Second

// Run runs the suite.
func Run(t *testing.T, pair NewPair) {
	t.Run("Socket", func(t *testing.T) { testSocket(t, pair) })
	t.Run("Interfaces", func(t *testing.T) { testInterfaces(t, pair) })
	t.Run("TCP", func(t *testing.T) { runTCP(t, pair) })
	t.Run("UDP", func(t *testing.T) { runUDP(t, pair) })
	t.Run("Options", func(t *testing.T) { runOptions(t, pair) })
	t.Run("Load", func(t *testing.T) { runLoad(t, pair) })
}

// suite is what each test gets: a fresh pair.
type suite struct {
	*testing.T
	a, b Node
}

type test struct {
	name string
	run  func(s suite)
}

func runAll(t *testing.T, pair NewPair, tests []test) {
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t, linktest.Conditions{})
			c.run(suite{t, a, b})
		})
	}
}

// sock is an endpoint that can wait, and whose failures fail the test.
type sock struct {
	t testing.TB
	socket.Endpoint
	six    bool
	ready  chan struct{} // capacity 1
	others []chan struct{}
}

func (s suite) open(n Node, family, typ int) *sock {
	s.Helper()
	return open(s, n, family, typ)
}

func open(t testing.TB, n Node, family, typ int) *sock {
	t.Helper()
	e, code := n.Stack.Socket(family, typ, 0)
	if code != 0 {
		t.Fatalf("Socket(%d, %d): %v", family, typ, code)
	}
	return newSock(t, e, family == syscall.AF_INET6)
}

func newSock(t testing.TB, e socket.Endpoint, six bool) *sock {
	s := &sock{t: t, Endpoint: e, six: six, ready: make(chan struct{}, 1)}
	s.listen()
	t.Cleanup(s.Close)
	return s
}

// listen has all waiters notified.
func (s *sock) listen() {
	waiters := append([]chan struct{}{s.ready}, s.others...)
	s.Notify(func(socket.Readiness) {
		for _, w := range waiters {
			select {
			case w <- struct{}{}:
			default:
			}
		}
	})
}

// await waits until one of the bits is set, and returns all that are.
func (s *sock) await(bits socket.Readiness) socket.Readiness {
	s.t.Helper()
	r, ok := s.within(bits, patience)
	if !ok {
		s.t.Fatalf("waited %v for readiness %#x, have %#x", patience, bits, r)
	}
	return r
}

// within is await with an end.
func (s *sock) within(bits socket.Readiness, d time.Duration) (socket.Readiness, bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		if r := s.Readiness(); r&bits != 0 {
			return r, true
		}
		select {
		case <-s.ready:
		case <-timer.C:
			r := s.Readiness()
			return r, r&bits != 0
		}
	}
}

func (s *sock) mustBind(addr netip.AddrPort) {
	s.t.Helper()
	if code := s.Bind(addr); code != 0 {
		s.t.Fatalf("Bind(%v): %v", addr, code)
	}
}

// connect connects a stream and waits for the outcome, which it returns.
func (s *sock) connect(addr netip.AddrPort) syscall.Errno {
	s.t.Helper()
	code := s.Connect(addr)
	if code != syscall.EINPROGRESS {
		return code
	}
	s.await(syscall.EPOLLOUT | syscall.EPOLLERR | syscall.EPOLLHUP)
	return s.pending()
}

// pending is SO_ERROR.
func (s *sock) pending() syscall.Errno {
	s.t.Helper()
	return syscall.Errno(s.getInt(syscall.SOL_SOCKET, syscall.SO_ERROR))
}

func (s *sock) getInt(level, name int) int {
	s.t.Helper()
	var b [4]byte
	n, code := s.Option(level, name, b[:])
	if code != 0 || n != 4 {
		s.t.Fatalf("Option(%d, %d): %d bytes, %v", level, name, n, code)
	}
	return int(int32(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24))
}

func (s *sock) setInt(level, name, v int) {
	s.t.Helper()
	if code := s.SetOption(level, name, intValue(v)); code != 0 {
		s.t.Fatalf("SetOption(%d, %d, %d): %v", level, name, v, code)
	}
}

func intValue(v int) []byte {
	return []byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
}

// accept waits for a connection.
func (s *sock) accept() (*sock, netip.AddrPort) {
	s.t.Helper()
	for {
		e, from, code := s.Accept()
		switch code {
		case 0:
			return newSock(s.t, e, s.six), from
		case syscall.EAGAIN:
			s.await(syscall.EPOLLIN)
		default:
			s.t.Fatalf("Accept: %v", code)
		}
	}
}

// read waits for some bytes or the end (0).
func (s *sock) read(p []byte) (int, syscall.Errno) {
	s.t.Helper()
	for {
		n, _, _, _, code := s.Receive(p, nil, 0)
		if code != syscall.EAGAIN {
			return n, code
		}
		s.await(syscall.EPOLLIN | syscall.EPOLLHUP | syscall.EPOLLERR | syscall.EPOLLRDHUP)
	}
}

// readFull waits for exactly len(p) bytes.
func (s *sock) readFull(p []byte) {
	s.t.Helper()
	for len(p) > 0 {
		n, code := s.read(p)
		if code != 0 || n == 0 {
			s.t.Fatalf("read: %d bytes, %v, %d still missing", n, code, len(p))
		}
		p = p[n:]
	}
}

// write waits until all of p is taken.
func (s *sock) write(p []byte) syscall.Errno {
	s.t.Helper()
	for len(p) > 0 {
		n, code := s.Send(p, nil, netip.AddrPort{}, syscall.MSG_NOSIGNAL)
		if code == syscall.EAGAIN {
			s.await(syscall.EPOLLOUT | syscall.EPOLLHUP | syscall.EPOLLERR)
			continue
		}
		if code != 0 {
			return code
		}
		p = p[n:]
	}
	return 0
}

func (s *sock) mustWrite(p string) {
	s.t.Helper()
	if code := s.write([]byte(p)); code != 0 {
		s.t.Fatalf("Send(%q): %v", p, code)
	}
}

func (s *sock) mustRead(want string) {
	s.t.Helper()
	p := make([]byte, len(want))
	s.readFull(p)
	if string(p) != want {
		s.t.Fatalf("read %q, want %q", p, want)
	}
}

func (s *sock) mustEnd() {
	s.t.Helper()
	if n, code := s.read(make([]byte, 1)); n != 0 || code != 0 {
		s.t.Fatalf("read: %d bytes, %v; want the end of the stream", n, code)
	}
}

// expect fails the test if a call's outcome isn't one of those wanted.
func expect(t testing.TB, what string, got syscall.Errno, want ...syscall.Errno) {
	t.Helper()
	for _, w := range want {
		if got == w {
			return
		}
	}
	t.Errorf("%s: %s, want %s", what, name(got), names(want))
}

func name(e syscall.Errno) string {
	if e == 0 {
		return "success"
	}
	return fmt.Sprintf("%q", e.Error())
}

func names(all []syscall.Errno) string {
	s := ""
	for i, e := range all {
		if i > 0 {
			s += " or "
		}
		s += name(e)
	}
	return s
}

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// mapped is the IPv4-mapped form of a.
func mapped(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }

// familyOf is the address family for a.
func familyOf(a netip.Addr) int {
	if a.Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

func wildcard(family int) netip.Addr {
	if family == syscall.AF_INET {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// listen makes a listener on n's address a with a free port.
func listen(t testing.TB, n Node, a netip.Addr) *sock {
	t.Helper()
	l := open(t, n, familyOf(a), syscall.SOCK_STREAM)
	l.mustBind(at(a, 0))
	if code := l.Listen(4096); code != 0 {
		t.Fatalf("Listen: %v", code)
	}
	return l
}

// connected returns both ends of a new connection from s.a to s.b.
func (s suite) connected(a netip.Addr) (client, server *sock) {
	s.Helper()
	l := listen(s, s.b, a)
	client = s.open(s.a, familyOf(a), syscall.SOCK_STREAM)
	if code := client.connect(l.LocalAddr()); code != 0 {
		s.Fatalf("connect to %v: %v", l.LocalAddr(), code)
	}
	server, _ = l.accept()
	return client, server
}

func testSocket(t *testing.T, pair NewPair) {
	a, _ := pair(t, linktest.Conditions{})
	for _, c := range []struct {
		family, typ, protocol int
		want                  syscall.Errno
	}{
		{syscall.AF_INET, syscall.SOCK_STREAM, 0, 0},
		{syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, 0},
		{syscall.AF_INET6, syscall.SOCK_DGRAM, syscall.IPPROTO_UDP, 0},
		{syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_UDP, syscall.EPROTONOSUPPORT},
		{syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_TCP, syscall.EPROTONOSUPPORT},
		{syscall.AF_APPLETALK, syscall.SOCK_STREAM, 0, syscall.EAFNOSUPPORT},
		{syscall.AF_INET, 77, 0, syscall.ESOCKTNOSUPPORT},
	} {
		e, code := a.Stack.Socket(c.family, c.typ, c.protocol)
		if code != c.want {
			t.Errorf("Socket(%d, %d, %d): %s, want %s", c.family, c.typ, c.protocol, name(code), name(c.want))
		}
		if code == 0 {
			e.Close()
		}
	}
}

func testInterfaces(t *testing.T, pair NewPair) {
	a, b := pair(t, linktest.Conditions{})
	list := a.Stack.Interfaces()
	if len(list) != 2 {
		t.Fatalf("%d interfaces, want loopback and one card", len(list))
	}
	lo, card := list[0], list[1]
	if lo.Index != 1 || lo.Name != "lo" || !lo.Loopback || !lo.Up || !has(lo.Addrs, netip.MustParseAddr("127.0.0.1")) ||
		!has(lo.Addrs, netip.MustParseAddr("::1")) {
		t.Errorf("loopback is %+v", lo)
	}
	if card.Index != 2 || card.Loopback || !card.Up || card.MTU != 1500 || card.HardwareAddr == [6]byte{} ||
		!has(card.Addrs, a.V4) || !has(card.Addrs, a.V6) {
		t.Errorf("the card is %+v", card)
	}
	for _, peer := range []netip.Addr{b.V4, b.V6} {
		if !onLink(a.Stack.Routes(), peer) {
			t.Errorf("no route to %v in %+v", peer, a.Stack.Routes())
		}
	}
}

func has(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

func onLink(routes []socket.Route, a netip.Addr) bool {
	for _, r := range routes {
		if r.Interface == 2 && !r.Gateway.IsValid() && r.Destination.Contains(a) {
			return true
		}
	}
	return false
}
