package inet

import "syscall"

// putNumber gives an integer option, cut to the room there is.
func putNumber(v []byte, n int) int {
	var b [4]byte
	putLE32(b[:], uint32(n))
	return copy(v, b[:])
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// option gives what all sockets have; see setOption.
func (e *base) option(level, name int, value []byte) (n int, errno syscall.Errno, handled bool) {
	switch level {
	case syscall.SOL_SOCKET:
		return e.socketOption(name, value)
	case syscall.IPPROTO_IP:
		return e.ipOption(name, value)
	case syscall.IPPROTO_IPV6:
		return e.ipv6Option(name, value)
	}
	return 0, 0, false
}

func (e *base) socketOption(name int, value []byte) (int, syscall.Errno, bool) {
	v := 0
	switch name {
	case syscall.SO_ERROR:
		v = int(e.takeError())
	case syscall.SO_REUSEADDR:
		v = flag(e.reuseAddr)
	case soReusePort:
		v = flag(e.reusePort)
	case syscall.SO_BROADCAST:
		v = flag(e.mayBroadcast)
	case syscall.SO_KEEPALIVE:
		v = flag(e.keepAlive)
	case syscall.SO_RCVBUF:
		v = e.receiveBuffer
	case syscall.SO_SNDBUF:
		v = e.sendBuffer
	case soDomain:
		v = e.family
	case soProtocol:
		v = int(e.protocol)
	case syscall.SO_LINGER:
		var l [8]byte
		if e.linger >= 0 {
			putLE32(l[:], 1)
			putLE32(l[4:], uint32(e.linger))
		}
		return copy(value, l[:]), 0, true
	case syscall.SO_BINDTODEVICE:
		if e.oif == 0 {
			return 0, 0, true
		}
		return copy(value, e.s.snapshot.Load().nics[e.oif-1].name+"\x00"), 0, true
	case syscall.SO_PRIORITY, syscall.SO_MARK, syscall.SO_TIMESTAMP, syscall.SO_OOBINLINE, syscall.SO_DONTROUTE:
	case syscall.SO_RCVLOWAT:
		v = 1
	default:
		return 0, 0, false
	}
	return putNumber(value, v), 0, true
}

func (e *base) ipOption(name int, value []byte) (int, syscall.Errno, bool) {
	v := 0
	switch name {
	case syscall.IP_TTL:
		v = defaultTTL
		if e.ttl != 0 {
			v = int(e.ttl)
		}
	case syscall.IP_TOS:
		v = int(e.tos)
	case syscall.IP_PKTINFO:
		v = flag(e.packetInfo)
	case syscall.IP_RECVTTL:
		v = flag(e.hopLimitInfo)
	case syscall.IP_MULTICAST_TTL:
		v = int(e.multicastTTL)
	case syscall.IP_MULTICAST_LOOP:
		v = flag(!e.multicastMute)
	case ipMTUDiscover:
		v = 1
		if e.neverCut {
			v = pmtuDo
		}
	case ipMTU:
		if e.route.nic == nil {
			return 0, syscall.ENOTCONN, true
		}
		v = e.route.mtu
	default:
		return 0, 0, false
	}
	return putNumber(value, v), 0, true
}

func (e *base) ipv6Option(name int, value []byte) (int, syscall.Errno, bool) {
	v := 0
	switch name {
	case syscall.IPV6_V6ONLY:
		v = flag(e.v6only)
	case syscall.IPV6_UNICAST_HOPS:
		v = defaultTTL
		if e.ttl != 0 {
			v = int(e.ttl)
		}
	case syscall.IPV6_MULTICAST_HOPS:
		v = int(e.multicastTTL)
	case syscall.IPV6_MULTICAST_LOOP:
		v = flag(!e.multicastMute)
	case syscall.IPV6_MULTICAST_IF:
		v = e.multicastNIC
	case ipv6ReceivePacketInfo:
		v = flag(e.packetInfo6)
	case ipv6ReceiveHopLimit:
		v = flag(e.hopLimitInfo)
	case ipv6TClass:
		v = int(e.tos)
	case ipv6MTU:
		if e.route.nic == nil {
			return 0, syscall.ENOTCONN, true
		}
		v = e.route.mtu
	default:
		return 0, 0, false
	}
	return putNumber(value, v), 0, true
}

// Option implements socket.Endpoint.
func (e *udpEndpoint) Option(level, name int, value []byte) (int, syscall.Errno) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if level == syscall.SOL_SOCKET && name == syscall.SO_TYPE {
		return putNumber(value, syscall.SOCK_DGRAM), 0
	}
	if level == syscall.SOL_SOCKET && name == syscall.SO_ACCEPTCONN {
		return putNumber(value, 0), 0
	}
	n, errno, handled := e.option(level, name, value)
	if !handled {
		return 0, syscall.ENOPROTOOPT
	}
	return n, errno
}
