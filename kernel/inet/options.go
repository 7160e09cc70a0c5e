package inet

import (
	"syscall"
)

// Socket options, in Linux's numbers and layouts. Those that package syscall doesn't name:
const (
	soReusePort    = 15
	soProtocol     = 38
	soDomain       = 39
	soReceiveForce = 33
	soSendForce    = 32

	tcpUserTimeout = 18
	tcpFastOpen    = 23
	tcpNotSentLow  = 25

	ipv6ReceivePacketInfo = 49
	ipv6PacketInfo        = 50
	ipv6ReceiveHopLimit   = 51
	ipv6MTUDiscover       = 23
	ipv6ReceiveError      = 25
	ipv6TClass            = 67
	ipMulticastAll        = 49
	ipv6MulticastAll      = 29
	ipReceiveError        = 11
	ipMTUDiscover         = 10
	ipMTU                 = 14
	ipv6MTU               = 24
	pmtuDo                = 2
)

// number reads an option's integer.
func number(v []byte) (int, bool) {
	if len(v) < 4 {
		return 0, false
	}
	return int(int32(le32(v))), true
}

// numberOrByte reads an option's integer, which Linux takes as a byte, too, with
// IPv4's options.
func numberOrByte(v []byte) (int, bool) {
	if len(v) > 0 && len(v) < 4 {
		return int(v[0]), true
	}
	return number(v)
}

// setOption sets what all sockets have. handled is false for an option that it
// doesn't know. Called with the endpoint's mu held.
func (e *base) setOption(level, name int, value []byte) (errno syscall.Errno, handled bool) {
	switch level {
	case syscall.SOL_SOCKET:
		return e.setSocketOption(name, value)
	case syscall.IPPROTO_IP:
		return e.setIPOption(name, value)
	case syscall.IPPROTO_IPV6:
		if e.family != syscall.AF_INET6 {
			return syscall.ENOPROTOOPT, true
		}
		return e.setIPv6Option(name, value)
	}
	return 0, false
}

func (e *base) setSocketOption(name int, value []byte) (syscall.Errno, bool) {
	if name == syscall.SO_BINDTODEVICE {
		return e.bindToDevice(value), true
	}
	n, ok := number(value)
	if !ok {
		return syscall.EINVAL, true
	}
	switch name {
	case syscall.SO_REUSEADDR:
		e.reuseAddr = n != 0
	case soReusePort:
		e.reusePort = n != 0
	case syscall.SO_BROADCAST:
		e.mayBroadcast = n != 0
	case syscall.SO_KEEPALIVE:
		e.keepAlive = n != 0
	case syscall.SO_LINGER:
		return e.setLinger(value), true
	case syscall.SO_RCVBUF, soReceiveForce:
		// Linux doubles what is asked for, to allow for its own overhead.
		e.receiveBuffer = min(max(2*min(max(n, 0), e.s.conf.MaxReceiveBuffer/2), minBuffer), 1<<30)
	case syscall.SO_SNDBUF, soSendForce:
		e.sendBuffer = min(max(2*min(max(n, 0), e.s.conf.MaxSendBuffer/2), minBuffer), 1<<30)
	case syscall.SO_PRIORITY, syscall.SO_MARK, syscall.SO_TIMESTAMP, syscall.SO_RCVLOWAT,
		syscall.SO_DONTROUTE, syscall.SO_OOBINLINE, syscall.SO_NO_CHECK:
		// Taken and without effect.
	default:
		return 0, false
	}
	return 0, true
}

func (e *base) setLinger(value []byte) syscall.Errno {
	if len(value) < 8 {
		return syscall.EINVAL
	}
	e.linger = -1
	if le32(value) != 0 {
		e.linger = int32(min(le32(value[4:]), 1<<30))
	}
	return 0
}

