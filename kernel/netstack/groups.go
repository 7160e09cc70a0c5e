package netstack

import (
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"pith/kernel/socket"
)

// membership is one group that an endpoint has joined on one interface. gVisor
// knows them too, but tells nobody.
type membership struct {
	nic   tcpip.NICID
	group netip.Addr
}

// membership finds the interface that a request means, as gVisor does.
func (s *Stack) membership(o tcpip.MembershipOption) membership {
	m := membership{o.NIC, fromAddress(o.MulticastAddr)}
	protocol := header.IPv4ProtocolNumber
	if m.group.Is6() {
		protocol = header.IPv6ProtocolNumber
	}
	switch {
	case !o.InterfaceAddr.Unspecified():
		m.nic = s.stack.CheckLocalAddress(o.NIC, protocol, o.InterfaceAddr)
	case o.NIC == 0:
		if r, err := s.stack.FindRoute(0, tcpip.Address{}, o.MulticastAddr, protocol, false); err == nil {
			m.nic = r.NICID()
			r.Release()
		}
	}
	return m
}

// joined notes what gVisor let an endpoint join.
func (e *endpoint) joined(o tcpip.MembershipOption) {
	if e.stream() {
		return // gVisor says yes and does nothing
	}
	m := e.s.membership(o)
	e.optionsMu.Lock()
	e.groups = append(e.groups, m)
	e.optionsMu.Unlock()
	e.s.countGroup(m, 1)
}

// left takes one back.
func (e *endpoint) left(o tcpip.MembershipOption) {
	m := e.s.membership(o)
	e.optionsMu.Lock()
	at := slices.Index(e.groups, m)
	if at >= 0 {
		e.groups = slices.Delete(e.groups, at, at+1)
	}
	e.optionsMu.Unlock()
	if at >= 0 {
		e.s.countGroup(m, -1)
	}
}

// leftAll is for an endpoint that is closed, with which gVisor leaves its groups.
func (e *endpoint) leftAll() {
	e.optionsMu.Lock()
	all := e.groups
	e.groups = nil
	e.optionsMu.Unlock()
	for _, m := range all {
		e.s.countGroup(m, -1)
	}
}

func (s *Stack) countGroup(m membership, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[m] += by
	if s.groups[m] == 0 {
		delete(s.groups, m)
	}
}

// joinedOn lists an interface's groups in order.
func (s *Stack) joinedOn(nic tcpip.NICID) (list []socket.Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m, users := range s.groups {
		if m.nic == nic {
			list = append(list, socket.Group{Addr: m.group, Users: users})
		}
	}
	slices.SortFunc(list, func(x, y socket.Group) int { return x.Addr.Compare(y.Addr) })
	return list
}
