package sockettest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"syscall"
	"testing"
)

var udpTests = []test{
	{"ExchangeIPv4", func(s suite) { s.udpExchange(s.a.V4, s.b.V4) }},
	{"ExchangeIPv6", func(s suite) { s.udpExchange(s.a.V6, s.b.V6) }},
	{"Loopback", func(s suite) {
		s.b = s.a
		s.udpExchange(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1"))
	}},
	{"OwnAddress", func(s suite) { s.b = s.a; s.udpExchange(s.a.V6, s.a.V6) }},
	{"Connected", suite.udpConnected},
	{"Refused", suite.udpRefused},
	{"Disconnect", suite.udpDisconnect},
	{"Truncate", suite.udpTruncate},
	{"Peek", suite.udpPeek},
	{"Empty", suite.udpEmpty},
	{"Large", suite.udpLarge},
	{"Errnos", suite.udpErrnos},
	{"DualStack", suite.udpDualStack},
	{"Broadcast", suite.udpBroadcast},
	{"PacketInfo", suite.udpPacketInfo},
	{"Groups", suite.udpGroups},
	{"Shutdown", suite.udpShutdown},
	{"Readiness", suite.udpReadiness},
	{"Overflow", suite.udpOverflow},
}

func runUDP(t *testing.T, pair NewPair) { runAll(t, pair, udpTests) }

// bound makes a datagram socket at a on n.
func (s suite) bound(n Node, a netip.Addr) *sock {
	s.Helper()
	e := s.open(n, familyOf(a), syscall.SOCK_DGRAM)
	e.mustBind(at(a, 0))
	return e
}

// datagram is what Receive returns.
type datagram struct {
	data  string
	n     int // as returned: may exceed len(data)
	flags int
	from  netip.AddrPort
	oob   []byte
}

// receive waits for a datagram or an error.
func (s *sock) receive(size, flags int) (datagram, syscall.Errno) {
	s.t.Helper()
	p, oob := make([]byte, size), make([]byte, 256)
	for {
		n, oobn, out, from, code := s.Receive(p, oob, flags)
		if code != syscall.EAGAIN {
			return datagram{string(p[:min(n, size)]), n, out, from, oob[:oobn]}, code
		}
		s.await(syscall.EPOLLIN | syscall.EPOLLERR | syscall.EPOLLHUP)
	}
}

func (s *sock) mustReceive(want string) datagram {
	s.t.Helper()
	d, code := s.receive(65536, 0)
	if code != 0 || d.data != want || d.flags != 0 {
		s.t.Fatalf("Receive: %d bytes %.40q, flags %#x, %s; want %d bytes %.40q", d.n, d.data, d.flags, name(code), len(want), want)
	}
	return d
}

func (s *sock) mustSend(p string, to netip.AddrPort) {
	s.t.Helper()
	n, code := s.Send([]byte(p), nil, to, 0)
	if code != 0 || n != len(p) {
		s.t.Fatalf("Send of %d bytes to %v: %d, %s", len(p), to, n, name(code))
	}
}

func (s suite) udpExchange(from, to netip.Addr) {
	server := s.bound(s.b, to)
	client := s.open(s.a, familyOf(from), syscall.SOCK_DGRAM)
	client.mustSend("question", server.LocalAddr())
	if client.LocalAddr().Port() == 0 {
		s.Error("the first send gave the client no port")
	}
	d := server.mustReceive("question")
	if d.from != at(from, client.LocalAddr().Port()) {
		s.Errorf("question came from %v, want %v:%d", d.from, from, client.LocalAddr().Port())
	}
	server.mustSend("answer", d.from)
	if d := client.mustReceive("answer"); d.from != server.LocalAddr() {
		s.Errorf("answer came from %v, want %v", d.from, server.LocalAddr())
	}
	for i := range 100 {
		client.mustSend(string(rune('a'+i%26)), server.LocalAddr())
		server.mustReceive(string(rune('a' + i%26)))
	}
}

func (s suite) udpConnected() {
	server, stranger := s.bound(s.b, s.b.V4), s.bound(s.b, s.b.V4)
	client := s.bound(s.a, s.a.V4)
	_, code := client.RemoteAddr()
	expect(s, "RemoteAddr at first", code, syscall.ENOTCONN)
	expect(s, "Connect", client.Connect(server.LocalAddr()), 0)
	s.expectPeer(client, server.LocalAddr())
	client.mustSend("to the peer", netip.AddrPort{})
	server.mustReceive("to the peer")
	stranger.mustSend("not for you", client.LocalAddr())
	server.mustSend("for you", client.LocalAddr())
	client.mustReceive("for you")
	_, _, _, _, code = client.Receive(make([]byte, 64), nil, 0)
	expect(s, "receive from a stranger", code, syscall.EAGAIN)
	// A connected socket may still send elsewhere.
	client.mustSend("hello stranger", stranger.LocalAddr())
	stranger.mustReceive("hello stranger")
}

func (s suite) udpRefused() {
	for _, to := range []netip.Addr{s.b.V4, s.b.V6, netip.MustParseAddr("127.0.0.1")} {
		client := s.open(s.a, familyOf(to), syscall.SOCK_DGRAM)
		expect(s, "Connect", client.Connect(at(to, 9)), 0)
		client.mustSend("anybody?", netip.AddrPort{})
		client.await(syscall.EPOLLERR)
		_, code := client.receive(64, 0)
		expect(s, "receive after a refusal", code, syscall.ECONNREFUSED)
		_, _, _, _, code = client.Receive(make([]byte, 64), nil, 0)
		expect(s, "receive once more", code, syscall.EAGAIN)
	}
}

func (s suite) udpDisconnect() {
	server := s.bound(s.b, s.b.V4)
	client := s.bound(s.a, s.a.V4)
	before := client.LocalAddr()
	expect(s, "Connect", client.Connect(at(s.b.V4, 9)), 0)
	expect(s, "Connect elsewhere", client.Connect(server.LocalAddr()), 0)
	expect(s, "dissolve", client.Connect(netip.AddrPort{}), 0)
	_, code := client.RemoteAddr()
	expect(s, "RemoteAddr", code, syscall.ENOTCONN)
	_, code = client.Send([]byte("x"), nil, netip.AddrPort{}, 0)
	expect(s, "send without a peer", code, syscall.EDESTADDRREQ)
	if client.LocalAddr() != before {
		s.Errorf("LocalAddr was %v, is %v", before, client.LocalAddr())
	}
	server.mustSend("again", client.LocalAddr())
	client.mustReceive("again")
}

func (s suite) udpTruncate() {
	server := s.bound(s.b, s.b.V4)
	client := s.bound(s.a, s.a.V4)
	for range 3 {
		client.mustSend("0123456789", server.LocalAddr())
	}
	d, code := server.receive(4, 0)
	if code != 0 || d.data != "0123" || d.n != 4 || d.flags != syscall.MSG_TRUNC {
		s.Errorf("short receive: %+v, %s", d, name(code))
	}
	d, code = server.receive(4, syscall.MSG_TRUNC)
	if code != 0 || d.data != "0123" || d.n != 10 || d.flags != syscall.MSG_TRUNC {
		s.Errorf("short receive with MSG_TRUNC: %+v, %s", d, name(code))
	}
	d, code = server.receive(0, 0)
	if code != 0 || d.n != 0 || d.flags != syscall.MSG_TRUNC {
		s.Errorf("receive into nothing: %+v, %s", d, name(code))
	}
	_, _, _, _, code = server.Receive(make([]byte, 64), nil, 0)
	expect(s, "receive after three datagrams", code, syscall.EAGAIN)
}

func (s suite) udpPeek() {
	server := s.bound(s.b, s.b.V4)
	client := s.bound(s.a, s.a.V4)
	client.mustSend("look", server.LocalAddr())
	for range 2 {
		d, code := server.receive(64, syscall.MSG_PEEK)
		if code != 0 || d.data != "look" || d.from != client.LocalAddr() {
			s.Fatalf("peek: %+v, %s", d, name(code))
		}
	}
	if n := server.Buffered(); n != 4 {
		s.Errorf("Buffered is %d", n)
	}
	server.mustReceive("look")
}

func (s suite) udpEmpty() {
	server := s.bound(s.b, s.b.V4)
	client := s.bound(s.a, s.a.V4)
	client.mustSend("", server.LocalAddr())
	server.await(syscall.EPOLLIN)
	d := server.mustReceive("")
	if d.from != client.LocalAddr() {
		s.Errorf("the empty datagram came from %v", d.from)
	}
}

// udpLarge sends what must be fragmented.
func (s suite) udpLarge() {
	for _, side := range []struct{ from, to netip.Addr }{{s.a.V4, s.b.V4}, {s.a.V6, s.b.V6}} {
		server := s.bound(s.b, side.to)
		client := s.bound(s.a, side.from)
		for _, size := range []int{1473, 8000, 65000} {
			big := string(bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size])
			client.mustSend(big, server.LocalAddr())
			server.mustReceive(big)
		}
		_, code := client.Send(make([]byte, 65536), nil, server.LocalAddr(), 0)
		expect(s, "send of 65536 bytes", code, syscall.EMSGSIZE)
	}
}

