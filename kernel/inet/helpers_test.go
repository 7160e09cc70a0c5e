package inet

import (
	"context"
	"crypto/rand"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link"
	"pith/kernel/link/linktest"
	"pith/kernel/socket"
)

// full is what a good card does.
var full = link.Features{TxChecksum: true, RxChecksum: true, TSO4: true, TSO6: true}

var (
	addrA  = netip.MustParseAddr("10.9.0.1")
	addrB  = netip.MustParseAddr("10.9.0.2")
	addrA6 = netip.MustParseAddr("fd00::1")
	addrB6 = netip.MustParseAddr("fd00::2")
)

// world is two stacks on one cable.
type world struct {
	a, b         *Stack
	cardA, cardB *linktest.Card
}

func newStack(t testing.TB, conf Config) *Stack {
	if conf.Rand == nil {
		conf.Rand = func(b []byte) { rand.Read(b) }
	}
	s := New(conf)
	t.Cleanup(s.Close)
	return s
}

func newWorld(t testing.TB, o linktest.Options) *world {
	t.Helper()
	w := &world{a: newStack(t, Config{}), b: newStack(t, Config{})}
	w.cardA, w.cardB = linktest.Pair(o)
	t.Cleanup(w.cardA.Close)
	t.Cleanup(w.cardB.Close)
	attach(t, w.a, w.cardA, "10.9.0.1/24", "fd00::1/64")
	attach(t, w.b, w.cardB, "10.9.0.2/24", "fd00::2/64")
	return w
}

func attach(t testing.TB, s *Stack, dev link.Device, prefixes ...string) {
	t.Helper()
	var conf socket.InterfaceConfig
	for _, p := range prefixes {
		conf.Addrs = append(conf.Addrs, netip.MustParsePrefix(p))
	}
	if err := s.Attach("eth0", dev, conf); err != nil {
		t.Fatal(err)
	}
}

// sock is a socket whose calls wait.
type sock struct {
	t  testing.TB
	ep socket.Endpoint
	// Tokens for one waiting reader and one waiting writer.
	in, out chan struct{}
}

const patience = 30 * time.Second

func wrap(t testing.TB, ep socket.Endpoint) *sock {
	s := &sock{t: t, ep: ep, in: make(chan struct{}, 1), out: make(chan struct{}, 1)}
	ep.Notify(func(r socket.Readiness) {
		const ends = syscall.EPOLLERR | syscall.EPOLLHUP
		if r&(syscall.EPOLLIN|syscall.EPOLLRDHUP|ends) != 0 {
			post(s.in)
		}
		if r&(syscall.EPOLLOUT|ends) != 0 {
			post(s.out)
		}
	})
	return s
}

func post(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func open(t testing.TB, s *Stack, family, typ int) *sock {
	t.Helper()
	ep, errno := s.Socket(family, typ, 0)
	if errno != 0 {
		t.Fatalf("socket: %v", errno)
	}
	return wrap(t, ep)
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

// try repeats f until it doesn't say EAGAIN.
func try(token chan struct{}, f func() syscall.Errno) error {
	limit := time.After(patience)
	for {
		errno := f()
		if errno == 0 {
			return nil
		}
		if errno != syscall.EAGAIN {
			return errno
		}
		select {
		case <-token:
		case <-limit:
			return context.DeadlineExceeded
		}
	}
}

func (s *sock) Read(p []byte) (n int, err error) {
	err = try(s.in, func() (errno syscall.Errno) {
		n, _, _, _, errno = s.ep.Receive(p, nil, 0)
		return errno
	})
	if err == nil && n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

func (s *sock) Write(p []byte) (done int, err error) {
	for done < len(p) {
		err = try(s.out, func() syscall.Errno {
			n, errno := s.ep.Send(p[done:], nil, netip.AddrPort{}, 0)
			done += n
			return errno
		})
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (s *sock) recvFrom(p []byte) (n int, from netip.AddrPort, err error) {
	err = try(s.in, func() (errno syscall.Errno) {
		n, _, _, from, errno = s.ep.Receive(p, nil, 0)
		return errno
	})
	return n, from, err
}

func (s *sock) sendTo(p []byte, to netip.AddrPort) error {
	return try(s.out, func() syscall.Errno {
		_, errno := s.ep.Send(p, nil, to, 0)
		return errno
	})
}

func (s *sock) accept() (*sock, error) {
	var ep socket.Endpoint
	err := try(s.in, func() (errno syscall.Errno) {
		ep, _, errno = s.ep.Accept()
		return errno
	})
	if err != nil {
		return nil, err
	}
	return wrap(s.t, ep), nil
}

func (s *sock) intOption(level, name int) int {
	s.t.Helper()
	var v [4]byte
	if n, errno := s.ep.Option(level, name, v[:]); errno != 0 || n != 4 {
		s.t.Fatalf("option %d/%d: %d bytes, %v", level, name, n, errno)
	}
	return int(int32(le32(v[:])))
}

func (s *sock) setInt(level, name, n int) syscall.Errno {
	var v [4]byte
	putLE32(v[:], uint32(n))
	return s.ep.SetOption(level, name, v[:])
}

// connect waits for the outcome of a handshake.
func (s *sock) connect(to netip.AddrPort) error {
	switch errno := s.ep.Connect(to); errno {
	case 0:
		return nil
	case syscall.EINPROGRESS:
	default:
		return errno
	}
	limit := time.After(patience)
	for s.ep.Readiness()&(syscall.EPOLLOUT|syscall.EPOLLERR) == 0 {
		select {
		case <-s.out:
		case <-limit:
			return context.DeadlineExceeded
		}
	}
	if errno := s.intOption(syscall.SOL_SOCKET, syscall.SO_ERROR); errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}

func listen(t testing.TB, s *Stack, at netip.AddrPort, backlog int) *sock {
	t.Helper()
	l := open(t, s, familyOf(at.Addr()), syscall.SOCK_STREAM)
	if errno := l.ep.Bind(at); errno != 0 {
		t.Fatalf("bind: %v", errno)
	}
	if errno := l.ep.Listen(backlog); errno != 0 {
		t.Fatalf("listen: %v", errno)
	}
	return l
}

func dial(t testing.TB, s *Stack, to netip.AddrPort) *sock {
	t.Helper()
	c := open(t, s, familyOf(to.Addr()), syscall.SOCK_STREAM)
	if err := c.connect(to); err != nil {
		t.Fatalf("connect %v: %v", to, err)
	}
	return c
}

// tcpPair is a connection from a to b.
func (w *world) tcpPair(t testing.TB, to netip.Addr) (client, server *sock) {
	t.Helper()
	l := listen(t, w.b, netip.AddrPortFrom(to, 0), 16)
	defer l.ep.Close()
	client = dial(t, w.a, l.ep.LocalAddr())
	server, err := l.accept()
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	return client, server
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
