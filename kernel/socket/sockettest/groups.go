package sockettest

import (
	"net/netip"
	"slices"
	"syscall"

	"pith/kernel/socket"
)

// udpGroups joins and leaves multicast groups on both interfaces, by closing too,
// and looks at what the stack tells of them.
func (s suite) udpGroups() {
	card, lo := s.a.V4.As4(), [4]byte{127, 0, 0, 1}
	join4 := func(e *sock, name int, via [4]byte) {
		s.Helper()
		expect(s, "IPv4 membership", e.SetOption(syscall.IPPROTO_IP, name, append([]byte{239, 1, 2, 3}, via[:]...)), 0)
	}
	join6 := func(e *sock, name, index int) {
		s.Helper()
		group := netip.MustParseAddr("ff02::1234").As16()
		expect(s, "IPv6 membership", e.SetOption(syscall.IPPROTO_IPV6, name, append(group[:], intValue(index)...)), 0)
	}
	four := func(users int) socket.Group {
		return socket.Group{Addr: netip.MustParseAddr("239.1.2.3"), Users: users}
	}
	six := func(users int) socket.Group {
		return socket.Group{Addr: netip.MustParseAddr("ff02::1234"), Users: users}
	}
	told := func(index int, want ...socket.Group) {
		s.Helper()
		if got := s.a.Stack.Interfaces()[index-1].Groups; !slices.Equal(got, want) {
			s.Errorf("interface %d is in %v, want %v", index, got, want)
		}
	}

	first, second := s.open(s.a, syscall.AF_INET, syscall.SOCK_DGRAM), s.open(s.a, syscall.AF_INET, syscall.SOCK_DGRAM)
	third := s.open(s.a, syscall.AF_INET6, syscall.SOCK_DGRAM)
	told(1)
	told(2)
	join4(first, syscall.IP_ADD_MEMBERSHIP, card)
	join4(first, syscall.IP_ADD_MEMBERSHIP, lo)
	join4(second, syscall.IP_ADD_MEMBERSHIP, card)
	join6(third, syscall.IPV6_JOIN_GROUP, 2)
	told(1, four(1))
	told(2, four(2), six(1))
	join4(second, syscall.IP_DROP_MEMBERSHIP, card)
	told(2, four(1), six(1))
	first.Close()
	told(1)
	told(2, six(1))
	join6(third, syscall.IPV6_LEAVE_GROUP, 2)
	told(2)
}
