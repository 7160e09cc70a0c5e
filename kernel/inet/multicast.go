package inet

import (
	"syscall"
)

// Multicast membership of UDP sockets. What the link hears of it is reporter.go's.

// membership is one group that a socket has joined on one interface.
type membership struct {
	group address
	nic   int
}

// Options that join and leave; those that package syscall doesn't name.
const (
	ipv6JoinGroup  = 20
	ipv6LeaveGroup = 21
	mcastJoin      = 42
	mcastLeave     = 45
	maxMemberships = 64
)

// setMembership handles the options that join and leave groups. Called with mu held.
func (e *udpEndpoint) setMembership(b *batch, level, name int, value []byte) (errno syscall.Errno, handled bool) {
	var m membership
	join := false
	switch {
	case level == syscall.IPPROTO_IP && (name == syscall.IP_ADD_MEMBERSHIP || name == syscall.IP_DROP_MEMBERSHIP):
		join = name == syscall.IP_ADD_MEMBERSHIP
		m, errno = e.parseGroup4(value)
	case level == syscall.IPPROTO_IPV6 && (name == ipv6JoinGroup || name == ipv6LeaveGroup):
		join = name == ipv6JoinGroup
		if len(value) < 20 {
			return syscall.EINVAL, true
		}
		m = membership{v6(value), int(le32(value[16:]))}
	case name == mcastJoin || name == mcastLeave:
		join = name == mcastJoin
		m, errno = parseGroupReq(value)
	default:
		return 0, false
	}
	if errno != 0 {
		return errno, true
	}
	return e.changeMembership(b, m, join), true
}

func (e *udpEndpoint) changeMembership(b *batch, m membership, join bool) syscall.Errno {
	if !m.group.isMulticast() {
		return syscall.EINVAL
	}
	c := e.s.snapshot.Load()
	if m.nic == 0 {
		n := c.scopedNIC(m.group, address{}, 0)
		if n == nil {
			return syscall.ENODEV
		}
		m.nic = n.index
	}
	if m.nic < 1 || m.nic > len(c.nics) {
		return syscall.ENODEV
	}
	at := -1
	for i, old := range e.groups {
		if old == m {
			at = i
		}
	}
	switch {
	case join && at >= 0:
		return syscall.EADDRINUSE
	case join && len(e.groups) == maxMemberships:
		return syscall.ENOBUFS
	case join:
		e.groups = append(e.groups, m)
		e.s.join(b, m)
	case at < 0:
		return syscall.EADDRNOTAVAIL
	default:
		e.groups = append(e.groups[:at], e.groups[at+1:]...)
		e.s.leave(b, m)
	}
	return 0
}

// parseGroup4 reads struct ip_mreq or ip_mreqn.
func (e *base) parseGroup4(v []byte) (membership, syscall.Errno) {
	if len(v) < 8 {
		return membership{}, syscall.EINVAL
	}
	m := membership{group: v4(get32(v))}
	if len(v) >= 12 {
		m.nic = int(le32(v[8:]))
	}
	if via := v4(get32(v[4:])); m.nic == 0 && via != anyV4 {
		n := e.s.snapshot.Load().localNIC(via)
		if n == nil {
			return m, syscall.ENODEV
		}
		m.nic = n.index
	}
	return m, 0
}

// parseGroupReq reads struct group_req: an index, padding, and a sockaddr.
func parseGroupReq(v []byte) (membership, syscall.Errno) {
	if len(v) < 16 {
		return membership{}, syscall.EINVAL
	}
	m := membership{nic: int(le32(v))}
	switch family := int(v[8]) | int(v[9])<<8; {
	case family == syscall.AF_INET:
		m.group = v4(get32(v[12:]))
	case family == syscall.AF_INET6 && len(v) >= 32:
		m.group = v6(v[16:])
	default:
		return m, syscall.EINVAL
	}
	return m, 0
}

// setMulticastIf4 takes struct in_addr, ip_mreq or ip_mreqn.
func (e *base) setMulticastIf4(v []byte) syscall.Errno {
	via := anyV4
	switch {
	case len(v) >= 12:
		via = v4(get32(v[4:]))
		if n := int(le32(v[8:])); n != 0 {
			if n < 0 || n > len(e.s.snapshot.Load().nics) {
				return syscall.ENODEV
			}
			e.multicastNIC = n
			return 0
		}
	case len(v) >= 8:
		via = v4(get32(v[4:]))
	case len(v) >= 4:
		via = v4(get32(v))
	default:
		return syscall.EINVAL
	}
	e.multicastNIC = 0
	if via == anyV4 {
		return 0
	}
	n := e.s.snapshot.Load().localNIC(via)
	if n == nil {
		return syscall.EADDRNOTAVAIL
	}
	e.multicastNIC = n.index
	return 0
}

// join makes the interface take a group's packets.
func (s *Stack) join(b *batch, m membership) {
	n := s.snapshot.Load().nics[m.nic-1]
	if n.groups.join(m.group) && !n.loopback {
		n.report(b, m.group, true)
		n.reporter.asked(b, m.group, secondReport)
	}
}

// leave takes one join back.
func (s *Stack) leave(b *batch, m membership) {
	n := s.snapshot.Load().nics[m.nic-1]
	if n.groups.leave(m.group) && !n.loopback {
		n.report(b, m.group, false)
	}
}
