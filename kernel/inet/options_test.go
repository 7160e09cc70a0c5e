package inet

import (
	"syscall"
	"testing"
)

func TestOptionsReadBack(t *testing.T) {
	s := newStack(t, Config{})
	for _, typ := range []int{syscall.SOCK_STREAM, syscall.SOCK_DGRAM} {
		u := open(t, s, syscall.AF_INET6, typ)
		for _, o := range []struct{ level, name, set, want int }{
			{syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1, 1},
			{syscall.SOL_SOCKET, soReusePort, 1, 1},
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1, 1},
			{syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1, 1},
			{syscall.SOL_SOCKET, syscall.SO_RCVBUF, 10000, 20000},
			{syscall.SOL_SOCKET, syscall.SO_SNDBUF, 10000, 20000},
			{syscall.SOL_SOCKET, syscall.SO_SNDBUF, 0, minBuffer},
			{syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1, 1},
			{syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, 9, 9},
			{syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS, -1, 64},
			{syscall.IPPROTO_IPV6, syscall.IPV6_MULTICAST_HOPS, 5, 5},
			{syscall.IPPROTO_IPV6, syscall.IPV6_MULTICAST_LOOP, 0, 0},
			{syscall.IPPROTO_IPV6, ipv6ReceivePacketInfo, 1, 1},
			{syscall.IPPROTO_IP, syscall.IP_TTL, 7, 7},
			{syscall.IPPROTO_IP, syscall.IP_TOS, 16, 16},
		} {
			if errno := u.setInt(o.level, o.name, o.set); errno != 0 {
				t.Errorf("type %d: set %d/%d: %v", typ, o.level, o.name, errno)
			}
			if got := u.intOption(o.level, o.name); got != o.want {
				t.Errorf("type %d: %d/%d is %d, want %d", typ, o.level, o.name, got, o.want)
			}
		}
		for _, o := range []struct{ name, want int }{
			{syscall.SO_TYPE, typ}, {soDomain, syscall.AF_INET6}, {syscall.SO_ACCEPTCONN, 0}, {syscall.SO_ERROR, 0},
			{soProtocol, map[int]int{syscall.SOCK_STREAM: 6, syscall.SOCK_DGRAM: 17}[typ]},
		} {
			if got := u.intOption(syscall.SOL_SOCKET, o.name); got != o.want {
				t.Errorf("type %d: option %d is %d, want %d", typ, o.name, got, o.want)
			}
		}
		if errno := u.setInt(99, 1, 1); errno != syscall.ENOPROTOOPT {
			t.Error(errno)
		}
		if errno := u.ep.SetOption(syscall.SOL_SOCKET, syscall.SO_REUSEADDR, nil); errno != syscall.EINVAL {
			t.Error(errno)
		}
	}
}

func TestTCPOptions(t *testing.T) {
	s := newStack(t, Config{})
	u := open(t, s, syscall.AF_INET, syscall.SOCK_STREAM)
	for _, o := range []struct{ name, set, want int }{
		{syscall.TCP_NODELAY, 1, 1}, {syscall.TCP_CORK, 1, 1}, {syscall.TCP_KEEPIDLE, 15, 15},
		{syscall.TCP_KEEPINTVL, 15, 15}, {syscall.TCP_KEEPCNT, 4, 4}, {syscall.TCP_SYNCNT, 3, 3},
		{tcpUserTimeout, 1500, 1500}, {syscall.TCP_DEFER_ACCEPT, 1, 0},
	} {
		if errno := u.setInt(syscall.IPPROTO_TCP, o.name, o.set); errno != 0 {
			t.Errorf("set %d: %v", o.name, errno)
		}
		if got := u.intOption(syscall.IPPROTO_TCP, o.name); got != o.want {
			t.Errorf("%d is %d, want %d", o.name, got, o.want)
		}
	}
	if errno := u.setInt(syscall.IPPROTO_TCP, tcpFastOpen, 1); errno != syscall.ENOPROTOOPT {
		t.Error(errno)
	}
	if errno := u.setInt(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 0); errno != syscall.EINVAL {
		t.Error(errno)
	}
	if errno := u.setInt(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1); errno != syscall.ENOPROTOOPT {
		t.Error(errno)
	}
	info := make([]byte, 200)
	if n, errno := u.ep.Option(syscall.IPPROTO_TCP, syscall.TCP_INFO, info); n != 104 || errno != 0 || info[0] != 7 {
		t.Error(n, errno, info[0])
	}
}

func TestSocketTypes(t *testing.T) {
	s := newStack(t, Config{})
	for _, c := range []struct {
		family, typ, protocol int
		want                  syscall.Errno
	}{
		{syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP, 0},
		{syscall.AF_INET6, syscall.SOCK_DGRAM, syscall.IPPROTO_UDP, 0},
		{syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_UDP, syscall.EPROTONOSUPPORT},
		{syscall.AF_UNIX, syscall.SOCK_STREAM, 0, syscall.EAFNOSUPPORT},
		{syscall.AF_INET, syscall.SOCK_SEQPACKET, 0, syscall.ESOCKTNOSUPPORT},
		{syscall.AF_INET, syscall.SOCK_RAW, 0, syscall.EPROTONOSUPPORT},
		{syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP, 0},
	} {
		if _, errno := s.Socket(c.family, c.typ, c.protocol); errno != c.want {
			t.Errorf("%+v: %v", c, errno)
		}
	}
}
