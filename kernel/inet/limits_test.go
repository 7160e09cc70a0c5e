package inet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pith/kernel/link"
	"pith/kernel/link/linktest"
)

// TestOverloadLeavesOthersAlive floods a socket whose reader is too slow: another
// socket on the same card must go on, and the reader get what it can take. The flood lasts
// until then: a short one may be over before the reader has run once.
func TestOverloadLeavesOthersAlive(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	slow := bound(t, s, netip.AddrPortFrom(addrB, 7))
	slow.setInt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, 20000)
	other := bound(t, s, netip.AddrPortFrom(addrB, 8))
	stop, stopped := make(chan struct{}), make(chan struct{})
	var read atomic.Int64
	go func() {
		defer close(stopped)
		for buf := make([]byte, 10); ; time.Sleep(50 * time.Microsecond) {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, _, _, errno := slow.ep.Receive(buf, nil, 0); errno == 0 {
				read.Add(1)
			}
		}
	}()
	flood := ethernet(etherIPv4, ipv4Packet(protoUDP, testIP, stackIP, udpSegment(testIP, stackIP, 9, 7, []byte("flood"))))
	poke := ethernet(etherIPv4, ipv4Packet(protoUDP, testIP, stackIP, udpSegment(testIP, stackIP, 9, 8, []byte("poke"))))
	enough := func() bool { return read.Load() >= 20 && s.stats.QueueFull.Load() > 0 }
	pokes := 0
	for begin := time.Now(); pokes < 20 || !enough(); pokes++ {
		if time.Since(begin) > patience {
			t.Fatalf("the reader got %d, %d were too much", read.Load(), s.stats.QueueFull.Load())
		}
		for range 500 {
			d.inject(flood)
		}
		d.inject(poke)
		if pokes >= 20 { // they would be too many for its queue
			if _, _, err := other.recvFrom(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range min(pokes, 20) {
		if _, _, err := other.recvFrom(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-stopped
}

// TestUDPFullRing fills the device's ring: the sender is told to wait, and woken.
func TestUDPFullRing(t *testing.T) {
	w := newWorld(t, linktest.Options{Ring: 4, Buffers: 64})
	server := bound(t, w.b, netip.AddrPortFrom(addrB, 7))
	e := w.a.snapshot.Load().nics[1].neighbors.get(fromNetip(addrB))
	b := w.a.begin()
	e.resolved(&b, 0x525400000002)
	c := open(t, w.a, syscall.AF_INET, syscall.SOCK_DGRAM).ep.(*udpEndpoint)
	waited := false
	for range 200 {
		// Without flush in between the ring fills.
		b := w.a.begin()
		c.mu.Lock()
		_, errno := c.send(&b, []byte("x"), nil, netip.AddrPortFrom(addrB, 7))
		c.mu.Unlock()
		if errno == syscall.EAGAIN {
			waited = true
			if c.Readiness()&syscall.EPOLLOUT != 0 {
				t.Fatal("writable while it waits")
			}
			break
		}
	}
	if !waited {
		t.Fatal("the ring never filled")
	}
	eventually(t, "the sender is woken", func() bool { return c.Readiness()&syscall.EPOLLOUT != 0 })
	// What was on the ring may have been too much for the other side's; this is not.
	if _, errno := c.Send([]byte("y"), nil, netip.AddrPort{}, 0); errno != syscall.EDESTADDRREQ {
		t.Fatal(errno)
	}
	eventually(t, "a datagram arrives", func() bool {
		c.Send([]byte("y"), nil, netip.AddrPortFrom(addrB, 7), 0)
		return server.ep.Buffered() > 0
	})
}

func TestUDPShutdown(t *testing.T) {
	s := newStack(t, Config{})
	u := bound(t, s, netip.MustParseAddrPort("127.0.0.1:7"))
	if errno := u.ep.Shutdown(syscall.SHUT_RDWR); errno != syscall.ENOTCONN {
		t.Error(errno)
	}
	u.ep.Connect(netip.MustParseAddrPort("127.0.0.1:8"))
	u.ep.Shutdown(syscall.SHUT_RDWR)
	if n, _, err := u.recvFrom(make([]byte, 4)); n != 0 || err != nil {
		t.Error(n, err)
	}
	if err := u.sendTo([]byte("x"), netip.AddrPort{}); err != syscall.EPIPE {
		t.Error(err)
	}
	if r := u.ep.Readiness(); r&syscall.EPOLLHUP == 0 || r&syscall.EPOLLIN == 0 {
		t.Errorf("readiness %x", r)
	}
	if errno := u.ep.Listen(1); errno != syscall.EOPNOTSUPP {
		t.Error(errno)
	}
}

// TestReusePortSpreads has several sockets share a port: each gets a part of the flows, and
// a flow always goes to the same.
func TestReusePortSpreads(t *testing.T) {
	s, d := newPuppet(t, static("10.9.0.2/24"))
	var socks [4]*sock
	for i := range socks {
		socks[i] = open(t, s, syscall.AF_INET, syscall.SOCK_DGRAM)
		socks[i].setInt(syscall.SOL_SOCKET, soReusePort, 1)
		if errno := socks[i].ep.Bind(netip.AddrPortFrom(addrB, 7)); errno != 0 {
			t.Fatal(errno)
		}
	}
	for round := range 2 {
		for port := range uint16(100) {
			d.inject(ethernet(etherIPv4, ipv4Packet(protoUDP, testIP, stackIP, udpSegment(testIP, stackIP, 1000+port, 7, []byte{byte(round)}))))
		}
	}
	owner := map[uint16]int{}
	counts := [4]int{}
	eventually(t, "all arrive", func() bool {
		for i, u := range socks {
			for {
				_, _, _, from, errno := u.ep.Receive(make([]byte, 4), nil, 0)
				if errno != 0 {
					break
				}
				if old, ok := owner[from.Port()]; ok && old != i {
					t.Fatalf("port %d went to socket %d and %d", from.Port(), old, i)
				}
				owner[from.Port()] = i
				counts[i]++
			}
		}
		return counts[0]+counts[1]+counts[2]+counts[3] == 200
	})
	for i, n := range counts {
		if n == 0 {
			t.Errorf("socket %d got nothing of %v", i, counts)
		}
	}
}

// TestLoopbackHandsOver queues more than one caller delivers.
func TestLoopbackHandsOver(t *testing.T) {
	s := newStack(t, Config{})
	u := bound(t, s, netip.MustParseAddrPort("127.0.0.1:7"))
	u.setInt(syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<20)
	c := open(t, s, syscall.AF_INET, syscall.SOCK_DGRAM).ep.(*udpEndpoint)
	const count = 3*drainBudget + 10
	b := s.begin()
	c.mu.Lock()
	for range count {
		if _, errno := c.send(&b, []byte("x"), nil, netip.MustParseAddrPort("127.0.0.1:7")); errno != 0 {
			t.Error(errno)
		}
	}
	c.mu.Unlock()
	b.flush()
	for range count {
		if _, _, err := u.recvFrom(make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTimeWaitsEnd(t *testing.T) {
	clock := newClock()
	s := newStack(t, Config{Now: clock.now})
	wait := func(port uint16) *timeWait {
		w := &timeWait{name: tuple{loopback4, loopback4, 80, port}, expires: clock.now() + timeWaitLength}
		w.hash = s.flowHash(&w.name)
		s.tcp.mu.Lock()
		s.tcp.add(&tcpNode{name: w.name, hash: w.hash, tw: w})
		s.tcp.mu.Unlock()
		s.timeWaits.add(w)
		return w
	}
	first := wait(1)
	for port := range uint16(maxTimeWaits) {
		wait(2 + port)
	}
	if s.tcp.find(&first.name, first.hash) != nil {
		t.Error("the oldest didn't give way")
	}
	if s.tcp.count != maxTimeWaits {
		t.Errorf("%d rest", s.tcp.count)
	}
	clock.advance(timeWaitLength + 2e9)
	s.timers.run()
	eventually(t, "all rests end", func() bool {
		s.tcp.mu.Lock()
		defer s.tcp.mu.Unlock()
		return s.tcp.count == 0
	})
}

func TestIncompletePacketsEnd(t *testing.T) {
	clock := newClock()
	s, d := newPuppetFor(t, Config{Now: clock.now}, static("10.9.0.2/24"))
	b := ipv4Packet(protoUDP, testIP, stackIP, make([]byte, 800))
	put16(b[6:], fragmentWord(0, true))
	put16(b[10:], 0)
	put16(b[10:], partial(0).bytes(b[:ipv4Len]).checksum())
	d.inject(ethernet(etherIPv4, b))
	count := func() int {
		s.fragments.mu.Lock()
		defer s.fragments.mu.Unlock()
		return len(s.fragments.packets) + s.fragments.memory
	}
	eventually(t, "the fragment waits", func() bool { return count() > 0 })
	clock.advance(fragmentLifetime + 1e9)
	s.timers.run()
	eventually(t, "the fragment is dropped", func() bool { return count() == 0 })
}

func TestNeighborTableIsBounded(t *testing.T) {
	s, _ := newPuppet(t, static("10.9.0.2/16"))
	table := &s.snapshot.Load().nics[1].neighbors
	for i := range uint32(2 * maxNeighbors) {
		table.get(v4(0x0a090100 + i))
	}
	if n := len(table.entries); n > maxNeighbors {
		t.Errorf("%d entries", n)
	}
}

// TestMemoryLimit has many connections that nobody reads: together they hold no more
// than they may, and none is cut off for good.
func TestMemoryLimit(t *testing.T) {
	const limit = 1 << 20
	w := &world{a: newStack(t, Config{}), b: newStack(t, Config{Memory: limit})}
	w.cardA, w.cardB = linktest.Pair(linktest.Options{Features: full, Buffers: 8192})
	t.Cleanup(w.cardA.Close)
	t.Cleanup(w.cardB.Close)
	attach(t, w.a, w.cardA, "10.9.0.1/24")
	attach(t, w.b, w.cardB, "10.9.0.2/24")
	const count = 40
	var clients, servers []*sock
	for range count {
		c, s := w.tcpPair(t, addrB)
		clients, servers = append(clients, c), append(servers, s)
	}
	payload := content(100_000)
	done := make(chan error, 2*count)
	for _, c := range clients {
		go func() {
			_, err := c.Write(payload)
			c.ep.Shutdown(syscall.SHUT_WR)
			done <- err
		}()
	}
	time.Sleep(300 * time.Millisecond)
	if m := w.b.memory.Load(); m > limit+count*64<<10 {
		t.Errorf("%d bytes held, the limit is %d", m, limit)
	}
	for _, s := range servers {
		go func() {
			got, err := io.ReadAll(s)
			if err == nil && !bytes.Equal(got, payload) {
				err = fmt.Errorf("%d bytes", len(got))
			}
			s.ep.Close()
			done <- err
		}()
	}
	for range 2 * count {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestGroupOptions(t *testing.T) {
	s, _ := newPuppet(t, static("10.9.0.2/24", "fd00::2/64"))
	u := bound(t, s, netip.MustParseAddrPort("[::]:7"))
	groups := &s.snapshot.Load().nics[1].groups
	req := make([]byte, 136)
	putLE32(req, 2)
	binary.LittleEndian.PutUint16(req[8:], syscall.AF_INET6)
	a := netip.MustParseAddr("ff15::1").As16()
	copy(req[16:], a[:])
	mreqn := append([]byte{239, 0, 0, 1}, 10, 9, 0, 2, 0, 0, 0, 0)
	for _, c := range []struct {
		level, name int
		value       []byte
		want        syscall.Errno
	}{
		{syscall.IPPROTO_IPV6, mcastJoin, req, 0},
		{syscall.IPPROTO_IPV6, mcastJoin, req, syscall.EADDRINUSE},
		{syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP, mreqn, 0},
		{syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP, mreqn[:8], syscall.EADDRINUSE},
		{syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP, mreqn[:4], syscall.EINVAL},
		{syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP, []byte{10, 0, 0, 1, 0, 0, 0, 0}, syscall.EINVAL},
		{syscall.IPPROTO_IP, syscall.IP_ADD_MEMBERSHIP, []byte{239, 0, 0, 2, 10, 0, 0, 9}, syscall.ENODEV},
		{syscall.IPPROTO_IP, syscall.IP_DROP_MEMBERSHIP, []byte{239, 0, 0, 9, 0, 0, 0, 0}, syscall.EADDRNOTAVAIL},
		{syscall.IPPROTO_IPV6, mcastLeave, req, 0},
		{syscall.IPPROTO_IP, syscall.IP_MULTICAST_IF, []byte{10, 9, 0, 2}, 0},
		{syscall.IPPROTO_IP, syscall.IP_MULTICAST_IF, []byte{10, 9, 0, 3}, syscall.EADDRNOTAVAIL},
		{syscall.IPPROTO_IP, syscall.IP_MULTICAST_IF, mreqn, 0},
		{syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("eth0\x00"), 0},
		{syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("eth7"), syscall.ENODEV},
	} {
		if errno := u.ep.SetOption(c.level, c.name, c.value); errno != c.want {
			t.Errorf("%d/%d %v: %v, want %v", c.level, c.name, c.value, errno, c.want)
		}
	}
	name := make([]byte, 16)
	if n, errno := u.ep.Option(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, name); errno != 0 || string(name[:n]) != "eth0\x00" {
		t.Errorf("%q %v", name[:n], errno)
	}
	u.ep.Close()
	if len(groups.counts) != 0 {
		for g := range groups.counts {
			t.Errorf("still in %v", g.plain())
		}
	}
}

// TestChecksum compares with the plain definition.
func TestChecksum(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for n := range 300 {
		p := make([]byte, n)
		r.Read(p)
		want := uint32(0)
		for i := 0; i < n; i += 2 {
			w := uint32(p[i]) << 8
			if i+1 < n {
				w |= uint32(p[i+1])
			}
			want += w
			want = want&0xffff + want>>16
		}
		if got := partial(0).bytes(p).sum(); got != uint16(want) && !(got == 0 && want == 0xffff) {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
		// The same in pieces of odd lengths.
		var head *link.Buffer
		for rest := p; len(rest) > 0; {
			k := 1 + r.Intn(len(rest))
			b := &link.Buffer{Data: rest[:k], Len: k}
			rest = rest[k:]
			if head == nil {
				head = b
			} else {
				tail(head).Next = b
			}
		}
		if got := partial(0).chain(head).sum(); got != uint16(want) {
			t.Fatalf("%d bytes in pieces: %x, want %x", n, got, want)
		}
	}
}

// TestSipHash is the first vector of the reference implementation whose length is a multiple
// of eight: the key 00..0f, the message 00..07.
func TestSipHash(t *testing.T) {
	s := secret{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	if got := s.hash(0x0706050403020100); got != 0x93f5f5799a932462 {
		t.Errorf("%x", got)
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct{ a, want string }{
		{"10.0.0.0/8", "10.255.255.255"}, {"192.168.7.4/30", "192.168.7.7"}, {"10.0.0.1/32", "::"}, {"fd00::1/64", "::"},
	} {
		if got := fromPrefix(netip.MustParsePrefix(c.a)).broadcast(); fmt.Sprint(got.plain()) != c.want {
			t.Errorf("%s: %v", c.a, got.plain())
		}
	}
	for _, n := range []int{0, 1, 63, 64, 65, 127, 128} {
		p := netip.MustParsePrefix(fmt.Sprintf("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/%d", n))
		if got := fromNetip(p.Addr()).masked(n).plain(); got != p.Masked().Addr() {
			t.Errorf("/%d: %v", n, got)
		}
		if !fromPrefix(p).contains(fromNetip(p.Masked().Addr())) {
			t.Errorf("/%d doesn't contain its own first address", n)
		}
	}
}
