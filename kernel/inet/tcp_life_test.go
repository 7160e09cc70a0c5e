package inet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link/linktest"
	"pith/kernel/socket"
)

func TestTCPHalfClose(t *testing.T) {
	w := newWorld(t, linktest.Options{Features: full})
	client, server := w.tcpPair(t, addrB)
	client.Write([]byte("question"))
	client.ep.Shutdown(syscall.SHUT_WR)
	if _, err := client.Write([]byte("x")); err != syscall.EPIPE {
		t.Errorf("write after SHUT_WR: %v", err)
	}
	got, err := io.ReadAll(server)
	if err != nil || string(got) != "question" {
		t.Fatalf("%q, %v", got, err)
	}
	if r := server.ep.Readiness(); r&syscall.EPOLLRDHUP == 0 || r&syscall.EPOLLHUP != 0 || r&syscall.EPOLLOUT == 0 {
		t.Errorf("readiness %x of a half-closed connection", r)
	}
	big := bytes.Repeat([]byte("answer"), 100_000)
	go func() {
		server.Write(big)
		server.ep.Close()
	}()
	got, err = io.ReadAll(client)
	if err != nil || !bytes.Equal(got, big) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if r := client.ep.Readiness(); r&syscall.EPOLLHUP == 0 {
		t.Errorf("readiness %x of a closed connection", r)
	}
	client.ep.Close()
	eventually(t, "the server's side is gone", func() bool { return connections(w.b) == 0 })
}

// connections counts connections that are not in TIME-WAIT.
func connections(s *Stack) int {
	n := 0
	for i := range *s.tcp.buckets.Load() {
		for e := (*s.tcp.buckets.Load())[i].Load(); e != nil; e = e.next.Load() {
			if e.ep != nil {
				n++
			}
		}
	}
	return n
}

func TestTCPRefused(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	for _, at := range []netip.AddrPort{
		netip.AddrPortFrom(addrB, 1), netip.AddrPortFrom(addrB6, 1),
		netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("[::1]:1"),
	} {
		c := open(t, w.a, familyOf(at.Addr()), syscall.SOCK_STREAM)
		if err := c.connect(at); err != syscall.ECONNREFUSED {
			t.Errorf("%v: %v", at, err)
		}
		if _, err := c.Write([]byte("x")); err != syscall.EPIPE && err != syscall.ENOTCONN {
			t.Errorf("write: %v", err)
		}
	}
}

func TestTCPConnectErrors(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	c := open(t, w.a, syscall.AF_INET, syscall.SOCK_STREAM)
	for to, want := range map[string]syscall.Errno{
		"192.0.2.1:80":       syscall.ENETUNREACH,
		"255.255.255.255:80": syscall.ENETUNREACH,
		"10.9.0.255:80":      syscall.ENETUNREACH,
		"[fd00::2]:80":       syscall.EAFNOSUPPORT,
	} {
		if errno := c.ep.Connect(netip.MustParseAddrPort(to)); errno != want {
			t.Errorf("%s: %v, want %v", to, errno, want)
		}
	}
	if errno := c.ep.Connect(netip.MustParseAddrPort("10.9.0.77:80")); errno != syscall.EINPROGRESS {
		t.Fatal(errno)
	}
	if errno := c.ep.Connect(netip.MustParseAddrPort("10.9.0.77:80")); errno != syscall.EALREADY {
		t.Error(errno)
	}
	if n, errno := c.ep.Send([]byte("x"), nil, netip.AddrPort{}, 0); errno != syscall.EAGAIN {
		t.Error(n, errno)
	}
	// Nobody answers ARP: after three questions the host is unreachable.
	eventually(t, "the connection fails", func() bool { return c.ep.Readiness()&syscall.EPOLLERR != 0 })
	if e := c.intOption(syscall.SOL_SOCKET, syscall.SO_ERROR); syscall.Errno(e) != syscall.EHOSTUNREACH {
		t.Error(syscall.Errno(e))
	}
	client, _ := w.tcpPair(t, addrB)
	to, _ := client.ep.RemoteAddr()
	if errno := client.ep.Connect(to); errno != syscall.EISCONN {
		t.Error(errno)
	}
}

