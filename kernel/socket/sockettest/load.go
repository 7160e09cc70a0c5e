package sockettest

import (
	"crypto/sha256"
	"fmt"
	"math/rand"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link/linktest"
	"pith/kernel/socket"
)

// links are conditions under which TCP must still deliver every byte.
var links = []struct {
	name string
	linktest.Conditions
	bytes int
}{
	{"Clean", linktest.Conditions{}, 32 << 20},
	{"Loss", linktest.Conditions{Loss: 0.01}, 2 << 20},
	{"HeavyLoss", linktest.Conditions{Loss: 0.04}, 64 << 10},
	{"Reorder", linktest.Conditions{Reorder: 0.03}, 2 << 20},
	{"Duplicate", linktest.Conditions{Duplicate: 0.05}, 2 << 20},
	{"Corrupt", linktest.Conditions{Corrupt: 0.005}, 1 << 20},
	{"Delay", linktest.Conditions{Delay: 5 * time.Millisecond}, 2 << 20},
	{"All", linktest.Conditions{Loss: 0.005, Reorder: 0.01, Duplicate: 0.01, Corrupt: 0.002}, 512 << 10},
}

func runLoad(t *testing.T, pair NewPair) {
	for _, l := range links {
		t.Run("Transfer"+l.name, func(t *testing.T) {
			a, b := pair(t, l.Conditions)
			transferBothWays(suite{t, a, b}, l.bytes)
		})
	}
	runAll(t, pair, []test{
		{"ManyConnections", suite.manyConnections},
		{"Churn", suite.churn},
		{"ConcurrentCalls", suite.concurrentCalls},
		{"ManyDatagrams", suite.manyDatagrams},
	})
}

// transferBothWays sends n random bytes each way at the same time and compares
// digests.
func transferBothWays(s suite, n int) {
	to := s.b.V4
	if n%2 == 0 && rand.Intn(2) == 0 {
		to = s.b.V6
	}
	client, server := s.connected(to)
	var wg sync.WaitGroup
	for i, ends := range [][2]*sock{{client, server}, {server, client}} {
		// A socket's waiters share one channel: give each direction its
		// own by splitting reader and writer.
		from, into := ends[0].split(), ends[1].split()
		wg.Add(2)
		digest := make(chan [32]byte, 1)
		go func() { defer wg.Done(); digest <- from.pump(n, int64(i)) }()
		go func() {
			defer wg.Done()
			got, code := into.digest()
			if code != 0 {
				s.Errorf("direction %d: %v", i, code)
			}
			if want := <-digest; got != want {
				s.Errorf("direction %d: what arrived differs from what was sent", i)
			}
		}()
	}
	wg.Wait()
}

// split returns a second waiter for the same endpoint, and makes both be
// notified.
func (s *sock) split() *sock {
	other := &sock{t: s.t, Endpoint: s.Endpoint, six: s.six, ready: make(chan struct{}, 1)}
	s.others = append(s.others, other.ready)
	s.listen()
	return other
}

// pump writes n random bytes and half-closes. It returns their digest.
func (s *sock) pump(n int, seed int64) [32]byte {
	random := rand.New(rand.NewSource(seed))
	h := sha256.New()
	p := make([]byte, 50000)
	for n > 0 {
		p = p[:min(len(p), n)]
		random.Read(p)
		h.Write(p)
		if code := s.write(p); code != 0 {
			s.t.Errorf("write with %d bytes to go: %v", n, code)
			break
		}
		n -= len(p)
	}
	if code := s.Shutdown(syscall.SHUT_WR); code != 0 {
		s.t.Errorf("Shutdown: %v", code)
	}
	return [32]byte(h.Sum(nil))
}

// digest reads to the end.
func (s *sock) digest() ([32]byte, syscall.Errno) {
	h := sha256.New()
	p := make([]byte, 30000)
	for {
		n, code := s.read(p)
		h.Write(p[:n])
		if n == 0 || code != 0 {
			return [32]byte(h.Sum(nil)), code
		}
	}
}

