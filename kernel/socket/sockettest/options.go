package sockettest

import (
	"bytes"
	"syscall"
	"testing"
	"time"
)

// Names of options that package syscall doesn't have.
const (
	soReusePort    = 15
	soProtocol     = 38
	soDomain       = 39
	ipv6TClass     = 67
	tcpUserTimeout = 18
)

// roundTrip is an option of an int: its value at first, what to set, and what
// to read then.
type roundTrip struct {
	name          string
	family, typ   int
	level, option int
	first         int
	set, then     int
}

var roundTrips = []roundTrip{
	{"SO_REUSEADDR", syscall.AF_INET, syscall.SOCK_STREAM, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0, 5, 1},
	{"SO_REUSEPORT", syscall.AF_INET, syscall.SOCK_STREAM, syscall.SOL_SOCKET, soReusePort, 0, 1, 1},
	{"SO_KEEPALIVE", syscall.AF_INET, syscall.SOCK_STREAM, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 0, 1, 1},
	{"SO_BROADCAST", syscall.AF_INET, syscall.SOCK_DGRAM, syscall.SOL_SOCKET, syscall.SO_BROADCAST, 0, 1, 1},
	{"TCP_NODELAY", syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 0, 1, 1},
	{"TCP_CORK", syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, syscall.TCP_CORK, 0, 1, 1},
	{"TCP_KEEPIDLE", syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 7200, 15, 15},
	{"TCP_KEEPINTVL", syscall.AF_INET6, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 75, 16, 16},
	{"TCP_KEEPCNT", syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 9, 3, 3},
	{"TCP_USER_TIMEOUT", syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, tcpUserTimeout, 0, 12345, 12345},
	{"IP_TTL", syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_IP, syscall.IP_TTL, 64, 9, 9},
	{"IP_TTL back", syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_IP, syscall.IP_TTL, 64, -1, 64},
	{"IP_TOS", syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_IP, syscall.IP_TOS, 0, 0x10, 0x10},
	{"IP_MULTICAST_TTL", syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_IP, syscall.IP_MULTICAST_TTL, 1, 5, 5},
	{"IP_MULTICAST_LOOP", syscall.AF_INET, syscall.SOCK_DGRAM, syscall.IPPROTO_IP, syscall.IP_MULTICAST_LOOP, 1, 0, 0},
	{"IPV6_V6ONLY", syscall.AF_INET6, syscall.SOCK_STREAM, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0, 1, 1},
	{"IPV6_UNICAST_HOPS", syscall.AF_INET6, syscall.SOCK_DGRAM, syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, 64, 7, 7},
	{"IPV6_TCLASS", syscall.AF_INET6, syscall.SOCK_DGRAM, syscall.IPPROTO_IPV6, ipv6TClass, 0, 0x20, 0x20},
}

// constants are options that can only be read.
var constants = []struct {
	name                        string
	family, typ, option, expect int
}{
	{"SO_TYPE of a stream", syscall.AF_INET, syscall.SOCK_STREAM, syscall.SO_TYPE, syscall.SOCK_STREAM},
	{"SO_TYPE of datagrams", syscall.AF_INET6, syscall.SOCK_DGRAM, syscall.SO_TYPE, syscall.SOCK_DGRAM},
	{"SO_DOMAIN", syscall.AF_INET6, syscall.SOCK_DGRAM, soDomain, syscall.AF_INET6},
	{"SO_PROTOCOL", syscall.AF_INET, syscall.SOCK_STREAM, soProtocol, syscall.IPPROTO_TCP},
	{"SO_ACCEPTCONN", syscall.AF_INET, syscall.SOCK_STREAM, syscall.SO_ACCEPTCONN, 0},
	{"SO_ERROR", syscall.AF_INET, syscall.SOCK_STREAM, syscall.SO_ERROR, 0},
}

func runOptions(t *testing.T, pair NewPair) {
	runAll(t, pair, []test{
		{"RoundTrips", suite.optionRoundTrips},
		{"Constants", suite.optionConstants},
		{"Buffers", suite.optionBuffers},
		{"Structures", suite.optionStructures},
		{"Errnos", suite.optionErrnos},
		{"TCPInfo", suite.optionTCPInfo},
		{"ReusePort", suite.optionReusePort},
	})
}

func (s suite) optionRoundTrips() {
	for _, o := range roundTrips {
		e := s.open(s.a, o.family, o.typ)
		if got := e.getInt(o.level, o.option); got != o.first {
			s.Errorf("%s is %d at first, want %d", o.name, got, o.first)
		}
		e.setInt(o.level, o.option, o.set)
		if got := e.getInt(o.level, o.option); got != o.then {
			s.Errorf("%s is %d after setting %d, want %d", o.name, got, o.set, o.then)
		}
	}
}

func (s suite) optionConstants() {
	for _, o := range constants {
		e := s.open(s.a, o.family, o.typ)
		if got := e.getInt(syscall.SOL_SOCKET, o.option); got != o.expect {
			s.Errorf("%s is %d, want %d", o.name, got, o.expect)
		}
	}
	l := listen(s, s.a, s.a.V4)
	if l.getInt(syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN) != 1 {
		s.Error("SO_ACCEPTCONN of a listener is 0")
	}
}