func (s suite) udpErrnos() {
	e := s.open(s.a, syscall.AF_INET, syscall.SOCK_DGRAM)
	_, code := e.Send([]byte("x"), nil, netip.AddrPort{}, 0)
	expect(s, "send to nobody", code, syscall.EDESTADDRREQ)
	_, code = e.Send([]byte("x"), nil, at(s.b.V6, 9), 0)
	expect(s, "send to IPv6", code, syscall.EAFNOSUPPORT)
	_, code = e.Send([]byte("x"), nil, at(s.b.V4, 0), 0)
	expect(s, "send to port 0", code, syscall.EINVAL)
	_, code = e.Send([]byte("x"), nil, netip.MustParseAddrPort("198.51.100.1:9"), 0)
	expect(s, "send without a route", code, syscall.ENETUNREACH)
	expect(s, "connect without a route", e.Connect(netip.MustParseAddrPort("198.51.100.1:9")), syscall.ENETUNREACH)
	_, _, _, _, code = e.Receive(make([]byte, 1), nil, 0)
	expect(s, "receive when there is nothing", code, syscall.EAGAIN)
	expect(s, "listen", e.Listen(1), syscall.EOPNOTSUPP)
	_, _, code = e.Accept()
	expect(s, "accept", code, syscall.EOPNOTSUPP)
	taken := s.bound(s.a, s.a.V4)
	other := s.open(s.a, syscall.AF_INET, syscall.SOCK_DGRAM)
	expect(s, "bind to a taken port", other.Bind(taken.LocalAddr()), syscall.EADDRINUSE)
	expect(s, "bind to a foreign address", other.Bind(at(s.b.V4, 0)), syscall.EADDRNOTAVAIL)
}