// manyConnections holds thousands of connections open at once and uses each.
func (s suite) manyConnections() {
	const n = 2000
	l := listen(s, s.b, s.b.V4)
	clients := make([]*sock, n)
	servers := make(map[netip.AddrPort]*sock, n)
	for i := range clients {
		clients[i] = s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
		if code := clients[i].connect(l.LocalAddr()); code != 0 {
			s.Fatalf("connection %d: %v", i, code)
		}
		e, from := l.accept()
		servers[from] = e
	}
	for i, c := range clients {
		c.mustWrite(fmt.Sprintf("%06d", i))
	}
	for i, c := range clients {
		e := servers[c.LocalAddr()]
		e.mustRead(fmt.Sprintf("%06d", i))
		e.mustWrite("ok")
	}
	for _, c := range clients {
		c.mustRead("ok")
		c.Close()
	}
	for _, e := range servers {
		e.mustEnd()
	}
}

// churn opens and closes connections one after another, as a busy client does.
func (s suite) churn() {
	l := listen(s, s.b, s.b.V6)
	for i := range 1000 {
		c := s.open(s.a, syscall.AF_INET6, syscall.SOCK_STREAM)
		if code := c.connect(l.LocalAddr()); code != 0 {
			s.Fatalf("connection %d: %v", i, code)
		}
		e, _ := l.accept()
		c.mustWrite("ping")
		e.mustRead("ping")
		e.mustWrite("pong")
		e.Close()
		c.mustRead("pong")
		c.mustEnd()
		c.Close()
	}
}

// concurrentCalls uses one endpoint from many goroutines: nothing may race or
// hang, and Close must wake those who wait.
func (s suite) concurrentCalls() {
	client, server := s.connected(s.b.V4)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(2)
		go func() {
			defer wg.Done()
			for range 200 {
				client.Send([]byte("x"), nil, netip.AddrPort{}, syscall.MSG_NOSIGNAL)
				client.Readiness()
				client.LocalAddr()
				client.RemoteAddr()
				client.Option(syscall.SOL_SOCKET, syscall.SO_ERROR, make([]byte, 4))
				client.SetOption(syscall.IPPROTO_TCP, syscall.TCP_NODELAY, intValue(1))
			}
		}()
		go func() {
			defer wg.Done()
			p := make([]byte, 100)
			for range 200 {
				server.Receive(p, nil, 0)
				server.Buffered()
				server.Notify(func(r socket.Readiness) {})
			}
		}()
	}
	wg.Wait()
	client.Close()
	server.Close()
}

// manyDatagrams echoes datagrams between many sockets at once.
func (s suite) manyDatagrams() {
	server := s.bound(s.b, s.b.V4)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		echo(server, stop)
	}()
	var clients sync.WaitGroup
	for i := range 32 {
		c := s.bound(s.a, s.a.V4)
		clients.Add(1)
		go func() {
			defer clients.Done()
			for j := range 50 {
				want := fmt.Sprintf("%d/%d", i, j)
				if !c.ask(want, server.LocalAddr()) {
					s.Errorf("no answer to %s", want)
					return
				}
			}
		}()
	}
	clients.Wait()
	close(stop)
	wg.Wait()
}

// echo answers datagrams until stop.
func echo(e *sock, stop chan struct{}) {
	p := make([]byte, 2000)
	for {
		n, _, _, from, code := e.Receive(p, nil, 0)
		if code == 0 {
			e.Send(p[:n], nil, from, 0)
			continue
		}
		select {
		case <-e.ready:
		case <-stop:
			return
		}
	}
}

// ask sends until the answer comes back: datagrams may be lost.
func (s *sock) ask(q string, to netip.AddrPort) bool {
	p := make([]byte, 100)
	for range 20 {
		s.Send([]byte(q), nil, to, 0)
		for {
			if _, ok := s.within(syscall.EPOLLIN, time.Second); !ok {
				break
			}
			n, _, _, _, code := s.Receive(p, nil, 0)
			if code == 0 && string(p[:n]) == q {
				return true
			}
		}
	}
	return false
}