func (s suite) optionBuffers() {
	for _, typ := range []int{syscall.SOCK_STREAM, syscall.SOCK_DGRAM} {
		e := s.open(s.a, syscall.AF_INET, typ)
		for _, o := range []int{syscall.SO_SNDBUF, syscall.SO_RCVBUF} {
			e.setInt(syscall.SOL_SOCKET, o, 32<<10)
			if got := e.getInt(syscall.SOL_SOCKET, o); got != 64<<10 {
				s.Errorf("option %d is %d after setting 32768; Linux tells the double", o, got)
			}
			e.setInt(syscall.SOL_SOCKET, o, 1) // raised to the least
			if got := e.getInt(syscall.SOL_SOCKET, o); got < 1024 {
				s.Errorf("option %d is %d after setting 1", o, got)
			}
		}
	}
}

func (s suite) optionStructures() {
	e := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
	s.structure(e, "SO_LINGER", syscall.SO_LINGER, append(intValue(1), intValue(30)...))
	name := []byte("lo\x00")
	if code := e.SetOption(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, name); code != 0 {
		s.Errorf("SO_BINDTODEVICE: %v", code)
	}
	got := make([]byte, 16)
	if n, code := e.Option(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, got); code != 0 || !bytes.Equal(got[:n], name) {
		s.Errorf("SO_BINDTODEVICE is %q, %v", got[:n], code)
	}
	expect(s, "SO_BINDTODEVICE to nothing that exists",
		e.SetOption(syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, []byte("nope0")), syscall.ENODEV)
}

func (s suite) structure(e *sock, what string, option int, v []byte) {
	s.Helper()
	if code := e.SetOption(syscall.SOL_SOCKET, option, v); code != 0 {
		s.Errorf("%s: %v", what, code)
		return
	}
	got := make([]byte, len(v)+8)
	n, code := e.Option(syscall.SOL_SOCKET, option, got)
	if code != 0 || !bytes.Equal(got[:n], v) {
		s.Errorf("%s is %v, %v; want %v", what, got[:n], code, v)
	}
}

func (s suite) optionErrnos() {
	e := s.open(s.a, syscall.AF_INET, syscall.SOCK_DGRAM)
	expect(s, "unknown option", e.SetOption(syscall.SOL_SOCKET, 9999, intValue(1)), syscall.ENOPROTOOPT)
	expect(s, "unknown level", e.SetOption(12345, 1, intValue(1)), syscall.ENOPROTOOPT)
	expect(s, "TCP option of UDP", e.SetOption(syscall.IPPROTO_TCP, syscall.TCP_NODELAY, intValue(1)),
		syscall.ENOPROTOOPT, syscall.EOPNOTSUPP)
	expect(s, "setting SO_TYPE", e.SetOption(syscall.SOL_SOCKET, syscall.SO_TYPE, intValue(1)), syscall.ENOPROTOOPT)
	expect(s, "short value", e.SetOption(syscall.SOL_SOCKET, syscall.SO_RCVBUF, []byte{1}), syscall.EINVAL)
	expect(s, "IP_TTL 300", e.SetOption(syscall.IPPROTO_IP, syscall.IP_TTL, intValue(300)), syscall.EINVAL)
	_, code := e.Option(syscall.SOL_SOCKET, 9999, make([]byte, 4))
	expect(s, "reading an unknown option", code, syscall.ENOPROTOOPT)
	if n, code := e.Option(syscall.SOL_SOCKET, syscall.SO_TYPE, make([]byte, 2)); n != 2 || code != 0 {
		s.Errorf("reading into two bytes: %d, %s", n, name(code))
	}
}

func (s suite) optionTCPInfo() {
	const established, rttAt = 1, 68
	client, server := s.connected(s.b.V4)
	client.mustWrite("x")
	server.mustRead("x")
	server.mustWrite("y")
	client.mustRead("y")
	b := make([]byte, 256)
	n, code := client.Option(syscall.IPPROTO_TCP, syscall.TCP_INFO, b)
	if code != 0 || n < 104 || b[0] != established {
		s.Errorf("TCP_INFO: %d bytes, state %d, %s", n, b[0], name(code))
	}
	if bytes.Equal(b[rttAt:rttAt+4], make([]byte, 4)) {
		s.Error("TCP_INFO knows no round-trip time")
	}
}

// optionReusePort opens two listeners on one port, which share the callers.
func (s suite) optionReusePort() {
	first := s.open(s.b, syscall.AF_INET, syscall.SOCK_STREAM)
	second := s.open(s.b, syscall.AF_INET, syscall.SOCK_STREAM)
	first.setInt(syscall.SOL_SOCKET, soReusePort, 1)
	second.setInt(syscall.SOL_SOCKET, soReusePort, 1)
	first.mustBind(at(s.b.V4, 0))
	second.mustBind(first.LocalAddr())
	expect(s, "first Listen", first.Listen(128), 0)
	expect(s, "second Listen", second.Listen(128), 0)
	const callers = 64
	for range callers {
		c := s.open(s.a, syscall.AF_INET, syscall.SOCK_STREAM)
		expect(s, "connect", c.connect(first.LocalAddr()), 0)
	}
	// A caller is connected before its listener has read the last of the three
	// segments, so its connection may be there a moment later.
	got := [2]int{}
	deadline := time.Now().Add(patience)
	for got[0]+got[1] < callers && time.Now().Before(deadline) {
		for i, l := range []*sock{first, second} {
			if _, ok := l.within(syscall.EPOLLIN, time.Millisecond); !ok {
				continue
			}
			e, _ := l.accept()
			e.Close()
			got[i]++
		}
	}
	if got[0]+got[1] != callers || got[0] == 0 || got[1] == 0 {
		s.Errorf("the listeners got %d and %d of %d callers", got[0], got[1], callers)
	}
}
