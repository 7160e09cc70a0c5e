package linux

import (
	"net/netip"
	"sync/atomic"
	"syscall"

	"pith/kernel/socket"
)

// inet is a socket of AF_INET or AF_INET6: a network stack's endpoint with a
// descriptor.
type inet struct {
	connecting atomic.Bool // a connect that did not wait has not been told of
	file
	endpoint              socket.Endpoint
	family, typ, protocol int
	inode                 uint64
	listening             atomic.Bool
}

// newInet makes a socket.
func newInet(family, typ, protocol int, flags uintptr) (*file, Errno) {
	s := stack()
	if s == nil {
		return nil, syscall.ENETDOWN
	}
	e, errno := s.Socket(family, typ, protocol)
	if errno != 0 {
		return nil, errno
	}
	return wrapInet(e, family, typ, protocol, flags), 0
}

// wrapInet gives an endpoint what a descriptor needs.
func wrapInet(e socket.Endpoint, family, typ, protocol int, flags uintptr) *file {
	i := &inet{endpoint: e, family: family, typ: typ, protocol: protocol, inode: nextInode()}
	i.begin(i, syscall.O_RDWR|flags, true)
	e.Notify(i.watch.notify)
	return &i.file
}

func (i *inet) read(p []byte) (int, Errno) {
	if len(p) == 0 && i.typ == syscall.SOCK_STREAM {
		return 0, 0
	}
	n, _, _, _, errno := i.endpoint.Receive(p, nil, 0)
	return min(n, len(p)), errno
}

func (i *inet) write(p []byte) (int, Errno) {
	return i.endpoint.Send(p, nil, netip.AddrPort{}, 0)
}

func (i *inet) readiness() socket.Readiness { return i.endpoint.Readiness() }

func (i *inet) close() {
	i.endpoint.Notify(nil)
	i.endpoint.Close()
}

func (i *inet) stat(st *syscall.Stat_t) Errno {
	anonymous(st, syscall.S_IFSOCK|0o777, i.inode)
	return 0
}

func (i *inet) bind(name []byte) Errno {
	a, errno := i.address(name)
	if errno != 0 {
		return errno
	}
	errno = i.endpoint.Bind(a)
	if errno == 0 && i.typ == syscall.SOCK_DGRAM && a.Port() != 0 {
		announce("udp", a)
	}
	return errno
}

// announce tells the machine's driver where the program can be reached.
func announce(protocol string, at netip.AddrPort) {
	if config.Listening != nil && !at.Addr().Unmap().IsLoopback() {
		config.Listening(protocol, at.Port())
	}
}

// address decodes the address of a bind or connect: a stream of AF_INET6
// takes no sockaddr_in, nor does anything take one to bind to.
func (i *inet) address(name []byte) (netip.AddrPort, Errno) {
	if family(name) == syscall.AF_INET && i.family == syscall.AF_INET6 && len(name) >= sizeofFamily {
		return netip.AddrPort{}, syscall.EAFNOSUPPORT
	}
	return decodeAddress(name, i.family)
}

func (i *inet) connect(name []byte) Errno {
	if len(name) < sizeofFamily {
		return syscall.EINVAL
	}
	var a netip.AddrPort
	if family(name) != syscall.AF_UNSPEC {
		decode := i.address
		if i.typ != syscall.SOCK_STREAM {
			decode = func(name []byte) (netip.AddrPort, Errno) { return decodeAddress(name, i.family) }
		}
		var errno Errno
		if a, errno = decode(name); errno != 0 {
			return errno
		}
	}
	errno := i.endpoint.Connect(a)
	switch {
	case errno == syscall.EINPROGRESS:
		i.connecting.Store(true)
	case errno == syscall.EISCONN && i.connecting.Swap(false):
		errno = 0 // the first call after the connection was made tells of it
	}
	if errno == 0 {
		// A change that came before the runtime's poller knew the descriptor.
		i.watch.notify(i.endpoint.Readiness())
	}
	return errno
}

func (i *inet) listen(backlog int) Errno {
	errno := i.endpoint.Listen(backlog)
	if errno == 0 {
		i.listening.Store(true)
		announce("tcp", i.endpoint.LocalAddr())
	}
	return errno
}

func (i *inet) accept(flags uintptr, room *[maxSockaddr]byte) (*file, []byte, Errno) {
	e, from, errno := i.endpoint.Accept()
	if errno != 0 {
		return nil, nil, errno
	}
	f := wrapInet(e, i.family, i.typ, i.protocol, flags)
	return f, room[:encodeAddress(room[:], from, i.family)], 0
}

func (i *inet) localName(room *[maxSockaddr]byte) ([]byte, Errno) {
	return room[:encodeAddress(room[:], i.endpoint.LocalAddr(), i.family)], 0
}

func (i *inet) peerName(room *[maxSockaddr]byte) ([]byte, Errno) {
	a, errno := i.endpoint.RemoteAddr()
	if errno != 0 {
		return nil, errno
	}
	return room[:encodeAddress(room[:], a, i.family)], 0
}

func (i *inet) receive(m *message) (int, Errno) {
	m.stream = i.typ == syscall.SOCK_STREAM
	n, oobn, out, from, errno := i.endpoint.Receive(m.data, m.control, m.flags&msgForReceivers)
	if errno != 0 {
		return 0, errno
	}
	m.controlLen, m.outFlags = oobn, out
	if from.IsValid() && !m.stream {
		m.name = m.room[:encodeAddress(m.room[:], from, i.family)]
	}
	if n > len(m.data) && m.flags&msgTrunc == 0 {
		n = len(m.data)
	}
	return n, 0
}

func (i *inet) send(m *message) (int, Errno) {
	var to netip.AddrPort
	if len(m.name) > 0 && i.typ != syscall.SOCK_STREAM && family(m.name) != syscall.AF_UNSPEC {
		var errno Errno
		if to, errno = decodeAddress(m.name, i.family); errno != 0 {
			return 0, errno
		}
	}
	return i.endpoint.Send(m.data, m.control, to, m.flags&msgOOB)
}

func (i *inet) shutdown(how int) Errno { return i.endpoint.Shutdown(how) }

func (i *inet) setOption(level, name int, value []byte) Errno {
	return i.endpoint.SetOption(level, name, value)
}

func (i *inet) option(level, name int, value []byte) (int, Errno) {
	if level == syscall.SOL_SOCKET {
		switch name {
		case syscall.SO_TYPE:
			return number(value, i.typ)
		case soDomain:
			return number(value, i.family)
		case soProtocol:
			return number(value, i.wireProtocol())
		case syscall.SO_ACCEPTCONN:
			if i.listening.Load() {
				return number(value, 1)
			}
			return number(value, 0)
		}
	}
	return i.endpoint.Option(level, name, value)
}

// wireProtocol is the protocol that 0 stood for.
func (i *inet) wireProtocol() int {
	switch {
	case i.protocol != 0:
		return i.protocol
	case i.typ == syscall.SOCK_STREAM:
		return syscall.IPPROTO_TCP
	}
	return syscall.IPPROTO_UDP
}

func (i *inet) ioctl(_ call, request uintptr, arg address) (uintptr, Errno) {
	if request == fionread {
		n := int32(i.endpoint.Buffered())
		return 0, put(arg, &n)
	}
	return 0, interfaceRequest(request, arg)
}