func TestTCPConnectTimesOut(t *testing.T) {
	w := newWorld(t, linktest.Options{AtoB: linktest.Conditions{Loss: 1}})
	c := open(t, w.a, syscall.AF_INET6, syscall.SOCK_STREAM)
	c.setInt(syscall.IPPROTO_TCP, syscall.TCP_SYNCNT, 1)
	e := w.a.snapshot.Load().nics[1].neighbors.get(fromNetip(addrB6))
	b := w.a.begin()
	e.resolved(&b, 0x525400000002)
	if err := c.connect(netip.AddrPortFrom(addrB6, 1)); err != syscall.ETIMEDOUT {
		t.Fatal(err)
	}
}

func TestTCPSimultaneousOpen(t *testing.T) {
	w := newWorld(t, linktest.Options{AtoB: linktest.Conditions{Delay: 20 * time.Millisecond}, BtoA: linktest.Conditions{Delay: 20 * time.Millisecond}})
	at := [2]netip.AddrPort{netip.AddrPortFrom(addrA, 1111), netip.AddrPortFrom(addrB, 2222)}
	socks := [2]*sock{open(t, w.a, syscall.AF_INET, syscall.SOCK_STREAM), open(t, w.b, syscall.AF_INET, syscall.SOCK_STREAM)}
	for i, s := range socks {
		if errno := s.ep.Bind(at[i]); errno != 0 {
			t.Fatal(errno)
		}
	}
	var wg sync.WaitGroup
	for i, s := range socks {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := s.connect(at[1-i]); err != nil {
				t.Errorf("side %d: %v", i, err)
			}
		}()
	}
	wg.Wait()
	exchange(t, socks[0], socks[1], 200_000)
}

func TestTCPSelfConnect(t *testing.T) {
	s := newStack(t, Config{})
	c := open(t, s, syscall.AF_INET, syscall.SOCK_STREAM)
	at := netip.MustParseAddrPort("127.0.0.1:5555")
	c.ep.Bind(at)
	if err := c.connect(at); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("me"))
	b := make([]byte, 5)
	if n, err := c.Read(b); string(b[:n]) != "me" || err != nil {
		t.Fatal(n, err)
	}
}

func TestTCPSimultaneousClose(t *testing.T) {
	w := newWorld(t, linktest.Options{AtoB: linktest.Conditions{Delay: 10 * time.Millisecond}, BtoA: linktest.Conditions{Delay: 10 * time.Millisecond}})
	client, server := w.tcpPair(t, addrB)
	client.ep.Close()
	server.ep.Close()
	eventually(t, "both are gone", func() bool { return connections(w.a)+connections(w.b) == 0 })
}

// TestTCPSlowReader fills the window and all buffers, and then reads.
func TestTCPSlowReader(t *testing.T) {
	w := newWorld(t, linktest.Options{Features: full, Buffers: 8192})
	client, server := w.tcpPair(t, addrB)
	total := 0
	for quiet := 0; quiet < 20; {
		n, errno := client.ep.Send(make([]byte, 50_000), nil, netip.AddrPort{}, 0)
		total += n
		if errno == 0 {
			quiet = 0
			continue
		}
		if errno != syscall.EAGAIN {
			t.Fatal(errno)
		}
		quiet++
		time.Sleep(5 * time.Millisecond)
	}
	if r := client.ep.Readiness(); r&syscall.EPOLLOUT != 0 {
		t.Errorf("writable with a full buffer: %x", r)
	}
	client.ep.Close()
	n, err := io.Copy(io.Discard, server)
	if err != nil || int(n) != total {
		t.Fatalf("%d bytes of %d, %v", n, total, err)
	}
}

func TestTCPAcceptOverflow(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	l := listen(t, w.b, netip.AddrPortFrom(addrB, 80), 2)
	var conns []*sock
	for range 6 {
		c := open(t, w.a, syscall.AF_INET, syscall.SOCK_STREAM)
		if errno := c.ep.Connect(netip.AddrPortFrom(addrB, 80)); errno != syscall.EINPROGRESS {
			t.Fatal(errno)
		}
		conns = append(conns, c)
	}
	eventually(t, "some are turned away", func() bool { return w.b.stats.AcceptFull.Load() > 0 })
	// Accepting makes room; those turned away try again by themselves.
	for range conns {
		s, err := l.accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.ep.Close()
	}
	for _, c := range conns {
		eventually(t, "connected", func() bool { return c.ep.Readiness()&syscall.EPOLLOUT != 0 })
	}
}

