package netstack

import (
	"encoding/binary"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const (
	defaultTTL = 64

	ipBindNoPort     = 24
	ipRecvOrigDst    = 20
	ipFreeBind       = 15
	ipTransparent    = 19
	ipMTU            = 14
	ipMulticastAll   = 49
	ipv6MulticastAll = 29
	ipv6Mtu          = 24
	ipv6MTUDiscover  = 23
	ipv6RecvErr      = 25
	ipv6AutoFlow     = 70
)

// Options of IPPROTO_IP (man 7 ip) and IPPROTO_IPV6 (man 7 ipv6). An AF_INET6
// endpoint has both, because it may speak IPv4.
func init() {
	for name, o := range map[int]option{
		syscall.IP_TTL:            plainOption(tcpip.IPv4TTLOption, 1, 255, tcpip.UseDefaultIPv4TTL, defaultTTL),
		syscall.IP_TOS:            plainOption(tcpip.IPv4TOSOption, 0, 255, 0, 0),
		syscall.IP_MULTICAST_TTL:  plainOption(tcpip.MulticastTTLOption, 0, 255, 1, 1),
		syscall.IP_MULTICAST_LOOP: flagOption((*tcpip.SocketOptions).SetMulticastLoop, (*tcpip.SocketOptions).GetMulticastLoop),
		syscall.IP_RECVTTL:        flagOption((*tcpip.SocketOptions).SetReceiveTTL, (*tcpip.SocketOptions).GetReceiveTTL),
		syscall.IP_RECVTOS:        flagOption((*tcpip.SocketOptions).SetReceiveTOS, (*tcpip.SocketOptions).GetReceiveTOS),
		syscall.IP_PKTINFO:        flagOption((*tcpip.SocketOptions).SetReceivePacketInfo, (*tcpip.SocketOptions).GetReceivePacketInfo),
		syscall.IP_HDRINCL:        flagOption((*tcpip.SocketOptions).SetHeaderIncluded, (*tcpip.SocketOptions).GetHeaderIncluded),
		syscall.IP_RECVERR:        accepted(0),
		syscall.IP_MTU_DISCOVER:   accepted(1), // IP_PMTUDISC_WANT, Linux's default
		ipMTU:                     constant((*endpoint).pathMTU),
		ipBindNoPort:              accepted(0),
		ipFreeBind:                accepted(0),
		ipMulticastAll:            accepted(1),
		syscall.IP_MULTICAST_IF:   {set: setMulticastInterface4, get: getMulticastInterface4},
		// A membership is a request, not a value: it can't be read.
		syscall.IP_ADD_MEMBERSHIP:  {set: addMembership4},
		syscall.IP_DROP_MEMBERSHIP: {set: dropMembership4},
	} {
		options[optionKey{syscall.IPPROTO_IP, name}] = o
	}
	for name, o := range map[int]option{
		syscall.IPV6_V6ONLY:         {set: setV6Only, get: flagOption(nil, (*tcpip.SocketOptions).GetV6Only).get},
		syscall.IPV6_UNICAST_HOPS:   plainOption(tcpip.IPv6HopLimitOption, 0, 255, tcpip.UseDefaultIPv6HopLimit, defaultTTL),
		syscall.IPV6_MULTICAST_HOPS: plainOption(tcpip.MulticastTTLOption, 0, 255, 1, 1),
		syscall.IPV6_MULTICAST_LOOP: flagOption((*tcpip.SocketOptions).SetMulticastLoop, (*tcpip.SocketOptions).GetMulticastLoop),
		ipv6TClass:                  plainOption(tcpip.IPv6TrafficClassOption, 0, 255, 0, 0),
		ipv6RecvTClass:              flagOption((*tcpip.SocketOptions).SetReceiveTClass, (*tcpip.SocketOptions).GetReceiveTClass),
		syscall.IPV6_RECVHOPLIMIT:   flagOption((*tcpip.SocketOptions).SetReceiveHopLimit, (*tcpip.SocketOptions).GetReceiveHopLimit),
		syscall.IPV6_RECVPKTINFO:    flagOption((*tcpip.SocketOptions).SetIPv6ReceivePacketInfo, (*tcpip.SocketOptions).GetIPv6ReceivePacketInfo),
		ipv6RecvErr:                 accepted(0),
		ipv6MTUDiscover:             accepted(1),
		ipv6Mtu:                     constant((*endpoint).pathMTU),
		ipv6AutoFlow:                accepted(1),
		ipv6MulticastAll:            accepted(1),
		syscall.IPV6_MULTICAST_IF:   {set: setMulticastInterface6, get: getMulticastInterface6},
		syscall.IPV6_JOIN_GROUP:     {set: addMembership6},
		syscall.IPV6_LEAVE_GROUP:    {set: dropMembership6},
	} {
		options[optionKey{syscall.IPPROTO_IPV6, name}] = o
	}
}

// pathMTU is the MTU of the interface to the peer. gVisor tells no path's MTU.
func (e *endpoint) pathMTU() int {
	peer, err := e.ep.GetRemoteAddress()
	if err != nil {
		return 0
	}
	protocol := tcpip.NetworkProtocolNumber(0x0800)
	if peer.Addr.Len() == 16 {
		protocol = 0x86dd
	}
	r, err := e.s.stack.FindRoute(peer.NIC, tcpip.Address{}, peer.Addr, protocol, false)
	if err != nil {
		return 0
	}
	defer r.Release()
	return int(e.s.stack.NICInfo()[r.NICID()].MTU)
}

// setV6Only must come before the endpoint has an address.
func setV6Only(e *endpoint, v []byte) syscall.Errno {
	n, code := number(v)
	if code != 0 {
		return code
	}
	if e.LocalAddr().Port() != 0 {
		return syscall.EINVAL
	}
	e.ep.SocketOptions().SetV6Only(n != 0)
	return 0
}

// setMulticastInterface4 takes an address, a struct ip_mreq or a struct
// ip_mreqn, and looks at the address and the index.
func setMulticastInterface4(e *endpoint, v []byte) syscall.Errno {
	var o tcpip.MulticastInterfaceOption
	switch {
	case len(v) >= 12:
		o.InterfaceAddr = tcpip.AddrFrom4Slice(v[4:8])
		o.NIC = tcpip.NICID(binary.LittleEndian.Uint32(v[8:]))
	case len(v) >= 8:
		o.InterfaceAddr = tcpip.AddrFrom4Slice(v[4:8])
	case len(v) >= 4:
		o.InterfaceAddr = tcpip.AddrFrom4Slice(v[:4])
	default:
		return syscall.EINVAL
	}
	if o.InterfaceAddr.Unspecified() {
		o.InterfaceAddr = tcpip.Address{}
	}
	return errno(e.ep.SetSockOpt(&o))
}

func getMulticastInterface4(e *endpoint, v []byte) (int, syscall.Errno) {
	var o tcpip.MulticastInterfaceOption
	if err := e.ep.GetSockOpt(&o); err != nil {
		return 0, errno(err)
	}
	var b [4]byte
	copy(b[:], o.InterfaceAddr.AsSlice())
	return copy(v, b[:]), 0
}

func setMulticastInterface6(e *endpoint, v []byte) syscall.Errno {
	n, code := number(v)
	if code != 0 {
		return code
	}
	return errno(e.ep.SetSockOpt(&tcpip.MulticastInterfaceOption{NIC: tcpip.NICID(n)}))
}

func getMulticastInterface6(e *endpoint, v []byte) (int, syscall.Errno) {
	var o tcpip.MulticastInterfaceOption
	if err := e.ep.GetSockOpt(&o); err != nil {
		return 0, errno(err)
	}
	return putNumber(v, int(o.NIC))
}

// membership4 reads struct ip_mreq (8 bytes) or struct ip_mreqn (12).
func membership4(v []byte) (o tcpip.MembershipOption, _ syscall.Errno) {
	if len(v) < 8 {
		return o, syscall.EINVAL
	}
	o.MulticastAddr = tcpip.AddrFrom4Slice(v[:4])
	o.InterfaceAddr = tcpip.AddrFrom4Slice(v[4:8])
	if len(v) >= 12 {
		o.NIC = tcpip.NICID(binary.LittleEndian.Uint32(v[8:]))
	}
	return o, 0
}

// membership6 reads struct ipv6_mreq.
func membership6(v []byte) (o tcpip.MembershipOption, _ syscall.Errno) {
	if len(v) < 20 {
		return o, syscall.EINVAL
	}
	o.MulticastAddr = tcpip.AddrFrom16Slice(v[:16])
	o.NIC = tcpip.NICID(binary.LittleEndian.Uint32(v[16:]))
	return o, 0
}

func addMembership4(e *endpoint, v []byte) syscall.Errno {
	o, code := membership4(v)
	return e.join(o, code)
}

func dropMembership4(e *endpoint, v []byte) syscall.Errno {
	o, code := membership4(v)
	return e.leave(o, code)
}

func addMembership6(e *endpoint, v []byte) syscall.Errno {
	o, code := membership6(v)
	return e.join(o, code)
}

func dropMembership6(e *endpoint, v []byte) syscall.Errno {
	o, code := membership6(v)
	return e.leave(o, code)
}

func (e *endpoint) join(o tcpip.MembershipOption, code syscall.Errno) syscall.Errno {
	if code != 0 {
		return code
	}
	a := tcpip.AddMembershipOption(o)
	if err := e.ep.SetSockOpt(&a); err != nil {
		return errno(err)
	}
	e.joined(o)
	return 0
}

func (e *endpoint) leave(o tcpip.MembershipOption, code syscall.Errno) syscall.Errno {
	if code != 0 {
		return code
	}
	r := tcpip.RemoveMembershipOption(o)
	if err := e.ep.SetSockOpt(&r); err != nil {
		return errno(err)
	}
	e.left(o)
	return 0
}