// bindToDevice ties the socket to an interface, by name.
func (e *base) bindToDevice(value []byte) syscall.Errno {
	name := value
	for i, b := range value {
		if b == 0 {
			name = value[:i]
			break
		}
	}
	if len(name) == 0 {
		e.oif = 0
		return 0
	}
	nic := e.s.nicByName(string(name))
	if nic == 0 {
		return syscall.ENODEV
	}
	e.oif = nic
	return 0
}

func (e *base) setIPOption(name int, value []byte) (syscall.Errno, bool) {
	switch name {
	case syscall.IP_MULTICAST_IF:
		return e.setMulticastIf4(value), true
	case syscall.IP_OPTIONS:
		return 0, true
	}
	n, ok := numberOrByte(value)
	if !ok {
		return syscall.EINVAL, true
	}
	switch name {
	case syscall.IP_TTL:
		if n != -1 && (n < 1 || n > 255) {
			return syscall.EINVAL, true
		}
		e.ttl = uint8(max(n, 0))
	case syscall.IP_TOS:
		e.tos = uint8(n)
	case syscall.IP_PKTINFO:
		e.packetInfo = n != 0
	case syscall.IP_RECVTTL:
		e.hopLimitInfo = n != 0
	case syscall.IP_MULTICAST_TTL:
		if n < -1 || n > 255 {
			return syscall.EINVAL, true
		}
		e.multicastTTL = uint8(n)
		if n == -1 {
			e.multicastTTL = 1
		}
	case syscall.IP_MULTICAST_LOOP:
		e.multicastMute = n == 0
	case ipMTUDiscover:
		e.neverCut = n >= pmtuDo
	case ipMulticastAll, ipReceiveError, syscall.IP_FREEBIND, syscall.IP_RECVTOS:
	default:
		return 0, false
	}
	return 0, true
}

func (e *base) setIPv6Option(name int, value []byte) (syscall.Errno, bool) {
	n, ok := number(value)
	if !ok {
		return syscall.EINVAL, true
	}
	switch name {
	case syscall.IPV6_V6ONLY:
		if e.lport != 0 {
			return syscall.EINVAL, true
		}
		e.v6only = n != 0
	case syscall.IPV6_UNICAST_HOPS:
		if n < -1 || n > 255 {
			return syscall.EINVAL, true
		}
		e.ttl = uint8(max(n, 0))
	case syscall.IPV6_MULTICAST_HOPS:
		if n < -1 || n > 255 {
			return syscall.EINVAL, true
		}
		e.multicastTTL = uint8(n)
		if n == -1 {
			e.multicastTTL = 1
		}
	case syscall.IPV6_MULTICAST_LOOP:
		e.multicastMute = n == 0
	case syscall.IPV6_MULTICAST_IF:
		if n < 0 || n > len(e.s.snapshot.Load().nics) {
			return syscall.ENODEV, true
		}
		e.multicastNIC = n
	case ipv6ReceivePacketInfo:
		e.packetInfo6 = n != 0
	case ipv6ReceiveHopLimit:
		e.hopLimitInfo = n != 0
	case ipv6TClass:
		e.tos = uint8(max(n, 0))
	case ipv6MTUDiscover:
		e.neverCut = n >= pmtuDo
	case ipv6MulticastAll, ipv6ReceiveError:
	default:
		return 0, false
	}
	return 0, true
}

// SetOption implements socket.Endpoint.
func (e *udpEndpoint) SetOption(level, name int, value []byte) syscall.Errno {
	b := e.s.begin()
	defer b.flush()
	e.mu.Lock()
	defer e.mu.Unlock()
	if errno, handled := e.setMembership(&b, level, name, value); handled {
		return errno
	}
	errno, handled := e.setOption(level, name, value)
	if !handled {
		return syscall.ENOPROTOOPT
	}
	if level == syscall.SOL_SOCKET && name == soReusePort && e.lport != 0 {
		e.s.udp.put(e.key(), e)
	}
	return errno
}