func TestTCPListenerClose(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	at := netip.AddrPortFrom(addrB, 80)
	l := listen(t, w.b, at, 5)
	c := dial(t, w.a, at)
	eventually(t, "the connection waits", func() bool { return l.ep.Readiness()&syscall.EPOLLIN != 0 })
	l.ep.Close()
	if _, err := c.Read(make([]byte, 1)); err != syscall.ECONNRESET {
		t.Errorf("unaccepted connection: %v", err)
	}
	again := open(t, w.a, syscall.AF_INET, syscall.SOCK_STREAM)
	if err := again.connect(at); err != syscall.ECONNREFUSED {
		t.Errorf("after close: %v", err)
	}
	listen(t, w.b, at, 5)
	dial(t, w.a, at)
}

func TestTCPManyConnections(t *testing.T) {
	const count = 3000
	w := newWorld(t, linktest.Options{Features: full, Ring: 4096, Buffers: 16384})
	at := netip.AddrPortFrom(addrB, 80)
	l := listen(t, w.b, at, 4096)
	go func() {
		for {
			s, err := l.accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(s, s)
				s.ep.Close()
			}()
		}
	}()
	var wg sync.WaitGroup
	errs := make(chan error, count)
	for i := range count {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs <- echoOnce(t, w.a, at, fmt.Sprintf("this is %d", i))
		}()
	}
	wg.Wait()
	for range count {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are gone", func() bool { return connections(w.a)+connections(w.b) == 0 })
	if a, b := w.a.memory.Load(), w.b.memory.Load(); a != 0 || b != 0 {
		t.Errorf("%d and %d bytes not given back", a, b)
	}
}

func echoOnce(t testing.TB, s *Stack, at netip.AddrPort, say string) error {
	ep, errno := s.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if errno != 0 {
		return errno
	}
	c := wrap(t, ep)
	defer c.ep.Close()
	if err := c.connect(at); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if _, err := c.Write([]byte(say)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	c.ep.Shutdown(syscall.SHUT_WR)
	got, err := io.ReadAll(c)
	if err != nil || string(got) != say {
		return errors.Join(fmt.Errorf("read %q", got), err)
	}
	return nil
}

func TestTCPPeek(t *testing.T) {
	w := newWorld(t, linktest.Options{})
	client, server := w.tcpPair(t, addrB6)
	client.Write([]byte("look"))
	eventually(t, "data", func() bool { return server.ep.Buffered() == 4 })
	b := make([]byte, 3)
	for range 2 {
		if n, _, _, _, errno := server.ep.Receive(b, nil, syscall.MSG_PEEK); n != 3 || errno != 0 || string(b) != "loo" {
			t.Fatal(n, errno)
		}
	}
	if n, err := server.Read(b); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if server.ep.Buffered() != 1 {
		t.Error("Buffered", server.ep.Buffered())
	}
}

// TestTCPConcurrent has readers, writers and closers of the same sockets at work at once; it
// is for the race detector.
func TestTCPConcurrent(t *testing.T) {
	w := newWorld(t, linktest.Options{Features: full, AtoB: linktest.Conditions{Loss: 0.01}})
	for range 20 {
		client, server := w.tcpPair(t, addrB)
		var wg sync.WaitGroup
		for _, s := range []*sock{client, server} {
			for range 2 {
				wg.Add(2)
				go func() {
					defer wg.Done()
					for range 50 {
						s.ep.Send(make([]byte, 3000), nil, netip.AddrPort{}, 0)
						s.ep.Readiness()
						s.ep.LocalAddr()
					}
				}()
				go func() {
					defer wg.Done()
					for range 50 {
						s.ep.Receive(make([]byte, 3000), nil, 0)
						s.ep.Buffered()
						s.ep.RemoteAddr()
					}
				}()
			}
		}
		time.Sleep(time.Millisecond)
		client.ep.Notify(func(socket.Readiness) {})
		go client.ep.Shutdown(syscall.SHUT_WR)
		server.ep.Close()
		wg.Wait()
		client.ep.Close()
	}
	eventually(t, "all are gone", func() bool { return connections(w.a)+connections(w.b) == 0 })
}