func (s suite) udpDualStack() {
	server := s.bound(s.b, netip.IPv6Unspecified())
	port := server.LocalAddr().Port()
	c4, c6 := s.bound(s.a, s.a.V4), s.bound(s.a, s.a.V6)
	c4.mustSend("four", at(s.b.V4, port))
	d := server.mustReceive("four")
	if d.from != at(mapped(s.a.V4), c4.LocalAddr().Port()) {
		s.Errorf("IPv4 datagram came from %v", d.from)
	}
	server.mustSend("back", d.from)
	if d := c4.mustReceive("back"); d.from != at(s.b.V4, port) {
		s.Errorf("answer came from %v", d.from)
	}
	c6.mustSend("six", at(s.b.V6, port))
	d = server.mustReceive("six")
	if d.from != c6.LocalAddr() {
		s.Errorf("IPv6 datagram came from %v", d.from)
	}
	server.mustSend("back", d.from)
	c6.mustReceive("back")
}

func (s suite) udpBroadcast() {
	server := s.bound(s.b, netip.IPv4Unspecified())
	client := s.bound(s.a, s.a.V4)
	to := at(directed(s.a, s.a.V4), server.LocalAddr().Port())
	_, code := client.Send([]byte("x"), nil, to, 0)
	expect(s, "broadcast without SO_BROADCAST", code, syscall.EACCES)
	client.setInt(syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1)
	client.mustSend("all", to)
	server.mustReceive("all")
}

// directed is the broadcast address of a's network on n.
func directed(n Node, a netip.Addr) netip.Addr {
	for _, i := range n.Stack.Interfaces() {
		for _, p := range i.Addrs {
			if p.Addr() == a {
				b := a.As4()
				mask := uint32(1)<<(32-p.Bits()) - 1
				binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])|mask)
				return netip.AddrFrom4(b)
			}
		}
	}
	return netip.Addr{}
}

// udpPacketInfo receives on the wildcard, learns where the datagram went to and
// answers from there, as DNS servers do.
func (s suite) udpPacketInfo() {
	const ipv6PktInfo = 50
	server := s.bound(s.b, netip.IPv4Unspecified())
	server.setInt(syscall.IPPROTO_IP, syscall.IP_PKTINFO, 1)
	client := s.bound(s.a, s.a.V4)
	client.mustSend("where", at(s.b.V4, server.LocalAddr().Port()))
	d := server.mustReceive("where")
	info := s.control(d.oob, syscall.IPPROTO_IP, syscall.IP_PKTINFO)
	if len(info) != 12 || info[0] != 2 || !bytes.Equal(info[8:12], s.b.V4.AsSlice()) {
		s.Fatalf("struct in_pktinfo is %v", info)
	}
	if n, code := server.Send([]byte("there"), d.oob, d.from, 0); n != 5 || code != 0 {
		s.Errorf("send with IP_PKTINFO: %d, %s", n, name(code))
	}
	client.mustReceive("there")

	server = s.bound(s.b, netip.IPv6Unspecified())
	server.setInt(syscall.IPPROTO_IPV6, syscall.IPV6_RECVPKTINFO, 1)
	client = s.bound(s.a, s.a.V6)
	client.mustSend("where", at(s.b.V6, server.LocalAddr().Port()))
	d = server.mustReceive("where")
	info = s.control(d.oob, syscall.IPPROTO_IPV6, ipv6PktInfo)
	if len(info) != 20 || info[16] != 2 || !bytes.Equal(info[:16], s.b.V6.AsSlice()) {
		s.Fatalf("struct in6_pktinfo is %v", info)
	}
	if n, code := server.Send([]byte("there"), d.oob, d.from, 0); n != 5 || code != 0 {
		s.Errorf("send with IPV6_PKTINFO: %d, %s", n, name(code))
	}
	client.mustReceive("there")

	// No room for the message: the data arrives all the same.
	client.mustSend("cut", at(s.b.V6, server.LocalAddr().Port()))
	server.await(syscall.EPOLLIN)
	n, oobn, flags, _, code := server.Receive(make([]byte, 64), make([]byte, 8), 0)
	if n != 3 || oobn != 0 || flags != syscall.MSG_CTRUNC || code != 0 {
		s.Errorf("receive with no room for control: %d, %d, %#x, %s", n, oobn, flags, name(code))
	}
}

// control finds a control message's data.
func (s suite) control(oob []byte, level, typ int) []byte {
	s.Helper()
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		s.Fatalf("control messages: %v", err)
	}
	for _, m := range messages {
		if int(m.Header.Level) == level && int(m.Header.Type) == typ {
			return m.Data
		}
	}
	return nil
}

func (s suite) udpShutdown() {
	server := s.bound(s.b, s.b.V4)
	client := s.bound(s.a, s.a.V4)
	expect(s, "shutdown without a peer", client.Shutdown(syscall.SHUT_WR), syscall.ENOTCONN)
	client = s.bound(s.a, s.a.V4)
	expect(s, "Connect", client.Connect(server.LocalAddr()), 0)
	expect(s, "Shutdown", client.Shutdown(syscall.SHUT_WR), 0)
	_, code := client.Send([]byte("x"), nil, netip.AddrPort{}, syscall.MSG_NOSIGNAL)
	expect(s, "send after SHUT_WR", code, syscall.EPIPE)
	server.mustSend("still listening?", client.LocalAddr())
	client.mustReceive("still listening?")
}

func (s suite) udpReadiness() {
	server := s.bound(s.b, s.b.V4)
	client := s.bound(s.a, s.a.V4)
	if r := server.Readiness(); r != syscall.EPOLLOUT {
		s.Errorf("a new socket's readiness is %#x", r)
	}
	for i := range 50 {
		drainReady(server)
		client.mustSend("x", server.LocalAddr())
		s.edge(server, "datagram", i)
		server.mustReceive("x")
		_, _, _, _, code := server.Receive(make([]byte, 1), nil, 0)
		expect(s, "receive", code, syscall.EAGAIN)
		if r := server.Readiness(); r != syscall.EPOLLOUT {
			s.Errorf("readiness after reading is %#x", r)
		}
	}
}

// udpOverflow sends more than anybody keeps: the sender isn't told, and what
// came first is still there.
func (s suite) udpOverflow() {
	server := s.bound(s.b, s.b.V4)
	client := s.bound(s.a, s.a.V4)
	client.mustSend("who are you", server.LocalAddr()) // so that the neighbour is known
	server.mustReceive("who are you")
	payload := bytes.Repeat([]byte{'x'}, 1000)
	for i := range 3000 {
		copy(payload, []byte{byte(i >> 8), byte(i)})
		for {
			_, code := client.Send(payload, nil, server.LocalAddr(), 0)
			if code == 0 {
				break
			}
			expect(s, "send", code, syscall.EAGAIN)
			client.await(syscall.EPOLLOUT)
		}
	}
	d, code := server.receive(2000, 0)
	if code != 0 || d.n != 1000 {
		s.Fatalf("receive: %d bytes, %s", d.n, name(code))
	}
	if i := int(d.data[0])<<8 | int(d.data[1]); i > 256 {
		s.Errorf("the first datagram that was kept is number %d", i)
	}
	n := 1
	for {
		_, _, _, _, code := server.Receive(payload, nil, 0)
		if code == syscall.EAGAIN {
			break
		}
		n++
	}
	if n < 50 || n > 2999 {
		s.Errorf("%d of 3000 datagrams were kept", n)
	}
}
